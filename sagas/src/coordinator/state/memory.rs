//! The coordinator's state in memory, for simulation: it outlives a coordinator, but not the process. The
//! lease runs by a clock that a test can move.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use event_store::Position;
use platform::{clock::Clock, fault::planted};

use super::{Changes, CoordinatorState, Kept, Key, Lease, StateError, Wake};

/// State that a coordinator and its successors share.
#[derive(Debug)]
pub struct MemoryState {
    clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    fence: i64,
    holder: Option<(String, DateTime<Utc>)>,
    checkpoint: Position,
    wakes: BTreeMap<Key, Wake>,
}

impl MemoryState {
    /// Nothing is kept yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, inner: Mutex::default() }
    }

    /// Drops everything but the lease, as an operator may.
    pub fn forget(&self) {
        let mut inner = self.inner();
        inner.checkpoint = Position::START;
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
    async fn acquire(&self, holder: &str, ttl: Duration) -> Result<Option<Lease>, StateError> {
        let now = self.clock.now();
        let until = self.until(ttl);
        let mut inner = self.inner();
        if inner.holder.as_ref().is_some_and(|(other, runs_out)| other != holder && *runs_out > now) {
            return Ok(None);
        }
        inner.fence += 1;
        inner.holder = Some((holder.to_owned(), until));
        Ok(Some(Lease { fence: inner.fence }))
    }

    async fn load(&self) -> Result<Kept, StateError> {
        let inner = self.inner();
        let wakes = inner.wakes.iter().map(|(key, wake)| (key.clone(), wake.clone())).collect();
        Ok(Kept { checkpoint: inner.checkpoint, wakes })
    }

    async fn save(&self, lease: Lease, ttl: Duration, changes: &Changes) -> Result<(), StateError> {
        let until = self.until(ttl);
        let mut inner = self.inner();
        if inner.fence != lease.fence && !planted("no-fence") {
            return Err(StateError::Fenced { fence: lease.fence });
        }
        if let Some((_, runs_out)) = &mut inner.holder {
            *runs_out = until;
        }
        inner.checkpoint = changes.checkpoint;
        for (key, wake) in &changes.wakes {
            match wake {
                Some(wake) => inner.wakes.insert(key.clone(), wake.clone()),
                None => inner.wakes.remove(key),
            };
        }
        Ok(())
    }

    async fn release(&self, lease: Lease) -> Result<(), StateError> {
        let mut inner = self.inner();
        if inner.fence == lease.fence {
            inner.holder = None;
        }
        Ok(())
    }
}
