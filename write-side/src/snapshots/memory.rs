//! Snapshots in memory, for tests and simulation.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use events::StreamName;

use super::{SnapshotError, SnapshotStore, StoredSnapshot};

/// Snapshots that are gone when the process is.
#[derive(Default)]
pub struct MemorySnapshots {
    snapshots: Mutex<HashMap<(StreamName, i32), StoredSnapshot>>,
    found: AtomicU64,
}

impl MemorySnapshots {
    /// How many were found by those who asked.
    pub fn found(&self) -> u64 {
        self.found.load(Ordering::Relaxed)
    }

    /// Drops all of them, as somebody may at any time.
    pub fn forget(&self) {
        self.snapshots().clear();
    }

    /// All of them.
    pub fn all(&self) -> Vec<(StreamName, StoredSnapshot)> {
        let snapshots = self.snapshots();
        snapshots.iter().map(|((stream, _), snapshot)| (stream.clone(), snapshot.clone())).collect()
    }

    fn snapshots(&self) -> MutexGuard<'_, HashMap<(StreamName, i32), StoredSnapshot>> {
        self.snapshots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemorySnapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemorySnapshots({})", self.snapshots().len())
    }
}

#[async_trait]
impl SnapshotStore for MemorySnapshots {
    async fn get(&self, stream: &StreamName, version: i32) -> Result<Option<StoredSnapshot>, SnapshotError> {
        let snapshot = self.snapshots().get(&(stream.clone(), version)).cloned();
        self.found.fetch_add(u64::from(snapshot.is_some()), Ordering::Relaxed);
        Ok(snapshot)
    }

    async fn put(&self, stream: &StreamName, snapshot: StoredSnapshot) -> Result<(), SnapshotError> {
        self.snapshots().insert((stream.clone(), snapshot.version), snapshot);
        Ok(())
    }
}
