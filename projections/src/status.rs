//! What an operator is shown of the projections: versions, checkpoints, leases and parked streams.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use event_store::{EventStore, Position};
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};

use crate::{Definition, Error, Projector, database, lease::LEASE, versions};

/// The state of one projection.
#[derive(Debug, Clone)]
pub struct ProjectionStatus {
    /// What it is called.
    pub name: &'static str,
    /// The version that is read; `None` before the first was made.
    pub version: Option<i32>,
    /// Everything up to here is in it, in all its partitions.
    pub checkpoint: Position,
    /// How far the log goes on behind it, as the store counts: in events where positions are dense.
    pub lag: u64,
    /// Who writes it, while the lease lasts; where it is split, the partitions tell.
    pub holder: Option<String>,
    /// Its partitions in their order, where it has more than one.
    pub partitions: Vec<PartitionStatus>,
    /// The processes that cannot go on with it, because an event is of a newer release than theirs.
    pub standing_back: Vec<StandingBack>,
    /// The fencing token of the last lease.
    pub token: i64,
    /// The version that is being built, and how far its slowest worker is.
    pub building: Option<(i32, Position)>,
    /// The version that is kept for going back.
    pub previous: Option<i32>,
    /// The streams that are kept back.
    pub parked: Vec<ParkedStream>,
}

/// The state of one partition of the version that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Everything of its streams up to here is in it.
    pub checkpoint: Position,
    /// How far the log goes on behind it, as the store counts.
    pub lag: u64,
    /// Who writes it, while the lease lasts.
    pub holder: Option<String>,
}

/// A process that leaves a read model to those of a newer release.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct StandingBack {
    /// Which.
    pub holder: String,
    /// The place in the log of the event that it cannot read.
    pub position: i64,
    /// The event's name and version.
    pub event: String,
}

/// A stream that is kept back.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ParkedStream {
    /// The stream.
    pub stream: String,
    /// The event that could not be applied, by its place in the stream.
    pub revision: i64,
    /// Its place in the log.
    pub position: i64,
    /// Its wire name.
    pub event_name: String,
    /// Why it could not be applied.
    pub reason: String,
    /// How many events are kept back, that one included.
    pub held: i64,
    /// Since when.
    pub parked_at: DateTime<Utc>,
}

/// The state of every projection, now.
pub async fn status(
    projections: &[Arc<dyn Projector>],
    store: &dyn EventStore,
    projector: &PgConnectOptions,
) -> Result<Vec<ProjectionStatus>, Error> {
    let mut db = database::connect(projector, "status", LEASE).await?;
    let mut all = Vec::with_capacity(projections.len());
    for projection in projections {
        all.push(one(&**projection, &mut db).await?);
    }
    db.close().await?;
    let head = store.head().await?;
    for status in &mut all {
        status.lag = head.distance_from(status.checkpoint);
        for partition in &mut status.partitions {
            partition.lag = head.distance_from(partition.checkpoint);
        }
    }
    Ok(all)
}

async fn one(projection: &dyn Projector, db: &mut PgConnection) -> Result<ProjectionStatus, Error> {
    let definition = projection.definition();
    let mut status = ProjectionStatus {
        name: definition.name,
        version: None,
        checkpoint: Position::START,
        lag: 0,
        holder: None,
        partitions: Vec::new(),
        standing_back: Vec::new(),
        token: 0,
        building: None,
        previous: None,
        parked: Vec::new(),
    };
    let versions: Vec<(i32, String, i64, Option<String>)> = sqlx::query_as(
        "select version, state, token, case when lease_until > clock_timestamp() then holder end
         from projections.versions where projection = $1",
    )
    .bind(definition.name)
    .fetch_all(&mut *db)
    .await?;
    for (version, state, token, holder) in versions {
        match state.as_str() {
            "live" => {
                status.version = Some(version);
                status.checkpoint = slowest(&definition.schema(version), db).await?;
                (status.token, status.holder) = (token, holder);
                status.partitions = partitions(definition, version, db).await?;
            }
            "building" => status.building = Some((version, slowest(&definition.schema(version), db).await?)),
            "previous" => status.previous = Some(version),
            _ => {} // Only there to be compared.
        }
    }
    status.standing_back = sqlx::query_as(
        "select holder, stands_back_at as position, stands_back_for as event from projections.members
         where projection = $1 and stands_back_at is not null and seen_until > clock_timestamp()
         order by holder",
    )
    .bind(definition.name)
    .fetch_all(&mut *db)
    .await?;
    status.parked = sqlx::query_as(
        "select stream, revision, position, event_name, reason, held, parked_at
         from projections.parked_streams where projection = $1 and version = $2 order by position",
    )
    .bind(definition.name)
    .bind(status.version)
    .fetch_all(db)
    .await?;
    Ok(status)
}

/// The partitions of a version that is read, if it is split.
async fn partitions(
    definition: &Definition,
    version: i32,
    db: &mut PgConnection,
) -> Result<Vec<PartitionStatus>, Error> {
    let sql = format!(
        "select position, case when lease_until > clock_timestamp() then holder end
         from projections.partitions
         join {}.checkpoint on shard = -partition
         where projection = $1 and version = $2 order by partition",
        definition.schema(version)
    );
    let rows: Vec<(i64, Option<String>)> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(definition.name).bind(version).fetch_all(db).await?;
    let status = |(position, holder)| {
        Ok(PartitionStatus { checkpoint: versions::position_from(position)?, lag: 0, holder })
    };
    rows.into_iter().map(status).collect()
}

/// How far the slowest worker of a version is.
async fn slowest(schema: &str, db: &mut PgConnection) -> Result<Position, Error> {
    let sql = format!("select coalesce(min(position), 0) from {schema}.checkpoint");
    let position: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(db).await?;
    Ok(versions::position_from(position)?)
}
