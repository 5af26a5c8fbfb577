//! The rules of an adjustment in the books: made once, not of nothing.

use events::{Money, ids::LedgerAdjustmentId};

/// What somebody wants done in the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make an adjustment that belongs to no order.
    Adjust {
        /// The adjustment.
        adjustment_id: LedgerAdjustmentId,
        /// Its number where it was made.
        reference: String,
        /// How much, with its sign; not zero.
        amount: Money,
        /// Why.
        reason: String,
    },
}
