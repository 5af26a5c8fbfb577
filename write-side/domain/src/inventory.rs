//! The rules of stock, over one SKU. Reserved and dispatched units together never exceed received ones.
//!
//! **The state does not grow with history.** Only live holds are kept: a hold that was released, expired
//! or dispatched is forgotten, and so is every receipt. An exact repeat of a command about something
//! forgotten is told by the ids of its events, which follow from the id of the command and are in the
//! log already; no decision is made on it a second time.

mod stock;

use chrono::{DateTime, Utc};
use events::ids::{ReservationId, Sku};

pub use stock::{Hold, Stock, Units};

/// What somebody wants done to the stock of a SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Units came in.
    Receive {
        /// The SKU.
        sku: Sku,
        /// Above zero.
        quantity: i64,
        /// The paper that it came with.
        reference: String,
    },
    /// A count or a loss changed what is there. Never below what is reserved.
    Adjust {
        /// The SKU.
        sku: Sku,
        /// Not zero.
        delta: i64,
        /// Why.
        reason: String,
    },
    /// Hold units for an order. An exact repeat of a live hold is nothing; the same id with another
    /// quantity or another time is refused.
    Reserve {
        /// The SKU.
        sku: Sku,
        /// The hold.
        reservation_id: ReservationId,
        /// Above zero.
        quantity: i64,
        /// When the hold may be expired.
        expires_at: DateTime<Utc>,
    },
    /// Give a hold up, committed or not. Nothing when there is no such hold (never made, ended or
    /// dispatched already): an undo can come more than once.
    Release {
        /// The hold.
        reservation_id: ReservationId,
    },
    /// Make a hold a sale, so that it cannot expire. Nothing when it is one already; refused when there
    /// is no such hold.
    Commit {
        /// The hold.
        reservation_id: ReservationId,
    },
    /// The units leave the house. Refused when there is no such hold: nothing leaves unheld.
    Dispatch {
        /// The hold.
        reservation_id: ReservationId,
    },
    /// End a hold whose time is over. Refused before that time and once it is a sale; nothing when it
    /// has ended already.
    Expire {
        /// The hold.
        reservation_id: ReservationId,
        /// The time now.
        now: DateTime<Utc>,
    },
}

/// The rule that was in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Units are counted from one.
    #[error("the quantity of {sku} is {quantity}; it must be above zero")]
    QuantityNotPositive {
        /// The SKU.
        sku: Sku,
        /// The quantity that was given.
        quantity: i64,
    },
    /// An adjustment changes something.
    #[error("the adjustment of {sku} is of nothing")]
    DeltaIsZero {
        /// The SKU.
        sku: Sku,
    },
    /// More than can be counted.
    #[error("{on_hand} units of {sku} are there; {delta} more cannot be counted")]
    StockTooLarge {
        /// The SKU.
        sku: Sku,
        /// Units in the house.
        on_hand: i64,
        /// Units that would have come.
        delta: i64,
    },
    /// What is held for orders cannot be adjusted away.
    #[error(
        "{on_hand} units of {sku} are there and {reserved} of them are held; they cannot change by {delta}"
    )]
    AdjustsBelowReserved {
        /// The SKU.
        sku: Sku,
        /// Units in the house.
        on_hand: i64,
        /// Units that are held.
        reserved: i64,
        /// The adjustment.
        delta: i64,
    },
    /// Nothing is held that is not there.
    #[error("{requested} units of {sku} were asked for, but {available} are available")]
    InsufficientStock {
        /// The SKU.
        sku: Sku,
        /// Units that were asked for.
        requested: i64,
        /// Units that are neither held nor gone.
        available: i64,
    },
    /// A hold is made once.
    #[error("reservation {reservation_id} is held otherwise already")]
    ReservedOtherwise {
        /// The hold.
        reservation_id: ReservationId,
    },
    /// Never made, or ended.
    #[error("there is no reservation {reservation_id}")]
    NoSuchReservation {
        /// The hold.
        reservation_id: ReservationId,
    },
    /// Its time is not over.
    #[error("reservation {reservation_id} expires at {expires_at}, and it is {now}")]
    NotYetExpired {
        /// The hold.
        reservation_id: ReservationId,
        /// When it may be expired.
        expires_at: DateTime<Utc>,
        /// The time that was given.
        now: DateTime<Utc>,
    },
    /// A sale does not expire.
    #[error("reservation {reservation_id} is a sale and does not expire")]
    CommittedDoesNotExpire {
        /// The hold.
        reservation_id: ReservationId,
    },
}
