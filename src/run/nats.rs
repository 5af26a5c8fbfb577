//! The relay's part in a process, and the other commands' way to NATS: what is wrong with the setting is said
//! at the start, with where its value came from; what is only away for now is waited for.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use event_store::EventStore;
use relay::{Address, Options, Progress, Relay};

use crate::{config::Settings, database::Database};

/// The relay of this process, held against the server that it is to publish to. Fails when the server can
/// never be used as it is set up.
pub(super) async fn relay(
    settings: &Settings,
    database: &Database,
    store: &Arc<dyn EventStore>,
    holder: String,
) -> Result<Relay> {
    let url = settings.nats_url.as_deref().context("nats_url is not set")?;
    let address: Address = url.parse().map_err(|error| at_fault(settings, &error))?;
    if let Err(error) = relay::check(&address).await {
        if error.is_of_configuration() {
            return Err(at_fault(settings, &error));
        }
        tracing::warn!(%error, "the relay begins without NATS and waits for it");
    }
    let progress = Progress::new(&database.roles.service);
    Ok(Relay::new(Arc::clone(store), progress, address, Options::for_holder(holder)))
}

/// Says which setting is at fault. Its value may hold a password and is not shown.
fn at_fault(settings: &Settings, error: &impl std::fmt::Display) -> anyhow::Error {
    let origin = settings.origin("nats_url");
    anyhow!(
        "nats_url (from {origin}) cannot be used: {error}. Correct it with --nats-url or COUNTERFOIL_NATS_URL, or leave \
         the role relay out of --roles"
    )
}
