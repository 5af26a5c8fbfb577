//! An empty store of each kind.

use std::sync::Arc;

use event_store::{EventStore, memory::MemoryStore};

/// A store, with what must live as long as it does.
pub(crate) struct Adapter {
    pub(crate) store: Arc<dyn EventStore>,
}

pub(crate) async fn memory() -> Adapter {
    Adapter { store: Arc::new(MemoryStore::new()) }
}
