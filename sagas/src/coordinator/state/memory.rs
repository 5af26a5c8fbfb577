//! The coordinators' state in memory, for simulation: it outlives a coordinator, but not the process. Leases
//! run by a clock that a test can move.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use event_store::Position;
use platform::{clock::Clock, fault::planted};

use super::{Changes, Claim, CoordinatorState, Kept, Key, Lease, StateError, Wake};
use crate::coordinator::partition::{Partition, fair_share};

/// State that coordinators and their successors share.
#[derive(Debug)]
pub struct MemoryState {
    clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    fence: i64,
    /// Until when each process is taken to be there.
    members: BTreeMap<String, DateTime<Utc>>,
    partitions: BTreeMap<Partition, Row>,
    wakes: BTreeMap<Key, Wake>,
}

#[derive(Debug, Default)]
struct Row {
    fence: i64,
    holder: Option<(String, DateTime<Utc>)>,
    checkpoint: Position,
}

impl Row {
    fn is_of(&self, holder: &str) -> bool {
        self.holder.as_ref().is_some_and(|(other, _)| other == holder)
    }

    fn is_free_for(&self, holder: &str, now: DateTime<Utc>) -> bool {
        self.is_of(holder) || self.holder.as_ref().is_none_or(|(_, runs_out)| *runs_out <= now)
    }
}

impl MemoryState {
    /// Nothing is kept yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, inner: Mutex::default() }
    }

    /// Drops everything but the leases, as an operator may.
    pub fn forget(&self) {
        let mut inner = self.inner();
        for row in inner.partitions.values_mut() {
            row.checkpoint = Position::START;
        }
        inner.wakes.clear();
    }

    /// A panic elsewhere leaves what was kept as it was.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn until(&self, ttl: Duration) -> DateTime<Utc> {
        self.clock.now() + TimeDelta::from_std(ttl).unwrap_or(TimeDelta::MAX)
    }
}

#[async_trait]
impl CoordinatorState for MemoryState {
    async fn claim(&self, holder: &str, ttl: Duration, holds: &[Partition]) -> Result<Claim, StateError> {
        let now = self.clock.now();
        let until = self.until(ttl);
        let mut inner = self.inner();
        inner.members.retain(|_, seen_until| *seen_until > now);
        inner.members.insert(holder.to_owned(), until);
        let before = inner.members.keys().filter(|other| other.as_str() < holder).count();
        let share = fair_share(inner.members.len(), before);
        let mut free: Vec<Partition> = Partition::all()
            .filter(|partition| !holds.contains(partition))
            .filter(|partition| {
                inner.partitions.get(partition).is_none_or(|row| row.is_free_for(holder, now))
            })
            .collect();
        // First those that a holder of this name had.
        free.sort_by_key(|partition| inner.partitions.get(partition).is_none_or(|row| !row.is_of(holder)));
        let mut gained = Vec::new();
        for partition in free.into_iter().take(share.saturating_sub(holds.len())) {
            inner.fence += 1;
            let fence = inner.fence;
            let row = inner.partitions.entry(partition).or_default();
            row.fence = fence;
            row.holder = Some((holder.to_owned(), until));
            gained.push(Lease { partition, fence });
        }
        Ok(Claim { share, gained })
    }

    async fn load(&self, partitions: &[Partition]) -> Result<Vec<Kept>, StateError> {
        let inner = self.inner();
        let kept = |partition: &Partition| Kept {
            partition: *partition,
            checkpoint: inner.partitions.get(partition).map_or(Position::START, |row| row.checkpoint),
            wakes: inner
                .wakes
                .iter()
                .filter(|(key, _)| Partition::of(key) == *partition)
                .map(|(key, wake)| (key.clone(), wake.clone()))
                .collect(),
        };
        Ok(partitions.iter().map(kept).collect())
    }

    async fn save(&self, ttl: Duration, changes: &[Changes]) -> Result<Vec<Partition>, StateError> {
        let until = self.until(ttl);
        let mut inner = self.inner();
        let mut lost = Vec::new();
        for changed in changes {
            let Lease { partition, fence } = changed.lease;
            let row = inner.partitions.entry(partition).or_default();
            if row.fence != fence && !planted("no-fence") {
                lost.push(partition);
                continue;
            }
            if let Some((_, runs_out)) = &mut row.holder {
                *runs_out = until;
            }
            row.checkpoint = changed.checkpoint;
            for (key, wake) in &changed.wakes {
                match wake {
                    Some(wake) => inner.wakes.insert(key.clone(), wake.clone()),
                    None => inner.wakes.remove(key),
                };
            }
        }
        Ok(lost)
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StateError> {
        let mut inner = self.inner();
        for lease in leases {
            let row = inner.partitions.entry(lease.partition).or_default();
            if row.fence == lease.fence {
                row.holder = None;
            }
        }
        Ok(())
    }

    async fn leave(&self, holder: &str) -> Result<(), StateError> {
        self.inner().members.remove(holder);
        Ok(())
    }
}
