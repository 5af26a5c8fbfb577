//! An empty store of each kind.

use std::sync::Arc;

use event_store::{
    EventStore,
    memory::MemoryStore,
    postgres::{PostgresStore, migrate},
};
use platform::postgres::testing::fresh_database;

pub(crate) async fn memory() -> Arc<dyn EventStore> {
    Arc::new(MemoryStore::new())
}

pub(crate) async fn postgres() -> Arc<dyn EventStore> {
    let databases = fresh_database().await;
    migrate(&databases.owner).await.unwrap();
    Arc::new(PostgresStore::connect(databases.service).await.unwrap())
}
