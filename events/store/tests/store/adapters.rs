//! An empty store of each kind.

use std::sync::Arc;

#[cfg(feature = "eventstoredb")]
use event_store::eventstoredb::EventStoreDbStore;
use event_store::{
    EventStore,
    memory::MemoryStore,
    postgres::{PostgresStore, migrate},
};
#[cfg(feature = "eventstoredb")]
use eventstoredb_stand_in::{Setup, StandIn};
use platform::postgres::{Databases, testing::fresh_database};

pub(crate) async fn memory() -> Arc<dyn EventStore> {
    Arc::new(MemoryStore::new())
}

pub(crate) async fn postgres() -> Arc<dyn EventStore> {
    Arc::new(PostgresStore::connect(migrated_database().await.service).await.unwrap())
}

/// The server that `EVENTSTOREDB_URL` names, or what stands in for one. In a server each test has a
/// namespace of its own, so that its log is empty.
#[cfg(feature = "eventstoredb")]
pub(crate) async fn eventstoredb() -> Arc<dyn EventStore> {
    let url = match std::env::var("EVENTSTOREDB_URL") {
        Ok(url) => {
            let joined = if url.contains('?') { '&' } else { '?' };
            format!("{url}{joined}namespace=t{}", uuid::Uuid::new_v4().simple())
        }
        Err(_) => {
            let server = StandIn::start(Setup::default()).unwrap();
            let url = server.url();
            // It lives as long as the tests.
            std::mem::forget(server);
            url
        }
    };
    Arc::new(EventStoreDbStore::connect(&url).await.unwrap())
}

/// A database with an empty log.
pub(crate) async fn migrated_database() -> Databases {
    let databases = fresh_database().await;
    migrate(&databases.owner).await.unwrap();
    databases
}
