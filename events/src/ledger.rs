//! Adjustments that were made in the books themselves and belong to no order: bad debt and the like.

use serde::{Deserialize, Serialize};

use crate::{codec::wire_events, ids::LedgerAdjustmentId, money::Money};

wire_events! {
    /// What happened in the books alone.
    LedgerEvent in Ledger {
        /// An adjustment was made.
        Adjusted(Adjusted) = "LedgerAdjusted" v 1,
    }
}

/// An adjustment was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjusted {
    /// The adjustment.
    pub adjustment_id: LedgerAdjustmentId,
    /// Its number where it was made.
    pub reference: String,
    /// How much, with its sign.
    pub amount: Money,
    /// Why.
    pub reason: String,
}
