//! The state of one stream, folded from its history, with what must be known to decide on it: its
//! revision, the position of its last event, and which commands led to it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use domain::Decider;
use event_store::{Appended, Direction, EventStore, Position, RecordedEvent};
use events::{DomainEvent, StreamName};
use uuid::Uuid;

use crate::{HistoryError, error::LoadError};

/// How many events are read at once.
pub(super) const PAGE_EVENTS: usize = 500;
/// How many commands a state remembers, the newest ones.
const REMEMBERED_COMMANDS_MAX: usize = 512;

/// The state of a stream at one revision.
#[derive(Debug, Clone)]
pub(super) struct Folded<D> {
    state: Arc<D>,
    revision: Option<u64>,
    position: Position,
    last_event: Uuid,
    commands: Remembered,
    /// Whether it began with a snapshot, and how far that may be believed.
    origin: Origin,
    /// How many events the stream has when it is stored next.
    store_from: u64,
    /// Somebody is working on it, and this is for others to look at meanwhile.
    is_glimpse: bool,
}

impl<D: Decider> Default for Folded<D> {
    /// The state of a stream that does not exist.
    fn default() -> Self {
        Self {
            state: Arc::default(),
            revision: None,
            position: Position::START,
            last_event: Uuid::nil(),
            commands: Remembered::default(),
            origin: Origin::History,
            store_from: 0,
            is_glimpse: false,
        }
    }
}

/// What a state was folded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The whole history.
    History,
    /// A snapshot that ends with an event that is in the log, and what came behind it.
    Snapshot,
    /// A snapshot that was not held against the log yet.
    Unproved,
}

impl<D: Decider> Folded<D> {
    /// What was stored, which is to be held against the log before anything is made of it.
    pub(super) fn stored(state: D, last: LastEvent, store_from: u64) -> Self {
        Self {
            state: Arc::new(state),
            revision: Some(last.revision),
            position: last.position,
            last_event: last.id,
            commands: Remembered::none(),
            origin: Origin::Unproved,
            store_from,
            is_glimpse: false,
        }
    }

    /// The same state, for others to look at while somebody works on it. It remembers no commands.
    pub(super) fn glimpse(&self) -> Self {
        Self { state: Arc::clone(&self.state), commands: Remembered::none(), is_glimpse: true, ..*self }
    }

    pub(super) fn is_glimpse(&self) -> bool {
        self.is_glimpse
    }

    pub(super) fn state(&self) -> &D {
        &self.state
    }

    pub(super) fn revision(&self) -> Option<u64> {
        self.revision
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    pub(super) fn remembered(&self) -> usize {
        self.commands.by_first_event.len()
    }

    /// What is remembered of the command whose first event has this id.
    pub(super) fn recall(&self, first_event: Uuid) -> Option<&Done> {
        self.commands.by_first_event.get(&first_event)
    }

    /// Whether every command that ever led to this state is remembered.
    pub(super) fn remembers_all(&self) -> bool {
        !self.commands.forgot
    }

    /// How many events the stream has.
    pub(super) fn events(&self) -> u64 {
        self.revision.map_or(0, |revision| revision + 1)
    }

    /// The last event that is in it.
    pub(super) fn last_event(&self) -> Option<LastEvent> {
        let revision = self.revision?;
        Some(LastEvent { revision, position: self.position, id: self.last_event })
    }

    /// Whether all of it was read from the log, or held against it.
    pub(super) fn is_proved(&self) -> bool {
        self.origin != Origin::Unproved
    }

    /// Whether it can be the state that is to blame for an event that cannot follow on it.
    pub(super) fn may_be_wrong(&self, error: &HistoryError) -> bool {
        let cannot_follow = matches!(error, HistoryError::Impossible { .. } | HistoryError::Gap { .. });
        self.origin != Origin::History && cannot_follow
    }

    /// How many events the stream has when it is stored next.
    pub(super) fn store_from(&self) -> u64 {
        self.store_from
    }

    /// It is stored now, and then again when there are so many events.
    pub(super) fn store_next(&mut self, from: u64) {
        self.store_from = from;
    }

    /// Reads what was appended since, and says whether there was anything. What was stored begins with the event
    /// that it ends with: where that is not in the log it is left aside, and the history is read whole.
    pub(super) async fn catch_up(
        self: &mut Arc<Self>,
        store: &dyn EventStore,
        stream: &StreamName,
    ) -> Result<bool, LoadError> {
        let before = self.revision;
        loop {
            let from = if self.is_proved() { Some(self.events()) } else { self.revision };
            let page = store.read_stream(stream, Direction::Forwards, from, PAGE_EVENTS).await?;
            let mut events = page.as_slice();
            if !self.is_proved() {
                let Some((_, behind)) = events.split_first().filter(|(last, _)| self.ends_with(last)) else {
                    tracing::warn!(%stream, revision = from, "a snapshot does not fit the log, and is left aside");
                    *self = Arc::default();
                    continue;
                };
                Arc::make_mut(self).origin = Origin::Snapshot;
                events = behind;
            }
            if !events.is_empty() {
                let folded = Arc::make_mut(self);
                events.iter().try_for_each(|event| folded.apply(stream, event))?;
            }
            if page.len() < PAGE_EVENTS {
                return Ok(self.revision != before);
            }
        }
    }

    fn ends_with(&self, event: &RecordedEvent) -> bool {
        let RecordedEvent { revision, position, id, .. } = *event;
        self.last_event() == Some(LastEvent { revision, position, id })
    }

    /// Takes over what this process has just appended: the state behind it, and its commands.
    pub(super) fn advance(&mut self, state: D, last_event: Uuid, appended: &Appended) {
        self.state = Arc::new(state);
        self.revision = Some(appended.revision);
        self.position = appended.position;
        self.last_event = last_event;
    }

    /// Remembers that a command was carried out.
    pub(super) fn remember(&mut self, first_event: Uuid, done: Done) {
        self.commands.push(first_event, done);
    }

    pub(super) fn apply(
        &mut self,
        stream: &StreamName,
        recorded: &RecordedEvent,
    ) -> Result<(), HistoryError> {
        let (expected, revision) = (self.events(), recorded.revision);
        if revision != expected {
            return Err(HistoryError::Gap { stream: stream.clone(), expected, found: revision });
        }
        let event: D::Event = decode(stream, recorded)?;
        let state = Arc::make_mut(&mut self.state);
        *state = std::mem::take(state).evolve(&event).map_err(|source| HistoryError::Impossible {
            stream: stream.clone(),
            revision,
            source,
        })?;
        self.revision = Some(revision);
        self.position = recorded.position;
        self.last_event = recorded.id;
        self.commands.note(recorded);
        Ok(())
    }
}

/// Reads one event of `stream`, of whatever version.
pub(super) fn decode<E: DomainEvent>(
    stream: &StreamName,
    recorded: &RecordedEvent,
) -> Result<E, HistoryError> {
    E::decode(&recorded.name, recorded.version, &recorded.payload).map_err(|source| {
        HistoryError::Undecodable {
            stream: stream.clone(),
            revision: recorded.revision,
            source: Arc::new(source),
        }
    })
}

/// The last event of a state: what tells whether it belongs to this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastEvent {
    pub(super) revision: u64,
    pub(super) position: Position,
    pub(super) id: Uuid,
}

/// Where a command's last event is, and with which request it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) command_id: Uuid,
    pub(super) revision: u64,
    pub(super) position: Position,
    pub(super) request_digest: Option<Arc<str>>,
}

/// The newest commands of a stream, by the id of their first event.
#[derive(Debug, Clone, Default)]
struct Remembered {
    by_first_event: HashMap<Uuid, Done>,
    in_order: VecDeque<Uuid>,
    forgot: bool,
}

impl Remembered {
    /// None of those that there were.
    fn none() -> Self {
        Self { forgot: true, ..Self::default() }
    }

    /// Takes in the next event of the history: the first one of a command, or one more of the newest.
    fn note(&mut self, recorded: &RecordedEvent) {
        let command_id = recorded.metadata.command_id;
        let newest = self.in_order.back().and_then(|first_event| self.by_first_event.get_mut(first_event));
        if let Some(done) = newest.filter(|done| done.command_id == command_id) {
            done.revision = recorded.revision;
            done.position = recorded.position;
            return;
        }
        self.push(
            recorded.id,
            Done {
                command_id,
                revision: recorded.revision,
                position: recorded.position,
                request_digest: recorded.metadata.request_digest.as_deref().map(Arc::from),
            },
        );
    }

    fn push(&mut self, first_event: Uuid, done: Done) {
        if self.in_order.len() == REMEMBERED_COMMANDS_MAX
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.by_first_event.remove(&oldest);
            self.forgot = true;
        }
        self.in_order.push_back(first_event);
        self.by_first_event.insert(first_event, done);
    }
}
