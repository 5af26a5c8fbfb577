//! The way back: what each fact means while a checkout is undone, and after. **What arrives late is undone,
//! too.**

use events::checkout::{Cause, CheckoutEvent, Compensated, PaymentUndone, Started, StockReleased};

use super::{Reaction, ask_for_a_person};
use crate::checkout::{Fact, Intent, Remaining, State, skus};

pub(super) fn compensating(
    state: &State,
    checkout: &Started,
    cause: &Cause,
    remaining: Remaining,
    fact: &Fact,
) -> Reaction {
    let order_id = checkout.order_id;
    let payment_undone = || CheckoutEvent::PaymentUndone(PaymentUndone { order_id });
    let stock_released = || CheckoutEvent::StockReleased(StockReleased { order_id });
    let compensated = || CheckoutEvent::Compensated(Compensated { order_id });
    match (fact, remaining) {
        (Fact::PaymentUndone, Remaining::PaymentAndStock) => {
            Reaction { events: vec![payment_undone()], intents: vec![] }
        }
        (Fact::StockReleased, Remaining::PaymentAndStock) => {
            Reaction { events: vec![stock_released()], intents: vec![] }
        }
        (Fact::PaymentUndone, Remaining::Payment) => undone(state, cause, payment_undone(), compensated()),
        (Fact::StockReleased, Remaining::Stock) => undone(state, cause, stock_released(), compensated()),
        (Fact::OrderRejected { .. } | Fact::OrderCancelled, Remaining::Order) => {
            Reaction::step(state, vec![compensated()])
        }
        // The provider said something, perhaps late: undo what it says is there.
        (
            Fact::PaymentAuthorized { .. }
            | Fact::PaymentDeclined { .. }
            | Fact::PaymentDiffers
            | Fact::PaymentCaptured { .. }
            | Fact::CaptureFailed { .. }
            | Fact::PaymentMoved,
            _,
        ) => Reaction::only(vec![Intent::UndoPayment]),
        // The stock was given up, and a step that was on its way has taken some all the same.
        (Fact::HoldFound, Remaining::Payment | Remaining::Order) => {
            Reaction::only(vec![Intent::ReleaseStock { skus: skus(checkout) }])
        }
        (Fact::Stuck { step }, _) => ask_for_a_person(checkout, step),
        (Fact::HoldFound, Remaining::PaymentAndStock | Remaining::Stock)
        | (Fact::PaymentUndone, Remaining::Stock | Remaining::Order)
        | (Fact::StockReleased, Remaining::Payment | Remaining::Order)
        | (
            Fact::OrderRejected { .. } | Fact::OrderCancelled,
            Remaining::PaymentAndStock | Remaining::Payment | Remaining::Stock,
        )
        | (
            Fact::OrderPlaced(_)
            | Fact::OrderConfirmed
            | Fact::DispatchRecorded
            | Fact::OrderCompleted
            | Fact::StockReserved
            | Fact::StockShort { .. }
            | Fact::HoldLost
            | Fact::StockCommitted
            | Fact::StockDispatched
            | Fact::DeadlinePassed,
            _,
        ) => Reaction::nothing(),
    }
}

pub(super) fn compensated(checkout: &Started, fact: &Fact) -> Reaction {
    match fact {
        // A success that arrives after everything was given up is given back too.
        Fact::PaymentAuthorized { .. }
        | Fact::PaymentDiffers
        | Fact::PaymentCaptured { .. }
        | Fact::PaymentMoved => Reaction::only(vec![Intent::UndoPayment]),
        // So is stock that a step of ours took after it was released.
        Fact::StockReserved | Fact::HoldFound => {
            Reaction::only(vec![Intent::ReleaseStock { skus: skus(checkout) }])
        }
        Fact::OrderPlaced(_)
        | Fact::OrderConfirmed
        | Fact::OrderRejected { .. }
        | Fact::OrderCancelled
        | Fact::DispatchRecorded
        | Fact::OrderCompleted
        | Fact::StockShort { .. }
        | Fact::HoldLost
        | Fact::StockCommitted
        | Fact::StockReleased
        | Fact::StockDispatched
        | Fact::PaymentDeclined { .. }
        | Fact::CaptureFailed { .. }
        | Fact::PaymentUndone
        | Fact::DeadlinePassed
        | Fact::Stuck { .. } => Reaction::nothing(),
    }
}

/// The last of payment and stock is undone: a cancelled order knows already, another is to be told.
fn undone(state: &State, cause: &Cause, last: CheckoutEvent, compensated: CheckoutEvent) -> Reaction {
    match cause {
        Cause::Failed { .. } => Reaction::step(state, vec![last]),
        Cause::Cancelled => Reaction::step(state, vec![last, compensated]),
    }
}
