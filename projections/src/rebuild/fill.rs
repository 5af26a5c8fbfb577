//! Filling a version from the beginning of the log. Events are dealt out to workers by the id of their stream
//! ([`deal`]), so that what is about one order stays with one worker; each worker has its own connection and its
//! own checkpoint, written together with its rows.

use std::sync::Arc;

use event_store::{Page, Position, StoreError};
use sqlx::{Connection, PgConnection};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Duration, Instant},
};

use super::{
    Progress, Site, Stage,
    deal::{Consumer, PAGE, deal},
};
use crate::{
    Error,
    batch::{self, Batch},
    checkpoints, database,
    entry::Entry,
    lease::{LEASE, Lease},
    versions,
};

/// How many batches wait for a worker at most: what bounds the memory of a rebuild.
const WAITING: usize = 2;

impl Site {
    /// Applies the log up to `target`, or to where a shard is already, with a worker for each shard that the
    /// version has; answers where all of them are then. Does nothing for a version that has one checkpoint.
    pub(super) async fn fill(
        &self,
        lease: &Lease,
        target: Position,
        together: Option<mpsc::Sender<Consumer>>,
        db: &mut PgConnection,
    ) -> Result<Position, Error> {
        let checkpoints = checkpoints::shards(db).await?;
        let furthest = checkpoints.iter().map(|(_, position)| *position).max();
        let target = furthest.map_or(target, |furthest| furthest.max(target));
        let targets = vec![target; checkpoints.len()];
        self.fill_each(lease, checkpoints, &targets, together, db).await?;
        Ok(target)
    }

    /// Applies the log to each shard up to a target of its own. The events are dealt out together with those for
    /// other versions where there is somebody who does that, and by a reader of its own otherwise.
    pub(super) async fn fill_each(
        &self,
        lease: &Lease,
        checkpoints: Vec<(i16, Position)>,
        targets: &[Position],
        together: Option<mpsc::Sender<Consumer>>,
        db: &mut PgConnection,
    ) -> Result<(), Error> {
        let Some(first) = checkpoints.iter().map(|(_, position)| *position).min() else { return Ok(()) };
        let Some(target) = targets.iter().copied().max() else { return Ok(()) };
        let (reports, progress) = mpsc::channel(checkpoints.len() * WAITING);
        let mut workers = JoinSet::new();
        let mut queues = Vec::with_capacity(checkpoints.len());
        for ((shard, position), target) in checkpoints.iter().copied().zip(targets.iter().copied()) {
            let (queue, batches) = mpsc::channel(WAITING);
            queues.push(queue);
            let worker = Worker { site: self.clone(), lease: *lease, shard, position, target };
            workers.spawn(worker.run(batches, reports.clone()));
        }
        drop(reports);
        let (outcome, dealt) = oneshot::channel();
        let filter = self.projection.definition().filter();
        let consumer = Consumer { filter, first, target, queues, outcome };
        match together {
            Some(dealer) => dealer.send(consumer).await.map_err(|_| Error::Interrupted)?,
            None => {
                let (store, shutdown) = (Arc::clone(&self.store), self.shutdown.clone());
                tokio::spawn(async move { deal(vec![consumer], &*store, &shutdown).await });
            }
        }
        self.watch(lease, target, checkpoints, progress, db).await?;
        while let Some(ended) = workers.join_next().await {
            ended.map_err(|_| Error::Interrupted)??;
        }
        self.go_on()?;
        dealt.await.map_err(|_| StoreError::Unavailable {
            doing: "dealing the log out",
            reason: "whoever read it is gone".to_owned(),
        })??;
        Ok(())
    }

    /// Keeps the lease and reports how far the slowest worker is, until all workers have ended.
    async fn watch(
        &self,
        lease: &Lease,
        target: Position,
        mut checkpoints: Vec<(i16, Position)>,
        mut progress: mpsc::Receiver<(i16, Position)>,
        db: &mut PgConnection,
    ) -> Result<(), Error> {
        let started = Instant::now();
        let slowest = |checkpoints: &[(i16, Position)]| {
            checkpoints.iter().map(|(_, position)| *position).min().unwrap_or(target)
        };
        let first = slowest(&checkpoints);
        let mut renew = tokio::time::interval(LEASE / 3);
        loop {
            tokio::select! {
                moved = progress.recv() => {
                    let Some((shard, position)) = moved else { return Ok(()) };
                    checkpoints.iter_mut().filter(|(of, _)| *of == shard).for_each(|(_, at)| *at = position);
                    (self.report)(rate(first, slowest(&checkpoints), target, started.elapsed()));
                }
                _ = renew.tick() => lease.renew(db).await?,
            }
        }
    }

    /// Brings a version whose shards are joined to exactly `target`, which may be behind the end of
    /// the log.
    pub(super) async fn catch_up(
        &self,
        lease: &Lease,
        target: Position,
        db: &mut PgConnection,
    ) -> Result<(), Error> {
        let filter = self.projection.definition().filter();
        let mut after = checkpoints::of_shard(0, db).await?;
        let mut renewed = Instant::now();
        while after < target {
            if self.shutdown.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let page = until(target, self.store.read_all(after, &filter, PAGE).await?);
            let events = page.events.into_iter().map(Entry::shared).collect();
            let batch = Batch { after, events, through: page.scanned };
            batch::write(&*self.projection, lease, 0, &batch, db).await?;
            after = batch.through;
            if renewed.elapsed() > LEASE / 3 {
                lease.renew(db).await?;
                renewed = Instant::now();
            }
        }
        Ok(())
    }

    /// Makes one checkpoint out of those of all shards, which have all got to `position`.
    pub(super) async fn join_shards(
        &self,
        lease: &Lease,
        position: Position,
        db: &mut PgConnection,
    ) -> Result<(), Error> {
        if checkpoints::shards(db).await?.is_empty() {
            return Ok(());
        }
        let mut tx = db.begin().await?;
        lease.check(&mut tx).await?;
        checkpoints::join(position, &mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Brings all partitions of a version that was read or compared before to one position, no earlier than
    /// any of them has got to.
    pub(super) async fn level(&self, lease: &Lease, db: &mut PgConnection) -> Result<(), Error> {
        let position = self.fill(lease, Position::START, None, db).await?;
        self.join_shards(lease, position, db).await
    }

    /// Joins the shards and makes the indexes, which is quicker now than with every row. Does nothing
    /// for a version whose tables are finished.
    pub(super) async fn finish_tables(
        &self,
        lease: &Lease,
        position: Position,
        db: &mut PgConnection,
    ) -> Result<(), Error> {
        let is_being_filled = |(shard, _): &(i16, Position)| *shard > 0;
        if !checkpoints::shards(db).await?.iter().any(is_being_filled) {
            return self.join_shards(lease, position, db).await;
        }
        self.say(Stage::Indexing, position, position);
        let mut tx = db.begin().await?;
        lease.check(&mut tx).await?;
        checkpoints::join(position, &mut tx).await?;
        let definition = self.projection.definition();
        sqlx::raw_sql(definition.indexes).execute(&mut *tx).await?;
        versions::analyze(definition, &mut tx).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// One worker: applies its share of the log.
struct Worker {
    site: Site,
    lease: Lease,
    shard: i16,
    position: Position,
    target: Position,
}

impl Worker {
    async fn run(
        mut self,
        mut batches: mpsc::Receiver<Batch>,
        reports: mpsc::Sender<(i16, Position)>,
    ) -> Result<(), Error> {
        let projection = Arc::clone(&self.site.projection);
        let definition = projection.definition();
        let mut db = database::connect(&self.site.database, definition.name, LEASE).await?;
        database::enter(&definition.schema(self.lease.version), &mut db).await?;
        database::write_behind(&mut db).await?;
        while let Some(mut batch) = batches.recv().await {
            batch.through = batch.through.min(self.target);
            if batch.through <= self.position {
                continue; // Written before the build was interrupted, or not to be written.
            }
            batch.events.retain(|event| event.position > self.position && event.position <= self.target);
            batch.after = self.position;
            batch::write(&*projection, &self.lease, self.shard, &batch, &mut db).await?;
            platform::fault::crash_point("rebuild.batch_written");
            self.position = batch.through;
            let _ = reports.send((self.shard, self.position)).await;
        }
        db.close().await?;
        Ok(())
    }
}

/// The part of a page up to `target`.
fn until(target: Position, mut page: Page) -> Page {
    page.events.retain(|event| event.position <= target);
    page.scanned = page.scanned.min(target);
    page
}

#[allow(clippy::cast_precision_loss, reason = "a rate for people to look at")]
fn rate(first: Position, done: Position, target: Position, elapsed: Duration) -> Progress {
    let per_second = done.distance_from(first) as f64 / elapsed.as_secs_f64().max(0.001);
    let left = target.distance_from(done) as f64 / per_second;
    let left = (left.is_finite() && left < 1e9).then(|| Duration::from_secs_f64(left));
    Progress { stage: Stage::Filling, done, target, per_second, left }
}
