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
    // A build that was begun before there was anything to read is of no more use than an empty one.
    if let Some((version, _)) = building(definition, &mut tx).await? {
        drop_version(definition, version, &mut tx).await?;
    }
    let version = create(definition, State::Building, 1, &mut tx).await?;
    join_shards(Position::START, &mut tx).await?;
    sqlx::raw_sql(definition.indexes).execute(&mut *tx).await?;
    make_live(definition, version, &mut tx).await?;
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

/// What a version that is not read yet is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// To be promoted.
    Building,
    /// To be compared and dropped.
    Scratch,
}

/// Creates a version that is filled by `shards` workers: its row, its schema, its tables without the
/// indexes of readers. The search path is its schema afterwards.
pub(crate) async fn create(
    definition: &'static Definition,
    state: State,
    shards: i16,
    db: &mut PgConnection,
) -> Result<i32, Error> {
    let mut tx = db.begin().await?;
    let version = next_number(definition, &mut tx).await?;
    sqlx::query(
        "insert into projections.versions (projection, version, definition, state) values ($1, $2, $3, $4)",
    )
    .bind(definition.name)
    .bind(version)
    .bind(definition.version)
    .bind(match state {
        State::Building => "building",
        State::Scratch => "scratch",
    })
    .execute(&mut *tx)
    .await?;
    database::create_schema(&definition.schema(version), &mut tx).await?;
    sqlx::raw_sql(CHECKPOINT).execute(&mut *tx).await?;
    sqlx::query("insert into checkpoint select generate_series(1, $1), 0")
        .bind(i32::from(shards.max(1)))
        .execute(&mut *tx)
        .await?;
    sqlx::raw_sql(definition.create).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(version)
}

/// A number that no version has had, also none that is dropped. Releases that know no `version_numbers`
/// may be at work beside this one, and take the number behind the highest that is there.
async fn next_number(definition: &Definition, tx: &mut PgConnection) -> Result<i32, Error> {
    Ok(sqlx::query_scalar(
        "insert into projections.version_numbers as numbers (projection, last)
         select $1, coalesce(max(version), 0) + 1 from projections.versions where projection = $1
         on conflict (projection) do update set last = greatest(numbers.last + 1, excluded.last)
         returning last",
    )
    .bind(definition.name)
    .fetch_one(tx)
    .await?)
}

/// Drops a version with all that belongs to it.
pub(crate) async fn drop_version(
    definition: &Definition,
    version: i32,
    db: &mut PgConnection,
) -> Result<(), Error> {
    let mut tx = db.begin().await?;
    database::drop_schema(&definition.schema(version), &mut tx).await?;
    for sql in [
        "delete from projections.parked_streams where projection = $1 and version = $2",
        "delete from projections.versions where projection = $1 and version = $2",
    ] {
        sqlx::query(sql).bind(definition.name).bind(version).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Drops versions for comparing that nobody is at work on any more.
pub(crate) async fn drop_stale_scratch(definition: &Definition, db: &mut PgConnection) -> Result<(), Error> {
    let stale: Vec<i32> = sqlx::query_scalar(
        "select version from projections.versions
         where projection = $1 and state = 'scratch'
             and coalesce(lease_until, created_at + interval '1 minute') < clock_timestamp()",
    )
    .bind(definition.name)
    .fetch_all(&mut *db)
    .await?;
    for version in stale {
        drop_version(definition, version, db).await?;
    }
    Ok(())
}

/// The version that is being built, with the definition that it is built by.
pub(crate) async fn building(
    definition: &Definition,
    db: &mut PgConnection,
) -> Result<Option<(i32, i32)>, Error> {
    Ok(sqlx::query_as(
        "select version, definition from projections.versions where projection = $1 and state = 'building'",
    )
    .bind(definition.name)
    .fetch_optional(db)
    .await?)
}

/// Where each worker of a version is that is still being filled.
pub(crate) async fn shards(db: &mut PgConnection) -> Result<Vec<(i16, Position)>, Error> {
    let shards: Vec<(i16, i64)> =
        sqlx::query_as("select shard, position from checkpoint where shard > 0 order by shard")
            .fetch_all(db)
            .await?;
    let shards = shards.into_iter().map(|(shard, position)| Ok((shard, position_from(position)?)));
    shards.collect()
}

/// Makes one checkpoint out of the workers', who must all have got to `position`.
pub(crate) async fn join_shards(position: Position, tx: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("delete from checkpoint where shard > 0").execute(&mut *tx).await?;
    sqlx::query("insert into checkpoint (shard, position) values (0, $1)")
        .bind(position_to(position)?)
        .execute(tx)
        .await?;
    Ok(())
}

/// Lets the planner know of rows that it has not seen yet.
pub(crate) async fn analyze(definition: &Definition, db: &mut PgConnection) -> Result<(), Error> {
    for table in definition.tables {
        sqlx::raw_sql(AssertSqlSafe(format!("analyze {}", table.name))).execute(&mut *db).await?;
    }
    Ok(())
}

/// Keeps the live version from being written until the transaction ends.
pub(crate) async fn stop_live(definition: &Definition, tx: &mut PgConnection) -> Result<Option<i32>, Error> {
    Ok(sqlx::query_scalar(
        "select version from projections.versions where projection = $1 and state = 'live' for update",
    )
    .bind(definition.name)
    .fetch_optional(tx)
    .await?)
}

/// Makes a version the live one, and the one that was live the one before; the one before that goes.
pub(crate) async fn make_live(
    definition: &'static Definition,
    version: i32,
    tx: &mut PgConnection,
) -> Result<(), Error> {
    let oldest: Option<i32> = sqlx::query_scalar(
        "select version from projections.versions where projection = $1 and state = 'previous'",
    )
    .bind(definition.name)
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(oldest) = oldest {
        drop_version(definition, oldest, tx).await?;
    }
    for sql in [
        "update projections.versions set state = 'previous', holder = null, lease_until = null
         where projection = $1 and state = 'live' and version <> $2",
        "update projections.versions set state = 'live', holder = null, lease_until = null
         where projection = $1 and version = $2",
    ] {
        sqlx::query(sql).bind(definition.name).bind(version).execute(&mut *tx).await?;
    }
    Ok(())
}

/// Opens the version before for writing again, to go back to it.
pub(crate) async fn reopen_previous(
    definition: &'static Definition,
    db: &mut PgConnection,
) -> Result<i32, Error> {
    let version: Option<i32> = sqlx::query_scalar(
        "update projections.versions set state = 'building'
         where projection = $1 and state = 'previous' and definition = $2 returning version",
    )
    .bind(definition.name)
    .bind(definition.version)
    .fetch_optional(db)
    .await?;
    version.ok_or(Error::NothingToGoBackTo { projection: definition.name })
}

/// What a reader begins its transaction with, to see rows and position of one version of a read model,
/// and never one that is behind what it saw before.
///
/// The lock comes before the snapshot: a snapshot that is older than a switch of versions, but reads
/// after it, would show the new version as it was before it had caught up. It keeps nobody from
/// anything but that switch.
pub fn snapshot_of(projection: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "begin isolation level repeatable read read only;
         lock table {READ_SCHEMA}.{projection}_position in access share mode"
    ))
}

/// Points the views of schema `read` at a version. The view of the position goes first: it is what
/// readers lock.
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

/// Where a version is that is filled. The search path must be its schema.
pub(crate) async fn checkpoint(db: &mut PgConnection) -> Result<Position, Error> {
    let sql = "select position from checkpoint where shard = 0";
    Ok(position_from(sqlx::query_scalar(sql).fetch_one(db).await?)?)
}

/// Where a version is that is filled, whatever the search path.
pub(crate) async fn checkpoint_of(
    definition: &Definition,
    version: i32,
    db: &mut PgConnection,
) -> Result<Position, Error> {
    let sql = format!("select position from {}.checkpoint where shard = 0", definition.schema(version));
    Ok(position_from(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(db).await?)?)
}

/// A position as the database keeps it.
pub(crate) fn position_to(position: Position) -> Result<i64, Error> {
    Ok(position.to_column()?)
}

/// A position that the database kept.
pub(crate) fn position_from(column: i64) -> Result<Position, sqlx::Error> {
    Position::from_column(column).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
