//! One step for one key: what an event, or the passing of time, makes the coordinator do. Steps of different
//! keys know nothing of each other and run at once; steps of one key run one after the other.

mod check_out;
mod deliver;
mod pay;
mod perform;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chrono::{DateTime, Utc};
use event_store::{EventStore, RecordedEvent};
use events::{
    Category, DomainEvent,
    ids::{OrderId, PaymentId},
    inventory::InventoryEvent,
};
use platform::{clock::Clock, fault::crash_point};
use quick_cache::sync::Cache;
use uuid::Uuid;
use write_side::Commands;

use super::{
    Config, Interrupt,
    error::Error,
    memories::Memory,
    saga::Beginning,
    state::{CoordinatorState, Key, OF_NEWER_RELEASE, Wake},
};
use crate::gateway::PaymentGateway;

/// Of how many checkouts the beginning is kept in mind, about.
pub(super) const BEGINNINGS_MAX: usize = 20_000;

/// What a step needs from outside.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) commands: Commands,
    pub(super) gateway: Arc<dyn PaymentGateway>,
    pub(super) clock: Clock,
    pub(super) config: Config,
    pub(super) interrupt: Option<Arc<dyn Interrupt>>,
    pub(super) state: Arc<dyn CoordinatorState>,
    /// What checkouts began with, of those that were worked on last.
    pub(super) beginnings: Cache<OrderId, Beginning>,
    /// An event of a newer release was met, and the others were not told yet.
    pub(super) met_newer_release: AtomicBool,
}

/// Why a key is worked on.
#[derive(Debug, Clone)]
pub(super) enum Job {
    /// Something happened.
    Event(Arc<RecordedEvent>),
    /// It is time to look again.
    Wake,
}

/// What a step leaves.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) memory: Memory,
    pub(super) next: Next,
}

/// When the key is to be looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// As before.
    AsBefore,
    /// Only when something happens.
    WhenSomethingHappens,
    /// Then.
    At(Wake),
}

impl Next {
    fn at(due_at: DateTime<Utc>, waiting: impl Into<String>) -> Self {
        Self::At(Wake { due_at, waiting: waiting.into() })
    }
}

/// The categories that the coordinator follows. Not its own: what it wrote it knows, or reads when it
/// needs to. Holds of stock are its own doing too, but a coordinator that was paused may make one after
/// its successor has undone the order: whoever has the partition sees to it that every hold has an owner.
pub(super) const FOLLOWED: [Category; 4] =
    [Category::Order, Category::Payment, Category::Webhook, Category::Inventory];

/// Which keys an event concerns.
pub(super) fn concerned(event: &RecordedEvent) -> Vec<Key> {
    let id = event.stream.id();
    let uuid = || {
        let parsed: Result<Uuid, _> = id.parse();
        if parsed.is_err() {
            tracing::error!(stream = %event.stream, position = %event.position, "a stream has no id that can be followed; it is left alone");
        }
        parsed.ok()
    };
    match event.stream.category() {
        "order" => uuid().map(|id| Key::Checkout(OrderId(id))).into_iter().collect(),
        "payment" => {
            let (checkout, calls) = match event.name.as_str() {
                "PaymentRequested" | "PaymentAuthorized" | "PaymentDiscrepancyFound" => (true, true),
                "PaymentCaptureRequested" | "PaymentVoidRequested" | "PaymentRefundRequested" => {
                    (false, true)
                }
                "PaymentOutcomeUnknown" | "PaymentAttentionRequired" => (false, false),
                _ => (true, false),
            };
            let Some(id) = uuid() else { return vec![] };
            let calls = calls.then_some(Key::Payment(PaymentId(id)));
            let checkout = checkout.then_some(Key::Checkout(OrderId(id)));
            calls.into_iter().chain(checkout).collect()
        }
        "inventory" if event.name == "StockReserved" => held_for(event).into_iter().collect(),
        "webhook" if event.name == "WebhookReceived" => vec![Key::Webhook(id.to_owned())],
        _ => vec![],
    }
}

/// The checkout that units are held for.
fn held_for(event: &RecordedEvent) -> Option<Key> {
    match InventoryEvent::decode(&event.name, event.version, &event.payload) {
        Ok(InventoryEvent::Reserved(reserved)) => Some(Key::Checkout(OrderId(reserved.reservation_id.0))),
        Ok(_) => None,
        Err(error) => {
            tracing::error!(stream = %event.stream, position = %event.position, %error, "a hold cannot be read; it is left alone");
            None
        }
    }
}

impl Worker {
    /// Does what there is to do for a key. Whatever part of it was done before is not done again.
    pub(super) async fn work(&self, key: &Key, job: &Job, memory: Memory) -> Result<Outcome, Error> {
        self.boundary(super::boundary::EVENT_TAKEN)?;
        match key {
            Key::Checkout(order_id) => self.check_out(*order_id, job, memory).await,
            Key::Payment(payment_id) => self.pay(*payment_id, job, &memory).await,
            Key::Webhook(notification_id) => self.deliver(notification_id).await,
        }
    }

    /// What becomes of a key whose step failed for good: it is looked at again after a while, and the others
    /// go on.
    pub(super) fn put_aside(&self, key: &Key, error: &Error) -> Next {
        tracing::error!(%key, %error, "put aside; the others go on");
        Next::at(self.clock.now() + self.config.look_again_after, "put_aside")
    }

    /// Whether what was in the way is an event that only a newer release can read.
    pub(super) async fn is_of_newer_release(&self, error: &Error) -> Result<bool, Error> {
        match error.unknown() {
            Some((name, version)) => Ok(self.state.is_of_newer_release(name, version).await?),
            None => Ok(false),
        }
    }

    /// What becomes of a key that only a newer release can go on with: whoever of that one has its partition
    /// next takes it up.
    pub(super) fn leave_to_newer_release(&self, key: &Key, error: &Error) -> Next {
        tracing::warn!(%key, %error, "left to a process of a newer release; the others go on");
        self.met_newer_release.store(true, Ordering::Relaxed);
        Next::at(self.clock.now() + self.config.look_again_after, OF_NEWER_RELEASE)
    }

    /// The end of one step and the beginning of the next.
    pub(super) fn boundary(&self, boundary: &'static str) -> Result<(), Error> {
        crash_point(boundary);
        if self.interrupt.as_ref().is_some_and(|interrupt| interrupt.interrupts(boundary)) {
            return Err(Error::Interrupted { boundary });
        }
        Ok(())
    }
}
