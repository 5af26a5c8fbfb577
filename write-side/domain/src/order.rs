//! The rules of an order: placed, then confirmed or rejected, cancelled until dispatched, completed.

use events::{
    ids::{CustomerId, OrderId},
    order::{CancellationReason, Line, Origin, RejectionReason},
    sealed::Sealed,
};

/// What somebody wants done to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The customer agrees to buy. Lines come priced by the catalog (or by history, when imported);
    /// the decider checks every amount and computes the total.
    Place {
        /// The order.
        order_id: OrderId,
        /// Who buys.
        customer_id: Option<CustomerId>,
        /// Name, e-mail, address. Not part of what makes a repeat exact: sealing is randomized.
        contact: Option<Sealed>,
        /// At least one, all of one currency.
        lines: Vec<Line>,
        /// What the provider knows the means of payment by.
        payment_method: String,
        /// Live or imported.
        origin: Origin,
    },
    /// The shop agrees to sell.
    Confirm,
    /// The checkout could not be finished.
    Reject {
        /// Why.
        reason: RejectionReason,
    },
    /// Call it off; possible until it is dispatched.
    Cancel {
        /// Why.
        reason: CancellationReason,
    },
    /// The goods are handed over; the order must be confirmed.
    RecordDispatch,
    /// Nothing remains to be done; the order must be dispatched.
    Complete,
}
