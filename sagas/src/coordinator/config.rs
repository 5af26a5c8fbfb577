//! What can be set about the coordinator.

use std::time::Duration;

use chrono::TimeDelta;
use events::order::Origin;

use crate::payment::Retry;

/// What can be set about the coordinator.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who works. A process that is started again under the same name takes its own leases over at once; two
    /// that run at the same time need two names.
    pub holder: String,
    /// How long leases are valid without being renewed. They are renewed after a third of it.
    pub lease_ttl: Duration,
    /// How often it is looked how many processes there are, and which partitions are free.
    pub claim_every: Duration,
    /// How long a partition that is given to another process waits for the steps that were begun. Those that
    /// take longer are ended, and begun again by the other.
    pub handover_grace: Duration,
    /// How long a customer waits for their order to be confirmed before it is given up.
    pub checkout_patience: TimeDelta,
    /// The same where history is imported, and nobody waits.
    pub import_patience: TimeDelta,
    /// How long a delivery waits for its payment before a person is told.
    pub webhook_patience: TimeDelta,
    /// After what time something that should have moved is looked at again.
    pub look_again_after: TimeDelta,
    /// How patiently the provider is asked.
    pub retry: Retry,
    /// How many checkouts and deliveries are worked on at once.
    pub concurrency: usize,
    /// How many payments are worked on at once. A slow provider takes these up, and nothing else.
    pub provider_concurrency: usize,
    /// How many events may be taken on and not handled, before no more are read.
    pub backlog_events: usize,
    /// How often the checkpoint is saved at most.
    pub save_every: Duration,
    /// How long a shutdown waits for the steps that were begun.
    pub shutdown_grace: Duration,
}

impl Config {
    /// What suits one process that runs everything.
    pub fn for_holder(holder: impl Into<String>) -> Self {
        Self {
            holder: holder.into(),
            lease_ttl: Duration::from_secs(5),
            claim_every: Duration::from_millis(500),
            handover_grace: Duration::from_secs(3),
            checkout_patience: TimeDelta::minutes(15),
            import_patience: TimeDelta::days(1),
            webhook_patience: TimeDelta::minutes(10),
            look_again_after: TimeDelta::seconds(60),
            retry: Retry::default(),
            concurrency: 64,
            provider_concurrency: 64,
            backlog_events: 4096,
            save_every: Duration::from_millis(100),
            shutdown_grace: Duration::from_secs(20),
        }
    }

    pub(super) fn patience_for(&self, origin: &Origin) -> TimeDelta {
        match origin {
            Origin::Live => self.checkout_patience,
            Origin::Imported { .. } => self.import_patience,
        }
    }
}
