//! Settling one batch of commands: decide on what is known, append, and when the store says that
//! something was not as thought, look again and decide again, until each command has its answer.

use std::{sync::Arc, time::Duration};

use domain::Decider;
use event_store::{AppendError, ExpectedRevision, StoreError};
use events::StreamName;
use futures::StreamExt;
use platform::fault::crash_point;
use uuid::Uuid;

use super::{
    Shared,
    history::{Done, Folded},
    lane::Pending,
    plan::{Placement, Plan, Verdict},
    recall,
};
use crate::{CommandContext, HandleError, Handled, HistoryError, LoadError, Unkeepable};

/// How many times a batch is decided while others keep writing to the stream.
const CONFLICTS_MAX: u32 = 16;
/// The longest pause after a conflict; the first is a sixty-fourth of it.
const CONFLICT_PAUSE_MAX: Duration = Duration::from_millis(128);
/// How many times the store may fail for one batch.
const OUTAGES_MAX: u32 = 4;
/// The longest pause after the store failed; the first is an eighth of it.
const OUTAGE_PAUSE_MAX: Duration = Duration::from_millis(800);
/// How many repeats are looked up at once.
const LOOK_UPS_AT_ONCE: usize = 16;

/// A batch on its way to its answers.
pub(super) struct Settling<'a, D: Decider> {
    shared: &'a Shared<D>,
    stream: &'a StreamName,
    batch: Vec<Pending<D>>,
    /// How many of the batch are decided together; fewer when all would be too large for the store.
    together: usize,
    folded: Arc<Folded<D>>,
    seen: Seen,
    conflicts: u32,
    outages: u32,
}

/// How far the state may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// It comes from the cache, or takes the stream for a new one: good enough to append on, because the
    /// append is checked.
    Guessed,
    /// It was read after all of these commands had come in.
    Read,
    /// It is known or feared to be old.
    Doubted,
}

/// Why an attempt did not get to its end.
enum Setback {
    /// Others wrote to the stream in the meantime.
    Conflict,
    /// The store failed.
    Store(StoreError),
    /// The history cannot be understood.
    History(HistoryError),
}

impl<'a, D: Decider> Settling<'a, D> {
    pub(super) fn new(shared: &'a Shared<D>, stream: &'a StreamName, batch: Vec<Pending<D>>) -> Self {
        // Most streams that nobody here knows are about to begin.
        let folded = shared.take(stream).unwrap_or_default();
        let together = batch.len();
        Self { shared, stream, batch, together, folded, seen: Seen::Guessed, conflicts: 0, outages: 0 }
    }

    /// Attempts until every command has its answer.
    pub(super) async fn run(mut self) {
        if self.folded.events() == 0 {
            self.folded = self.shared.find(self.stream).await;
            if !self.folded.is_proved() {
                self.seen = Seen::Doubted;
            }
        }
        while !self.batch.is_empty() {
            let Err(setback) = self.attempt().await else { continue };
            self.seen = Seen::Doubted;
            match self.pause_after(setback) {
                Ok(pause) => tokio::time::sleep(pause).await,
                Err(error) => self.give_up(&error),
            }
        }
        self.shared.remember(self.stream, self.folded);
    }

    async fn attempt(&mut self) -> Result<(), Setback> {
        if self.seen == Seen::Doubted {
            self.shared.catch_up(self.stream, &mut self.folded).await?;
            self.seen = Seen::Read;
        }
        self.answer_remembered();
        if self.batch.is_empty() {
            return Ok(());
        }
        let judged = &self.batch[..self.together.min(self.batch.len())];
        let plan = Plan::decide(self.stream, &self.folded, judged)?;
        if let Some(last) = plan.events.last() {
            let last_event = last.id;
            return self.append(plan, last_event).await;
        }
        if self.seen == Seen::Guessed {
            self.seen = Seen::Read;
            if self.shared.catch_up(self.stream, &mut self.folded).await? {
                return Ok(());
            }
        }
        let placement = Placement::behind(&self.folded, 0);
        self.answer_judged(plan.verdicts, &placement).await;
        Ok(())
    }

    /// Answers what the state itself knows to be a repeat.
    fn answer_remembered(&mut self) {
        let (folded, batch) = (&self.folded, std::mem::take(&mut self.batch));
        for pending in batch {
            match folded.recall(pending.context.event_id(0)) {
                Some(done) => {
                    let repeat = recall::remembered(done, &pending.context);
                    pending.answer_repeat(repeat);
                }
                None => self.batch.push(pending),
            }
        }
    }

    async fn append(&mut self, plan: Plan<D>, last_event: Uuid) -> Result<(), Setback> {
        crash_point("write.decided");
        let expected = ExpectedRevision::after(self.folded.revision());
        let judged = plan.verdicts.len();
        let placement = Placement::behind(&self.folded, plan.events.len());
        let ends = plan.ends();
        match self.shared.store.append(self.stream, expected, plan.events).await {
            // Whoever wrote it may have decided on another request, or on another state.
            Ok(appended) if appended.replayed => self.answer_found(judged).await,
            Ok(appended) => {
                crash_point("write.appended");
                let placement = match self.shared.store.positions_of(self.stream, appended, ends).await {
                    Ok(ends) => placement.ending_at(ends),
                    Err(error) => return Err(Setback::Store(error)),
                };
                self.remember(&plan.verdicts, &placement);
                Arc::make_mut(&mut self.folded).advance(plan.state, last_event, &appended);
                self.answer_judged(plan.verdicts, &placement).await;
                Ok(())
            }
            Err(AppendError::Conflict { .. }) => Err(Setback::Conflict),
            Err(AppendError::AlreadyAppended { .. }) => self.answer_found(judged).await,
            Err(AppendError::TooLarge { .. } | AppendError::Malformed { .. }) if judged > 1 => {
                self.together = judged / 2;
                Ok(())
            }
            Err(AppendError::TooLarge { stream, reason } | AppendError::Malformed { stream, reason }) => {
                self.batch.remove(0).answer(Err(HandleError::Unkeepable(Unkeepable { stream, reason })));
                Ok(())
            }
            Err(AppendError::Store(error)) => Err(Setback::Store(error)),
        }
    }

    /// Keeps in mind what was just appended, so that a repeat is known at once.
    fn remember(&mut self, verdicts: &[Verdict<D::Refusal>], placement: &Placement) {
        let folded = Arc::make_mut(&mut self.folded);
        for (pending, verdict) in self.batch.iter().zip(verdicts) {
            let Verdict::Events { first, upto } = verdict else { continue };
            let Handled { revision, position, .. } = placement.at(*upto);
            let CommandContext { command_id, ref request_digest, .. } = pending.context;
            let request_digest = request_digest.as_deref().map(Arc::from);
            let done = Done { command_id, revision: revision.unwrap_or_default(), position, request_digest };
            folded.remember(*first, done);
        }
    }

    /// Answers the commands that were judged, the first of the batch, by their verdicts. Before one that
    /// wrote nothing is told so, it is looked up whether it is a repeat of one that did.
    async fn answer_judged(&mut self, verdicts: Vec<Verdict<D::Refusal>>, placement: &Placement) {
        let mut unwritten = Vec::new();
        for (pending, verdict) in self.batch.drain(..verdicts.len()).zip(verdicts) {
            match verdict {
                Verdict::Events { upto, .. } => pending.answer(Ok(placement.at(upto))),
                Verdict::Nothing { upto } => unwritten.push((pending, Ok(placement.at(upto)))),
                Verdict::Refused(refusal) => unwritten.push((pending, Err(HandleError::Refused(refusal)))),
                Verdict::RevisionMismatch { expected, current } => {
                    unwritten.push((pending, Err(HandleError::RevisionMismatch { expected, current })));
                }
            }
        }
        if self.folded.remembers_all() {
            // It is no repeat: it would have been remembered.
            return unwritten.into_iter().for_each(|(pending, answer)| pending.answer(answer));
        }
        let (store, stream) = (&self.shared.store, self.stream);
        futures::stream::iter(unwritten)
            .for_each_concurrent(LOOK_UPS_AT_ONCE, |(pending, answer)| async move {
                match recall::look_up(store.as_ref(), stream, &pending.context).await {
                    Ok(Some(repeat)) => pending.answer_repeat(repeat),
                    Ok(None) => pending.answer(answer),
                    Err(error) => pending.answer(Err(HandleError::Store(error))),
                }
            })
            .await;
    }

    /// The store has events of some of the first `judged` commands already: answers those, and leaves
    /// the others to be decided again.
    async fn answer_found(&mut self, judged: usize) -> Result<(), Setback> {
        let mut found = Vec::with_capacity(judged);
        for pending in &self.batch[..judged] {
            let store = self.shared.store.as_ref();
            found.push(recall::look_up(store, self.stream, &pending.context).await?);
        }
        if found.iter().all(Option::is_none) {
            let reason = format!("events that it has already for stream {} cannot be found", self.stream);
            return Err(Setback::Store(StoreError::Corrupt { reason }));
        }
        let undecided = self.batch.split_off(judged);
        for (pending, repeat) in std::mem::take(&mut self.batch).into_iter().zip(found) {
            match repeat {
                Some(repeat) => pending.answer_repeat(repeat),
                None => self.batch.push(pending),
            }
        }
        self.batch.extend(undecided);
        self.seen = Seen::Doubted;
        Ok(())
    }

    /// How long to wait before the next attempt, or why there is none.
    fn pause_after(&mut self, setback: Setback) -> Result<Duration, HandleError<D::Refusal>> {
        match setback {
            Setback::Conflict => {
                self.conflicts += 1;
                if self.conflicts == CONFLICTS_MAX {
                    return Err(HandleError::Contended { attempts: self.conflicts });
                }
                Ok(self.pause(CONFLICT_PAUSE_MAX / 64, self.conflicts, CONFLICT_PAUSE_MAX))
            }
            Setback::Store(StoreError::Unavailable { .. }) if self.outages + 1 < OUTAGES_MAX => {
                self.outages += 1;
                Ok(self.pause(OUTAGE_PAUSE_MAX / 8, self.outages, OUTAGE_PAUSE_MAX))
            }
            Setback::Store(error) => Err(HandleError::Store(error)),
            Setback::History(error) => Err(HandleError::Corrupt(error)),
        }
    }

    /// A pause that doubles with each time up to `longest`. Its second half follows from the command that
    /// waits: two that collided do not collide again, and a simulation can be repeated.
    fn pause(&self, first: Duration, times: u32, longest: Duration) -> Duration {
        let half = first.saturating_mul(1 << (times - 1).min(16)).min(longest) / 2;
        let waiting = self.batch.first().map(|pending| pending.context.command_id).unwrap_or_default();
        let drawn = Uuid::new_v5(&waiting, &times.to_be_bytes()).as_u128() % (half.as_nanos() + 1);
        half + Duration::from_nanos(u64::try_from(drawn).unwrap_or_default())
    }

    /// Gives all that are left the same answer. A state of which only the end is unknown stays useful;
    /// one that could not be understood does not.
    fn give_up(&mut self, error: &HandleError<D::Refusal>) {
        if matches!(error, HandleError::Corrupt(_)) {
            self.folded = Arc::default();
        }
        for pending in self.batch.drain(..) {
            pending.answer(Err(error.clone()));
        }
    }
}

impl From<LoadError> for Setback {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) => Self::Store(error),
            LoadError::History(error) => Self::History(error),
        }
    }
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<HistoryError> for Setback {
    fn from(error: HistoryError) -> Self {
        Self::History(error)
    }
}
