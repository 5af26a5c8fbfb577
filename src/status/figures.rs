//! Where the figures of a report come from: the log's own tables, the coordinator's, the relay's, the
//! registry of projections, and the read model of what needs a person.

use event_store::{EventStore, Position};
use sqlx::{PgPool, postgres::PgConnectOptions};

use super::{
    Building, Count, Holder, Parked, Partition, Projection, Relay, Report, Sagas, Sources, StandingBack,
    Unattended,
};
use crate::processes;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log cannot be read.
    #[error("cannot read the head of the log: {0}")]
    Store(#[from] event_store::StoreError),
    /// The projections cannot be asked.
    #[error("cannot read the state of the projections: {0}")]
    Projections(#[from] projections::Error),
    /// A table cannot be read.
    #[error("cannot count: {0}")]
    Sql(#[from] sqlx::Error),
}

pub(super) async fn gather(sources: &Sources) -> Result<Report, Error> {
    let head = sources.store.head().await?;
    let projections = projections(&*sources.store, &sources.projector).await?;
    let sagas = sagas(&sources.service, head).await?;
    Ok(Report {
        head,
        streams: match &sources.log {
            Some(log) => Some(streams(log).await?),
            None => None,
        },
        processes: processes::seen(&sources.service).await?,
        unattended: unattended(&projections, &sagas),
        projections,
        sagas,
        relay: relay(&sources.service, head).await?,
        attention: attention(&sources.reader).await?,
    })
}

/// What there is to do and nobody does.
fn unattended(projections: &[Projection], sagas: &Sagas) -> Vec<Unattended> {
    let behind = projections.iter().filter_map(|projection| {
        let lag = match projection.partitions.as_slice() {
            [] => projection.holder.is_none().then_some(projection.lag),
            partitions => {
                let left = partitions.iter().filter(|partition| partition.holder.is_none());
                left.map(|partition| partition.lag).max()
            }
        };
        let lag = lag.filter(|lag| *lag > 0)?;
        Some(Unattended { name: projection.name.clone(), lag })
    });
    let nobody_drives = sagas.holders.is_empty() || sagas.free_partitions > 0;
    let has_work = sagas.lag > 0 || !sagas.in_flight.is_empty();
    let sagas = (nobody_drives && has_work).then(|| Unattended { name: "sagas".to_owned(), lag: sagas.lag });
    behind.chain(sagas).collect()
}

async fn streams(log: &PgPool) -> Result<Vec<Count>, sqlx::Error> {
    sqlx::query_as(
        "select category as name, count(*) as count from event_store.streams group by 1 order by 1",
    )
    .fetch_all(log)
    .await
}

async fn sagas(service: &PgPool, head: Position) -> Result<Sagas, sqlx::Error> {
    // What no coordinator has saved yet begins where the release before partitions was, as it does for them.
    let (checkpoint, partitions): (i64, i64) = sqlx::query_as(
        "with before as (
            select coalesce((select position from sagas.checkpoint where name = 'coordinator'), 0) as position)
         select coalesce(min(coalesce(partition.checkpoint, before.position)), before.position),
                count(partition.number)
           from before left join sagas.partition on true group by before.position",
    )
    .fetch_one(service)
    .await?;
    let holders: Vec<Holder> = sqlx::query_as(
        "select holder, count(*) as partitions from sagas.partition
          where runs_out_at > clock_timestamp() group by holder order by holder",
    )
    .fetch_all(service)
    .await?;
    let in_flight = sqlx::query_as(
        "select kind || ': ' || waiting as name, count(*) as count from sagas.wake group by 1 order by 1",
    )
    .fetch_all(service)
    .await?;
    let standing_back = sqlx::query_scalar(
        "select holder from sagas.member where stands_back and seen_until > clock_timestamp() order by holder",
    )
    .fetch_all(service)
    .await?;
    let checkpoint =
        Position::from_column(checkpoint).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let driven: i64 = holders.iter().map(|holder| holder.partitions).sum();
    Ok(Sagas {
        checkpoint,
        lag: head.distance_from(checkpoint),
        holders,
        free_partitions: partitions - driven,
        standing_back,
        in_flight,
    })
}

async fn relay(service: &PgPool, head: Position) -> Result<Option<Relay>, sqlx::Error> {
    let state = relay::State::read(service).await?;
    Ok(state.map(|relay::State { checkpoint, holder }| Relay {
        checkpoint,
        lag: head.distance_from(checkpoint),
        holder,
    }))
}

/// The read model does not exist before a projector has run once; nothing has needed anybody then.
async fn attention(reader: &PgPool) -> Result<Vec<Count>, sqlx::Error> {
    let exists: bool =
        sqlx::query_scalar("select to_regclass('read.attention') is not null").fetch_one(reader).await?;
    if !exists {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "select kind as name, count(*) as count from read.attention where resolved_at is null group by 1 order by 1",
    )
    .fetch_all(reader)
    .await
}

/// The state of every read model; also what `counterfoil projections status` prints.
pub async fn projections(
    store: &dyn EventStore,
    projector: &PgConnectOptions,
) -> Result<Vec<Projection>, projections::Error> {
    let all = projections::status(&projections::all(), store, projector).await?;
    Ok(all.into_iter().map(Projection::from).collect())
}

impl From<projections::ProjectionStatus> for Projection {
    fn from(status: projections::ProjectionStatus) -> Self {
        let standing_back = status.standing_back.into_iter().map(|process| StandingBack {
            holder: process.holder,
            position: process.position,
            event: process.event,
        });
        let partitions = status.partitions.into_iter().map(|partition| Partition {
            checkpoint: partition.checkpoint,
            lag: partition.lag,
            holder: partition.holder,
        });
        let parked = status.parked.into_iter().map(|parked| Parked {
            stream: parked.stream,
            position: parked.position,
            reason: parked.reason,
            held: parked.held,
        });
        Self {
            name: status.name.to_owned(),
            version: status.version,
            checkpoint: status.checkpoint,
            lag: status.lag,
            holder: status.holder,
            partitions: partitions.collect(),
            standing_back: standing_back.collect(),
            building: status.building.map(|(version, at)| Building { version, checkpoint: at }),
            previous: status.previous,
            parked: parked.collect(),
        }
    }
}
