//! Deciding together: commands are judged in the order in which they came, each on the state that
//! those before it would leave, and what they decided becomes one append. Pure.

use std::sync::Arc;

use domain::Decider;
use event_store::{NewEvent, Position};
use events::{DomainEvent, StreamName};
use uuid::Uuid;

use super::{history::Folded, lane::Pending};
use crate::{Handled, HistoryError};

/// What a batch of commands comes to, if its events can be appended at the revision it was decided on.
pub(super) struct Plan<D: Decider> {
    /// One for each command, in their order.
    pub(super) verdicts: Vec<Verdict<D::Refusal>>,
    /// All events of all commands.
    pub(super) events: Vec<NewEvent>,
    /// The state behind them.
    pub(super) state: D,
}

/// What one command comes to. `upto` counts the events of the batch up to and including its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict<R> {
    /// It has events, the first of them with this id.
    Events { first: Uuid, upto: usize },
    /// There is nothing to do.
    Nothing { upto: usize },
    /// A rule was in the way.
    Refused(R),
    /// The sender insisted on another revision.
    RevisionMismatch { expected: u64, current: Option<u64> },
}

impl<D: Decider> Plan<D> {
    /// Judges `batch` on what is `folded`.
    pub(super) fn decide(
        stream: &StreamName,
        folded: &Folded<D>,
        batch: &[Pending<D>],
    ) -> Result<Self, HistoryError> {
        let mut plan = Self {
            verdicts: Vec::with_capacity(batch.len()),
            events: Vec::new(),
            state: folded.state().clone(),
        };
        for pending in batch {
            let current = revision_behind(folded.revision(), plan.events.len());
            let verdict = match pending.context.expected_revision {
                Some(expected) if current != Some(expected) => {
                    Verdict::RevisionMismatch { expected, current }
                }
                Some(_) | None => plan.judge(stream, folded.revision(), pending)?,
            };
            plan.verdicts.push(verdict);
        }
        Ok(plan)
    }

    /// How many events there are from the last one of the first command on: those at which a command can
    /// end, whose positions its answer needs.
    pub(super) fn ends(&self) -> usize {
        let first_end = self.verdicts.iter().find_map(|verdict| match verdict {
            Verdict::Events { upto, .. } => Some(*upto),
            Verdict::Nothing { .. } | Verdict::Refused(_) | Verdict::RevisionMismatch { .. } => None,
        });
        first_end.map_or(0, |upto| self.events.len() - upto + 1)
    }

    fn judge(
        &mut self,
        stream: &StreamName,
        base: Option<u64>,
        pending: &Pending<D>,
    ) -> Result<Verdict<D::Refusal>, HistoryError> {
        let decided = match self.state.decide(&pending.command) {
            Ok(decided) => decided,
            Err(refusal) => return Ok(Verdict::Refused(refusal)),
        };
        if decided.is_empty() {
            return Ok(Verdict::Nothing { upto: self.events.len() });
        }
        let first = pending.context.event_id(0);
        for (index, event) in decided.iter().enumerate() {
            let payload = event.encode().map_err(|source| HistoryError::Unencodable {
                stream: stream.clone(),
                source: Arc::new(source),
            })?;
            self.events.push(NewEvent {
                id: if index == 0 { first } else { pending.context.event_id(index) },
                name: event.wire_name().to_owned(),
                version: event.wire_version(),
                payload: payload.into(),
                metadata: pending.context.metadata(),
            });
            let state = std::mem::take(&mut self.state);
            self.state = state.evolve(event).map_err(|source| HistoryError::Impossible {
                stream: stream.clone(),
                revision: revision_behind(base, self.events.len()).unwrap_or_default(),
                source,
            })?;
        }
        Ok(Verdict::Events { first, upto: self.events.len() })
    }
}

/// Where the events of a batch are, or will be: behind one revision, all in one append.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    base: Option<u64>,
    before: Position,
    /// From the last event of the first command on.
    ends: Vec<Position>,
    all: usize,
}

impl Placement {
    /// `all` events behind what was folded.
    pub(super) fn behind<D: Decider>(folded: &Folded<D>, all: usize) -> Self {
        Self { base: folded.revision(), before: folded.position(), ends: Vec::new(), all }
    }

    /// The same, now that the positions of as many events as [`Plan::ends`] are known.
    pub(super) fn ending_at(self, ends: Vec<Position>) -> Self {
        Self { ends, ..self }
    }

    /// The answer of a command up to and including whose events there are `upto` of the batch.
    pub(super) fn at(&self, upto: usize) -> Handled {
        let position = match upto {
            0 => self.before,
            upto => self.ends.iter().rev().nth(self.all - upto).copied().unwrap_or(self.before),
        };
        Handled { revision: revision_behind(self.base, upto), position, replayed: false }
    }
}

/// The revision of a stream at `base` once `appended` more events are written.
fn revision_behind(base: Option<u64>, appended: usize) -> Option<u64> {
    match (base, appended as u64) {
        (base, 0) => base,
        (None, appended) => Some(appended - 1),
        (Some(base), appended) => Some(base + appended),
    }
}
