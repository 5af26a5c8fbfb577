//! The state of one stream, folded from its history, with what must be known to decide on it: its
//! revision, the position of its last event, and which commands led to it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use domain::Decider;
use event_store::{Direction, EventStore, Position, RecordedEvent};
use events::{DomainEvent, StreamName};
use uuid::Uuid;

use crate::{HistoryError, error::LoadError};

/// How many events are read at once.
pub(super) const PAGE_EVENTS: usize = 500;
/// How many commands a state remembers, the newest ones.
const REMEMBERED_COMMANDS_MAX: usize = 512;

/// The state of a stream at one revision.
#[derive(Debug, Clone)]
pub(super) struct Snapshot<D> {
    state: D,
    revision: Option<u64>,
    position: Position,
    commands: Remembered,
}

impl<D: Decider> Default for Snapshot<D> {
    /// The state of a stream that does not exist.
    fn default() -> Self {
        Self {
            state: D::default(),
            revision: None,
            position: Position::START,
            commands: Remembered::default(),
        }
    }
}

impl<D: Decider> Snapshot<D> {
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

    /// Reads what was appended since, and says whether there was anything.
    pub(super) async fn catch_up(
        &mut self,
        store: &dyn EventStore,
        stream: &StreamName,
    ) -> Result<bool, LoadError> {
        let before = self.revision;
        loop {
            let from = self.next_revision();
            let page = store.read_stream(stream, Direction::Forwards, Some(from), PAGE_EVENTS).await?;
            for event in &page {
                self.apply(stream, event)?;
            }
            if page.len() < PAGE_EVENTS {
                return Ok(self.revision != before);
            }
        }
    }

    /// Takes over what this process has just appended: the state behind it, and its commands.
    pub(super) fn advance(&mut self, state: D, revision: u64, position: Position) {
        self.state = state;
        self.revision = Some(revision);
        self.position = position;
    }

    /// Remembers that a command was carried out.
    pub(super) fn remember(&mut self, first_event: Uuid, done: Done) {
        self.commands.push(first_event, done);
    }

    fn next_revision(&self) -> u64 {
        self.revision.map_or(0, |revision| revision + 1)
    }

    fn apply(&mut self, stream: &StreamName, recorded: &RecordedEvent) -> Result<(), HistoryError> {
        let (expected, revision) = (self.next_revision(), recorded.revision);
        if revision != expected {
            return Err(HistoryError::Gap { stream: stream.clone(), expected, found: revision });
        }
        let event: D::Event = decode(stream, recorded)?;
        let state = std::mem::take(&mut self.state);
        self.state = state.evolve(&event).map_err(|source| HistoryError::Impossible {
            stream: stream.clone(),
            revision,
            source,
        })?;
        self.revision = Some(revision);
        self.position = recorded.position;
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
