//! Stock, a stream per SKU. Reserved and dispatched units together never exceed those received.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    codec::wire_events,
    ids::{ReservationId, Sku},
};

wire_events! {
    /// What happened to the stock of a SKU.
    InventoryEvent in Inventory {
        /// Units came in.
        Received(Received) = "StockReceived" v 1,
        /// A count or a loss changed what is there.
        Adjusted(Adjusted) = "StockAdjusted" v 1,
        /// Units are held for an order until a time.
        Reserved(Reserved) = "StockReserved" v 1,
        /// A hold was given up.
        Released(Released) = "StockReleased" v 1,
        /// A hold ran out of time.
        Expired(Expired) = "StockReservationExpired" v 1,
        /// A hold became a sale: it expires no more.
        Committed(Committed) = "StockCommitted" v 1,
        /// The units left the house.
        Dispatched(Dispatched) = "StockDispatched" v 1,
    }
}

/// Units came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The SKU.
    pub sku: Sku,
    /// Units, above zero.
    pub quantity: i64,
    /// The delivery note or other paper that it came with.
    pub reference: String,
}

/// A count or a loss changed what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjusted {
    /// The SKU.
    pub sku: Sku,
    /// Units, positive when found, negative when lost.
    pub delta: i64,
    /// Why.
    pub reason: String,
}

/// Units are held for an order until a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// The SKU.
    pub sku: Sku,
    /// The hold, named after the order.
    pub reservation_id: ReservationId,
    /// Units, above zero.
    pub quantity: i64,
    /// When the hold may be expired.
    pub expires_at: DateTime<Utc>,
}

/// A hold was given up, and its units are free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The SKU.
    pub sku: Sku,
    /// The hold.
    pub reservation_id: ReservationId,
    /// The units that are free again.
    pub quantity: i64,
}

/// A hold ran out of time, and its units are free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// The SKU.
    pub sku: Sku,
    /// The hold.
    pub reservation_id: ReservationId,
    /// The units that are free again.
    pub quantity: i64,
}

/// A hold became a sale: paid for, and no longer subject to expiry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The SKU.
    pub sku: Sku,
    /// The hold.
    pub reservation_id: ReservationId,
    /// Units.
    pub quantity: i64,
}

/// The units left the house.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatched {
    /// The SKU.
    pub sku: Sku,
    /// The hold that they were under.
    pub reservation_id: ReservationId,
    /// Units.
    pub quantity: i64,
}
