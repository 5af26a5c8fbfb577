//! The coordinator at work for real: many keys at once, each with its events in order. What is done at once
//! is bounded, and so is what is taken on and not handled.

mod lanes;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use event_store::{Filter, Page, StoreError};
use futures::{StreamExt, stream::BoxStream};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use self::lanes::{Done, Lanes};
use super::{
    Coordinator,
    error::Error,
    memories::Memory,
    session::Session,
    state::{Key, StateError},
    worker::{FOLLOWED, Job, Next, Worker, concerned},
};

/// How long a step that failed for the moment waits before it is tried again: first and longest.
const STEP_PAUSE_FIRST: Duration = Duration::from_millis(50);
const STEP_PAUSE_LONGEST: Duration = Duration::from_secs(2);

/// Why a reign ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    ShutDown,
    Deposed,
}

impl Coordinator {
    /// Works until `shutdown`, whenever it has the lease. A shutdown finishes the steps that were begun.
    ///
    /// Fails only when what was kept cannot be read; outages are waited out.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), Error> {
        while !shutdown.is_cancelled() {
            match Session::begin(&self.worker, self.state.as_ref()).await {
                Ok(Some(session)) => {
                    tracing::info!(fence = session.lease.fence, checkpoint = %session.progress.checkpoint(), "the coordinator has the lease");
                    if self.reign(session, &shutdown).await == Ended::ShutDown {
                        return Ok(());
                    }
                    tracing::warn!("the coordinator has lost its lease and stands by");
                }
                Ok(None) => {}
                Err(error) if error.is_transient() => tracing::warn!(%error, "the coordinator cannot begin"),
                Err(error) => return Err(error),
            }
            let pause = (self.worker.config.lease_ttl / 10).min(Duration::from_secs(1));
            let _ = tokio::time::timeout(pause, shutdown.cancelled()).await;
        }
        Ok(())
    }

    async fn reign(&self, session: Session, shutdown: &CancellationToken) -> Ended {
        let filter = Filter::categories(FOLLOWED);
        let pages = self.worker.store.follow(session.progress.cursor(), filter);
        let reign = Reign {
            coordinator: self,
            lanes: Lanes::new(&self.worker.config),
            session,
            running: JoinSet::new(),
            stopping: shutdown.child_token(),
            pages,
            renewed: Instant::now(),
        };
        reign.run(shutdown).await
    }
}

struct Reign<'a> {
    coordinator: &'a Coordinator,
    session: Session,
    lanes: Lanes,
    running: JoinSet<Done>,
    /// Tells steps that wait for better times to wait no longer.
    stopping: CancellationToken,
    pages: BoxStream<'static, Result<Page, StoreError>>,
    /// When the lease was last renewed, by the machine's own clock.
    renewed: Instant,
}

impl Reign<'_> {
    fn worker(&self) -> &Arc<Worker> {
        &self.coordinator.worker
    }

    async fn run(mut self, shutdown: &CancellationToken) -> Ended {
        while !shutdown.is_cancelled() {
            // Before anything is begun: a process that was paused must not go on as if nothing had happened.
            if self.is_time_to_save() && self.save().await == Some(Ended::Deposed) {
                return self.stop().await;
            }
            self.wake_what_is_due();
            self.start_what_is_ready();
            let may_read = self.session.progress.backlog() < self.worker().config.backlog_events;
            let pause = self.pause();
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(done) = self.running.join_next_with_id() => self.take_note(done),
                page = self.pages.next(), if may_read => self.take_on(page).await,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.shut_down().await
    }

    fn wake_what_is_due(&mut self) {
        while let Some(key) = self.session.schedule.take_due(self.coordinator.worker.clock.now()) {
            self.lanes.push(key, Job::Wake, None);
        }
    }

    fn start_what_is_ready(&mut self) {
        while let Some((key, job)) = self.lanes.next_ready() {
            let memory = self.session.memories.take(&key);
            let worker = self.coordinator.worker.clone();
            let stopping = self.stopping.clone();
            let step_of = key.clone();
            let task =
                self.running.spawn(async move { work(&worker, step_of, &job, memory, &stopping).await });
            self.lanes.started(task.id(), key);
        }
    }

    async fn take_on(&mut self, page: Option<Result<Page, StoreError>>) {
        let page = match page {
            Some(Ok(page)) => page,
            Some(Err(error)) => return tracing::warn!(%error, "the log cannot be followed just now"),
            None => {
                // The store was closed; only a shutdown can follow.
                self.stopping.cancelled().await;
                return;
            }
        };
        for event in page.events.into_iter().map(Arc::new) {
            for key in concerned(&event) {
                self.session.progress.taken(event.position);
                self.lanes.push(key, Job::Event(event.clone()), Some(event.position));
            }
        }
        self.session.progress.scanned(page.scanned);
    }

    fn take_note(&mut self, done: Result<(tokio::task::Id, Done), tokio::task::JoinError>) {
        let (key, next) = match done {
            Ok((id, done)) => {
                self.lanes.forget_task(id);
                let Some(next) = done.next else { return self.lanes.abandoned(&done.key) };
                self.session.memories.keep(done.key.clone(), done.memory);
                (done.key, next)
            }
            Err(error) => {
                let Some(key) = self.lanes.forget_task(error.id()) else { return };
                let refused = Error::refused("working on it", &error);
                let next = self.worker().put_aside(&key, &refused);
                (key, next)
            }
        };
        if let Some(position) = self.lanes.finished(&key) {
            self.session.progress.finished(position);
        }
        self.session.look_again(&key, next);
    }

    fn is_time_to_save(&self) -> bool {
        let since = self.renewed.elapsed();
        let config = &self.worker().config;
        since >= config.lease_ttl / 3 || (since >= config.save_every && self.session.has_changes())
    }

    /// Saves; says so when that showed, or time shows, that the lease is lost.
    async fn save(&mut self) -> Option<Ended> {
        let coordinator = self.coordinator;
        let saving = self.session.save(&coordinator.worker, coordinator.state.as_ref());
        let began = Instant::now();
        let saved = tokio::time::timeout(coordinator.worker.config.lease_ttl, saving).await;
        match saved {
            Ok(Ok(())) => {
                self.renewed = began;
                coordinator.publish(self.session.in_flight());
                None
            }
            Ok(Err(Error::State(StateError::Unavailable { .. }))) | Err(_)
                if self.renewed.elapsed() < coordinator.worker.config.lease_ttl =>
            {
                tracing::warn!("the checkpoint cannot be saved just now");
                tokio::time::sleep(STEP_PAUSE_FIRST).await;
                None
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the checkpoint cannot be saved");
                Some(Ended::Deposed)
            }
            Err(_) => Some(Ended::Deposed),
        }
    }

    /// Until something is due or is to be saved.
    fn pause(&self) -> Duration {
        let config = &self.worker().config;
        let to_save = if self.session.has_changes() { config.save_every } else { config.lease_ttl / 3 };
        let to_save = to_save.saturating_sub(self.renewed.elapsed());
        let now = self.worker().clock.now();
        let until = |due_at: DateTime<Utc>| (due_at - now).to_std().unwrap_or_default();
        let to_wake = self.session.next_due().map_or(to_save, until);
        to_save.min(to_wake).max(Duration::from_millis(1))
    }

    /// Ends at once, as if killed: whoever has the lease now does the rest.
    async fn stop(mut self) -> Ended {
        self.stopping.cancel();
        self.running.shutdown().await;
        Ended::Deposed
    }

    /// Finishes what was begun, saves, and gives the lease back.
    async fn shut_down(mut self) -> Ended {
        self.stopping.cancel();
        let grace = tokio::time::sleep(self.worker().config.shutdown_grace);
        tokio::pin!(grace);
        loop {
            tokio::select! {
                done = self.running.join_next_with_id() => match done {
                    Some(done) => self.take_note(done),
                    None => break,
                },
                () = &mut grace => {
                    tracing::warn!(steps = self.running.len(), "steps that take too long are left for the next start");
                    self.running.shutdown().await;
                    break;
                }
            }
        }
        if self.save().await.is_none()
            && let Err(error) = self.coordinator.state.release(self.session.lease).await
        {
            tracing::warn!(%error, "the lease was not given back and runs out by itself");
        }
        Ended::ShutDown
    }
}

/// Does one step, again and again while it fails only for the moment. `next` is `None` when it was given up
/// for a shutdown.
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
            Ok(outcome) => return Done { key, memory: outcome.memory, next: Some(outcome.next) },
            Err(error) if !error.is_transient() => {
                let next: Next = worker.put_aside(&key, &error);
                return Done { key, memory: Memory::None, next: Some(next) };
            }
            Err(error) => tracing::warn!(%key, %error, "a step failed and is tried again"),
        }
        if tokio::time::timeout(pause, stopping.cancelled()).await.is_ok() {
            return Done { key, memory: Memory::None, next: None };
        }
        pause = (pause * 2).min(STEP_PAUSE_LONGEST);
    }
}
