//! The schemas that read models live in, and how a projection connects to them. The projector's role
//! makes and drops the schemas of versions; the reader's role sees `read` and nothing else.

use std::time::Duration;

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use crate::Error;

/// Creates the registry and the schema of views, and grants the projector and the reader what they
/// need; that the projector may make schemas in the database is granted with the database. Safe to repeat.
pub async fn migrate(owner: &PgConnectOptions) -> Result<(), Error> {
    let mut db = owner.connect().await?;
    sqlx::raw_sql("create schema if not exists read").execute(&mut db).await?;
    db.close().await?;
    let mut db = platform::postgres::migrate(owner, "projections", &sqlx::migrate!()).await?;
    sqlx::raw_sql(
        "grant usage on schema projections to counterfoil_projector;
        grant select, insert, update, delete
            on projections.versions, projections.partitions, projections.parked_streams,
                projections.version_numbers, projections.members
            to counterfoil_projector;
        grant select, insert on projections.rewinds to counterfoil_projector;
        grant usage on sequence projections.fencing_tokens to counterfoil_projector;
        grant usage, create on schema read to counterfoil_projector;
        grant usage on schema read to counterfoil_reader;",
    )
    .execute(&mut db)
    .await?;
    db.close().await?;
    Ok(())
}

/// A connection of a projector. A session that stops in the middle of a transaction, because its
/// process is paused, loses it after `idle_max`, so that nobody waits for it for ever.
pub(crate) async fn connect(
    database: &PgConnectOptions,
    projection: &str,
    idle_max: Duration,
) -> Result<PgConnection, sqlx::Error> {
    let options =
        database.clone().application_name(&format!("counterfoil projection {projection}")).options([
            ("idle_in_transaction_session_timeout", idle_max.as_millis().to_string()),
            ("lock_timeout", Duration::from_secs(30).as_millis().to_string()),
        ]);
    options.connect().await
}

/// Makes `schema` what unqualified names mean on this connection.
pub(crate) async fn enter(schema: &str, db: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select set_config('search_path', $1, false)").bind(schema).execute(db).await?;
    Ok(())
}

/// From here on a commit on this connection does not wait for the disk. What a crash of the server loses of
/// it are the last rows together with the checkpoint that passed them, and the log has them. Statements
/// are planned once, and find rows by index, whatever the tables looked like then.
pub(crate) async fn write_behind(db: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(
        "set synchronous_commit = off; set plan_cache_mode = force_generic_plan;
         set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; set jit = off;",
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Creates an empty schema and enters it. Its name comes from a [`crate::Definition`], never from
/// outside.
pub(crate) async fn create_schema(schema: &str, db: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(format!("create schema {schema}"))).execute(&mut *db).await?;
    enter(schema, db).await
}

/// Drops a schema with everything in it, where there is one.
pub(crate) async fn drop_schema(schema: &str, db: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(format!("drop schema if exists {schema} cascade"))).execute(db).await?;
    Ok(())
}
