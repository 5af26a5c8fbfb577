//! The live runner of one projection, or of one partition of it where the version that is read is split:
//! follows the log and keeps what is its own of that version up to date. It
//! survives outages of the log and of the database, stands by while another process has the lease, and
//! moves on to the next version when that has been promoted.

use std::{sync::Arc, time::Duration};

use event_store::{EventStore, Page, Position, RecordedEvent};
use futures::{FutureExt, StreamExt, stream::BoxStream};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Projector,
    batch::{self, Batch},
    checkpoints, database,
    entry::Entry,
    lease::{LEASE, Lease},
    partition::Partition,
    rebuild::{self, RebuildOptions},
    versions,
};

/// How a runner goes about it.
#[derive(Debug, Clone)]
pub struct RunnerOptions {
    /// Who holds the lease, for people to read: a process, not a person.
    pub holder: String,
    /// How many events are written in one transaction at most, give or take a page of the store.
    pub batch_events_max: usize,
}

impl Default for RunnerOptions {
    fn default() -> Self {
        Self { holder: format!("pid {}", std::process::id()), batch_events_max: 2_000 }
    }
}

/// The first and the longest pause after a failure, and between two looks at a lease that is held.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How soon after one batch was begun the next one is, at the end of the log: a transaction then serves all events
/// of that time, and costs hardly more for it. Where everybody wants the processor a batch takes longer, and gives
/// the others twice as much, within bounds: after a hiccup of the disk it is the readers who wait.
const PACE_MIN: Duration = Duration::from_millis(15);
const PACE_MAX: Duration = Duration::from_millis(20);
const PACE_OF_TAKEN: u32 = 3;

/// How long the checkpoint may stay behind events that the projection does not want. Most of them wait for one
/// that it does want, and cost nothing.
const PACE_OF_NOTHING: Duration = Duration::from_millis(25);

/// An event that this release cannot read, and a newer one can: whoever meets it stands back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandsBack {
    /// Where it is. Nothing behind it was applied, and the checkpoint is before it.
    pub position: Position,
    /// Its name and version.
    pub event: String,
}

/// Runs one projection until `shutdown`, or until only a newer release can go on with it; where its live
/// version is split, the first partition of it.
pub async fn run(
    projection: Arc<dyn Projector>,
    store: Arc<dyn EventStore>,
    projector: PgConnectOptions,
    options: RunnerOptions,
    shutdown: CancellationToken,
) -> Result<(), StandsBack> {
    run_partition(projection, 1, store, projector, options, shutdown).await
}

/// The same for the partition of this number.
pub(crate) async fn run_partition(
    projection: Arc<dyn Projector>,
    partition: i16,
    store: Arc<dyn EventStore>,
    projector: PgConnectOptions,
    options: RunnerOptions,
    shutdown: CancellationToken,
) -> Result<(), StandsBack> {
    let name = projection.definition().name;
    let mut backoff = BACKOFF_MIN;
    while !shutdown.is_cancelled() {
        let started = Instant::now();
        let ended = session(&projection, partition, &store, &projector, &options, &shutdown).await;
        if started.elapsed() > BACKOFF_MAX {
            backoff = BACKOFF_MIN;
        }
        match ended {
            Ok(()) => break,
            Err(Error::Interrupted) if shutdown.is_cancelled() => break,
            Err(Error::LeaseHeld { holder, .. }) => {
                tracing::debug!(projection = name, holder, "standing by: another process has the lease");
                backoff = BACKOFF_MIN;
            }
            Err(Error::NoSuchPartition { .. }) => {
                tracing::debug!(projection = name, partition, "this partition is no more, or not yet");
                backoff = BACKOFF_MIN;
            }
            Err(Error::OfNewerRelease { position, event, .. }) => {
                tracing::error!(projection = name, %position, event, "standing back: an event was written by a newer release, and a process of that one has to go on here");
                return Err(StandsBack { position, event });
            }
            Err(Error::OtherDefinition { built_by, wanted, .. }) => {
                tracing::info!(
                    projection = name,
                    built_by,
                    wanted,
                    "standing back: a newer release keeps it"
                );
            }
            Err(Error::Fenced { version, token, .. }) => {
                tracing::warn!(
                    projection = name,
                    version,
                    token,
                    "refused: the lease is over, nothing was written"
                );
            }
            Err(error) => {
                tracing::error!(projection = name, %error, retry_in = ?backoff, "a projection stopped");
            }
        }
        let _ = tokio::time::timeout(backoff, shutdown.cancelled()).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
    Ok(())
}

/// One lease's worth of work: ends well only on shutdown.
async fn session(
    projection: &Arc<dyn Projector>,
    number: i16,
    store: &Arc<dyn EventStore>,
    projector: &PgConnectOptions,
    options: &RunnerOptions,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let definition = projection.definition();
    let mut db = database::connect(projector, definition.name, LEASE).await?;
    let mut live = versions::install(definition, &mut db).await?;
    if live.definition > definition.version {
        let (built_by, wanted) = (live.definition, definition.version);
        return Err(Error::OtherDefinition { projection: definition.name, built_by, wanted });
    }
    if live.definition < definition.version {
        replace(projection, store, projector, options, shutdown).await?;
        live = versions::install(definition, &mut db).await?;
    }
    if number > live.partitions {
        let (projection, version, partition) = (definition.name, live.version, number);
        return Err(Error::NoSuchPartition { projection, version, partition });
    }
    let partition = Partition { number, of: live.partitions };
    let lease = Lease::take(definition, live.version, partition, &options.holder, &mut db).await?;
    database::enter(&definition.schema(live.version), &mut db).await?;
    database::write_behind(&mut db).await?;
    let ended = follow(&**projection, &**store, &lease, options, shutdown, &mut db).await;
    if matches!(ended, Ok(()) | Err(Error::OfNewerRelease { .. })) {
        lease.release(&mut db).await?;
        db.close().await?;
    }
    ended
}

/// Rebuilds a version that another release's rules made. Readers keep what there is meanwhile.
async fn replace(
    projection: &Arc<dyn Projector>,
    store: &Arc<dyn EventStore>,
    projector: &PgConnectOptions,
    options: &RunnerOptions,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let name = projection.definition().name;
    tracing::info!(projection = name, "the rules of this read model have changed: rebuilding it");
    let options = RebuildOptions { holder: options.holder.clone(), ..RebuildOptions::default() };
    let report = Arc::new(move |progress: rebuild::Progress| {
        tracing::debug!(projection = name, done = %progress.done, target = %progress.target, "rebuilding");
    });
    let (projection, store) = (projection.clone(), store.clone());
    rebuild::rebuild(projection, store, projector.clone(), &options, report, shutdown.clone()).await?;
    Ok(())
}

/// Follows the log from the checkpoint on.
async fn follow(
    projection: &dyn Projector,
    store: &dyn EventStore,
    lease: &Lease,
    options: &RunnerOptions,
    shutdown: &CancellationToken,
    db: &mut PgConnection,
) -> Result<(), Error> {
    let definition = projection.definition();
    let Partition { number, of } = lease.partition;
    let shard = lease.partition.shard();
    let checkpoint = checkpoints::of_shard(shard, db).await?;
    tracing::info!(projection = definition.name, version = lease.version, partition = number, of, %checkpoint, "following the log");
    let mut pages = store.follow(checkpoint, definition.filter());
    let mut renewed = Instant::now();
    let mut not_before = renewed;
    let mut batch = Batch { after: checkpoint, events: Vec::new(), through: checkpoint };
    let mut nothing_since: Option<Instant> = None;
    let mut caught_up = true;
    loop {
        let nothing_until = nothing_since.map(|since| since + PACE_OF_NOTHING);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            page = async { tokio::time::sleep_until(not_before).await; pages.next().await } => {
                let Some(page) = page else { return Ok(()) };
                caught_up = gather(lease.partition, &mut batch, page?, &mut pages, options.batch_events_max)?;
                let waits = nothing_since.get_or_insert_with(Instant::now).elapsed() < PACE_OF_NOTHING;
                if batch.events.is_empty() && waits {
                    continue;
                }
            }
            () = tokio::time::sleep_until(nothing_until.unwrap_or(renewed)), if nothing_until.is_some() => {}
            () = tokio::time::sleep_until(renewed + LEASE / 3) => {
                lease.renew(db).await?;
                renewed = Instant::now();
                continue;
            }
        }
        let began = Instant::now();
        let written = batch::write(projection, lease, shard, &batch, db).await;
        if let Err(Error::OfNewerRelease { position, .. }) = &written
            && let Some(before) = batch.clone().before(*position)
        {
            batch::write(projection, lease, shard, &before, db).await?;
        }
        written?;
        if caught_up {
            not_before = began + (began.elapsed() * PACE_OF_TAKEN).clamp(PACE_MIN, PACE_MAX);
        }
        batch = Batch { after: batch.through, events: Vec::new(), through: batch.through };
        nothing_since = None;
        if renewed.elapsed() > LEASE / 3 {
            lease.renew(db).await?;
            renewed = Instant::now();
        }
    }
}

/// Puts pages that are there already into one batch, so that one transaction serves them all. What belongs to
/// other partitions is read, and passed over. Answers whether that is the end of the log.
fn gather(
    partition: Partition,
    batch: &mut Batch,
    first: Page,
    pages: &mut BoxStream<'static, Result<Page, event_store::StoreError>>,
    events_max: usize,
) -> Result<bool, Error> {
    let (mut read, mut end) = (0, false);
    let mut next = Some(first);
    while let Some(page) = next.take() {
        read += page.events.len();
        let ours = |event: &RecordedEvent| !partition.is_part() || partition.has(&event.stream);
        batch.events.extend(page.events.into_iter().filter(ours).map(Entry::shared));
        (batch.through, end) = (page.scanned, page.end);
        if read < events_max {
            next = pages.next().now_or_never().flatten().transpose()?;
        }
    }
    Ok(end)
}
