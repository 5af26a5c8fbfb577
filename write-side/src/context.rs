//! What comes with a command, and what its sender is told. The command's id is chosen by the sender
//! and follows from what is asked (an idempotency key, a saga's step): **the same request has the same
//! id**, and from it follow the ids of the events.

use chrono::{DateTime, Utc};
use event_store::Position;
use events::{Actor, Metadata};
use uuid::Uuid;

/// Who asks, when and why.
#[derive(Debug, Clone)]
pub struct CommandContext {
    /// The same for every repeat of this command.
    pub command_id: Uuid,
    /// The journey that this command is part of.
    pub correlation_id: Uuid,
    /// The event or command that it follows from.
    pub causation_id: Uuid,
    /// Who asks.
    pub actor: Actor,
    /// Business time of what will have happened.
    pub occurred_at: DateTime<Utc>,
    /// SHA-256 of the request in hex, where one id could come with different requests.
    pub request_digest: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The revision that the sender has seen and insists on (`If-Match`).
    pub expected_revision: Option<u64>,
}

impl CommandContext {
    /// The envelope of the events that the command leads to.
    pub(crate) fn metadata(&self) -> Metadata {
        Metadata {
            occurred_at: self.occurred_at,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            command_id: self.command_id,
            request_digest: self.request_digest.clone(),
            actor: self.actor.clone(),
            traceparent: self.traceparent.clone(),
        }
    }

    /// The id of the command's event number `index`, counted from 0.
    pub(crate) fn event_id(&self, index: usize) -> Uuid {
        if platform::fault::planted("no-unique-key") {
            return Uuid::new_v4();
        }
        Uuid::new_v5(&self.command_id, index.to_string().as_bytes())
    }
}

/// The command is carried out, now or before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handled {
    /// The revision of the command's last event, or of the stream's last event when nothing was to
    /// be done; `None` when there was nothing to do in a stream that does not exist.
    pub revision: Option<u64>,
    /// The position of that event.
    pub position: Position,
    /// The command was found carried out in the log: before, or by an attempt of this very call whose
    /// answer was lost.
    pub replayed: bool,
}

/// What a command did when it was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled<E> {
    /// The answer of then.
    pub handled: Handled,
    /// Its events, at least one.
    pub events: Vec<E>,
}
