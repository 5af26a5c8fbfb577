//! How an event lies in the server: the payload as it was given, and in the custom metadata everything
//! that the port keeps and the server has no place for. The server's own time is cut to whole seconds by
//! the client, so ours is there too.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use events::{Metadata, StreamName};
use eventstore::{EventData, ResolvedEvent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{NewEvent, Position, RecordedEvent, StoreError};

/// Streams and events of the server itself begin so.
const SYSTEM: char = '$';

/// What is in the custom metadata.
#[derive(Debug, Serialize, Deserialize)]
struct Custom {
    /// The schema version.
    version: u16,
    recorded_at: DateTime<Utc>,
    /// The append that wrote it. Repeats of it have other ids, which is how they are told from it.
    append_id: Uuid,
    envelope: Metadata,
}

/// An event as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) recorded: RecordedEvent,
    pub(super) append_id: Uuid,
}

/// The names of our streams in a server that others use too.
#[derive(Debug, Clone)]
pub(super) struct Namespace(pub(super) Option<String>);

impl Namespace {
    /// What a stream of ours is called over there.
    pub(super) fn name_of(&self, stream: &StreamName) -> String {
        match &self.0 {
            Some(namespace) => format!("{namespace}.{stream}"),
            None => stream.to_string(),
        }
    }

    /// The stream of ours that is called so over there; `None` for one of others.
    fn own<'a>(&self, name: &'a str) -> Option<&'a str> {
        if name.starts_with(SYSTEM) {
            return None;
        }
        let category = name.split('-').next().unwrap_or_default();
        let (namespace, own) = match category.split_once('.') {
            Some((namespace, _)) => (Some(namespace), &name[namespace.len() + 1..]),
            None => (None, name),
        };
        (namespace == self.0.as_deref()).then_some(own)
    }
}

/// An event on its way to the server.
pub(super) fn encode(
    event: NewEvent,
    append_id: Uuid,
    recorded_at: DateTime<Utc>,
) -> Result<EventData, serde_json::Error> {
    let custom = Custom { version: event.version, recorded_at, append_id, envelope: event.metadata };
    let custom = Bytes::from(serde_json::to_vec(&custom)?);
    Ok(EventData::binary(event.name, event.payload).id(event.id).metadata(custom))
}

/// Something read from the log of everything.
pub(super) struct Seen {
    /// Where it is.
    pub(super) position: Position,
    /// The event; `None` when it is not ours.
    pub(super) event: Option<Stored>,
}

/// Reads an event, whosever it is.
pub(super) fn seen(resolved: ResolvedEvent, namespace: &Namespace) -> Result<Seen, StoreError> {
    let Some(event) = resolved.event else {
        return Err(StoreError::Corrupt { reason: "the server gave a link without an event".to_owned() });
    };
    let (commit, prepare) = (event.position.commit, event.position.prepare);
    let position = Position::of(commit);
    let Some(name) = namespace.own(&event.stream_id) else { return Ok(Seen { position, event: None }) };
    let corrupt = |what: String| StoreError::Corrupt {
        reason: format!("event {} at revision {} of {}: {what}", event.id, event.revision, event.stream_id),
    };
    if commit != prepare {
        return Err(corrupt(format!(
            "it was committed at {commit} and prepared at {prepare}, by a transaction of a kind that is never \
             written here and that has no place of its own in the order of the log"
        )));
    }
    if commit == 0 {
        return Err(corrupt("no event is at the very start of the log".to_owned()));
    }
    if event.event_type.starts_with(SYSTEM) {
        return Err(corrupt(format!("somebody tampered with the stream: {}", event.event_type)));
    }
    let stream = name.parse().map_err(|error| corrupt(format!("{error}")))?;
    let Custom { version, recorded_at, append_id, envelope } = serde_json::from_slice(&event.custom_metadata)
        .map_err(|error| {
            corrupt(format!("it was written by somebody else, its metadata cannot be read: {error}"))
        })?;
    let recorded = RecordedEvent {
        position,
        stream,
        revision: event.revision,
        id: event.id,
        name: event.event_type,
        version,
        payload: event.data,
        metadata: envelope,
        recorded_at,
    };
    Ok(Seen { position, event: Some(Stored { recorded, append_id }) })
}
