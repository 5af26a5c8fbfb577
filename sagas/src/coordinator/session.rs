//! One reign of a coordinator: what it does between getting the lease and losing it. Here everything is done
//! one after the other; `run` does much at once with the same parts.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use event_store::{Filter, Position};

use super::{
    boundary,
    error::Error,
    memories::Memories,
    progress::Progress,
    schedule::Schedule,
    state::{Changes, CoordinatorState, Key, Lease, Wake},
    worker::{FOLLOWED, Job, Next, Worker, concerned},
};

/// How many keys a generation of memories has.
const REMEMBERED: usize = 16_384;
/// How much of the log is looked at in one read.
const PAGE_EVENTS: usize = 500;

/// What there was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Another coordinator holds the lease.
    StandingBy,
    /// Everything that can be done now is done; the next thing is due then.
    Until(Option<DateTime<Utc>>),
}

/// What a coordinator was working on at some moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InFlight {
    /// Every event up to here is completely handled.
    pub checkpoint: Position,
    /// How many events were taken on and are not handled.
    pub open_events: usize,
    /// How many checkouts, payments and deliveries wait for what.
    pub waiting: BTreeMap<String, usize>,
    /// When something is due next.
    pub next_due: Option<DateTime<Utc>>,
}

/// What a coordinator knows while it has the lease.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) lease: Lease,
    pub(super) progress: Progress,
    pub(super) schedule: Schedule,
    pub(super) memories: Memories,
}

impl Session {
    /// Takes the lease and what was kept; `None` while another holds it.
    pub(super) async fn begin(worker: &Worker, state: &dyn CoordinatorState) -> Result<Option<Self>, Error> {
        let Some(lease) = state.acquire(&worker.config.holder, worker.config.lease_ttl).await? else {
            return Ok(None);
        };
        let kept = state.load().await?;
        Ok(Some(Self {
            lease,
            progress: Progress::from(kept.checkpoint),
            schedule: Schedule::restored(kept.wakes),
            memories: Memories::of_generation(REMEMBERED),
        }))
    }

    /// See [`super::Coordinator::run_until_idle`].
    pub(super) async fn run_until_idle(
        &mut self,
        worker: &Worker,
        state: &dyn CoordinatorState,
    ) -> Result<(), Error> {
        loop {
            while let Some(key) = self.schedule.take_due(worker.clock.now()) {
                self.work(worker, &key, &Job::Wake).await?;
            }
            let page = worker
                .store
                .read_all(self.progress.cursor(), &Filter::categories(FOLLOWED), PAGE_EVENTS)
                .await?;
            // What is done about an event appends more behind this page.
            let is_last = page.end && page.events.is_empty();
            for event in page.events.into_iter().map(Arc::new) {
                for key in concerned(&event) {
                    self.work(worker, &key, &Job::Event(event.clone())).await?;
                }
                self.progress.scanned(event.position);
            }
            self.progress.scanned(page.scanned);
            if self.has_changes() {
                self.save(worker, state).await?;
            }
            if is_last && self.next_due().is_none_or(|due_at| due_at > worker.clock.now()) {
                return Ok(());
            }
        }
    }

    async fn work(&mut self, worker: &Worker, key: &Key, job: &Job) -> Result<(), Error> {
        let memory = self.memories.take(key);
        let next = match worker.work(key, job, memory).await {
            Ok(outcome) => {
                self.memories.keep(key.clone(), outcome.memory);
                outcome.next
            }
            Err(error) if error.is_of_one_key() => worker.put_aside(key, &error),
            Err(error) => return Err(error),
        };
        self.look_again(key, next);
        Ok(())
    }

    /// Takes note of when a key is to be looked at again.
    pub(super) fn look_again(&mut self, key: &Key, next: Next) {
        match next {
            Next::AsBefore => {}
            Next::WhenSomethingHappens => self.schedule.set(key, None),
            Next::At(wake) => self.schedule.set(key, Some(wake)),
        }
    }

    /// Whether something has changed since it was last saved.
    pub(super) fn has_changes(&self) -> bool {
        self.progress.has_moved() || self.schedule.has_changes()
    }

    /// Saves the checkpoint and what is to be looked at again, and renews the lease.
    pub(super) async fn save(&mut self, worker: &Worker, state: &dyn CoordinatorState) -> Result<(), Error> {
        worker.boundary(boundary::BEFORE_CHECKPOINT)?;
        let wakes: Vec<(Key, Option<Wake>)> = self.schedule.take_changes();
        let changes = Changes { checkpoint: self.progress.checkpoint(), wakes };
        if let Err(error) = state.save(self.lease, worker.config.lease_ttl, &changes).await {
            self.schedule.put_back(changes.wakes);
            return Err(error.into());
        }
        self.progress.saved(changes.checkpoint);
        worker.boundary(boundary::AFTER_CHECKPOINT)
    }

    pub(super) fn next_due(&self) -> Option<DateTime<Utc>> {
        self.schedule.next_due()
    }

    pub(super) fn in_flight(&self) -> InFlight {
        InFlight {
            checkpoint: self.progress.checkpoint(),
            open_events: self.progress.backlog(),
            waiting: self.schedule.waiting(),
            next_due: self.schedule.next_due(),
        }
    }
}
