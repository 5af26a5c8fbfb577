//! What can go wrong with a step, told apart by what the coordinator does about it: try again, put the order
//! aside and go on with the others, or stop.

use domain::Corrupt;
use event_store::StoreError;
use events::{DecodeError, StreamName};
use write_side::{HandleError, HistoryError, LoadError};

use super::{
    partition::{Partition, listed},
    state::StateError,
};

/// A step was not finished. Doing it again is safe, always.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others wrote to a stream each time.
    #[error("while {doing}: others kept writing to the stream")]
    Contended {
        /// What was being done.
        doing: &'static str,
    },
    /// An event cannot be read.
    #[error("stream {stream}: {source}")]
    Unreadable {
        /// Where it is.
        stream: StreamName,
        /// Why.
        source: DecodeError,
    },
    /// The stream of a checkout holds what no coordinator can have written.
    #[error("stream {stream}: {source}")]
    Impossible {
        /// The stream.
        stream: StreamName,
        /// Why.
        source: Corrupt,
    },
    /// The stream that a command is for cannot be understood.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A rule was in the way that never should be.
    #[error("while {doing}: {reason}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// The rule.
        reason: String,
    },
    /// The coordinator's own state could not be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// Partitions belong to somebody else now, and what was done about them could not be saved.
    #[error("the leases of these partitions are held no longer: {}", listed(partitions))]
    Fenced {
        /// Which.
        partitions: Vec<Partition>,
    },
    /// A simulation stopped the coordinator here.
    #[error("interrupted at {boundary}")]
    Interrupted {
        /// Where.
        boundary: &'static str,
    },
}

impl Error {
    /// Whether the same step may succeed a little later, without a person.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(StoreError::Unavailable { .. })
            | Self::Contended { .. }
            | Self::State(StateError::Unavailable { .. }) => true,
            Self::Store(StoreError::Corrupt { .. })
            | Self::Unreadable { .. }
            | Self::Impossible { .. }
            | Self::History(_)
            | Self::Refused { .. }
            | Self::State(StateError::Corrupt { .. })
            | Self::Fenced { .. }
            | Self::Interrupted { .. } => false,
        }
    }

    /// The name and version of the event that this release does not know, where that is what was in the way.
    pub(super) fn unknown(&self) -> Option<(&str, u16)> {
        match self {
            Self::Unreadable { source, .. } => source.unknown(),
            Self::History(HistoryError::Undecodable { source, .. }) => source.unknown(),
            Self::Store(_)
            | Self::Contended { .. }
            | Self::Impossible { .. }
            | Self::History(_)
            | Self::Refused { .. }
            | Self::State(_)
            | Self::Fenced { .. }
            | Self::Interrupted { .. } => None,
        }
    }

    /// Whether it concerns one order only, so that the others can go on.
    pub(super) fn is_of_one_key(&self) -> bool {
        match self {
            Self::Store(StoreError::Corrupt { .. })
            | Self::Unreadable { .. }
            | Self::Impossible { .. }
            | Self::History(_)
            | Self::Refused { .. } => true,
            Self::Store(StoreError::Unavailable { .. })
            | Self::Contended { .. }
            | Self::State(_)
            | Self::Fenced { .. }
            | Self::Interrupted { .. } => false,
        }
    }

    /// A rule was in the way that never should be.
    pub(super) fn refused(doing: &'static str, refusal: &impl std::error::Error) -> Self {
        Self::Refused { doing, reason: refusal.to_string() }
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) => Self::Store(error),
            LoadError::History(error) => Self::History(error),
        }
    }
}

/// The rule that was in the way of a command, or the error that is not about rules.
pub(super) fn refusal<R: std::error::Error>(doing: &'static str, error: HandleError<R>) -> Result<R, Error> {
    match error {
        HandleError::Refused(refusal) => Ok(refusal),
        HandleError::Store(error) => Err(Error::Store(error)),
        HandleError::Contended { .. } => Err(Error::Contended { doing }),
        HandleError::Corrupt(error) => Err(Error::History(error)),
        HandleError::Unkeepable(error) => Err(Error::Refused { doing, reason: error.to_string() }),
        error @ (HandleError::RequestDiffers | HandleError::RevisionMismatch { .. }) => {
            Err(Error::Refused { doing, reason: error.to_string() })
        }
    }
}
