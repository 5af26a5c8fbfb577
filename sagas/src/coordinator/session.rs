//! What a coordinator knows: the partitions that it holds, each with its own checkpoint, of one log that is
//! read once for all of them.

mod held;
mod one_by_one;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use event_store::Position;
use tokio::time::Instant;

use self::held::Held;
use super::{
    boundary,
    error::Error,
    memories::Memory,
    partition::Partition,
    state::{Changes, CoordinatorState, Key, Lease},
    worker::{Next, Worker},
};

/// What there was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Others hold all partitions.
    StandingBy,
    /// Everything that can be done now is done; the next thing is due then.
    Until(Option<DateTime<Utc>>),
}

/// What a coordinator was working on at some moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InFlight {
    /// Every event up to here is completely handled, as far as its partitions go.
    pub checkpoint: Position,
    /// How many events were taken on and are not handled.
    pub open_events: usize,
    /// How many checkouts, payments and deliveries wait for what.
    pub waiting: BTreeMap<String, usize>,
    /// When something is due next.
    pub next_due: Option<DateTime<Utc>>,
}

/// What came of asking for partitions.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) gained: Vec<Partition>,
    /// What others are to have.
    pub(super) surplus: Vec<Partition>,
}

/// The partitions that are held.
#[derive(Debug, Default)]
pub(super) struct Session {
    held: BTreeMap<Partition, Held>,
}

impl Session {
    /// Says that we are there, and takes what is free of our share.
    pub(super) async fn claim(
        &mut self,
        worker: &Worker,
        state: &dyn CoordinatorState,
    ) -> Result<Claimed, Error> {
        let holds: Vec<Partition> = self.held.keys().copied().collect();
        let claim = state.claim(&worker.config.holder, worker.config.lease_ttl, &holds).await?;
        let gained: Vec<Partition> = claim.gained.iter().map(|lease| lease.partition).collect();
        if !gained.is_empty() {
            let leases: HashMap<Partition, Lease> =
                claim.gained.into_iter().map(|lease| (lease.partition, lease)).collect();
            for kept in state.load(&gained).await? {
                if let Some(lease) = leases.get(&kept.partition) {
                    self.held.insert(kept.partition, Held::new(*lease, kept));
                }
            }
        }
        let driven = self.held.iter().filter(|(_, held)| held.is_driven());
        let surplus = driven.map(|(partition, _)| *partition).skip(claim.share).collect();
        Ok(Claimed { gained, surplus })
    }

    /// Saves the checkpoints and what is to be looked at again, and renews the leases. Answers those that are
    /// lost.
    pub(super) async fn save(
        &mut self,
        worker: &Worker,
        state: &dyn CoordinatorState,
    ) -> Result<Vec<Partition>, Error> {
        worker.boundary(boundary::BEFORE_CHECKPOINT)?;
        let changes: Vec<Changes> = self.held.values_mut().map(Held::take_changes).collect();
        let saved = state.save(worker.config.lease_ttl, &changes).await;
        for (held, changed) in self.held.values_mut().zip(changes) {
            match &saved {
                Ok(_) => held.progress.saved(changed.checkpoint),
                Err(_) => held.schedule.put_back(changed.wakes),
            }
        }
        let lost = saved?;
        worker.boundary(boundary::AFTER_CHECKPOINT)?;
        Ok(lost)
    }

    /// The partition of this key is ours, and it has not passed this position.
    pub(super) fn is_new(&self, key: &Key, position: Position) -> bool {
        let held = self.held.get(&Partition::of(key));
        held.is_some_and(|held| held.is_driven() && position > held.progress.cursor())
    }

    /// A job for the event at this position was taken on.
    pub(super) fn taken(&mut self, key: &Key, position: Position) {
        if let Some(held) = self.of(key) {
            held.progress.taken(position);
        }
    }

    /// One of the jobs of this position is finished.
    pub(super) fn finished(&mut self, key: &Key, position: Position) {
        if let Some(held) = self.of(key) {
            held.progress.finished(position);
        }
    }

    /// The jobs for everything up to here were taken on.
    pub(super) fn scanned(&mut self, position: Position) {
        for held in self.held.values_mut() {
            held.scanned(position);
        }
    }

    /// Hands over what is remembered of a key.
    pub(super) fn recall(&mut self, key: &Key) -> Memory {
        self.of(key).map(|held| held.memories.take(key)).unwrap_or_default()
    }

    /// Takes note of what is remembered of a key, and of when it is to be looked at again.
    pub(super) fn done(&mut self, key: &Key, memory: Memory, next: Next) {
        let Some(held) = self.of(key) else { return };
        held.memories.keep(key.clone(), memory);
        match next {
            Next::AsBefore => {}
            Next::WhenSomethingHappens => held.schedule.set(key, None),
            Next::At(wake) => held.schedule.set(key, Some(wake)),
        }
    }

    /// Takes up what is due first. It stays kept until it is set again.
    pub(super) fn take_due(&mut self, now: DateTime<Utc>) -> Option<Key> {
        let driven = self.held.iter().filter(|(_, held)| held.is_driven());
        let first = driven.filter_map(|(partition, held)| Some((held.schedule.first_due()?, *partition)));
        let (_, partition) = first.min()?;
        self.held.get_mut(&partition)?.schedule.take_due(now)
    }

    /// Nothing more is begun in this partition, and it is given back then at the latest.
    pub(super) fn close(&mut self, partition: Partition, leaves_by: Instant) {
        if let Some(held) = self.held.get_mut(&partition) {
            held.leaves_by = Some(leaves_by);
            held.stopping.cancel();
        }
    }

    /// Those that nothing is begun in any more, and until when.
    pub(super) fn closed(&self) -> impl Iterator<Item = (Partition, Instant)> {
        self.held.iter().filter_map(|(partition, held)| Some((*partition, held.leaves_by?)))
    }

    /// The partition is not ours any more.
    pub(super) fn forget(&mut self, partition: Partition) {
        if let Some(held) = self.held.remove(&partition) {
            held.stopping.cancel();
        }
    }

    pub(super) fn of(&mut self, key: &Key) -> Option<&mut Held> {
        self.held.get_mut(&Partition::of(key))
    }

    pub(super) fn partitions(&self) -> Vec<Partition> {
        self.held.keys().copied().collect()
    }

    pub(super) fn leases(&self, partitions: &[Partition]) -> Vec<Lease> {
        partitions.iter().filter_map(|partition| self.held.get(partition)).map(|held| held.lease).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Where to read on, so that no partition misses anything.
    pub(super) fn cursor(&self) -> Position {
        let driven = self.held.values().filter(|held| held.is_driven());
        driven.map(|held| held.progress.cursor()).min().unwrap_or_default()
    }

    /// How many events were taken on and are not handled.
    pub(super) fn backlog(&self) -> usize {
        self.held.values().map(|held| held.progress.backlog()).sum()
    }

    /// Whether something has changed since it was last saved.
    pub(super) fn has_changes(&self) -> bool {
        self.held.values().any(Held::has_changes)
    }

    pub(super) fn next_due(&self) -> Option<DateTime<Utc>> {
        let driven = self.held.values().filter(|held| held.is_driven());
        driven.filter_map(|held| held.schedule.next_due()).min()
    }

    pub(super) fn in_flight(&self) -> InFlight {
        let mut waiting = BTreeMap::new();
        for (what, count) in self.held.values().flat_map(|held| held.schedule.waiting()) {
            *waiting.entry(what).or_default() += count;
        }
        InFlight {
            checkpoint: self.held.values().map(|held| held.progress.checkpoint()).min().unwrap_or_default(),
            open_events: self.backlog(),
            waiting,
            next_due: self.next_due(),
        }
    }
}
