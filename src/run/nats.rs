//! The relay's part in a process. What is wrong with the setting is said at the start, with where its value
//! came from; a server that is only away for now is waited for.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use event_store::EventStore;
use relay::{Address, Options, Progress, Relay};

use crate::{
    config::{Role, Settings},
    database::Database,
};

/// The NATS that this process publishes to, if it runs the relay. Fails when it can never be used as it is set
/// up: before anything else begins, because a process that does half its work looks healthy.
pub(super) async fn address(settings: &Settings) -> Result<Option<Address>> {
    if !settings.runs(Role::Relay) {
        return Ok(None);
    }
    let url = settings.nats_url.as_deref().context("nats_url is not set")?;
    let address: Address = url.parse().map_err(|error| at_fault(settings, &error))?;
    if let Err(error) = relay::check(&address).await {
        if error.is_of_configuration() {
            return Err(at_fault(settings, &error));
        }
        tracing::warn!(%error, "NATS is not there yet; the relay waits for it");
    }
    Ok(Some(address))
}

/// The relay of this process.
pub(super) fn relay(
    address: Address,
    holder: String,
    database: &Database,
    store: &Arc<dyn EventStore>,
) -> Relay {
    let progress = Progress::new(&database.roles.service);
    Relay::new(Arc::clone(store), progress, address, Options::for_holder(holder))
}

fn at_fault(settings: &Settings, error: &impl std::fmt::Display) -> anyhow::Error {
    anyhow!(
        "{}. Correct it with --nats-url or COUNTERFOIL_NATS_URL, or leave the role relay out of --roles",
        settings.at_fault("nats_url", error)
    )
}
