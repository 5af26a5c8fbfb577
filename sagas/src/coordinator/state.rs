//! The little that the coordinator keeps beside the log, so that a restart need not read it from the
//! beginning: how far everything is handled, and what is to be looked at again and when. **All of it follows
//! from the log and can be dropped.** Only the holder of the lease may write it.

mod memory;
mod postgres;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use event_store::Position;
use events::ids::{OrderId, PaymentId};

pub use memory::MemoryState;
pub use postgres::{MigrateError, PostgresState, migrate};

/// What the coordinator works on, one step at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The checkout of an order.
    Checkout(OrderId),
    /// The calls to the provider for a payment.
    Payment(PaymentId),
    /// A delivery of a provider, by the id of its notification.
    Webhook(String),
}

/// Something to look at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    /// When.
    pub due_at: DateTime<Utc>,
    /// What it is waiting for, in a word, for whoever asks what is in flight.
    pub waiting: String,
}

/// The right to work, until it runs out or somebody else gets it. Each has a number that is higher than
/// all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Its number.
    pub fence: i64,
}

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// Every event up to here is completely handled.
    pub checkpoint: Position,
    /// What is to be looked at again.
    pub wakes: Vec<(Key, Wake)>,
}

/// What is to be kept from now on, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Every event up to here is completely handled.
    pub checkpoint: Position,
    /// For each key that changed when it is to be looked at again; `None` for not at all.
    pub wakes: Vec<(Key, Option<Wake>)>,
}

/// Why nothing was kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StateError {
    /// The lease ran out or belongs to somebody else now. Whoever is told so stops working.
    #[error("the lease {fence} of the coordinator is held no longer")]
    Fenced {
        /// The number of the lease that was shown.
        fence: i64,
    },
    /// The place where it is kept failed; trying again later may help.
    #[error("the coordinator's state is unavailable while {doing}: {reason}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// What the engine said.
        reason: String,
    },
    /// What was kept cannot be read. Drop it, and it is built again from the log.
    #[error("the coordinator's state cannot be read: {reason}")]
    Corrupt {
        /// What was found.
        reason: String,
    },
}

/// Where the coordinator keeps what it would otherwise have to read the whole log for.
#[async_trait]
pub trait CoordinatorState: Send + Sync + fmt::Debug + 'static {
    /// Takes the lease for `ttl`, unless another holder's has not run out. A holder that comes again gets a
    /// new lease, and its old one is fenced off.
    async fn acquire(&self, holder: &str, ttl: Duration) -> Result<Option<Lease>, StateError>;

    /// What was kept.
    async fn load(&self) -> Result<Kept, StateError>;

    /// Keeps changes and renews the lease for `ttl`, in one transaction.
    async fn save(&self, lease: Lease, ttl: Duration, changes: &Changes) -> Result<(), StateError>;

    /// Gives the lease back, so that the next holder need not wait. Nothing when it is lost already.
    async fn release(&self, lease: Lease) -> Result<(), StateError>;
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkout(order_id) => write!(f, "checkout {order_id}"),
            Self::Payment(payment_id) => write!(f, "payment {payment_id}"),
            Self::Webhook(notification_id) => write!(f, "webhook {notification_id}"),
        }
    }
}

impl Key {
    /// The kind and the id, for keeping.
    fn to_parts(&self) -> (&'static str, String) {
        match self {
            Self::Checkout(order_id) => ("checkout", order_id.to_string()),
            Self::Payment(payment_id) => ("payment", payment_id.to_string()),
            Self::Webhook(notification_id) => ("webhook", notification_id.clone()),
        }
    }

    fn from_parts(kind: &str, id: &str) -> Option<Self> {
        match kind {
            "checkout" => id.parse().ok().map(Self::Checkout),
            "payment" => id.parse().ok().map(Self::Payment),
            "webhook" => Some(Self::Webhook(id.to_owned())),
            _ => None,
        }
    }
}
