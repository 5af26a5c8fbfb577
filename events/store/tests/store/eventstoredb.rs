//! What the EventStoreDB adapter promises beyond the contract: it comes through everything that its client
//! does not, believes nothing that it has not read, and says at once what is wrong with a server.

mod faults;
mod opening;
mod strangers;

use std::{sync::Arc, time::Duration};

use event_store::eventstoredb::{EventStoreDbStore, Settings};
use eventstoredb_stand_in::{Setup, StandIn, url_of};
use platform::proxy::Proxy;

async fn server() -> StandIn {
    StandIn::start(Setup::default()).unwrap()
}

async fn open(server: &StandIn) -> Arc<EventStoreDbStore> {
    Arc::new(EventStoreDbStore::connect(&server.url()).await.unwrap())
}

/// A store that gives a try up soon, behind a proxy.
async fn behind_a_proxy(server: &StandIn) -> (Proxy, Arc<EventStoreDbStore>) {
    let proxy = Proxy::before(server.address()).await.unwrap();
    let settings = Settings { append_timeout: Duration::from_secs(2), ..Settings::default() };
    let store = EventStoreDbStore::connect_with(&url_of(proxy.address()), settings).await.unwrap();
    (proxy, Arc::new(store))
}
