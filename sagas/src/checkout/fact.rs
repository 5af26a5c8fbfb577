//! What a checkout can learn: from the log, from the answers to its own commands, and from the clock. Facts
//! arrive more than once and late; the saga takes each as it finds it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use events::{
    Money,
    checkout::{Item, Started},
    ids::Sku,
    order::{OrderEvent, Origin, Placed, RejectionReason},
    payment::{Operation, PaymentEvent},
};

/// Something that a checkout learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The customer agreed to buy: the checkout, if it is taken on now.
    OrderPlaced(Box<Started>),
    /// The shop agreed to sell.
    OrderConfirmed,
    /// The order is rejected.
    OrderRejected {
        /// Why.
        reason: RejectionReason,
    },
    /// The order is cancelled.
    OrderCancelled,
    /// The goods have left.
    DispatchRecorded,
    /// Nothing remains to be done about the order.
    OrderCompleted,
    /// Every line is held.
    StockReserved,
    /// Too few units are left of a SKU.
    StockShort {
        /// The SKU.
        sku: Sku,
        /// Units asked for.
        requested: i64,
        /// Units that are left.
        available: i64,
    },
    /// Units of one SKU are held for the order, by whichever coordinator.
    HoldFound,
    /// Something that was held is held no longer.
    HoldLost,
    /// Every hold is a sale.
    StockCommitted,
    /// Nothing is held any longer.
    StockReleased,
    /// Everything that was held is booked out.
    StockDispatched,
    /// The provider holds the money.
    PaymentAuthorized {
        /// How much.
        amount: Money,
    },
    /// The provider will not.
    PaymentDeclined {
        /// Its reason code.
        code: String,
    },
    /// The provider's answer is not what was asked for.
    PaymentDiffers,
    /// Money is ours.
    PaymentCaptured {
        /// How much, in all.
        in_all: Money,
    },
    /// The provider refused to let us take it.
    CaptureFailed {
        /// Its reason code.
        code: String,
    },
    /// Something else happened to the payment, so that undoing it may have become possible.
    PaymentMoved,
    /// No money is held or kept.
    PaymentUndone,
    /// The time for the checkout is over.
    DeadlinePassed,
    /// Something cannot be done, and a person has to look; it is tried again slowly.
    Stuck {
        /// What, as a code: `refund`, or the name of an intent.
        step: &'static str,
    },
}

/// The checkout of an order that was just placed, to be given up at `deadline`. Lines of the same SKU are
/// one item; items are in SKU order.
///
/// Saturates where quantities of one SKU do not fit into 64 bits together: no shop has as much in stock,
/// so that the checkout ends as sold out.
pub fn started(placed: &Placed, business_time: DateTime<Utc>, deadline: DateTime<Utc>) -> Started {
    let mut quantities: BTreeMap<&Sku, i64> = BTreeMap::new();
    for line in &placed.lines {
        let quantity = quantities.entry(&line.sku).or_default();
        *quantity = quantity.saturating_add(line.quantity);
    }
    let imported_at = match placed.origin {
        Origin::Live => None,
        Origin::Imported { .. } => Some(business_time),
    };
    Started {
        order_id: placed.order_id,
        items: quantities.into_iter().map(|(sku, quantity)| Item { sku: sku.clone(), quantity }).collect(),
        amount: placed.total,
        payment_method: placed.payment_method.clone(),
        deadline,
        imported_at,
    }
}

/// What an event of the order means to its checkout. `started` is asked only when the order is new.
pub fn of_order(event: &OrderEvent, started: impl FnOnce(&Placed) -> Started) -> Fact {
    match event {
        OrderEvent::Placed(placed) => Fact::OrderPlaced(Box::new(started(placed))),
        OrderEvent::Confirmed(_) => Fact::OrderConfirmed,
        OrderEvent::Rejected(rejected) => Fact::OrderRejected { reason: rejected.reason.clone() },
        OrderEvent::Cancelled(_) => Fact::OrderCancelled,
        OrderEvent::DispatchRecorded(_) => Fact::DispatchRecorded,
        OrderEvent::Completed(_) => Fact::OrderCompleted,
    }
}

/// What an event of the payment means to the checkout, if anything. A capture counts only itself here; who
/// knows of others adds them up.
pub fn of_payment(event: &PaymentEvent) -> Option<Fact> {
    match event {
        PaymentEvent::Authorized(authorized) => Some(Fact::PaymentAuthorized { amount: authorized.amount }),
        PaymentEvent::Declined(declined) => Some(Fact::PaymentDeclined { code: declined.code.clone() }),
        PaymentEvent::Captured(captured) => Some(Fact::PaymentCaptured { in_all: captured.amount }),
        PaymentEvent::CaptureFailed(failed) => Some(Fact::CaptureFailed { code: failed.code.clone() }),
        PaymentEvent::DiscrepancyFound(found) => match found.operation {
            // An authorization without an amount, or of another, is not one to build on.
            Operation::Authorize if found.expected.is_some() && found.reported != found.expected => {
                Some(Fact::PaymentDiffers)
            }
            Operation::Authorize | Operation::Capture { .. } | Operation::Void | Operation::Refund { .. } => {
                Some(Fact::PaymentMoved)
            }
        },
        PaymentEvent::Requested(_)
        | PaymentEvent::Voided(_)
        | PaymentEvent::Refunded(_)
        | PaymentEvent::RefundFailed(_) => Some(Fact::PaymentMoved),
        PaymentEvent::OutcomeUnknown(_)
        | PaymentEvent::CaptureRequested(_)
        | PaymentEvent::VoidRequested(_)
        | PaymentEvent::RefundRequested(_)
        | PaymentEvent::AttentionRequired(_) => None,
    }
}
