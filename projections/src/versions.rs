//! The versions of a projection: which one is read, which one is being built, which one is kept for
//! going back. A version is a schema of tables with its own checkpoint.

use event_store::Position;
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};

use crate::{Definition, Error, Projector, database};

/// The checkpoint is a table in the version's schema, read through a view that is switched together
/// with the others, so that whoever reads rows reads the position of exactly these rows. While a
/// version is built, each worker has its own; afterwards the one of shard 0 is all there is.
const CHECKPOINT: &str = "create table checkpoint (shard smallint primary key, position bigint not null)";

/// The schema that queries read.
const READ_SCHEMA: &str = "read";

/// The version that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Live {
    /// Its number.
    pub(crate) version: i32,
    /// The definition that it was built by.
    pub(crate) definition: i32,
}

/// Makes an empty first version of every projection that has none, so that there is something to
/// read. Safe to repeat, and to do from several processes at once.
pub async fn install_all(
    projections: &[std::sync::Arc<dyn Projector>],
    projector: &PgConnectOptions,
) -> Result<(), Error> {
    for projection in projections {
        let name = projection.definition().name;
        let mut db = database::connect(projector, name, std::time::Duration::from_mins(1)).await?;
        install(projection.definition(), &mut db).await?;
        db.close().await?;
    }
    Ok(())
}

/// The live version; made, where there is none.
pub(crate) async fn install(definition: &'static Definition, db: &mut PgConnection) -> Result<Live, Error> {
    if let Some(live) = live(definition, db).await? {
        return Ok(live);
    }
    let mut tx = db.begin().await?;
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('counterfoil install ' || $1, 0))")
        .bind(definition.name)
        .execute(&mut *tx)
        .await?;
    if let Some(live) = live(definition, &mut tx).await? {
        return Ok(live);
    }
    let version = next(definition, &mut tx).await?;
    create(definition, version, 1, &mut tx).await?;
    sqlx::raw_sql(definition.indexes).execute(&mut *tx).await?;
    sqlx::query("update projections.versions set state = 'live' where projection = $1 and version = $2")
        .bind(definition.name)
        .bind(version)
        .execute(&mut *tx)
        .await?;
    publish(definition, version, &mut tx).await?;
    tx.commit().await?;
    tracing::info!(projection = definition.name, version, "made an empty read model");
    Ok(Live { version, definition: definition.version })
}

/// The version that is read, if there is one.
pub(crate) async fn live(definition: &Definition, db: &mut PgConnection) -> Result<Option<Live>, Error> {
    let found: Option<(i32, i32)> = sqlx::query_as(
        "select version, definition from projections.versions where projection = $1 and state = 'live'",
    )
    .bind(definition.name)
    .fetch_optional(db)
    .await?;
    Ok(found.map(|(version, definition)| Live { version, definition }))
}

/// The number of the next version.
pub(crate) async fn next(definition: &Definition, db: &mut PgConnection) -> Result<i32, Error> {
    Ok(sqlx::query_scalar(
        "select coalesce(max(version), 0) + 1 from projections.versions where projection = $1",
    )
    .bind(definition.name)
    .fetch_one(db)
    .await?)
}

/// Creates a version that is being built by `shards` workers: its row, its schema, its tables without
/// the indexes of readers. The search path is its schema afterwards.
pub(crate) async fn create(
    definition: &'static Definition,
    version: i32,
    shards: i16,
    db: &mut PgConnection,
) -> Result<(), Error> {
    sqlx::query(
        "insert into projections.versions (projection, version, definition, state)
         values ($1, $2, $3, 'building')",
    )
    .bind(definition.name)
    .bind(version)
    .bind(definition.version)
    .execute(&mut *db)
    .await?;
    create_tables(definition, &definition.schema(version), shards, db).await
}

/// Creates a schema with the tables of a projection and enters it.
pub(crate) async fn create_tables(
    definition: &'static Definition,
    schema: &str,
    shards: i16,
    db: &mut PgConnection,
) -> Result<(), Error> {
    database::create_schema(schema, db).await?;
    sqlx::raw_sql(CHECKPOINT).execute(&mut *db).await?;
    sqlx::query("insert into checkpoint select generate_series(0, $1 - 1), 0")
        .bind(shards)
        .execute(&mut *db)
        .await?;
    sqlx::raw_sql(definition.create).execute(db).await?;
    Ok(())
}

/// Points the views of schema `read` at a version. The view of the position goes first: a reader
/// reads it first, too, and so either has finished before the switch or begins after it.
pub(crate) async fn publish(
    definition: &'static Definition,
    version: i32,
    db: &mut PgConnection,
) -> Result<(), Error> {
    database::enter(&definition.schema(version), db).await?;
    let position = format!("{}_position", definition.name);
    let position = (position.as_str(), "select position from checkpoint where shard = 0");
    let views = definition.views.iter().map(|view| (view.name, view.query));
    for (name, query) in std::iter::once(position).chain(views) {
        let sql = format!(
            "drop view if exists {READ_SCHEMA}.{name};
             create view {READ_SCHEMA}.{name} as {query};
             grant select on {READ_SCHEMA}.{name} to counterfoil_reader;"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *db).await?;
    }
    Ok(())
}

/// Where a version's only worker, or the one of shard `shard`, has got to. The search path must be the
/// version's schema.
pub(crate) async fn checkpoint(shard: i16, db: &mut PgConnection) -> Result<Position, Error> {
    let position: i64 = sqlx::query_scalar("select position from checkpoint where shard = $1")
        .bind(shard)
        .fetch_one(db)
        .await?;
    Ok(position_from(position))
}

/// A position as the database keeps it.
pub(crate) fn position_to(position: Position) -> Result<i64, Error> {
    i64::try_from(position.0).map_err(|_| Error::PositionOutOfRange(position))
}

/// A position that the database kept; it never keeps a negative one.
pub(crate) fn position_from(position: i64) -> Position {
    Position(u64::try_from(position).unwrap_or(0))
}
