//! How each recorded event changes what is known of a payment. What no decision can have written is
//! corrupt.

use std::collections::BTreeMap;

use events::{
    DomainEvent,
    payment::{Operation, PaymentEvent, Requested},
};

use super::{
    Account, Intent, Mismatch, Payment,
    movement::{Effort, Movement, Movements},
    state::{Authorization, Call},
};
use crate::Corrupt;

impl Payment {
    pub(super) fn take(self, event: &PaymentEvent) -> Result<Self, Corrupt> {
        match self {
            Self::Unrequested => {
                let PaymentEvent::Requested(requested) = event else {
                    return Err(Corrupt {
                        event: event.wire_name(),
                        state: "a payment that was never requested",
                    });
                };
                Ok(Self::Requested(Box::new(Account::asked_for(requested))))
            }
            Self::Requested(mut account) => {
                account.take(event)?;
                Ok(Self::Requested(account))
            }
        }
    }
}

impl Account {
    fn asked_for(requested: &Requested) -> Self {
        let Requested { payment_id, order_id, amount, method } = requested.clone();
        Self {
            intent: Intent { payment_id, order_id, amount, method },
            authorization: Authorization::Asked { effort: Effort::NONE },
            captures: Movements::default(),
            refunds: Movements::default(),
            discrepancies: Vec::new(),
            early: BTreeMap::new(),
        }
    }

    pub(super) fn take(&mut self, event: &PaymentEvent) -> Result<(), Corrupt> {
        let corrupt = |state| Corrupt { event: event.wire_name(), state };
        match event {
            PaymentEvent::Requested(_) => return Err(corrupt("a payment that was requested")),
            PaymentEvent::Authorized(_)
            | PaymentEvent::Declined(_)
            | PaymentEvent::VoidRequested(_)
            | PaymentEvent::Voided(_) => {
                self.authorization = self.authorization.after(event)?;
                if let PaymentEvent::Voided(_) = event {
                    self.early.remove(&Operation::Void);
                }
            }
            PaymentEvent::CaptureRequested(asked) => {
                let movement = Movement::Asked { amount: asked.amount.amount, effort: Effort::NONE };
                self.captures.set(asked.capture_id, movement);
            }
            PaymentEvent::Captured(captured) => {
                if !self.capture_fits(captured.amount) {
                    return Err(corrupt("a payment with less held than captured"));
                }
                let capture_id = captured.capture_id;
                self.captures.set(capture_id, Movement::Made { amount: captured.amount.amount });
                self.early.remove(&Operation::Capture { capture_id });
            }
            PaymentEvent::CaptureFailed(failed) => {
                let Some(Movement::Asked { amount, .. }) = self.captures.get(failed.capture_id) else {
                    return Err(corrupt("a payment without this capture being open"));
                };
                self.captures.set(failed.capture_id, Movement::Failed { amount });
            }
            PaymentEvent::RefundRequested(asked) => {
                let movement = Movement::Asked { amount: asked.amount.amount, effort: Effort::NONE };
                self.refunds.set(asked.refund_id, movement);
            }
            PaymentEvent::Refunded(refunded) => {
                if !self.refund_fits(refunded.amount) {
                    return Err(corrupt("a payment with less captured than refunded"));
                }
                let refund_id = refunded.refund_id;
                self.refunds.set(refund_id, Movement::Made { amount: refunded.amount.amount });
                self.early.remove(&Operation::Refund { refund_id });
            }
            PaymentEvent::RefundFailed(failed) => {
                let Some(Movement::Asked { amount, .. }) = self.refunds.get(failed.refund_id) else {
                    return Err(corrupt("a payment without this refund being open"));
                };
                self.refunds.set(failed.refund_id, Movement::Failed { amount });
            }
            PaymentEvent::OutcomeUnknown(unknown) => {
                let Call::Open(effort) = self.call(unknown.operation) else {
                    return Err(corrupt("a payment without this call being open"));
                };
                self.set_effort(unknown.operation, effort.after(unknown.attempt));
            }
            PaymentEvent::AttentionRequired(required) => {
                let Call::Open(_) = self.call(required.operation) else {
                    return Err(corrupt("a payment without this call being open"));
                };
                self.set_effort(required.operation, Effort::PastLimit { attempts: required.attempts });
            }
            PaymentEvent::DiscrepancyFound(found) => {
                if Mismatch::is_early(&found.code) {
                    self.early.insert(found.operation, found.reported);
                }
                self.discrepancies.push(found.clone());
            }
        }
        Ok(())
    }

    /// Only called on a call that is open.
    fn set_effort(&mut self, operation: Operation, made: Effort) {
        match operation {
            Operation::Authorize | Operation::Void => match &mut self.authorization {
                Authorization::Asked { effort }
                | Authorization::AskedThenGivenUp { effort }
                | Authorization::BeingVoided { effort, .. } => *effort = made,
                Authorization::Declined | Authorization::Held { .. } | Authorization::Voided { .. } => {}
            },
            Operation::Capture { capture_id } => self.captures.set_effort(capture_id, made),
            Operation::Refund { refund_id } => self.refunds.set_effort(refund_id, made),
        }
    }
}

impl Authorization {
    /// Where the held money is after an event that moves it.
    fn after(self, event: &PaymentEvent) -> Result<Self, Corrupt> {
        match (self, event) {
            (Self::Asked { .. } | Self::Declined, PaymentEvent::Authorized(authorized)) => {
                Ok(Self::Held { amount: authorized.amount })
            }
            (Self::AskedThenGivenUp { .. }, PaymentEvent::Authorized(authorized)) => {
                Ok(Self::BeingVoided { amount: authorized.amount, effort: Effort::NONE })
            }
            (Self::Asked { .. } | Self::AskedThenGivenUp { .. }, PaymentEvent::Declined(_)) => {
                Ok(Self::Declined)
            }
            (Self::Asked { effort }, PaymentEvent::VoidRequested(_)) => Ok(Self::AskedThenGivenUp { effort }),
            (Self::Held { amount }, PaymentEvent::VoidRequested(_)) => {
                Ok(Self::BeingVoided { amount, effort: Effort::NONE })
            }
            (Self::Held { amount } | Self::BeingVoided { amount, .. }, PaymentEvent::Voided(_)) => {
                Ok(Self::Voided { amount })
            }
            (state, event) => Err(Corrupt { event: event.wire_name(), state: state.in_words() }),
        }
    }

    const fn in_words(self) -> &'static str {
        match self {
            Self::Asked { .. } => "a payment whose authorization is open",
            Self::AskedThenGivenUp { .. } => "a payment whose authorization is open and given up",
            Self::Declined => "a declined payment",
            Self::Held { .. } => "an authorized payment",
            Self::BeingVoided { .. } => "a payment that is being voided",
            Self::Voided { .. } => "a voided payment",
        }
    }
}
