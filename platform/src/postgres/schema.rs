//! A room's own schema in the database, brought to the shape that this release works with.

use sqlx::{
    AssertSqlSafe, ConnectOptions, PgConnection,
    migrate::{MigrateError, Migrator},
    postgres::PgConnectOptions,
};

/// Makes `schema` if it is missing and runs the migrations that it lacks, as `owner`. They find its tables
/// without naming it, and what is remembered of them is kept in it. Gives the connection, for what is to be
/// granted every time. Safe to repeat; `schema` comes from the code and never from outside.
pub async fn migrate(
    owner: &PgConnectOptions,
    schema: &'static str,
    migrations: &Migrator,
) -> Result<PgConnection, MigrateError> {
    let mut connection = owner.clone().options([("search_path", schema)]).connect().await?;
    let create = format!("create schema if not exists {schema}");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await?;
    migrations.run(&mut connection).await?;
    Ok(connection)
}
