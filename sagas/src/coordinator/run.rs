//! The coordinator at work for real: many keys at once, each with its events in order. What is done at once
//! is bounded, and so is what is taken on and not handled.

mod lanes;
mod sharing;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use event_store::{Filter, Page, Position, StoreError};
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::lanes::{Done, Lanes};
use super::{
    Coordinator,
    error::Error,
    memories::Memory,
    session::Session,
    state::Key,
    worker::{FOLLOWED, Job, Worker, concerned},
};

/// How long a step that failed for the moment waits before it is tried again: first and longest.
const STEP_PAUSE_FIRST: Duration = Duration::from_millis(50);
const STEP_PAUSE_LONGEST: Duration = Duration::from_secs(2);

impl Coordinator {
    /// Works on its share until `shutdown`, which finishes the steps that were begun.
    ///
    /// Fails only when what was kept cannot be read; outages are waited out.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), Error> {
        let mut reign = Reign {
            coordinator: self,
            session: Session::default(),
            lanes: Lanes::new(&self.worker.config),
            running: JoinSet::new(),
            pages: stream::pending().boxed(),
            read: Position::START,
            renewed: Instant::now(),
            claimed: None,
        };
        reign.begin().await;
        while !shutdown.is_cancelled() {
            reign.turn(&shutdown).await?;
        }
        reign.shut_down().await;
        Ok(())
    }
}

/// A coordinator at work.
struct Reign<'a> {
    coordinator: &'a Coordinator,
    session: Session,
    lanes: Lanes,
    running: JoinSet<Done>,
    /// The log, from where the partition that is furthest behind reads on.
    pages: BoxStream<'static, Result<Page, StoreError>>,
    /// How far it was read.
    read: Position,
    /// When the leases were last renewed, by the machine's own clock.
    renewed: Instant,
    /// When it was last looked for free partitions.
    claimed: Option<Instant>,
}

impl Reign<'_> {
    fn worker(&self) -> &Arc<Worker> {
        &self.coordinator.worker
    }

    /// One thing after the other that has to be done now, and then a wait for the next.
    async fn turn(&mut self, shutdown: &CancellationToken) -> Result<(), Error> {
        // Before anything is begun: a process that was paused must not go on as if nothing had happened.
        if self.is_time_to_save() {
            self.save().await;
        }
        if self.is_time_to_claim() {
            self.claim().await?;
        }
        self.hand_over().await;
        self.wake_what_is_due();
        self.start_what_is_ready();
        let may_read =
            !self.session.is_empty() && self.session.backlog() < self.worker().config.backlog_events;
        let pause = self.pause();
        tokio::select! {
            () = shutdown.cancelled() => {}
            Some(done) = self.running.join_next_with_id() => self.take_note(done),
            page = self.pages.next(), if may_read => self.take_on(page, shutdown).await,
            () = tokio::time::sleep(pause) => {}
        }
        Ok(())
    }

    fn wake_what_is_due(&mut self) {
        while let Some(key) = self.session.take_due(self.coordinator.worker.clock.now()) {
            self.lanes.push(key, Job::Wake, None);
        }
    }

    fn start_what_is_ready(&mut self) {
        while let Some((key, job)) = self.lanes.next_ready() {
            let memory = self.session.recall(&key);
            let Some(held) = self.session.of(&key) else {
                self.lanes.abandoned(&key);
                continue;
            };
            let stopping = held.stopping.clone();
            let worker = self.coordinator.worker.clone();
            let step_of = key.clone();
            let task =
                self.running.spawn(async move { work(&worker, step_of, &job, memory, &stopping).await });
            self.lanes.started(task, key);
        }
    }

    /// Reads on where the partition that is furthest behind is.
    fn follow_again(&mut self) {
        self.read = self.session.cursor();
        self.pages = self.worker().store.follow(self.read, Filter::categories(FOLLOWED));
    }

    async fn take_on(&mut self, page: Option<Result<Page, StoreError>>, shutdown: &CancellationToken) {
        let page = match page {
            Some(Ok(page)) => page,
            Some(Err(error)) => return tracing::warn!(%error, "the log cannot be followed just now"),
            None => {
                // The store was closed; only a shutdown can follow.
                shutdown.cancelled().await;
                return;
            }
        };
        for event in page.events.into_iter().map(Arc::new) {
            for key in concerned(&event) {
                if self.session.is_new(&key, event.position) {
                    self.session.taken(&key, event.position);
                    self.lanes.push(key, Job::Event(event.clone()), Some(event.position));
                }
            }
        }
        self.session.scanned(page.scanned);
        self.read = page.scanned;
    }

    fn take_note(&mut self, done: Result<(Id, Done), JoinError>) {
        let id = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        // A task that was forgotten belongs to a partition that is not ours any more.
        let Some(key) = self.lanes.forget_task(id) else { return };
        let (memory, next) = match done {
            Ok((_, done)) => {
                let Some(next) = done.next else { return self.lanes.abandoned(&key) };
                (done.memory, next)
            }
            Err(error) => {
                let refused = Error::refused("working on it", &error);
                (Memory::None, self.worker().put_aside(&key, &refused))
            }
        };
        if let Some(position) = self.lanes.finished(&key) {
            self.session.finished(&key, position);
        }
        self.session.done(&key, memory, next);
    }

    /// Until something is due or is to be done about the leases.
    fn pause(&self) -> Duration {
        let config = &self.worker().config;
        let to_save = if self.session.is_empty() {
            config.claim_every
        } else {
            let renew = if self.session.has_changes() { config.save_every } else { config.lease_ttl / 3 };
            renew.saturating_sub(self.renewed.elapsed())
        };
        let to_claim = self.claimed.map(|claimed| config.claim_every.saturating_sub(claimed.elapsed()));
        let to_leave =
            self.session.closed().map(|(_, by)| by.saturating_duration_since(Instant::now())).min();
        let now = self.worker().clock.now();
        let until = |due_at: DateTime<Utc>| (due_at - now).to_std().unwrap_or_default();
        let to_wake = self.session.next_due().map(until);
        let first = [to_claim, to_leave, to_wake].into_iter().flatten().fold(to_save, Duration::min);
        first.max(Duration::from_millis(1))
    }
}

/// Does one step, again and again while it fails only for the moment. `next` is `None` when it was given up
/// because the partition is given back.
async fn work(
    worker: &Worker,
    key: Key,
    job: &Job,
    mut memory: Memory,
    stopping: &CancellationToken,
) -> Done {
    let mut pause = STEP_PAUSE_FIRST;
    loop {
        match worker.work(&key, job, std::mem::take(&mut memory)).await {
            Ok(outcome) => return Done { memory: outcome.memory, next: Some(outcome.next) },
            Err(error) if !error.is_transient() => match worker.is_of_newer_release(&error).await {
                Ok(is_newer) => {
                    let next = if is_newer {
                        worker.leave_to_newer_release(&key, &error)
                    } else {
                        worker.put_aside(&key, &error)
                    };
                    return Done { memory: Memory::None, next: Some(next) };
                }
                Err(error) => tracing::warn!(%key, %error, "a step failed and is tried again"),
            },
            Err(error) => tracing::warn!(%key, %error, "a step failed and is tried again"),
        }
        if tokio::time::timeout(pause, stopping.cancelled()).await.is_ok() {
            return Done { memory: Memory::None, next: None };
        }
        pause = (pause * 2).min(STEP_PAUSE_LONGEST);
    }
}
