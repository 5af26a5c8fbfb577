//! The rules of stock, over one SKU. Reserved and dispatched units together never exceed received ones.

use chrono::{DateTime, Utc};
use events::ids::{ReservationId, Sku};

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
    /// quantity, or an id whose hold has ended, is refused.
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
    /// Give a hold up. Nothing when there is no such hold (never made, released or expired already):
    /// an undo can come more than once. Refused once dispatched.
    Release {
        /// The hold.
        reservation_id: ReservationId,
    },
    /// Make a hold a sale, so that it cannot expire.
    Commit {
        /// The hold.
        reservation_id: ReservationId,
    },
    /// The units leave the house.
    Dispatch {
        /// The hold.
        reservation_id: ReservationId,
    },
    /// End a hold whose time is over. Refused before that time; nothing when it has ended already.
    Expire {
        /// The hold.
        reservation_id: ReservationId,
        /// The time now.
        now: DateTime<Utc>,
    },
}
