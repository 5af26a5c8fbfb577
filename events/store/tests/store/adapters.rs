//! An empty store of each kind.

use std::sync::Arc;

use event_store::{
    EventStore,
    memory::MemoryStore,
    postgres::{PostgresStore, migrate},
};
use platform::postgres::{Databases, testing::fresh_database};

pub(crate) async fn memory() -> Arc<dyn EventStore> {
    Arc::new(MemoryStore::new())
}

pub(crate) async fn postgres() -> Arc<dyn EventStore> {
    Arc::new(PostgresStore::connect(migrated_database().await.service).await.unwrap())
}

/// A database with an empty log.
pub(crate) async fn migrated_database() -> Databases {
    let databases = fresh_database().await;
    migrate(&databases.owner).await.unwrap();
    databases
}
