//! What can go wrong with a store, told apart by what the caller may do about it.

use events::StreamName;

use crate::{Appended, ExpectedRevision};

/// A read or a connection failed. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or is too busy; trying again later may help.
    #[error("the event store is unavailable while {doing}: {reason}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// What the engine said.
        reason: String,
    },
    /// The store answered something that it must never answer.
    #[error("the event store is corrupt: {reason}")]
    Corrupt {
        /// What was seen.
        reason: String,
    },
}

/// An append was not made, or it is not known whether it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The stream is at another revision than was expected. Nothing was written.
    #[error("stream {stream} was expected at {expected}, but is at {current:?}")]
    Conflict {
        /// The stream.
        stream: StreamName,
        /// What the caller expected.
        expected: ExpectedRevision,
        /// The revision of its last event; `None` when it does not exist.
        current: Option<u64>,
    },
    /// At least one of the event ids is in the log already, and the whole is not an exact repeat of
    /// one append. Nothing was written. Names the events that were found, so that a caller can tell
    /// which of its commands were carried out before.
    #[error("some of the events for stream {stream} are in the log already")]
    AlreadyAppended {
        /// The stream of this append.
        stream: StreamName,
        /// Each id that was found, with where it was written.
        found: Vec<FoundEvent>,
    },
    /// No store could take it: it has no events, the same id twice, or a name that cannot be kept.
    /// Nothing was written, and repeating it is no use.
    #[error("the append to stream {stream} is malformed: {reason}")]
    Malformed {
        /// The stream.
        stream: StreamName,
        /// What is wrong with it.
        reason: String,
    },
    /// The batch is over a limit of the store. Nothing was written, and repeating it is no use.
    #[error("the append to stream {stream} is too large: {reason}")]
    TooLarge {
        /// The stream.
        stream: StreamName,
        /// Which limit, and by how much.
        reason: String,
    },
    /// The store failed. Whether the events were written has been looked up where that was possible;
    /// where it was not, repeating the same append with the same ids is safe.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An event that is in the log already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEvent {
    /// Its id.
    pub event_id: uuid::Uuid,
    /// Its stream.
    pub stream: StreamName,
    /// Its revision and position.
    pub appended: Appended,
}
