//! Parked streams: kept back from the event on that could not be applied, until somebody retries. What
//! comes in then comes late, and those who follow the read model are told to go back for it.

use std::sync::Arc;

use event_store::{Direction, EventStore, Position, RecordedEvent};
use events::StreamName;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use crate::{
    Definition, Error, Projector,
    batch::{self, Poison},
    checkpoints, database,
    entry::Entry,
    lease::LEASE,
    partition::Partition,
    rewinds, versions,
};

/// What a retry did with one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retried {
    /// The stream.
    pub stream: String,
    /// How many events of it were applied.
    pub applied: u64,
    /// It was parked again, because an event can still not be applied.
    pub parked_again: bool,
}

/// How many events of a parked stream are read at a time.
const PAGE: usize = 500;

/// Applies what was kept back, of one stream or of all, and lets the streams go on. A stream whose
/// event still cannot be applied is parked again, from that event on.
pub async fn retry(
    projection: &dyn Projector,
    stream: Option<&str>,
    store: &dyn EventStore,
    projector: &PgConnectOptions,
) -> Result<Vec<Retried>, Error> {
    let definition = projection.definition();
    let mut db = database::connect(projector, definition.name, LEASE).await?;
    let live = versions::install(definition, &mut db).await?;
    database::enter(&definition.schema(live.version), &mut db).await?;
    let parked: Vec<(String, i64, i64)> = sqlx::query_as(
        "select stream, revision, position from projections.parked_streams
         where projection = $1 and version = $2 and stream = coalesce($3, stream) order by position",
    )
    .bind(definition.name)
    .bind(live.version)
    .bind(stream)
    .fetch_all(&mut db)
    .await?;
    let mut retried = Vec::with_capacity(parked.len());
    for (stream, revision, position) in parked {
        let from = (revision, position);
        retried.push(retry_one(projection, live.version, stream, from, store, &mut db).await?);
    }
    db.close().await?;
    Ok(retried)
}

/// Applies one stream up to the checkpoint of its partition, while the runners wait at their next batch:
/// they cannot write as long as the version is stopped.
async fn retry_one(
    projection: &dyn Projector,
    version: i32,
    stream: String,
    (revision, position): (i64, i64),
    store: &dyn EventStore,
    db: &mut PgConnection,
) -> Result<Retried, Error> {
    let name = projection.definition().name;
    let mut tx = db.begin().await?;
    let live = versions::stop_live(projection.definition(), &mut tx).await?;
    let Some(live) = live.filter(|live| live.version == version) else {
        return Err(Error::NoLongerLive { projection: name, version });
    };
    let partition = Partition::of_stream(&stream_name(&stream)?, live.partitions);
    let checkpoint = checkpoints::of_shard(partition.shard(), &mut tx).await?;
    let mut events = read_held(&stream, revision, checkpoint, store).await?;
    events.retain(|event| projection.definition().wants(&event.name));
    sqlx::query(
        "delete from projections.parked_streams where projection = $1 and version = $2 and stream = $3",
    )
    .bind(name)
    .bind(version)
    .bind(&stream)
    .execute(&mut *tx)
    .await?;
    let mut applied = 0;
    let mut parked_again = false;
    let events: Vec<_> = events.into_iter().map(Entry::shared).collect();
    for page in events.chunks(PAGE) {
        let parked = if parked_again { vec![stream.clone()] } else { Vec::new() };
        batch::apply(projection, version, parked, page, Poison::IsFound, &mut tx).await?;
        let parked_from: Option<i64> = sqlx::query_scalar(
            "select revision from projections.parked_streams where projection = $1 and version = $2 and stream = $3",
        )
        .bind(name)
        .bind(version)
        .bind(&stream)
        .fetch_optional(&mut *tx)
        .await?;
        parked_again = parked_from.is_some();
        let fits = |event: &&Arc<Entry>| {
            parked_from.is_none_or(|from| i64::try_from(event.revision).is_ok_and(|revision| revision < from))
        };
        applied += page.iter().filter(fits).count() as u64;
    }
    if applied > 0 {
        rewinds::record(projection.definition(), &stream, position, &mut tx).await?;
    }
    tx.commit().await?;
    tracing::info!(projection = name, version, stream, applied, parked_again, "retried a parked stream");
    Ok(Retried { stream, applied, parked_again })
}

/// A stream as it is written down.
fn stream_name(stream: &str) -> Result<StreamName, event_store::StoreError> {
    let corrupt = |_| event_store::StoreError::Corrupt { reason: format!("{stream:?} is no stream name") };
    stream.parse().map_err(corrupt)
}

/// The streams that a version keeps back.
pub(crate) async fn streams(
    definition: &Definition,
    version: i32,
    db: &mut PgConnection,
) -> Result<Vec<String>, Error> {
    let sql = "select stream from projections.parked_streams where projection = $1 and version = $2";
    Ok(sqlx::query_scalar(sql).bind(definition.name).bind(version).fetch_all(db).await?)
}

/// The events of a stream that were kept back: from `revision` on, no later than `checkpoint`.
async fn read_held(
    stream: &str,
    revision: i64,
    checkpoint: Position,
    store: &dyn EventStore,
) -> Result<Vec<RecordedEvent>, Error> {
    let name = stream_name(stream)?;
    let mut from = u64::try_from(revision).unwrap_or(0);
    let mut held = Vec::new();
    loop {
        let page = store.read_stream(&name, Direction::Forwards, Some(from), PAGE).await?;
        let end = page.len() < PAGE;
        held.extend(page.into_iter().filter(|event| event.position <= checkpoint));
        if end {
            return Ok(held);
        }
        from += PAGE as u64;
    }
}
