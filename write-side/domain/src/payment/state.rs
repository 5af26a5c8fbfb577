//! What the next decision about a payment needs, and what of it others may read.

use std::collections::BTreeMap;

use events::{
    Money,
    ids::{CaptureId, OrderId, PaymentId, RefundId},
    payment::{DiscrepancyFound, Operation},
};

use super::movement::{Effort, Movement, Movements};

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Payment {
    /// There is no such payment.
    #[default]
    Unrequested,
    /// It was asked for.
    Requested(Box<Account>),
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The payment.
    pub payment_id: PaymentId,
    /// What it pays for.
    pub order_id: OrderId,
    /// How much.
    pub amount: Money,
    /// The means of payment.
    pub method: String,
}

/// A call to the provider that was asked for and has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOperation {
    /// The call.
    pub operation: Operation,
    /// The amount that goes with it; a void has none.
    pub amount: Option<Money>,
    /// How many times it is known to have been made.
    pub attempts: u32,
}

/// What is known of a payment that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub(super) intent: Intent,
    pub(super) authorization: Authorization,
    pub(super) captures: Movements<CaptureId>,
    pub(super) refunds: Movements<RefundId>,
    /// Found before, so that a repeated answer is not found again.
    pub(super) discrepancies: Vec<DiscrepancyFound>,
    /// Answers about a step further than the history has come, with their amounts; a void has none.
    pub(super) early: BTreeMap<Operation, Option<Money>>,
}

/// Where the held money is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Authorization {
    /// Asked for; it may be held already.
    Asked { effort: Effort },
    /// As above, and to be given up if it is held.
    AskedThenGivenUp { effort: Effort },
    /// Nothing is held.
    Declined,
    /// It is held, and can be captured.
    Held { amount: Money },
    /// It is held, and nothing more is captured on it.
    BeingVoided { amount: Money, effort: Effort },
    /// It is held no longer.
    Voided { amount: Money },
}

/// What is known of a call to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    NeverAsked,
    Open(Effort),
    Answered,
}

impl Payment {
    /// What is known of it; nothing before it is asked for.
    pub fn account(&self) -> Option<&Account> {
        match self {
            Self::Unrequested => None,
            Self::Requested(account) => Some(account),
        }
    }

    /// The calls that the provider is to be asked (again), in the order in which they can be made.
    pub fn open_operations(&self) -> Vec<OpenOperation> {
        self.account().map(Account::open_operations).unwrap_or_default()
    }
}

impl Account {
    /// What was asked for.
    pub const fn intent(&self) -> &Intent {
        &self.intent
    }

    /// What the provider holds or held, as far as it has said; also once given up.
    pub const fn authorized(&self) -> Option<Money> {
        match self.authorization {
            Authorization::Held { amount }
            | Authorization::BeingVoided { amount, .. }
            | Authorization::Voided { amount } => Some(amount),
            Authorization::Asked { .. }
            | Authorization::AskedThenGivenUp { .. }
            | Authorization::Declined => None,
        }
    }

    /// What the provider holds and nobody has asked to give up.
    pub const fn held(&self) -> Option<Money> {
        match self.authorization {
            Authorization::Held { amount } => Some(amount),
            Authorization::BeingVoided { .. }
            | Authorization::Voided { .. }
            | Authorization::Asked { .. }
            | Authorization::AskedThenGivenUp { .. }
            | Authorization::Declined => None,
        }
    }

    /// What is ours, before refunds.
    pub fn captured(&self) -> Money {
        self.in_currency(self.captures.made())
    }

    /// Whether the provider has refused this capture for good.
    pub fn has_failed_capture(&self, capture_id: CaptureId) -> bool {
        matches!(self.captures.get(capture_id), Some(Movement::Failed { .. }))
    }

    /// What was given back.
    pub fn refunded(&self) -> Money {
        self.in_currency(self.refunds.made())
    }

    /// How many refunds the provider has refused for good.
    pub fn failed_refunds(&self) -> usize {
        self.refunds.failed()
    }

    /// The provider will not pay, and nothing is held.
    pub const fn is_declined(&self) -> bool {
        matches!(self.authorization, Authorization::Declined)
    }

    /// No money of the customer is held or kept, and no call is open that could change it.
    pub fn is_undone(&self) -> bool {
        let held = match self.authorization {
            Authorization::Declined | Authorization::Voided { .. } => false,
            // What remains of an authorization after a capture lapses with the provider.
            Authorization::Held { .. } => self.captures.made() == 0,
            Authorization::Asked { .. }
            | Authorization::AskedThenGivenUp { .. }
            | Authorization::BeingVoided { .. } => true,
        };
        !held && self.captures.made() == self.refunds.made() && self.open_operations().is_empty()
    }

    /// What did not fit, in the order in which it was found.
    pub fn discrepancies(&self) -> &[DiscrepancyFound] {
        &self.discrepancies
    }

    fn open_operations(&self) -> Vec<OpenOperation> {
        let mut open = Vec::new();
        if let Authorization::Asked { effort } | Authorization::AskedThenGivenUp { effort } =
            self.authorization
        {
            open.push(OpenOperation {
                operation: Operation::Authorize,
                amount: Some(self.intent.amount),
                attempts: effort.attempts(),
            });
        }
        open.extend(self.captures.asked().map(|(capture_id, amount, effort)| OpenOperation {
            operation: Operation::Capture { capture_id },
            amount: Some(self.in_currency(amount)),
            attempts: effort.attempts(),
        }));
        open.extend(self.refunds.asked().map(|(refund_id, amount, effort)| OpenOperation {
            operation: Operation::Refund { refund_id },
            amount: Some(self.in_currency(amount)),
            attempts: effort.attempts(),
        }));
        if let Authorization::BeingVoided { effort, .. } = self.authorization {
            open.push(OpenOperation {
                operation: Operation::Void,
                amount: None,
                attempts: effort.attempts(),
            });
        }
        open
    }

    pub(super) const fn in_currency(&self, amount: i64) -> Money {
        Money::new(amount, self.intent.amount.currency)
    }

    /// Whether a capture of `amount` more keeps to what is or was held.
    pub(super) fn capture_fits(&self, amount: Money) -> bool {
        self.authorized().is_some_and(|held| {
            held.currency == amount.currency
                && self.captures.made().checked_add(amount.amount).is_some_and(|sum| sum <= held.amount)
        })
    }

    /// Whether a refund of `amount` more keeps to what was captured.
    pub(super) fn refund_fits(&self, amount: Money) -> bool {
        let sum = self.refunds.made().checked_add(amount.amount);
        sum.is_some_and(|sum| sum <= self.captures.made())
    }

    pub(super) fn call(&self, operation: Operation) -> Call {
        match operation {
            Operation::Authorize => match self.authorization {
                Authorization::Asked { effort } | Authorization::AskedThenGivenUp { effort } => {
                    Call::Open(effort)
                }
                Authorization::Declined
                | Authorization::Held { .. }
                | Authorization::BeingVoided { .. }
                | Authorization::Voided { .. } => Call::Answered,
            },
            Operation::Capture { capture_id } => Call::of(self.captures.get(capture_id)),
            Operation::Void => match self.authorization {
                Authorization::BeingVoided { effort, .. } => Call::Open(effort),
                Authorization::Voided { .. } => Call::Answered,
                Authorization::Asked { .. }
                | Authorization::AskedThenGivenUp { .. }
                | Authorization::Declined
                | Authorization::Held { .. } => Call::NeverAsked,
            },
            Operation::Refund { refund_id } => Call::of(self.refunds.get(refund_id)),
        }
    }
}

impl Call {
    fn of(movement: Option<Movement>) -> Self {
        match movement {
            None => Self::NeverAsked,
            Some(Movement::Asked { effort, .. }) => Self::Open(effort),
            Some(Movement::Made { .. } | Movement::Failed { .. }) => Self::Answered,
        }
    }
}
