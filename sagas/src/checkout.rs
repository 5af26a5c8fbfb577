//! The checkout of one order as a pure saga: what it is waiting for, and what is to be done about it.
//! State follows from its own events alone, and intents from the state alone. **So a coordinator that was
//! killed anywhere reads the stream again and knows what to do**; doing it twice changes nothing.

mod fact;
mod react;
mod step;

use chrono::{DateTime, TimeDelta, Utc};
use domain::Corrupt;
use events::{
    DomainEvent, Money,
    checkout::{Cause, CheckoutEvent, Item, Started},
    ids::Sku,
    order::RejectionReason,
};

pub use fact::{Fact, of_order, of_payment, started};
pub use react::{Reaction, react};
pub use step::{Step, event_id};

/// How much longer than the checkout's deadline its stock is held, so that the deadline, and not the end
/// of the hold, is what ends a checkout.
const HOLD_BEYOND_DEADLINE: TimeDelta = TimeDelta::minutes(15);

/// What the checkout of an order is waiting for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// The coordinator has not taken it on.
    #[default]
    NotStarted,
    /// For the stock to be held.
    Reserving(Box<Started>),
    /// For the provider to hold the money.
    Authorizing(Box<Started>),
    /// For the order to be confirmed.
    Confirming(Box<Started>),
    /// For the money to be ours.
    Capturing(Box<Started>),
    /// For the stock to be sold; where history is imported, for the dispatch to be recorded.
    Committing(Box<Started>),
    /// For nothing but the dispatch, which may be weeks away.
    Completed(Box<Started>),
    /// For the stock to be booked out, and the order completed.
    Dispatching(Box<Started>),
    /// For nothing any more: the goods have left.
    Dispatched(Box<Started>),
    /// For what was done to be undone.
    Compensating {
        /// What was to be done.
        checkout: Box<Started>,
        /// Why it is undone.
        cause: Cause,
        /// What is still to be undone.
        remaining: Remaining,
    },
    /// For nothing any more: everything is undone.
    Compensated(Box<Started>),
}

/// What is still to be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remaining {
    /// The payment and the stock.
    PaymentAndStock,
    /// The payment.
    Payment,
    /// The stock.
    Stock,
    /// Neither; the order is to be told.
    Order,
}

/// Something that is to be done. Each is safe to be done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Hold these units, in this order, all or none.
    ReserveStock {
        /// The units, in SKU order.
        items: Vec<Item>,
        /// When the holds may be expired.
        expires_at: DateTime<Utc>,
    },
    /// Ask for the money to be held.
    RequestPayment {
        /// How much.
        amount: Money,
        /// What the provider knows the means of payment by.
        method: String,
    },
    /// Agree to sell.
    ConfirmOrder,
    /// Take the money.
    CapturePayment {
        /// How much, in all.
        amount: Money,
    },
    /// Make the holds on these SKUs a sale.
    CommitStock {
        /// In SKU order.
        skus: Vec<Sku>,
    },
    /// Record that the goods have left, as history tells.
    RecordDispatch,
    /// See whether the goods have left while we were not ready to hear of it.
    LookForDispatch,
    /// Book out what is held of these SKUs.
    DispatchStock {
        /// In SKU order.
        skus: Vec<Sku>,
    },
    /// Complete the order.
    CompleteOrder,
    /// Void or refund whatever is held or taken, or find that nothing is.
    UndoPayment,
    /// Give up what is held of these SKUs.
    ReleaseStock {
        /// In SKU order.
        skus: Vec<Sku>,
    },
    /// Tell the order that the checkout could not be finished.
    RejectOrder {
        /// Why.
        reason: RejectionReason,
    },
}

impl Intent {
    /// The intent in a word, by which a person is told that it cannot be done.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ReserveStock { .. } => "reserve",
            Self::RequestPayment { .. } => "request_payment",
            Self::ConfirmOrder => "confirm",
            Self::CapturePayment { .. } => "capture",
            Self::CommitStock { .. } => "commit",
            Self::RecordDispatch => "record_dispatch",
            Self::LookForDispatch => "look_for_dispatch",
            Self::DispatchStock { .. } => "dispatch",
            Self::CompleteOrder => "complete",
            Self::UndoPayment => "undo_payment",
            Self::ReleaseStock { .. } => "release",
            Self::RejectOrder { .. } => "reject",
        }
    }
}

impl State {
    /// Takes an event of the checkout's own stream into the state.
    pub fn evolve(self, event: &CheckoutEvent) -> Result<Self, Corrupt> {
        let corrupt = Corrupt { event: event.wire_name(), state: self.name() };
        match (self, event) {
            (Self::NotStarted, CheckoutEvent::Started(started)) => {
                Ok(Self::Reserving(Box::new(started.clone())))
            }
            (Self::Reserving(checkout), CheckoutEvent::StockReserved(_)) => Ok(Self::Authorizing(checkout)),
            (Self::Authorizing(checkout), CheckoutEvent::PaymentAuthorized(_)) => {
                Ok(Self::Confirming(checkout))
            }
            (Self::Confirming(checkout), CheckoutEvent::OrderConfirmed(_)) => Ok(Self::Capturing(checkout)),
            (Self::Capturing(checkout), CheckoutEvent::PaymentCaptured(_)) => Ok(Self::Committing(checkout)),
            (Self::Committing(checkout), CheckoutEvent::Completed(_)) => Ok(Self::Completed(checkout)),
            (Self::Committing(checkout) | Self::Completed(checkout), CheckoutEvent::DispatchStarted(_)) => {
                Ok(Self::Dispatching(checkout))
            }
            (Self::Dispatching(checkout), CheckoutEvent::DispatchCompleted(_)) => {
                Ok(Self::Dispatched(checkout))
            }
            (
                Self::Reserving(checkout)
                | Self::Authorizing(checkout)
                | Self::Confirming(checkout)
                | Self::Capturing(checkout)
                | Self::Committing(checkout)
                | Self::Completed(checkout),
                CheckoutEvent::CompensationStarted(started),
            ) => Ok(Self::Compensating {
                checkout,
                cause: started.cause.clone(),
                remaining: Remaining::PaymentAndStock,
            }),
            (Self::Compensating { checkout, cause, remaining }, CheckoutEvent::PaymentUndone(_)) => {
                let remaining = remaining.without_payment().ok_or(corrupt)?;
                Ok(Self::Compensating { checkout, cause, remaining })
            }
            (Self::Compensating { checkout, cause, remaining }, CheckoutEvent::StockReleased(_)) => {
                let remaining = remaining.without_stock().ok_or(corrupt)?;
                Ok(Self::Compensating { checkout, cause, remaining })
            }
            (
                Self::Compensating { checkout, remaining: Remaining::Order, .. },
                CheckoutEvent::Compensated(_),
            ) => Ok(Self::Compensated(checkout)),
            (
                state @ (Self::Reserving(_) | Self::Authorizing(_)),
                CheckoutEvent::DeadlinePassed(_) | CheckoutEvent::AttentionRequired(_),
            )
            | (
                state @ (Self::Confirming(_)
                | Self::Capturing(_)
                | Self::Committing(_)
                | Self::Dispatching(_)
                | Self::Compensating { .. }),
                CheckoutEvent::AttentionRequired(_),
            ) => Ok(state),
            (_state, _event) => Err(corrupt),
        }
    }

    /// What is to be done, and may have been done already.
    pub fn intents(&self) -> Vec<Intent> {
        match self {
            Self::NotStarted | Self::Dispatched(_) | Self::Compensated(_) => vec![],
            Self::Reserving(checkout) => vec![Intent::ReserveStock {
                items: checkout.items.clone(),
                expires_at: checkout.deadline + HOLD_BEYOND_DEADLINE,
            }],
            Self::Authorizing(checkout) => vec![Intent::RequestPayment {
                amount: checkout.amount,
                method: checkout.payment_method.clone(),
            }],
            Self::Confirming(_) => vec![Intent::ConfirmOrder],
            Self::Capturing(checkout) => vec![Intent::CapturePayment { amount: checkout.amount }],
            Self::Committing(checkout) if checkout.imported_at.is_some() => vec![Intent::RecordDispatch],
            Self::Committing(checkout) => vec![Intent::CommitStock { skus: skus(checkout) }],
            Self::Completed(_) => vec![Intent::LookForDispatch],
            Self::Dispatching(checkout) => vec![Intent::DispatchStock { skus: skus(checkout) }],
            Self::Compensating { checkout, cause, remaining } => {
                let release = Intent::ReleaseStock { skus: skus(checkout) };
                match (remaining, cause) {
                    (Remaining::PaymentAndStock, _) => vec![release, Intent::UndoPayment],
                    (Remaining::Payment, _) => vec![Intent::UndoPayment],
                    (Remaining::Stock, _) => vec![release],
                    (Remaining::Order, Cause::Failed { reason }) => {
                        vec![Intent::RejectOrder { reason: reason.clone() }]
                    }
                    (Remaining::Order, Cause::Cancelled) => vec![],
                }
            }
        }
    }

    /// What is to be made sure of when we cannot know what happened: another coordinator turns out to have
    /// been ahead of us, so that a step of ours may have landed after it had undone everything; or an event
    /// that concerned us could not be read when it came.
    pub fn intents_when_in_doubt(&self) -> Vec<Intent> {
        match self {
            Self::Compensated(checkout)
            | Self::Compensating { checkout, remaining: Remaining::Payment | Remaining::Order, .. } => {
                let mut intents = vec![Intent::ReleaseStock { skus: skus(checkout) }, Intent::UndoPayment];
                intents.extend(self.intents().into_iter().filter(|intent| *intent != Intent::UndoPayment));
                intents
            }
            Self::NotStarted
            | Self::Reserving(_)
            | Self::Authorizing(_)
            | Self::Confirming(_)
            | Self::Capturing(_)
            | Self::Committing(_)
            | Self::Completed(_)
            | Self::Dispatching(_)
            | Self::Dispatched(_)
            | Self::Compensating { remaining: Remaining::PaymentAndStock | Remaining::Stock, .. } => {
                self.intents()
            }
        }
    }

    /// What was to be done; nothing before it was taken on.
    pub fn checkout(&self) -> Option<&Started> {
        match self {
            Self::NotStarted => None,
            Self::Reserving(checkout)
            | Self::Authorizing(checkout)
            | Self::Confirming(checkout)
            | Self::Capturing(checkout)
            | Self::Committing(checkout)
            | Self::Completed(checkout)
            | Self::Dispatching(checkout)
            | Self::Dispatched(checkout)
            | Self::Compensated(checkout)
            | Self::Compensating { checkout, .. } => Some(checkout),
        }
    }

    /// When to give up; nothing once it can no longer be given up for want of time.
    pub fn deadline(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Reserving(checkout) | Self::Authorizing(checkout) => Some(checkout.deadline),
            Self::NotStarted
            | Self::Confirming(_)
            | Self::Capturing(_)
            | Self::Committing(_)
            | Self::Completed(_)
            | Self::Dispatching(_)
            | Self::Dispatched(_)
            | Self::Compensated(_)
            | Self::Compensating { .. } => None,
        }
    }

    /// Whether somebody outside has to do something before anything happens here again.
    pub fn is_at_rest(&self) -> bool {
        match self {
            Self::NotStarted | Self::Completed(_) | Self::Dispatched(_) | Self::Compensated(_) => true,
            Self::Reserving(_)
            | Self::Authorizing(_)
            | Self::Confirming(_)
            | Self::Capturing(_)
            | Self::Committing(_)
            | Self::Dispatching(_)
            | Self::Compensating { .. } => false,
        }
    }

    /// The state in a word.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Reserving(_) => "reserving",
            Self::Authorizing(_) => "authorizing",
            Self::Confirming(_) => "confirming",
            Self::Capturing(_) => "capturing",
            Self::Committing(_) => "committing",
            Self::Completed(_) => "completed",
            Self::Dispatching(_) => "dispatching",
            Self::Dispatched(_) => "dispatched",
            Self::Compensating { .. } => "compensating",
            Self::Compensated(_) => "compensated",
        }
    }
}

impl Remaining {
    fn without_payment(self) -> Option<Self> {
        match self {
            Self::PaymentAndStock => Some(Self::Stock),
            Self::Payment => Some(Self::Order),
            Self::Stock | Self::Order => None,
        }
    }

    fn without_stock(self) -> Option<Self> {
        match self {
            Self::PaymentAndStock => Some(Self::Payment),
            Self::Stock => Some(Self::Order),
            Self::Payment | Self::Order => None,
        }
    }
}

fn skus(checkout: &Started) -> Vec<Sku> {
    checkout.items.iter().map(|item| item.sku.clone()).collect()
}

#[cfg(test)]
mod tests;
