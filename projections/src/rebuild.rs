//! Rebuilding a read model while it is read: the next version is built beside the live one, compared
//! with it row by row at one position of the log, and promoted in one transaction. The version before
//! stays, for going back, until the next promotion.
//!
//! A rebuild can be killed at any moment. The next one goes on where it was.

mod fill;
mod promote;

use std::{sync::Arc, time::Duration};

use event_store::{EventStore, Position};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Projector, database,
    digest::{self, Compared, Difference, Side},
    lease::{LEASE, Lease},
    versions::{self, Live},
};

pub use promote::roll_back;

/// How a rebuild goes about it.
#[derive(Debug, Clone)]
pub struct RebuildOptions {
    /// Who holds the lease, for people to read.
    pub holder: String,
    /// How many workers share the streams out among themselves. A build that is resumed keeps those
    /// that it began with.
    pub workers: u8,
    /// Promote the new version although rows differ: somebody has looked at the differences.
    pub accept_differences: bool,
}

impl Default for RebuildOptions {
    fn default() -> Self {
        Self { holder: format!("rebuild pid {}", std::process::id()), workers: 2, accept_differences: false }
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
/// definition, it is promoted only if no row differs, or if differences are accepted.
pub async fn rebuild(
    projection: Arc<dyn Projector>,
    store: Arc<dyn EventStore>,
    database: PgConnectOptions,
    options: &RebuildOptions,
    report: Report,
    shutdown: CancellationToken,
) -> Result<Rebuilt, Error> {
    let site = Site { projection, store, database, report, shutdown };
    let definition = site.projection.definition();
    let mut db = database::connect(&site.database, definition.name, LEASE).await?;
    let live = versions::install(definition, &mut db).await?;
    let version = begin(&site, options, &mut db).await?;
    let lease = Lease::take(definition, version, &options.holder, &mut db).await?;
    database::enter(&definition.schema(version), &mut db).await?;

    let comparable = live.definition == definition.version;
    let target =
        if comparable { live_position(&site, live, &mut db).await? } else { site.store.head().await? };
    site.fill(&lease, target, &mut db).await?;
    site.finish_tables(&lease, target, &mut db).await?;
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
        versions::create(definition, versions::State::Scratch, i16::from(options.workers), &mut db).await?;
    let lease = Lease::take(definition, version, &options.holder, &mut db).await?;
    database::enter(&definition.schema(version), &mut db).await?;
    let target = live_position(&site, live, &mut db).await?;
    site.fill(&lease, target, &mut db).await?;
    site.join_shards(&lease, target, &mut db).await?;
    let (position, compared) = site.compare(&lease, live, &mut db).await?;
    versions::drop_version(definition, version, &mut db).await?;
    db.close().await?;
    Ok(Verified { position, rows: compared.rows, differences: compared.differences })
}

/// The version to build: one that was begun by the same definition, or a new one.
async fn begin(site: &Site, options: &RebuildOptions, db: &mut PgConnection) -> Result<i32, Error> {
    let definition = site.projection.definition();
    if let Some((version, built_by)) = versions::building(definition, db).await? {
        if built_by == definition.version {
            tracing::info!(
                projection = definition.name,
                version,
                "going on with a build that was begun before"
            );
            return Ok(version);
        }
        versions::drop_version(definition, version, db).await?;
    }
    versions::create(definition, versions::State::Building, i16::from(options.workers), db).await
}

/// Where the live version is.
async fn live_position(site: &Site, live: Live, db: &mut PgConnection) -> Result<Position, Error> {
    versions::checkpoint_of(site.projection.definition(), live.version, db).await
}

impl Site {
    /// Compares a version with the live one at the position where the latter is now. The snapshot of
    /// the live version is pinned first; then the other one is brought to exactly its position, and the
    /// live one goes on meanwhile.
    async fn compare(
        &self,
        lease: &Lease,
        live: Live,
        db: &mut PgConnection,
    ) -> Result<(Position, Compared), Error> {
        let definition = self.projection.definition();
        let mut pinned = database::connect(&self.database, definition.name, Duration::ZERO).await?;
        let mut pinned_tx = pinned.begin_with("begin isolation level repeatable read read only").await?;
        let position = versions::checkpoint_of(definition, live.version, &mut pinned_tx).await?;
        self.catch_up(lease, position, db).await?;
        if versions::checkpoint(db).await? != position {
            let (projection, version) = (definition.name, lease.version);
            return Err(Error::CheckpointMoved { projection, version, expected: position });
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

    /// Reports a stage without a rate.
    fn say(&self, stage: Stage, done: Position, target: Position) {
        (self.report)(Progress { stage, done, target, per_second: 0.0, left: None });
    }
}
