//! What a process uses NATS for: to publish events, if it runs the relay, and to be woken up, if the log is where
//! nothing else wakes it. What is wrong with the setting is said at the start, with where its value came from; a
//! server that is only away for now is waited for.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use event_store::EventStore;
use platform::shutdown::Shutdown;
use relay::{Address, InvalidAddress, NatsError, Options, Progress, Relay};

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
    let address = parse(settings)?.context("nats_url is not set")?;
    usable(settings, relay::check(&address).await)?;
    Ok(Some(address))
}

/// Lets this process and those that share its log wake each other up, if somebody has to, and NATS is there for it.
/// Who only answers queries neither appends nor follows.
pub(super) async fn wake(settings: &Settings, store: &dyn EventStore, shutdown: &Shutdown) -> Result<()> {
    let wakes = |role: &Role| *role != Role::Read;
    let Some(hints) = store.hints().filter(|_| settings.roles.iter().any(wakes)) else { return Ok(()) };
    let Some(address) = parse(settings)? else { return Ok(()) };
    usable(settings, relay::wake::check(&address).await)?;
    shutdown.spawn("hints", relay::wake::wake_each_other(address, hints, shutdown.token()));
    Ok(())
}

fn parse(settings: &Settings) -> Result<Option<Address>> {
    let url = settings.nats_url.as_deref();
    url.map(|url| url.parse().map_err(|error: InvalidAddress| at_fault(settings, &error))).transpose()
}

/// Fails when waiting does not help.
fn usable(settings: &Settings, checked: Result<(), NatsError>) -> Result<()> {
    match checked {
        Ok(()) => Ok(()),
        Err(error) if error.is_of_configuration() => Err(at_fault(settings, &error)),
        Err(error) => {
            tracing::warn!(%error, "NATS is not there yet; it is waited for");
            Ok(())
        }
    }
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
    let otherwise = if settings.runs(Role::Relay) {
        "leave the role relay out of --roles"
    } else {
        "go without: processes then look for each other's events by and by"
    };
    anyhow!(
        "{}. Correct it with --nats-url or COUNTERFOIL_NATS_URL, or {otherwise}",
        settings.at_fault("nats_url", error)
    )
}
