//! The saga's decisions: for every state what every fact means to it. What changes the state is written
//! down first, as events; the intents follow from the new state. Long, because no pair is left to a default:
//! a new fact does not compile until each state says what it makes of it. The way back is in `undo`.

mod undo;

use events::{
    checkout::{
        AttentionRequired, Cause, CheckoutEvent, CompensationStarted, Completed, DeadlinePassed,
        DispatchCompleted, DispatchStarted, OrderConfirmed, PaymentAuthorized, PaymentCaptured,
        PaymentUndone, Started, StockReserved,
    },
    ids::Sku,
    order::RejectionReason,
};

use super::{Fact, Intent, State};

/// What the saga makes of a fact.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reaction {
    /// To be written to the saga's own stream, before anything is done.
    pub events: Vec<CheckoutEvent>,
    /// To be done then.
    pub intents: Vec<Intent>,
}

impl Reaction {
    fn nothing() -> Self {
        Self::default()
    }

    fn only(intents: Vec<Intent>) -> Self {
        Self { events: vec![], intents }
    }

    /// The events, and what is to be done in the state that they lead to.
    fn step(state: &State, events: Vec<CheckoutEvent>) -> Self {
        let reached = events.iter().try_fold(state.clone(), State::evolve);
        let intents = reached.map(|state| state.intents()).unwrap_or_default();
        Self { events, intents }
    }
}

/// What the saga makes of `fact` in `state`.
pub fn react(state: &State, fact: &Fact) -> Reaction {
    match state {
        State::NotStarted => not_started(state, fact),
        State::Reserving(checkout) => reserving(state, checkout, fact),
        State::Authorizing(checkout) => authorizing(state, checkout, fact),
        State::Confirming(checkout) => confirming(state, checkout, fact),
        State::Capturing(checkout) => capturing(state, checkout, fact),
        State::Committing(checkout) => committing(state, checkout, fact),
        State::Completed(checkout) => completed(state, checkout, fact),
        State::Dispatching(checkout) => dispatching(state, checkout, fact),
        State::Dispatched(_) => dispatched(fact),
        State::Compensating { checkout, cause, remaining } => {
            undo::compensating(state, checkout, cause, *remaining, fact)
        }
        State::Compensated(checkout) => undo::compensated(checkout, fact),
    }
}

fn not_started(state: &State, fact: &Fact) -> Reaction {
    match fact {
        Fact::OrderPlaced(checkout) => {
            Reaction::step(state, vec![CheckoutEvent::Started((**checkout).clone())])
        }
        Fact::OrderConfirmed
        | Fact::OrderRejected { .. }
        | Fact::OrderCancelled
        | Fact::DispatchRecorded
        | Fact::OrderCompleted
        | Fact::StockReserved
        | Fact::StockShort { .. }
        | Fact::HoldFound
        | Fact::HoldLost
        | Fact::StockCommitted
        | Fact::StockReleased
        | Fact::StockDispatched
        | Fact::PaymentAuthorized { .. }
        | Fact::PaymentDeclined { .. }
        | Fact::PaymentDiffers
        | Fact::PaymentCaptured { .. }
        | Fact::CaptureFailed { .. }
        | Fact::PaymentMoved
        | Fact::PaymentUndone
        | Fact::DeadlinePassed
        | Fact::Stuck { .. } => Reaction::nothing(),
    }
}

fn reserving(state: &State, checkout: &Started, fact: &Fact) -> Reaction {
    match fact {
        Fact::Stuck { step } => ask_for_a_person(checkout, step),
        Fact::StockReserved => Reaction::step(
            state,
            vec![CheckoutEvent::StockReserved(StockReserved { order_id: checkout.order_id })],
        ),
        Fact::StockShort { sku, requested, available } => {
            run_short(state, checkout, sku, *requested, *available)
        }
        Fact::HoldLost => fail(state, checkout, RejectionReason::ReservationExpired),
        Fact::OrderRejected { reason } => fail(state, checkout, reason.clone()),
        Fact::OrderCancelled => cancel(state, checkout),
        Fact::DeadlinePassed => run_out_of_time(state, checkout),
        Fact::OrderPlaced(_)
        | Fact::OrderConfirmed
        | Fact::DispatchRecorded
        | Fact::OrderCompleted
        | Fact::HoldFound
        | Fact::StockCommitted
        | Fact::StockReleased
        | Fact::StockDispatched
        | Fact::PaymentAuthorized { .. }
        | Fact::PaymentDeclined { .. }
        | Fact::PaymentDiffers
        | Fact::PaymentCaptured { .. }
        | Fact::CaptureFailed { .. }
        | Fact::PaymentMoved
        | Fact::PaymentUndone => Reaction::nothing(),
    }
}

fn authorizing(state: &State, checkout: &Started, fact: &Fact) -> Reaction {
    match fact {
        Fact::Stuck { step } => ask_for_a_person(checkout, step),
        Fact::PaymentAuthorized { amount } if *amount == checkout.amount => Reaction::step(
            state,
            vec![CheckoutEvent::PaymentAuthorized(PaymentAuthorized { order_id: checkout.order_id })],
        ),
        Fact::PaymentAuthorized { .. } | Fact::PaymentDiffers => {
            fail(state, checkout, RejectionReason::PaymentDiffers)
        }
        Fact::PaymentDeclined { code } => {
            fail(state, checkout, RejectionReason::PaymentDeclined { code: code.clone() })
        }
        Fact::HoldLost => fail(state, checkout, RejectionReason::ReservationExpired),
        Fact::OrderRejected { reason } => fail(state, checkout, reason.clone()),
        Fact::OrderCancelled => cancel(state, checkout),
        Fact::DeadlinePassed => run_out_of_time(state, checkout),
        Fact::OrderPlaced(_)
        | Fact::OrderConfirmed
        | Fact::DispatchRecorded
        | Fact::OrderCompleted
        | Fact::StockReserved
        | Fact::StockShort { .. }
        | Fact::HoldFound
        | Fact::StockCommitted
        | Fact::StockReleased
        | Fact::StockDispatched
        | Fact::PaymentCaptured { .. }
        | Fact::CaptureFailed { .. }
        | Fact::PaymentMoved
        | Fact::PaymentUndone => Reaction::nothing(),
    }
}

fn confirming(state: &State, checkout: &Started, fact: &Fact) -> Reaction {
    match fact {
        Fact::Stuck { step } => ask_for_a_person(checkout, step),
        Fact::OrderConfirmed => Reaction::step(
            state,
            vec![CheckoutEvent::OrderConfirmed(OrderConfirmed { order_id: checkout.order_id })],
        ),
        Fact::OrderRejected { reason } => fail(state, checkout, reason.clone()),
        Fact::OrderCancelled => cancel(state, checkout),
        // The money is held, and confirming is ours to do at once: time cannot run out any more.
        Fact::DeadlinePassed
        | Fact::OrderPlaced(_)
        | Fact::DispatchRecorded
        | Fact::OrderCompleted
        | Fact::StockReserved
        | Fact::StockShort { .. }
        | Fact::HoldFound
        | Fact::HoldLost
        | Fact::StockCommitted
        | Fact::StockReleased
        | Fact::StockDispatched
        | Fact::PaymentAuthorized { .. }
        | Fact::PaymentDeclined { .. }
        | Fact::PaymentDiffers
        | Fact::PaymentCaptured { .. }
        | Fact::CaptureFailed { .. }
        | Fact::PaymentMoved
        | Fact::PaymentUndone => Reaction::nothing(),
    }
}

fn capturing(state: &State, checkout: &Started, fact: &Fact) -> Reaction {
    match fact {
        Fact::Stuck { step } => ask_for_a_person(checkout, step),
        Fact::PaymentCaptured { in_all } if in_all.covers(checkout.amount) => Reaction::step(
            state,
            vec![CheckoutEvent::PaymentCaptured(PaymentCaptured { order_id: checkout.order_id })],
        ),
        // A part was captured by somebody else, or something moved: see what is left to capture.
        Fact::PaymentCaptured { .. } | Fact::PaymentMoved => Reaction::only(state.intents()),
        Fact::CaptureFailed { code } => {
            fail(state, checkout, RejectionReason::CaptureFailed { code: code.clone() })
        }
        Fact::OrderRejected { reason } => fail(state, checkout, reason.clone()),
        Fact::OrderCancelled => cancel(state, checkout),
        // The goods left before we heard that the money is ours. It is looked for again once we have.
        Fact::DispatchRecorded
        | Fact::DeadlinePassed
        | Fact::OrderPlaced(_)
        | Fact::OrderConfirmed
        | Fact::OrderCompleted
        | Fact::StockReserved
        | Fact::StockShort { .. }
        | Fact::HoldFound
        | Fact::HoldLost
        | Fact::StockCommitted
        | Fact::StockReleased
        | Fact::StockDispatched
        | Fact::PaymentAuthorized { .. }
        | Fact::PaymentDeclined { .. }
        | Fact::PaymentDiffers
        | Fact::PaymentUndone => Reaction::nothing(),
    }
}

fn committing(state: &State, checkout: &Started, fact: &Fact) -> Reaction {
    match fact {
        Fact::Stuck { step } => ask_for_a_person(checkout, step),
        Fact::StockCommitted => {
            Reaction::step(state, vec![CheckoutEvent::Completed(Completed { order_id: checkout.order_id })])
        }
        // Live, the goods left before the stock was sold; it is looked for again once it is.
        Fact::DispatchRecorded if checkout.imported_at.is_some() => start_dispatch(state, checkout),
        Fact::HoldLost => fail(state, checkout, RejectionReason::ReservationExpired),
        Fact::OrderRejected { reason } => fail(state, checkout, reason.clone()),
        Fact::OrderCancelled => cancel(state, checkout),
        Fact::DispatchRecorded
        | Fact::DeadlinePassed
        | Fact::OrderPlaced(_)
        | Fact::OrderConfirmed
        | Fact::OrderCompleted
        | Fact::StockReserved
        | Fact::StockShort { .. }
        | Fact::HoldFound
        | Fact::StockReleased
        | Fact::StockDispatched
        | Fact::PaymentAuthorized { .. }
        | Fact::PaymentDeclined { .. }
        | Fact::PaymentDiffers
        | Fact::PaymentCaptured { .. }
        | Fact::CaptureFailed { .. }
        | Fact::PaymentMoved
        | Fact::PaymentUndone => Reaction::nothing(),
    }
}

fn completed(state: &State, checkout: &Started, fact: &Fact) -> Reaction {
    match fact {
        Fact::DispatchRecorded => start_dispatch(state, checkout),
        Fact::OrderRejected { reason } => fail(state, checkout, reason.clone()),
        Fact::OrderCancelled => cancel(state, checkout),
        Fact::DeadlinePassed
        | Fact::OrderPlaced(_)
        | Fact::OrderConfirmed
        | Fact::OrderCompleted
        | Fact::StockReserved
        | Fact::StockShort { .. }
        | Fact::HoldFound
        | Fact::HoldLost
        | Fact::StockCommitted
        | Fact::StockReleased
        | Fact::StockDispatched
        | Fact::PaymentAuthorized { .. }
        | Fact::PaymentDeclined { .. }
        | Fact::PaymentDiffers
        | Fact::PaymentCaptured { .. }
        | Fact::CaptureFailed { .. }
        | Fact::PaymentMoved
        | Fact::PaymentUndone
        | Fact::Stuck { .. } => Reaction::nothing(),
    }
}

fn dispatching(state: &State, checkout: &Started, fact: &Fact) -> Reaction {
    match fact {
        Fact::StockDispatched => Reaction::only(vec![Intent::CompleteOrder]),
        Fact::OrderCompleted => Reaction::step(
            state,
            vec![CheckoutEvent::DispatchCompleted(DispatchCompleted { order_id: checkout.order_id })],
        ),
        Fact::Stuck { step } => ask_for_a_person(checkout, step),
        // An order that is dispatched is neither rejected nor cancelled; its rules see to that.
        Fact::OrderRejected { .. }
        | Fact::OrderCancelled
        | Fact::DispatchRecorded
        | Fact::DeadlinePassed
        | Fact::OrderPlaced(_)
        | Fact::OrderConfirmed
        | Fact::StockReserved
        | Fact::StockShort { .. }
        | Fact::HoldFound
        | Fact::HoldLost
        | Fact::StockCommitted
        | Fact::StockReleased
        | Fact::PaymentAuthorized { .. }
        | Fact::PaymentDeclined { .. }
        | Fact::PaymentDiffers
        | Fact::PaymentCaptured { .. }
        | Fact::CaptureFailed { .. }
        | Fact::PaymentMoved
        | Fact::PaymentUndone => Reaction::nothing(),
    }
}

fn dispatched(fact: &Fact) -> Reaction {
    match fact {
        Fact::OrderPlaced(_)
        | Fact::OrderConfirmed
        | Fact::OrderRejected { .. }
        | Fact::OrderCancelled
        | Fact::DispatchRecorded
        | Fact::OrderCompleted
        | Fact::StockReserved
        | Fact::StockShort { .. }
        | Fact::HoldFound
        | Fact::HoldLost
        | Fact::StockCommitted
        | Fact::StockReleased
        | Fact::StockDispatched
        | Fact::PaymentAuthorized { .. }
        | Fact::PaymentDeclined { .. }
        | Fact::PaymentDiffers
        | Fact::PaymentCaptured { .. }
        | Fact::CaptureFailed { .. }
        | Fact::PaymentMoved
        | Fact::PaymentUndone
        | Fact::DeadlinePassed
        | Fact::Stuck { .. } => Reaction::nothing(),
    }
}

fn start_dispatch(state: &State, checkout: &Started) -> Reaction {
    let started = DispatchStarted { order_id: checkout.order_id };
    Reaction::step(state, vec![CheckoutEvent::DispatchStarted(started)])
}

fn compensate(checkout: &Started, cause: Cause) -> CheckoutEvent {
    CheckoutEvent::CompensationStarted(CompensationStarted { order_id: checkout.order_id, cause })
}

fn fail(state: &State, checkout: &Started, reason: RejectionReason) -> Reaction {
    Reaction::step(state, vec![compensate(checkout, Cause::Failed { reason })])
}

/// Most orders of a sale end like this, so what need not be done to undo them is known to be done at once: nobody has
/// asked for the payment, because before that the stock is written down as held, and then this could not be written.
/// The stock is released all the same, also where nothing is held by what we know: somebody who was paused may have
/// taken some before this was written, and only what comes later is told to be given back.
fn run_short(state: &State, checkout: &Started, short: &Sku, requested: i64, available: i64) -> Reaction {
    let order_id = checkout.order_id;
    let reason = RejectionReason::InsufficientStock { sku: short.clone(), requested, available };
    let events = vec![
        compensate(checkout, Cause::Failed { reason }),
        CheckoutEvent::PaymentUndone(PaymentUndone { order_id }),
    ];
    Reaction::step(state, events)
}

fn cancel(state: &State, checkout: &Started) -> Reaction {
    Reaction::step(state, vec![compensate(checkout, Cause::Cancelled)])
}

fn run_out_of_time(state: &State, checkout: &Started) -> Reaction {
    let passed = DeadlinePassed { order_id: checkout.order_id, deadline: checkout.deadline };
    let cause = Cause::Failed { reason: RejectionReason::DeadlinePassed };
    Reaction::step(state, vec![CheckoutEvent::DeadlinePassed(passed), compensate(checkout, cause)])
}

fn ask_for_a_person(checkout: &Started, step: &str) -> Reaction {
    let required = AttentionRequired { order_id: checkout.order_id, step: step.to_owned() };
    Reaction { events: vec![CheckoutEvent::AttentionRequired(required)], intents: vec![] }
}
