//! Folded states beside the log, for streams with long histories: a process that starts reads what was appended
//! since, and not the whole history. **A snapshot is never the truth.** All of them can be dropped at any time, and
//! are to be after a log was restored from a copy; one is used only if the event that it ends with is in the log
//! where it says, and what was decided on it is still checked by the revision that the append expects.

mod memory;
mod postgres;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use event_store::{ColumnError, Position};
use events::StreamName;
use uuid::Uuid;

pub use crate::handler::is_borne_out;
pub use memory::MemorySnapshots;
pub use postgres::{PostgresSnapshots, migrate};

/// The state of a stream as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// Of the rules that folded it: [`domain::Snapshotted::VERSION`].
    pub version: i32,
    /// The revision of the last event that is in it.
    pub revision: u64,
    /// Where that event is in the log.
    pub position: Position,
    /// Its id.
    pub event_id: Uuid,
    /// The state, as JSON.
    pub state: String,
}

/// Where snapshots are stored: at most one for each stream and version, the last that was put there.
#[async_trait]
pub trait SnapshotStore: Send + Sync {
    /// That of a stream by the rules of `version`, if there is one.
    async fn get(&self, stream: &StreamName, version: i32) -> Result<Option<StoredSnapshot>, SnapshotError>;

    /// Stores that of a stream in place of the one before.
    async fn put(&self, stream: &StreamName, snapshot: StoredSnapshot) -> Result<(), SnapshotError>;
}

/// A snapshot could not be read or stored. Nothing is lost by that but time.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The database cannot be reached, or refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A revision does not fit into the database's numbers.
    #[error("revision {0} of a snapshot is out of range")]
    Revision(i128),
    /// A position does not either.
    #[error(transparent)]
    Position(#[from] ColumnError),
}

/// Where handlers store snapshots, and how often.
#[derive(Clone)]
pub struct Snapshots {
    pub(crate) store: Arc<dyn SnapshotStore>,
    pub(crate) every_events: u64,
    pub(crate) patience: Duration,
}

impl Snapshots {
    /// How many events of a stream there are from one snapshot to the next, unless it is said otherwise.
    pub const EVERY_EVENTS: u64 = 100;

    /// How long the store may take to answer, unless it is said otherwise. Without a snapshot the history is read.
    pub const PATIENCE: Duration = Duration::from_secs(1);

    /// Snapshots in `store`.
    pub fn new(store: Arc<dyn SnapshotStore>) -> Self {
        Self { store, every_events: Self::EVERY_EVENTS, patience: Self::PATIENCE }
    }

    /// With so many events from one to the next, at least one.
    #[must_use]
    pub fn every(self, events: u64) -> Self {
        Self { every_events: events.max(1), ..self }
    }

    /// With so long for the store to answer.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}
