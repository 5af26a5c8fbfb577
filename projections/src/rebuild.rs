//! Rebuilding a read model while it is read: the next version is built beside the live one, compared
//! with it row by row at one position of the log, and promoted in one transaction. The version before
//! stays, for going back, until the next promotion.
//!
//! A rebuild can be killed at any moment. The next one goes on where it was.

mod deal;
mod fill;
mod promote;

use std::{sync::Arc, time::Duration};

use event_store::{EventStore, Position};
use futures::{
    StreamExt,
    stream::{BoxStream, FuturesUnordered},
};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    Definition, Error, PARTITIONS_MAX, Projector, checkpoints, database,
    digest::{self, Compared, Difference, Side},
    lease::{LEASE, Lease},
    partition::Partition,
    versions::{self, Live},
};

use deal::{Consumer, deal_to_all};
pub use promote::roll_back;

/// How long to wait until the live version is where the new one is, and how often to look.
const LIVE_IS_THERE_WITHIN: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How a rebuild goes about it.
#[derive(Debug, Clone)]
pub struct RebuildOptions {
    /// Who holds the lease, for people to read.
    pub holder: String,
    /// How many workers share the streams of a read model out among themselves. A build that is resumed keeps
    /// those that it began with.
    pub workers: u8,
    /// How many partitions the new version has, from 1 to [`PARTITIONS_MAX`]; as many as the live one when
    /// absent. One that has several is kept up to date by several runners at once.
    pub partitions: Option<u8>,
    /// Promote the new version although rows differ: somebody has looked at the differences.
    pub accept_differences: bool,
}

impl Default for RebuildOptions {
    fn default() -> Self {
        let holder = format!("rebuild pid {}", std::process::id());
        Self { holder, workers: 2, partitions: None, accept_differences: false }
    }
}

/// What a rebuild is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Applying the log from its beginning.
    Filling,
    /// Making what only readers need.
    Indexing,
    /// Comparing with the live version.
    Comparing,
    /// Switching readers over.
    Promoting,
}

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// The position that all workers have got to.
    pub done: Position,
    /// The position that they are to get to.
    pub target: Position,
    /// Positions per second in this run.
    pub per_second: f64,
    /// How much longer filling takes at this rate.
    pub left: Option<Duration>,
}

/// Whoever wants to know how far a rebuild is.
pub type Report = Arc<dyn Fn(Progress) + Send + Sync>;

/// A read model that was rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The version that is read now.
    pub version: i32,
    /// The position at which it was compared with the one before.
    pub compared_at: Option<Position>,
    /// How many rows were compared.
    pub rows: u64,
    /// What was not the same, and was accepted.
    pub differences: Vec<Difference>,
}

/// What every step of a rebuild needs.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) projection: Arc<dyn Projector>,
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) database: PgConnectOptions,
    pub(crate) report: Report,
    pub(crate) shutdown: CancellationToken,
}

/// Builds the next version of a read model and promotes it. Where the live version has the same
/// definition, it is promoted only if no row differs, or if differences are accepted. One that cannot be
/// split is refused more than one partition.
pub async fn rebuild(
    projection: Arc<dyn Projector>,
    store: Arc<dyn EventStore>,
    database: PgConnectOptions,
    options: &RebuildOptions,
    report: Report,
    shutdown: CancellationToken,
) -> Result<Rebuilt, Error> {
    build(&Site { projection, store, database, report, shutdown }, options, None).await
}

/// Rebuilds several read models at the same time, as [`rebuild`] does with one, in one reading of the log. What
/// becomes of each comes as soon as it is there, with its name; none of them minds if another fails.
pub fn rebuild_all(
    projections: Vec<(Arc<dyn Projector>, Report)>,
    store: &Arc<dyn EventStore>,
    database: &PgConnectOptions,
    options: &RebuildOptions,
    shutdown: &CancellationToken,
) -> BoxStream<'static, (&'static str, Result<Rebuilt, Error>)> {
    let (together, coming) = mpsc::channel(projections.len().max(1));
    tokio::spawn(deal_to_all(coming, Arc::clone(store), shutdown.clone()));
    let each = projections.into_iter().map(|(projection, report)| {
        let (store, database, shutdown) = (Arc::clone(store), database.clone(), shutdown.clone());
        let site = Site { projection, store, database, report, shutdown };
        let (options, together) = (options.clone(), together.clone());
        async move {
            let name = site.projection.definition().name;
            (name, build(&site, &options, Some(together)).await)
        }
    });
    each.collect::<FuturesUnordered<_>>().boxed()
}

/// Builds a version and promotes it. Its events come from who deals them out to several `together`, if there is
/// somebody.
async fn build(
    site: &Site,
    options: &RebuildOptions,
    together: Option<mpsc::Sender<Consumer>>,
) -> Result<Rebuilt, Error> {
    let definition = site.projection.definition();
    let mut db = database::connect(&site.database, definition.name, LEASE).await?;
    let live = versions::install(definition, &mut db).await?;
    let partitions = partitions(definition, options, live)?;
    let version = begin(site, options, partitions, &mut db).await?;
    let lease = Lease::take(definition, version, Partition::WHOLE, &options.holder, &mut db).await?;
    database::enter(&definition.schema(version), &mut db).await?;

    let comparable = live.definition == definition.version;
    let target = if comparable {
        checkpoints::position(definition, live, &mut db).await?
    } else {
        site.store.head().await?
    };
    let filled = site.fill(&lease, target, together, &mut db).await?;
    site.finish_tables(&lease, filled, &mut db).await?;
    site.go_on()?;
    platform::fault::crash_point("rebuild.built");
    let mut rebuilt = Rebuilt { version, compared_at: None, rows: 0, differences: Vec::new() };
    if comparable {
        let (position, compared) = site.compare(&lease, live, &mut db).await?;
        rebuilt.compared_at = Some(position);
        rebuilt.rows = compared.rows;
        rebuilt.differences = compared.differences;
        if !rebuilt.differences.is_empty() && !options.accept_differences {
            lease.release(&mut db).await?;
            return Err(Error::Differs {
                projection: definition.name,
                version,
                position,
                differences: rebuilt.differences,
            });
        }
    }
    platform::fault::crash_point("rebuild.compared");
    site.level(&lease, &mut db).await?;
    site.go_on()?;
    site.promote(&lease, &mut db).await?;
    platform::fault::crash_point("rebuild.promoted");
    db.close().await?;
    Ok(rebuilt)
}

/// What `verify` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The position at which both were compared.
    pub position: Position,
    /// How many rows the live version has there.
    pub rows: u64,
    /// What is not the same; nothing, when all is well.
    pub differences: Vec<Difference>,
}

/// Compares the live version with one that is built from scratch, at one position (I8), and drops the
/// latter. Nobody who reads or writes is disturbed.
pub async fn verify(
    projection: Arc<dyn Projector>,
    store: Arc<dyn EventStore>,
    database: PgConnectOptions,
    options: &RebuildOptions,
    report: Report,
    shutdown: CancellationToken,
) -> Result<Verified, Error> {
    let site = Site { projection, store, database, report, shutdown };
    let definition = site.projection.definition();
    let mut db = database::connect(&site.database, definition.name, LEASE).await?;
    let live = versions::install(definition, &mut db).await?;
    versions::drop_stale_scratch(definition, &mut db).await?;
    let version =
        versions::create(definition, versions::State::Scratch, i16::from(options.workers), 1, &mut db)
            .await?;
    let lease = Lease::take(definition, version, Partition::WHOLE, &options.holder, &mut db).await?;
    database::enter(&definition.schema(version), &mut db).await?;
    let target = checkpoints::position(definition, live, &mut db).await?;
    let filled = site.fill(&lease, target, None, &mut db).await?;
    site.join_shards(&lease, filled, &mut db).await?;
    let (position, compared) = site.compare(&lease, live, &mut db).await?;
    versions::drop_version(definition, version, &mut db).await?;
    db.close().await?;
    Ok(Verified { position, rows: compared.rows, differences: compared.differences })
}

/// How many partitions the new version is to have.
fn partitions(definition: &Definition, options: &RebuildOptions, live: Live) -> Result<i16, Error> {
    match (options.partitions, definition.kept_whole) {
        (Some(2..), Some(because)) => Err(Error::KeptWhole { projection: definition.name, because }),
        (_, Some(_)) => Ok(1),
        (Some(partitions), None) => Ok(i16::from(partitions.clamp(1, PARTITIONS_MAX))),
        (None, None) => Ok(live.partitions),
    }
}

/// The version to build: one that was begun by the same definition, or a new one.
async fn begin(
    site: &Site,
    options: &RebuildOptions,
    partitions: i16,
    db: &mut PgConnection,
) -> Result<i32, Error> {
    let definition = site.projection.definition();
    if let Some((version, built_by)) = versions::building(definition, db).await? {
        if built_by == definition.version {
            tracing::info!(
                projection = definition.name,
                version,
                "going on with a build that was begun before"
            );
            versions::set_partitions(definition, version, partitions, db).await?;
            return Ok(version);
        }
        versions::drop_version(definition, version, db).await?;
    }
    let workers = i16::from(options.workers);
    versions::create(definition, versions::State::Building, workers, partitions, db).await
}

impl Site {
    /// Compares a version with the live one where the latter is now. The snapshot of the live version is
    /// pinned first; then the other one is brought to exactly its position, and the live one goes on
    /// meanwhile. Where the live version is split, the other one has its streams brought to where the
    /// partition is that each belongs to there, and shards like these partitions afterwards.
    async fn compare(
        &self,
        lease: &Lease,
        live: Live,
        db: &mut PgConnection,
    ) -> Result<(Position, Compared), Error> {
        let definition = self.projection.definition();
        self.wait_for_live(live, db).await?;
        let mut pinned = database::connect(&self.database, definition.name, Duration::ZERO).await?;
        let mut pinned_tx = pinned.begin_with("begin isolation level repeatable read read only").await?;
        let checkpoints = checkpoints::of_partitions(definition, live, &mut pinned_tx).await?;
        let position = checkpoints.iter().copied().min().unwrap_or(Position::START);
        self.catch_up(lease, position, db).await?;
        if checkpoints::of_shard(0, db).await? != position {
            let (projection, version) = (definition.name, lease.version);
            return Err(Error::CheckpointMoved { projection, version, expected: position });
        }
        if live.partitions > 1 {
            let mut tx = db.begin().await?;
            lease.check(&mut tx).await?;
            checkpoints::split(live.partitions, &mut tx).await?;
            tx.commit().await?;
            let shards = checkpoints::shards(db).await?;
            self.fill_each(lease, shards, &checkpoints, None, db).await?;
        }
        self.say(Stage::Comparing, position, position);
        let schema = definition.schema(live.version);
        let mut live = Side { schema, db: &mut pinned_tx };
        let mut rebuilt = Side { schema: definition.schema(lease.version), db };
        let compared = digest::compare(definition, &mut live, &mut rebuilt).await?;
        pinned_tx.rollback().await?;
        pinned.close().await?;
        for difference in &compared.differences {
            tracing::error!(
                projection = definition.name,
                version = lease.version,
                %position,
                table = difference.table,
                key = difference.key,
                "a row differs from the live version's",
            );
        }
        Ok((position, compared))
    }

    /// Waits until all partitions of the live version have got to where the other one is already, as one is
    /// that was compared before with a partition that was further than another.
    async fn wait_for_live(&self, live: Live, db: &mut PgConnection) -> Result<(), Error> {
        let definition = self.projection.definition();
        let wanted = checkpoints::of_shard(0, db).await?;
        let deadline = Instant::now() + LIVE_IS_THERE_WITHIN;
        loop {
            let current = checkpoints::position(definition, live, db).await?;
            if current >= wanted {
                return Ok(());
            }
            if Instant::now() > deadline {
                let (projection, version) = (definition.name, live.version);
                return Err(Error::LiveIsBehind { projection, version, current, wanted });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Unless it is to stop: what was done is kept.
    fn go_on(&self) -> Result<(), Error> {
        if self.shutdown.is_cancelled() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Reports a stage without a rate.
    fn say(&self, stage: Stage, done: Position, target: Position) {
        (self.report)(Progress { stage, done, target, per_second: 0.0, left: None });
    }
}
