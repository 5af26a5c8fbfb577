//! The log itself, without locks, faults or time: a vector of everything, and two indexes into it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use events::StreamName;
use uuid::Uuid;

use crate::{
    AppendError, Appended, Direction, ExpectedRevision, Filter, FoundEvent, NewEvent, Page, Position,
    RecordedEvent,
};

#[derive(Default)]
pub(super) struct Log {
    /// In order of position; the event at index `n` has position `n + 1`.
    events: Vec<RecordedEvent>,
    /// For each stream, the indexes of its events in order of revision.
    streams: HashMap<StreamName, Vec<usize>>,
    ids: HashMap<Uuid, usize>,
}

impl Log {
    pub(super) fn head(&self) -> Position {
        Position::of(self.events.len() as u64)
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn append(
        &mut self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
        recorded_at: DateTime<Utc>,
    ) -> Result<Appended, AppendError> {
        let found: Vec<&RecordedEvent> =
            events.iter().filter_map(|event| self.ids.get(&event.id)).map(|&at| &self.events[at]).collect();
        if !found.is_empty() {
            return repeated(stream, expected, &events, &found);
        }
        let indexes = self.streams.get(stream).map_or(0, Vec::len);
        let current = (indexes as u64).checked_sub(1);
        let met = match expected {
            ExpectedRevision::Any => true,
            ExpectedRevision::NoStream => current.is_none(),
            ExpectedRevision::Exact(revision) => current == Some(revision),
        };
        if !met {
            return Err(AppendError::Conflict { stream: stream.clone(), expected, current });
        }

        // After this point it must succeed.
        let indexes = self.streams.entry(stream.clone()).or_default();
        for event in events {
            let at = self.events.len();
            let revision = indexes.len() as u64;
            indexes.push(at);
            self.ids.insert(event.id, at);
            self.events.push(RecordedEvent {
                position: Position::of(at as u64 + 1),
                stream: stream.clone(),
                revision,
                id: event.id,
                name: event.name,
                version: event.version,
                payload: event.payload,
                metadata: event.metadata,
                recorded_at,
            });
        }
        Ok(Appended {
            revision: (indexes.len() as u64).saturating_sub(1),
            position: self.head(),
            replayed: false,
        })
    }

    pub(super) fn read_stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        from: Option<u64>,
        limit: usize,
    ) -> Vec<RecordedEvent> {
        let events = self.streams.get(stream).into_iter().flatten().map(|&at| &self.events[at]);
        match direction {
            Direction::Forwards => events
                .filter(|event| from.is_none_or(|from| event.revision >= from))
                .take(limit)
                .cloned()
                .collect(),
            Direction::Backwards => events
                .rev()
                .filter(|event| from.is_none_or(|from| event.revision <= from))
                .take(limit)
                .cloned()
                .collect(),
        }
    }

    pub(super) fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Page {
        let start = usize::try_from(after.number()).unwrap_or(usize::MAX).min(self.events.len());
        let end = start.saturating_add(limit.max(1)).min(self.events.len());
        let events: Vec<_> =
            self.events[start..end].iter().filter(|event| filter.wants(event)).cloned().collect();
        Page { events, scanned: after.max(Position::of(end as u64)), end: end == self.events.len() }
    }

    pub(super) fn find(&self, event_id: Uuid) -> Option<RecordedEvent> {
        self.ids.get(&event_id).map(|&at| self.events[at].clone())
    }
}

/// The answer to an append of which at least one event is in the log: that of the first time when it
/// is the same append again, and a refusal otherwise.
fn repeated(
    stream: &StreamName,
    expected: ExpectedRevision,
    events: &[NewEvent],
    found: &[&RecordedEvent],
) -> Result<Appended, AppendError> {
    let (Some(first), Some(last)) = (found.first(), found.last()) else {
        return Err(AppendError::AlreadyAppended { stream: stream.clone(), found: Vec::new() });
    };
    let in_one_run = found.iter().zip(0u64..).all(|(event, nth)| {
        event.stream == *stream
            && event.revision == first.revision + nth
            && event.position.number() == first.position.number() + nth
    });
    let expected_then = match expected {
        ExpectedRevision::Any => true,
        ExpectedRevision::NoStream => first.revision == 0,
        ExpectedRevision::Exact(revision) => revision.checked_add(1) == Some(first.revision),
    };
    if found.len() == events.len() && in_one_run && expected_then {
        return Ok(Appended { revision: last.revision, position: last.position, replayed: true });
    }
    let found = found.iter().map(|event| FoundEvent {
        event_id: event.id,
        stream: event.stream.clone(),
        appended: Appended { revision: event.revision, position: event.position, replayed: true },
    });
    Err(AppendError::AlreadyAppended { stream: stream.clone(), found: found.collect() })
}
