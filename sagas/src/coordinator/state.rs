//! The little that the coordinator keeps beside the log, so that a restart need not read it from the
//! beginning: how far everything is handled, and what is to be looked at again and when. **All of it follows
//! from the log and can be dropped.** What is kept of a partition only the holder of its lease may write.

mod memory;
mod postgres;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use event_store::Position;
use events::ids::{OrderId, PaymentId};

pub use memory::MemoryState;
pub use postgres::{PostgresState, migrate};

use super::partition::Partition;

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

/// What a key waits for that only a newer release can go on with. Whoever gets its partition looks at once.
pub(super) const OF_NEWER_RELEASE: &str = "a_newer_release";

/// Something to look at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    /// When.
    pub due_at: DateTime<Utc>,
    /// What it is waiting for, in a word, for whoever asks what is in flight.
    pub waiting: String,
}

/// The right to work on one partition, until it runs out or somebody else gets it. Each has a number that is
/// higher than all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Of what.
    pub partition: Partition,
    /// Its number.
    pub fence: i64,
}

/// What a process is told when it says that it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// How many partitions it is to have.
    pub share: usize,
    /// Those that it has got now.
    pub gained: Vec<Lease>,
}

/// What was kept of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Of which.
    pub partition: Partition,
    /// Every event up to here is completely handled.
    pub checkpoint: Position,
    /// What is to be looked at again.
    pub wakes: Vec<(Key, Wake)>,
}

/// What is to be kept of one partition from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The right to change it.
    pub lease: Lease,
    /// Every event up to here is completely handled.
    pub checkpoint: Position,
    /// For each key that changed when it is to be looked at again; `None` for not at all.
    pub wakes: Vec<(Key, Option<Wake>)>,
}

/// Why nothing was kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StateError {
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

/// Where coordinators keep what they would otherwise have to read the whole log for, and share the work out.
#[async_trait]
pub trait CoordinatorState: Send + Sync + fmt::Debug + 'static {
    /// Says that this holder is there for another `ttl`, and takes free partitions for it until it has its
    /// fair share together with those that it `holds`. Free is what was given back, has run out, or belongs to
    /// a holder of the same name, whose lease is fenced off then.
    async fn claim(&self, holder: &str, ttl: Duration, holds: &[Partition]) -> Result<Claim, StateError>;

    /// What was kept of these partitions.
    async fn load(&self, partitions: &[Partition]) -> Result<Vec<Kept>, StateError>;

    /// Keeps changes and renews their leases for `ttl`, in one transaction. Answers the partitions that belong
    /// to somebody else now: nothing was kept of these, and whoever is told so stops working on them.
    async fn save(&self, ttl: Duration, changes: &[Changes]) -> Result<Vec<Partition>, StateError>;

    /// Gives leases back, so that the next holder need not wait. Those that are lost already stay as they are.
    async fn release(&self, leases: &[Lease]) -> Result<(), StateError>;

    /// This holder is there no longer, and needs no share.
    async fn leave(&self, holder: &str) -> Result<(), StateError>;

    /// Whether a release newer than this one, which has run on the same data, can read this version of this
    /// event. What nobody can read is nobody's.
    async fn is_of_newer_release(&self, name: &str, version: u16) -> Result<bool, StateError> {
        let (_, _) = (name, version);
        Ok(false)
    }

    /// This holder has met an event of a newer release: it has no share as long as others are there that have
    /// not.
    async fn stand_back(&self, holder: &str) -> Result<(), StateError> {
        let _ = holder;
        Ok(())
    }
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

    /// The id alone.
    pub(super) fn id(&self) -> String {
        self.to_parts().1
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
