//! The rules of an order: placed, confirmed, dispatched, completed. Until it is dispatched it can be
//! rejected (by the checkout) or cancelled (by a person), and after either nothing happens to it.

use events::{
    DomainEvent, Money,
    ids::{CustomerId, OrderId},
    order::{
        CancellationReason, Cancelled, Completed, Confirmed, DispatchRecorded, Line, OrderEvent, Origin,
        Placed, Rejected, RejectionReason,
    },
    sealed::Sealed,
};

use crate::{
    Corrupt, Decider,
    lines::{self, Fault},
};

/// What somebody wants done to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The customer agrees to buy. Lines come priced by the catalog (or by history, when imported);
    /// the decider checks every amount and computes the total, which must be above zero. An exact repeat
    /// is nothing while the order is open; later its content is no longer known here, and a repeat is
    /// told by the id of the command.
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
    /// The shop agrees to sell. Nothing when it has agreed already.
    Confirm,
    /// The checkout could not be finished; possible until it is dispatched, since a capture can fail
    /// after the order is confirmed.
    Reject {
        /// Why.
        reason: RejectionReason,
    },
    /// Call it off; possible until it is dispatched.
    Cancel {
        /// Why.
        reason: CancellationReason,
    },
    /// The goods are handed over; the order must be confirmed and its money taken. Nothing when it is
    /// recorded already.
    RecordDispatch {
        /// What was captured for the order so far, before refunds; `None` when nothing was. Captures only
        /// ever add up, so what was enough when it was read is enough when the dispatch is decided.
        captured: Option<Money>,
    },
    /// Nothing remains to be done; the order must be dispatched.
    Complete,
}

/// The rule that was in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The lines do not add up.
    #[error(transparent)]
    Lines(#[from] Fault),
    /// An order comes to something: there is a payment for every order.
    #[error("the order comes to {total}; it must be above zero")]
    TotalNotPositive {
        /// The sum of the lines.
        total: Money,
    },
    /// An order of this id is there already, with other content or past the point where it is known.
    #[error("order {order_id} was placed already")]
    AlreadyPlaced {
        /// The order.
        order_id: OrderId,
    },
    /// There is no such order.
    #[error("the order was never placed")]
    NotPlaced,
    /// What was wanted comes after confirmation.
    #[error("the order is not confirmed")]
    NotConfirmed,
    /// Goods leave once they are paid for.
    #[error("of {total} the order comes to, {} is captured", .captured.map_or_else(|| "nothing".to_owned(), |money| money.to_string()))]
    NotCaptured {
        /// What is captured so far; `None` when nothing is.
        captured: Option<Money>,
        /// What the order comes to.
        total: Money,
    },
    /// What was wanted comes after dispatch.
    #[error("the order is not dispatched")]
    NotDispatched,
    /// The goods have left.
    #[error("the order is dispatched already")]
    AlreadyDispatched,
    /// The checkout could not be finished.
    #[error("the order was rejected ({reason:?})")]
    AlreadyRejected {
        /// Why.
        reason: RejectionReason,
    },
    /// Somebody called it off.
    #[error("the order was cancelled ({reason:?})")]
    AlreadyCancelled {
        /// Why.
        reason: CancellationReason,
    },
}

/// What the next decision about an order needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Order {
    /// There is no such order.
    #[default]
    Unplaced,
    /// The customer agreed to buy.
    Placed(Agreement),
    /// The shop agreed to sell.
    Confirmed {
        /// The order.
        order_id: OrderId,
        /// What it comes to.
        total: Money,
    },
    /// The goods have left.
    Dispatched {
        /// The order.
        order_id: OrderId,
    },
    /// Nothing remains to be done.
    Completed {
        /// The order.
        order_id: OrderId,
    },
    /// The checkout could not be finished.
    Rejected {
        /// The order.
        order_id: OrderId,
        /// Why.
        reason: RejectionReason,
    },
    /// Somebody called it off.
    Cancelled {
        /// The order.
        order_id: OrderId,
        /// Why.
        reason: CancellationReason,
    },
}

/// What the customer agreed to, without what says who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    order_id: OrderId,
    customer_id: Option<CustomerId>,
    lines: Vec<Line>,
    total: Money,
    payment_method: String,
    origin: Origin,
}

impl Agreement {
    fn of(placed: &Placed) -> Self {
        Self {
            order_id: placed.order_id,
            customer_id: placed.customer_id,
            lines: placed.lines.clone(),
            total: placed.total,
            payment_method: placed.payment_method.clone(),
            origin: placed.origin.clone(),
        }
    }
}

impl Order {
    fn place(&self, placed: Placed) -> Result<Vec<OrderEvent>, Refusal> {
        if placed.total.amount <= 0 {
            return Err(Refusal::TotalNotPositive { total: placed.total });
        }
        match self {
            Self::Unplaced => Ok(vec![OrderEvent::Placed(placed)]),
            Self::Placed(agreement) if *agreement == Agreement::of(&placed) => Ok(vec![]),
            Self::Placed(Agreement { order_id, .. })
            | Self::Confirmed { order_id, .. }
            | Self::Dispatched { order_id }
            | Self::Completed { order_id }
            | Self::Rejected { order_id, .. }
            | Self::Cancelled { order_id, .. } => Err(Refusal::AlreadyPlaced { order_id: *order_id }),
        }
    }

    fn confirm(&self) -> Result<Vec<OrderEvent>, Refusal> {
        match self {
            Self::Unplaced => Err(Refusal::NotPlaced),
            Self::Rejected { reason, .. } => Err(Refusal::AlreadyRejected { reason: reason.clone() }),
            Self::Cancelled { reason, .. } => Err(Refusal::AlreadyCancelled { reason: *reason }),
            Self::Confirmed { .. } | Self::Dispatched { .. } | Self::Completed { .. } => Ok(vec![]),
            Self::Placed(agreement) => Ok(vec![OrderEvent::Confirmed(Confirmed {
                order_id: agreement.order_id,
                total: agreement.total,
            })]),
        }
    }

    fn reject(&self, reason: &RejectionReason) -> Result<Vec<OrderEvent>, Refusal> {
        match self {
            Self::Unplaced => Err(Refusal::NotPlaced),
            Self::Dispatched { .. } | Self::Completed { .. } => Err(Refusal::AlreadyDispatched),
            Self::Cancelled { reason, .. } => Err(Refusal::AlreadyCancelled { reason: *reason }),
            Self::Rejected { reason: known, .. } if known == reason => Ok(vec![]),
            Self::Rejected { reason, .. } => Err(Refusal::AlreadyRejected { reason: reason.clone() }),
            Self::Placed(Agreement { order_id, .. }) | Self::Confirmed { order_id, .. } => {
                Ok(vec![OrderEvent::Rejected(Rejected { order_id: *order_id, reason: reason.clone() })])
            }
        }
    }

    fn cancel(&self, reason: CancellationReason) -> Result<Vec<OrderEvent>, Refusal> {
        match self {
            Self::Unplaced => Err(Refusal::NotPlaced),
            Self::Dispatched { .. } | Self::Completed { .. } => Err(Refusal::AlreadyDispatched),
            Self::Rejected { reason, .. } => Err(Refusal::AlreadyRejected { reason: reason.clone() }),
            Self::Cancelled { reason: known, .. } if *known == reason => Ok(vec![]),
            Self::Cancelled { reason, .. } => Err(Refusal::AlreadyCancelled { reason: *reason }),
            Self::Placed(Agreement { order_id, .. }) | Self::Confirmed { order_id, .. } => {
                Ok(vec![OrderEvent::Cancelled(Cancelled { order_id: *order_id, reason })])
            }
        }
    }

    fn record_dispatch(&self, captured: Option<Money>) -> Result<Vec<OrderEvent>, Refusal> {
        match self {
            Self::Unplaced => Err(Refusal::NotPlaced),
            Self::Placed(_) => Err(Refusal::NotConfirmed),
            Self::Rejected { reason, .. } => Err(Refusal::AlreadyRejected { reason: reason.clone() }),
            Self::Cancelled { reason, .. } => Err(Refusal::AlreadyCancelled { reason: *reason }),
            Self::Dispatched { .. } | Self::Completed { .. } => Ok(vec![]),
            Self::Confirmed { total, .. } if !captured.is_some_and(|captured| captured.covers(*total)) => {
                Err(Refusal::NotCaptured { captured, total: *total })
            }
            Self::Confirmed { order_id, .. } => {
                Ok(vec![OrderEvent::DispatchRecorded(DispatchRecorded { order_id: *order_id })])
            }
        }
    }

    fn complete(&self) -> Result<Vec<OrderEvent>, Refusal> {
        match self {
            Self::Unplaced => Err(Refusal::NotPlaced),
            Self::Placed(_) | Self::Confirmed { .. } => Err(Refusal::NotDispatched),
            Self::Rejected { reason, .. } => Err(Refusal::AlreadyRejected { reason: reason.clone() }),
            Self::Cancelled { reason, .. } => Err(Refusal::AlreadyCancelled { reason: *reason }),
            Self::Completed { .. } => Ok(vec![]),
            Self::Dispatched { order_id } => {
                Ok(vec![OrderEvent::Completed(Completed { order_id: *order_id })])
            }
        }
    }

    fn cannot_take(&self, event: &OrderEvent) -> Corrupt {
        let state = match self {
            Self::Unplaced => "an order that was never placed",
            Self::Placed(_) => "a placed order",
            Self::Confirmed { .. } => "a confirmed order",
            Self::Dispatched { .. } => "a dispatched order",
            Self::Completed { .. } => "a completed order",
            Self::Rejected { .. } => "a rejected order",
            Self::Cancelled { .. } => "a cancelled order",
        };
        Corrupt { event: event.wire_name(), state }
    }

    /// The id, where the order can still be rejected or cancelled.
    fn undispatched(&self) -> Option<OrderId> {
        match self {
            Self::Placed(Agreement { order_id, .. }) | Self::Confirmed { order_id, .. } => Some(*order_id),
            Self::Unplaced
            | Self::Dispatched { .. }
            | Self::Completed { .. }
            | Self::Rejected { .. }
            | Self::Cancelled { .. } => None,
        }
    }
}

impl Decider for Order {
    type Command = Command;
    type Event = OrderEvent;
    type Refusal = Refusal;

    fn decide(&self, command: &Command) -> Result<Vec<OrderEvent>, Refusal> {
        match command {
            Command::Place { order_id, customer_id, contact, lines, payment_method, origin } => {
                self.place(Placed {
                    order_id: *order_id,
                    customer_id: *customer_id,
                    contact: contact.clone(),
                    total: lines::total(lines)?,
                    lines: lines.clone(),
                    payment_method: payment_method.clone(),
                    origin: origin.clone(),
                })
            }
            Command::Confirm => self.confirm(),
            Command::Reject { reason } => self.reject(reason),
            Command::Cancel { reason } => self.cancel(*reason),
            Command::RecordDispatch { captured } => self.record_dispatch(*captured),
            Command::Complete => self.complete(),
        }
    }

    fn evolve(self, event: &OrderEvent) -> Result<Self, Corrupt> {
        let corrupt = self.cannot_take(event);
        match event {
            OrderEvent::Placed(placed) => {
                let Self::Unplaced = self else { return Err(corrupt) };
                Ok(Self::Placed(Agreement::of(placed)))
            }
            OrderEvent::Confirmed(_) => {
                let Self::Placed(Agreement { order_id, total, .. }) = self else { return Err(corrupt) };
                Ok(Self::Confirmed { order_id, total })
            }
            OrderEvent::Rejected(rejected) => {
                let order_id = self.undispatched().ok_or(corrupt)?;
                Ok(Self::Rejected { order_id, reason: rejected.reason.clone() })
            }
            OrderEvent::Cancelled(cancelled) => {
                let order_id = self.undispatched().ok_or(corrupt)?;
                Ok(Self::Cancelled { order_id, reason: cancelled.reason })
            }
            OrderEvent::DispatchRecorded(_) => {
                let Self::Confirmed { order_id, .. } = self else { return Err(corrupt) };
                Ok(Self::Dispatched { order_id })
            }
            OrderEvent::Completed(_) => {
                let Self::Dispatched { order_id } = self else { return Err(corrupt) };
                Ok(Self::Completed { order_id })
            }
        }
    }
}
