//! Everything one after the other, in an order that is always the same, for whoever drives the coordinator step
//! by step; `run` does much at once with the same parts.

use std::sync::Arc;

use event_store::Filter;

use super::{Idle, Session};
use crate::coordinator::{
    error::Error,
    memories::Memory,
    state::{CoordinatorState, Key},
    worker::{FOLLOWED, Job, Worker, concerned},
};

/// How much of the log is looked at in one read.
const PAGE_EVENTS: usize = 500;

impl Session {
    /// See [`crate::coordinator::Coordinator::run_until_idle`].
    pub(in crate::coordinator) async fn run_until_idle(
        &mut self,
        worker: &Worker,
        state: &dyn CoordinatorState,
    ) -> Result<Idle, Error> {
        loop {
            if !self.is_empty() {
                self.do_what_can_be_done(worker, state).await?;
            }
            let claimed = self.claim(worker, state).await?;
            state.release(&self.leases(&claimed.surplus)).await?;
            for partition in claimed.surplus {
                self.forget(partition);
            }
            if claimed.gained.is_empty() {
                return Ok(if self.is_empty() { Idle::StandingBy } else { Idle::Until(self.next_due()) });
            }
        }
    }

    async fn do_what_can_be_done(
        &mut self,
        worker: &Worker,
        state: &dyn CoordinatorState,
    ) -> Result<(), Error> {
        loop {
            while let Some(key) = self.take_due(worker.clock.now()) {
                self.work(worker, &key, &Job::Wake).await?;
            }
            let page =
                worker.store.read_all(self.cursor(), &Filter::categories(FOLLOWED), PAGE_EVENTS).await?;
            // What is done about an event appends more behind this page.
            let is_last = page.end && page.events.is_empty();
            for event in page.events.into_iter().map(Arc::new) {
                for key in concerned(&event) {
                    if self.is_new(&key, event.position) {
                        self.work(worker, &key, &Job::Event(event.clone())).await?;
                    }
                }
                self.scanned(event.position);
            }
            self.scanned(page.scanned);
            if self.has_changes() {
                let lost = self.save(worker, state).await?;
                if !lost.is_empty() {
                    return Err(Error::Fenced { partitions: lost });
                }
            }
            if is_last && self.next_due().is_none_or(|due_at| due_at > worker.clock.now()) {
                return Ok(());
            }
        }
    }

    async fn work(&mut self, worker: &Worker, key: &Key, job: &Job) -> Result<(), Error> {
        let memory = self.recall(key);
        let (memory, next) = match worker.work(key, job, memory).await {
            Ok(outcome) => (outcome.memory, outcome.next),
            Err(error) if error.is_of_one_key() => (Memory::None, worker.put_aside(key, &error)),
            Err(error) => return Err(error),
        };
        self.done(key, memory, next);
        Ok(())
    }
}
