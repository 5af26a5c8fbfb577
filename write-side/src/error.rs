//! Why a command was not carried out, told apart by what its sender may do about it.

use std::sync::Arc;

use domain::Corrupt;
use event_store::StoreError;
use events::{DecodeError, StreamName};

/// The command left nothing behind, except where `Store` says that this is not known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HandleError<R: std::error::Error + 'static> {
    /// A rule was in the way.
    #[error(transparent)]
    Refused(R),
    /// A command with this id was carried out before, and it asked for something else.
    #[error("a command with this id was carried out before, and it asked for something else")]
    RequestDiffers,
    /// The stream is not where the sender insisted that it be.
    #[error("the stream was expected at revision {expected}, but is at {current:?}")]
    RevisionMismatch {
        /// What the sender had seen.
        expected: u64,
        /// The revision of its last event; `None` when it does not exist.
        current: Option<u64>,
    },
    /// Others wrote to the stream each time. Trying again later is safe.
    #[error("others wrote to the stream in all of {attempts} attempts")]
    Contended {
        /// How many times the command was decided.
        attempts: u32,
    },
    /// The store cannot keep what was decided, whenever it is asked.
    #[error(transparent)]
    Unkeepable(Unkeepable),
    /// The history of the stream cannot be understood, so that nothing can be decided on it.
    #[error(transparent)]
    Corrupt(HistoryError),
    /// The store failed. The command may have been carried out; repeating it with the same id is safe.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The history of a stream could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was read, but cannot be understood.
    #[error(transparent)]
    History(#[from] HistoryError),
}

impl<R: std::error::Error> From<LoadError> for HandleError<R> {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) => Self::Store(error),
            LoadError::History(error) => Self::Corrupt(error),
        }
    }
}

/// What was decided is over a limit of the store, or of a form that it cannot keep.
#[derive(Debug, Clone, thiserror::Error)]
#[error("what was decided cannot be kept in stream {stream}: {reason}")]
pub struct Unkeepable {
    /// The stream.
    pub stream: StreamName,
    /// Which limit, and by how much.
    pub reason: String,
}

/// An event that cannot be understood, or could not be written so that it is understood again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HistoryError {
    /// Its name, version or payload is unknown to this release.
    #[error("revision {revision} of stream {stream} cannot be read: {source}")]
    Undecodable {
        /// The stream.
        stream: StreamName,
        /// The revision.
        revision: u64,
        /// Why.
        source: Arc<DecodeError>,
    },
    /// It cannot follow what was before it.
    #[error("revision {revision} of stream {stream}: {source}")]
    Impossible {
        /// The stream.
        stream: StreamName,
        /// The revision.
        revision: u64,
        /// Why.
        source: Corrupt,
    },
    /// Revisions are not consecutive.
    #[error("stream {stream} has revision {found} where {expected} was due")]
    Gap {
        /// The stream.
        stream: StreamName,
        /// The revision that should have come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// A new event has no JSON form.
    #[error("an event for stream {stream} cannot be written: {source}")]
    Unencodable {
        /// The stream.
        stream: StreamName,
        /// Why.
        source: Arc<serde_json::Error>,
    },
}

impl HistoryError {
    /// Whether there is an event of a newer version than this release knows. The newer release understands it.
    pub fn is_of_newer_release(&self) -> bool {
        matches!(self, Self::Undecodable { source, .. } if source.is_newer_version())
    }
}
