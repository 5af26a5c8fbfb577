//! One batch of the log into one version: rows, parked streams and checkpoint in one transaction.
//!
//! What cannot be read or applied parks its stream and is counted; the other streams go on. To find
//! the event that is to blame, a batch that is refused is halved until one event is left.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use event_store::{Position, RecordedEvent};
use platform::releases;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::{Error, Fact, Projector, checkpoints, entry::Entry, lease::Lease, positions, versions};

/// A stretch of the log that is to be applied.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// Where the version's checkpoint is.
    pub(crate) after: Position,
    /// The events that the projection wants.
    pub(crate) events: Vec<Arc<Entry>>,
    /// Where the checkpoint will be.
    pub(crate) through: Position,
}

impl Batch {
    /// What comes before `position`; `None` when that is nothing.
    pub(crate) fn before(mut self, position: Position) -> Option<Self> {
        self.events.retain(|event| event.position < position);
        self.through = self.events.last()?.position;
        Some(self)
    }
}

/// What becomes of a batch with an event that cannot be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Poison {
    /// All of it fails: how a batch is written that most likely has none.
    Undoes,
    /// The event is found, and its stream parked.
    IsFound,
}

/// Writes a batch under a lease. An error leaves nothing behind, unless the connection was lost while
/// committing: then the checkpoint tells.
pub(crate) async fn write(
    projector: &dyn Projector,
    lease: &Lease,
    shard: i16,
    batch: &Batch,
    db: &mut PgConnection,
) -> Result<(), Error> {
    if platform::fault::planted("checkpoint-before-rows") {
        return write_checkpoint_first(projector, lease, shard, batch, db).await;
    }
    match try_write(projector, lease, shard, batch, Poison::Undoes, db).await {
        Err(Error::Apply { source, .. }) if source.is_poison() => {
            try_write(projector, lease, shard, batch, Poison::IsFound, db).await
        }
        written => written,
    }
}

async fn try_write(
    projector: &dyn Projector,
    lease: &Lease,
    shard: i16,
    batch: &Batch,
    poison: Poison,
    db: &mut PgConnection,
) -> Result<(), Error> {
    if batch.events.is_empty() && shard == 0 {
        // One statement is a transaction.
        pass_over(lease, shard, poison, batch, db).await?;
        platform::fault::crash_point("projection.committed");
        return Ok(());
    }
    let mut tx = db.begin().await?;
    let parked = pass_over(lease, shard, poison, batch, &mut tx).await?;
    apply(projector, lease.version, parked, &batch.events, poison, &mut tx).await?;
    platform::fault::crash_point("projection.rows_written");
    platform::fault::crash_point("projection.before_commit");
    tx.commit().await?;
    platform::fault::crash_point("projection.committed");
    Ok(())
}

/// The planted bug: a crash between the two transactions loses the batch.
async fn write_checkpoint_first(
    projector: &dyn Projector,
    lease: &Lease,
    shard: i16,
    batch: &Batch,
    db: &mut PgConnection,
) -> Result<(), Error> {
    let mut tx = db.begin().await?;
    let parked = pass_over(lease, shard, Poison::IsFound, batch, &mut tx).await?;
    tx.commit().await?;
    platform::fault::crash_point("projection.committed");
    let mut tx = db.begin().await?;
    apply(projector, lease.version, parked, &batch.events, Poison::IsFound, &mut tx).await?;
    platform::fault::crash_point("projection.rows_written");
    tx.commit().await?;
    Ok(())
}

/// Checks the lease as [`Lease::check`] does; moves the checkpoint, which must be where it was left; and wakes
/// those who wait for it. Answers which streams are parked. All in one statement, because it is half of what most
/// batches have to say.
pub(crate) async fn pass_over(
    lease: &Lease,
    shard: i16,
    poison: Poison,
    batch: &Batch,
    db: &mut PgConnection,
) -> Result<Vec<String>, Error> {
    if shard != 0 && !checkpoints::write_beside_others(poison, db).await? {
        return Err(lease.fenced());
    }
    // The parked streams are asked for by a function, which sees what was committed before the lock was ours: who
    // had to wait for it waited for somebody who let streams go on.
    let sql = format!(
        "with held as materialized ({} for key share),
         moved as (
             update checkpoint set position = $6
             where shard = $7 and (position = $8 or $5) and exists (select from held) returning 1),
         -- those who wait read the live version, and care for no other
         told as (
             select pg_notify($9, $10) from projections.versions
             where projection = $1 and version = $2 and state = 'live' and exists (select from moved))
         select exists (select from moved), (select count(*) from told),
             projections.parked_streams_of($1, $2) from held",
        lease.held()
    );
    let held = sqlx::query(AssertSqlSafe(sql));
    let done = lease
        .bind(held)
        .bind(versions::position_to(batch.through)?)
        .bind(shard)
        .bind(versions::position_to(batch.after)?)
        .bind(positions::CHANNEL)
        .bind(positions::told(lease.definition.name, batch.through, lease.partition))
        .fetch_optional(db)
        .await;
    let done = match done {
        Err(error) if checkpoints::are_gone(&error) => return Err(lease.fenced()),
        done => done?.ok_or_else(|| lease.fenced())?,
    };
    if done.try_get::<bool, _>(0)? {
        return Ok(done.try_get(2)?);
    }
    let (projection, version, expected) = (lease.definition.name, lease.version, batch.after);
    Err(Error::CheckpointMoved { projection, version, expected })
}

/// Applies events to a version inside a transaction, parking what cannot be applied. What only a newer release
/// can read is left to that one, with all that comes behind it.
pub(crate) async fn apply(
    projector: &dyn Projector,
    version: i32,
    parked: Vec<String>,
    events: &[Arc<Entry>],
    poison: Poison,
    tx: &mut PgConnection,
) -> Result<(), Error> {
    let mut parking = Parking::new(projector.definition().name, version, parked);
    let mut facts = Vec::with_capacity(events.len());
    let mut unreadable = HashSet::new();
    for event in events {
        if parking.holds_back(event) || unreadable.contains(event.stream.as_str()) {
            continue;
        }
        match event.fact() {
            Ok(fact) => facts.push(fact),
            Err(reason) => {
                if let Some((name, version)) = reason.unknown()
                    && releases::can_read(&mut *tx, name, version).await?
                {
                    let (projection, position) = (projector.definition().name, event.position);
                    let event = format!("{} version {}", event.name, event.version);
                    return Err(Error::OfNewerRelease { projection, position, event });
                }
                unreadable.insert(event.stream.as_str());
                parking.park(event, reason.to_string());
            }
        }
    }
    match poison {
        Poison::IsFound => apply_facts(projector, facts, events, &mut parking, tx).await?,
        Poison::Undoes => apply_at_once(projector, &facts, tx).await?,
    }
    parking.record(events, tx).await
}

/// Applies facts in one go.
async fn apply_at_once(
    projector: &dyn Projector,
    facts: &[&Fact],
    tx: &mut PgConnection,
) -> Result<(), Error> {
    let Some(last) = facts.last() else { return Ok(()) };
    let (projection, position) = (projector.definition().name, versions::position_from(last.position)?);
    let applied = projector.apply(facts, tx).await;
    applied.map_err(|source| Error::Apply { projection, position, source })
}

/// Applies facts, halving what is refused until the one that is to blame is found.
async fn apply_facts(
    projector: &dyn Projector,
    facts: Vec<&Fact>,
    events: &[Arc<Entry>],
    parking: &mut Parking,
    tx: &mut PgConnection,
) -> Result<(), Error> {
    let name = projector.definition().name;
    let mut parts = vec![facts];
    while let Some(mut part) = parts.pop() {
        part.retain(|fact| !parking.is_parked_before(fact));
        let Some(last) = part.last() else { continue };
        let position = versions::position_from(last.position)?;
        let mut savepoint = tx.begin().await?;
        match projector.apply(&part, &mut savepoint).await {
            Ok(()) => savepoint.commit().await?,
            Err(reason) if reason.is_poison() => {
                savepoint.rollback().await?;
                if part.len() > 1 {
                    let rest = part.split_off(part.len() / 2);
                    parts.push(rest);
                    parts.push(part);
                } else if let Some(event) = events.iter().find(|event| event.position == position) {
                    parking.park(event, reason.to_string());
                }
            }
            Err(source) => return Err(Error::Apply { projection: name, position, source }),
        }
    }
    Ok(())
}

/// The streams that are kept back, and what this batch adds to them.
struct Parking {
    projection: &'static str,
    version: i32,
    before: HashSet<String>,
    /// The first event of a stream that could not be applied, with the reason.
    found: BTreeMap<String, (RecordedEvent, String)>,
}

impl Parking {
    fn new(projection: &'static str, version: i32, parked: Vec<String>) -> Self {
        Self { projection, version, before: parked.into_iter().collect(), found: BTreeMap::new() }
    }

    /// Whether the stream was parked before this batch.
    fn holds_back(&self, event: &RecordedEvent) -> bool {
        self.before.contains(event.stream.as_str())
    }

    /// Whether an earlier event of the fact's stream was found to be unfit. Facts before it still count.
    fn is_parked_before(&self, fact: &Fact) -> bool {
        self.found.get(fact.stream.as_str()).is_some_and(|(event, _)| {
            i64::try_from(event.revision).is_ok_and(|revision| revision <= fact.revision)
        })
    }

    /// Parks a stream from `event` on.
    fn park(&mut self, event: &RecordedEvent, reason: String) {
        tracing::error!(
            projection = self.projection,
            version = self.version,
            stream = %event.stream,
            revision = event.revision,
            position = %event.position,
            event = event.name,
            reason,
            "parked a stream: the event cannot be applied, and what follows in this stream is kept back",
        );
        self.found.insert(event.stream.as_str().to_owned(), (event.clone(), reason));
    }

    /// Writes down what is kept back.
    async fn record(&self, events: &[Arc<Entry>], tx: &mut PgConnection) -> Result<(), Error> {
        let mut held: BTreeMap<&str, i64> = BTreeMap::new();
        for event in events {
            let stream = event.stream.as_str();
            let from = self.found.get(stream).map(|(first, _)| first.revision);
            if self.before.contains(stream) || from.is_some_and(|from| event.revision >= from) {
                *held.entry(stream).or_default() += 1;
            }
        }
        for (stream, (event, reason)) in &self.found {
            sqlx::query(
                "insert into projections.parked_streams
                     (projection, version, stream, revision, position, event_id, event_name, reason, held)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, 0)",
            )
            .bind(self.projection)
            .bind(self.version)
            .bind(stream)
            .bind(i64::try_from(event.revision).unwrap_or(i64::MAX))
            .bind(versions::position_to(event.position)?)
            .bind(event.id)
            .bind(event.name.replace('\0', "\u{fffd}"))
            .bind(reason.replace('\0', "\u{fffd}"))
            .execute(&mut *tx)
            .await?;
        }
        if held.is_empty() {
            return Ok(());
        }
        let (streams, counts): (Vec<&str>, Vec<i64>) = held.into_iter().unzip();
        sqlx::query(
            "update projections.parked_streams parked set held = parked.held + more.held
             from unnest($3::text[], $4::bigint[]) as more (stream, held)
             where parked.projection = $1 and parked.version = $2 and parked.stream = more.stream",
        )
        .bind(self.projection)
        .bind(self.version)
        .bind(streams)
        .bind(counts)
        .execute(tx)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
