//! The relay at work: whenever it reaches NATS and has the lease it publishes, and whatever is in the way it
//! waits out.

use std::{sync::Arc, time::Duration};

use event_store::EventStore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Address, Condition, Error, Progress, publish::Publishing, server::Server};

/// The first and the longest pause after a failure.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How a relay goes about it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who holds the lease, for people to read: a process, not a person.
    pub holder: String,
    /// How long a lease lasts without being renewed: after the death of the relay that has it, the next one
    /// publishes within this time.
    pub lease: Duration,
    /// How long JetStream may take to acknowledge an event.
    pub patience: Duration,
}

impl Options {
    /// What suits a service.
    pub fn for_holder(holder: String) -> Self {
        Self { holder, lease: Duration::from_secs(5), patience: Duration::from_secs(10) }
    }
}

/// Hands every event on to NATS. Several may run on one database; one of them publishes.
#[derive(Debug)]
pub struct Relay {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) progress: Progress,
    pub(crate) options: Options,
    pub(crate) condition: Condition,
    address: Address,
}

impl Relay {
    /// A relay of this log to this NATS.
    pub fn new(store: Arc<dyn EventStore>, progress: Progress, address: Address, options: Options) -> Self {
        Self { store, progress, options, condition: Condition::new(), address }
    }

    /// How it is doing.
    pub fn condition(&self) -> Condition {
        self.condition.clone()
    }

    /// Works until `shutdown`. Outages are waited out; what has been sent is finished first.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut backoff = BACKOFF_MIN;
        while !shutdown.is_cancelled() {
            match self.session(&shutdown).await {
                Ok(()) => return,
                Err(error @ Error::Fenced { .. }) => {
                    tracing::warn!(%error, "the relay has lost its lease, or was set back; it moved nothing and begins again");
                }
                Err(error) => {
                    if self.condition.ready().is_ok() {
                        backoff = BACKOFF_MIN;
                    }
                    self.condition.away(&error);
                }
            }
            let _ = tokio::time::timeout(backoff, shutdown.cancelled()).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// One connection to NATS. Ends well only on shutdown.
    async fn session(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        // NATS first: the lease belongs to who can do something with it.
        let reaching = Server::reach(&self.address, self.options.patience);
        let Some(server) = shutdown.run_until_cancelled(reaching).await.transpose()? else { return Ok(()) };
        loop {
            let asked_at = Instant::now();
            if let Some(held) = self.progress.acquire(&self.options.holder, self.options.lease).await? {
                let (lease, checkpoint) = held;
                tracing::info!(fence = lease.fence, %checkpoint, "the relay publishes");
                return Publishing::begin(self, &server, held, asked_at).await?.run(shutdown).await;
            }
            self.condition.well(false);
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                lost = server.lost() => return Err(lost.into()),
                () = tokio::time::sleep(self.options.lease / 10) => {}
            }
        }
    }
}
