//! What the checkout coordinator knew and decided: the saga's own stream, one for each order.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    codec::wire_events,
    ids::{OrderId, Sku},
    money::Money,
    order::RejectionReason,
};

wire_events! {
    /// A step of a checkout.
    CheckoutEvent in Checkout {
        /// The coordinator took the order on.
        Started(Started) = "CheckoutStarted" v 1,
        /// Every line is held.
        StockReserved(StockReserved) = "CheckoutStockReserved" v 1,
        /// The money is held.
        PaymentAuthorized(PaymentAuthorized) = "CheckoutPaymentAuthorized" v 1,
        /// The order is confirmed: from here on it is only finished or cancelled.
        OrderConfirmed(OrderConfirmed) = "CheckoutOrderConfirmed" v 1,
        /// The money is ours.
        PaymentCaptured(PaymentCaptured) = "CheckoutPaymentCaptured" v 1,
        /// The stock is sold, and the checkout is over.
        Completed(Completed) = "CheckoutCompleted" v 1,
        /// The goods are leaving; stock is to be booked out.
        DispatchStarted(DispatchStarted) = "CheckoutDispatchStarted" v 1,
        /// The stock is booked out and the order completed.
        DispatchCompleted(DispatchCompleted) = "CheckoutDispatchCompleted" v 1,
        /// What was done is being undone.
        CompensationStarted(CompensationStarted) = "CheckoutCompensationStarted" v 1,
        /// No unit is held any longer.
        StockReleased(StockReleased) = "CheckoutStockReleased" v 1,
        /// No money is held or kept any longer.
        PaymentUndone(PaymentUndone) = "CheckoutPaymentUndone" v 1,
        /// Everything is undone.
        Compensated(Compensated) = "CheckoutCompensated" v 1,
        /// The time that was given for a step is over.
        DeadlinePassed(DeadlinePassed) = "CheckoutDeadlinePassed" v 1,
        /// A step was tried past its limit; a person has to look.
        AttentionRequired(AttentionRequired) = "CheckoutAttentionRequired" v 1,
    }
}

/// The coordinator took the order on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The order.
    pub order_id: OrderId,
    /// What to hold, summed per SKU and in SKU order.
    pub items: Vec<Item>,
    /// What to charge.
    pub amount: Money,
    /// What the provider knows the means of payment by.
    pub payment_method: String,
    /// When to give up if the order is not confirmed by then.
    pub deadline: DateTime<Utc>,
    /// The business time that everything in this checkout keeps, where history is imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_at: Option<DateTime<Utc>>,
}

/// Units of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The SKU.
    pub sku: Sku,
    /// Units, above zero.
    pub quantity: i64,
}

/// Declares a step that says only which order it belongs to.
macro_rules! steps {
    ($( $(#[$meta:meta])* $Step:ident ),+ $(,)?) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $Step {
            /// The order.
            pub order_id: OrderId,
        }
    )+ };
}

steps! {
    /// Every line is held.
    StockReserved,
    /// The money is held.
    PaymentAuthorized,
    /// The order is confirmed.
    OrderConfirmed,
    /// The money is ours.
    PaymentCaptured,
    /// The stock is sold, and the checkout is over.
    Completed,
    /// The goods are leaving.
    DispatchStarted,
    /// The stock is booked out and the order completed.
    DispatchCompleted,
    /// No unit is held any longer.
    StockReleased,
    /// No money is held or kept any longer.
    PaymentUndone,
    /// Everything is undone.
    Compensated,
}

/// What was done is being undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompensationStarted {
    /// The order.
    pub order_id: OrderId,
    /// Why.
    pub cause: Cause,
}

/// Why a checkout is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// It could not be finished; the order is to be rejected.
    Failed {
        /// What was in the way.
        reason: RejectionReason,
    },
    /// The order was cancelled.
    Cancelled,
}

/// The time that was given for a step is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlinePassed {
    /// The order.
    pub order_id: OrderId,
    /// The time that was given.
    pub deadline: DateTime<Utc>,
}

/// A step was tried past its limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttentionRequired {
    /// The order.
    pub order_id: OrderId,
    /// What could not be done, as a code: `void`, `refund`, `capture`.
    pub step: String,
}
