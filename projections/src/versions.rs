//! The versions of a projection: which one is read, which one is being built, which one is kept for
//! going back. A version is a schema of tables with its own checkpoint.

use event_store::Position;
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};

use crate::{Definition, Error, Projector, checkpoints, database};

/// The schema that queries read.
const READ_SCHEMA: &str = "read";

/// The version that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Live {
    /// Its number.
    pub(crate) version: i32,
    /// The definition that it was built by.
    pub(crate) definition: i32,
    /// How many partitions it has.
    pub(crate) partitions: i16,
}

/// What is added to the definition of a split version where it is written down, so that releases that know
/// no partitions leave it alone; see migration 7. Whoever reads a definition takes the remainder.
pub(crate) const SPLIT: i32 = 1_000_000;

/// A definition as it is written down.
fn written(definition: &Definition, partitions: i16) -> i32 {
    definition.version + if partitions > 1 { SPLIT } else { 0 }
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
    let version = create(definition, State::Building, 1, 1, &mut tx).await?;
    checkpoints::join(Position::START, &mut tx).await?;
    sqlx::raw_sql(definition.indexes).execute(&mut *tx).await?;
    make_live(definition, version, &mut tx).await?;
    publish(definition, version, 1, &mut tx).await?;
    tx.commit().await?;
    tracing::info!(projection = definition.name, version, "made an empty read model");
    Ok(Live { version, definition: definition.version, partitions: 1 })
}

/// The version that is read, if there is one.
pub(crate) async fn live(definition: &Definition, db: &mut PgConnection) -> Result<Option<Live>, Error> {
    let found: Option<(i32, i32, i16)> = sqlx::query_as(
        "select version, definition % $2, partitions from projections.versions
         where projection = $1 and state = 'live'",
    )
    .bind(definition.name)
    .bind(SPLIT)
    .fetch_optional(db)
    .await?;
    Ok(found.map(|(version, definition, partitions)| Live { version, definition, partitions }))
}

/// What a version that is not read yet is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// To be promoted.
    Building,
    /// To be compared and dropped.
    Scratch,
}

/// Creates a version that is filled by `workers` and has `partitions` once it is read: its row, its schema,
/// its tables without the indexes of readers. The search path is its schema afterwards.
pub(crate) async fn create(
    definition: &'static Definition,
    state: State,
    workers: i16,
    partitions: i16,
    db: &mut PgConnection,
) -> Result<i32, Error> {
    let mut tx = db.begin().await?;
    let version = next_number(definition, &mut tx).await?;
    sqlx::query(
        "insert into projections.versions (projection, version, definition, state, partitions)
         values ($1, $2, $3, $4, $5)",
    )
    .bind(definition.name)
    .bind(version)
    .bind(written(definition, partitions))
    .bind(match state {
        State::Building => "building",
        State::Scratch => "scratch",
    })
    .bind(partitions)
    .execute(&mut *tx)
    .await?;
    database::create_schema(&definition.schema(version), &mut tx).await?;
    sqlx::raw_sql(checkpoints::TABLE).execute(&mut *tx).await?;
    sqlx::query("insert into checkpoint select generate_series(1, $1), 0")
        .bind(i32::from(workers.max(1)))
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
        "select version, definition % $2 from projections.versions
         where projection = $1 and state = 'building'",
    )
    .bind(definition.name)
    .bind(SPLIT)
    .fetch_optional(db)
    .await?)
}

/// How many partitions a version is to have once it is read.
pub(crate) async fn partitions_of(
    definition: &Definition,
    version: i32,
    db: &mut PgConnection,
) -> Result<i16, Error> {
    let sql = "select partitions from projections.versions where projection = $1 and version = $2";
    Ok(sqlx::query_scalar(sql).bind(definition.name).bind(version).fetch_one(db).await?)
}

/// Decides anew how many partitions a version is to have that is not read yet.
pub(crate) async fn set_partitions(
    definition: &Definition,
    version: i32,
    partitions: i16,
    db: &mut PgConnection,
) -> Result<(), Error> {
    sqlx::query(
        "update projections.versions set partitions = $3, definition = $4
         where projection = $1 and version = $2 and state = 'building'",
    )
    .bind(definition.name)
    .bind(version)
    .bind(partitions)
    .bind(written(definition, partitions))
    .execute(db)
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

/// Keeps the live version from being written until the transaction ends, by whomever.
pub(crate) async fn stop_live(definition: &Definition, tx: &mut PgConnection) -> Result<Option<Live>, Error> {
    loop {
        let Some(found) = live(definition, tx).await? else { return Ok(None) };
        if found.partitions > 1 {
            let schema = definition.schema(found.version);
            let sql = format!("lock table {schema}.checkpoint in exclusive mode");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await?;
        }
        let still: Option<i32> = sqlx::query_scalar(
            "select version from projections.versions
             where projection = $1 and version = $2 and state = 'live' for update",
        )
        .bind(definition.name)
        .bind(found.version)
        .fetch_optional(&mut *tx)
        .await?;
        if still.is_some() {
            return Ok(Some(found));
        }
    }
}

/// Makes a version the live one, and the one that was live the one before; the one before that goes. The
/// leases on the partitions of both are over.
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
        "delete from projections.partitions where projection = $1 and version <> $2",
        "insert into projections.partitions (projection, version, partition, token)
         select projection, version, generate_series(1, partitions), nextval('projections.fencing_tokens')
         from projections.versions where projection = $1 and version = $2 and partitions > 1",
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
         where projection = $1 and state = 'previous' and definition % $3 = $2 returning version",
    )
    .bind(definition.name)
    .bind(definition.version)
    .bind(SPLIT)
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
    partitions: i16,
    db: &mut PgConnection,
) -> Result<(), Error> {
    database::enter(&definition.schema(version), db).await?;
    let position = format!("{}_position", definition.name);
    // What all partitions have got to.
    let of_rows = match partitions {
        1 => "select position from checkpoint where shard = 0",
        _ => "select min(position) as position from checkpoint where shard < 0",
    };
    let position = (position.as_str(), of_rows);
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

/// A position as the database keeps it.
pub(crate) fn position_to(position: Position) -> Result<i64, Error> {
    Ok(position.to_column()?)
}

/// A position that the database kept.
pub(crate) fn position_from(column: i64) -> Result<Position, sqlx::Error> {
    Position::from_column(column).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
