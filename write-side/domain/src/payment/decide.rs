//! What we want done: each decision is its guards, in order of precedence, and then the request that the
//! provider is called for.

use events::{
    Money,
    ids::{CaptureId, RefundId},
    payment::{
        AttentionRequired, CaptureRequested, Operation, OutcomeUnknown, PaymentEvent, RefundRequested,
        Requested, VoidRequested,
    },
};

use super::{
    Account, Command, Intent, Payment, Refusal,
    movement::Effort,
    state::{Authorization, Call},
};
use crate::{Corrupt, Decider};

impl Decider for Payment {
    type Command = Command;
    type Event = PaymentEvent;
    type Refusal = Refusal;

    fn decide(&self, command: &Command) -> Result<Vec<PaymentEvent>, Refusal> {
        match self {
            Self::Requested(account) => account.decide(command),
            Self::Unrequested => {
                let Command::Request { payment_id, order_id, amount, method } = command else {
                    return Err(Refusal::NotRequested);
                };
                check_positive(*amount)?;
                Ok(vec![PaymentEvent::Requested(Requested {
                    payment_id: *payment_id,
                    order_id: *order_id,
                    amount: *amount,
                    method: method.clone(),
                })])
            }
        }
    }

    fn evolve(self, event: &PaymentEvent) -> Result<Self, Corrupt> {
        self.take(event)
    }
}

fn check_positive(amount: Money) -> Result<(), Refusal> {
    if amount.amount <= 0 {
        return Err(Refusal::AmountNotPositive { amount });
    }
    Ok(())
}

impl Account {
    fn decide(&self, command: &Command) -> Result<Vec<PaymentEvent>, Refusal> {
        match command {
            Command::Request { payment_id, order_id, amount, method } => self.request_again(&Intent {
                payment_id: *payment_id,
                order_id: *order_id,
                amount: *amount,
                method: method.clone(),
            }),
            Command::Capture { capture_id, amount } => self.capture(*capture_id, *amount),
            Command::Void => self.void(),
            Command::Refund { refund_id, amount, reason } => self.refund(*refund_id, *amount, reason),
            Command::RecordUnknown { operation, attempt, reason } => {
                self.record_unknown(*operation, *attempt, reason)
            }
            Command::RequireAttention { operation, attempts } => {
                self.require_attention(*operation, *attempts)
            }
            Command::RecordAuthorized { amount, provider_reference } => {
                Ok(self.record_authorized(*amount, provider_reference))
            }
            Command::RecordDeclined { code } => Ok(self.record_declined(code)),
            Command::RecordCaptured { capture_id, amount } => Ok(self.record_captured(*capture_id, *amount)),
            Command::RecordCaptureFailed { capture_id, code } => {
                Ok(self.record_capture_failed(*capture_id, code))
            }
            Command::RecordVoided => Ok(self.record_voided()),
            Command::RecordRefunded { refund_id, amount } => Ok(self.record_refunded(*refund_id, *amount)),
            Command::RecordRefundFailed { refund_id, code } => {
                Ok(self.record_refund_failed(*refund_id, code))
            }
        }
    }

    fn request_again(&self, intent: &Intent) -> Result<Vec<PaymentEvent>, Refusal> {
        check_positive(intent.amount)?;
        if self.intent != *intent {
            return Err(Refusal::RequestedOtherwise { payment_id: self.intent.payment_id });
        }
        Ok(vec![])
    }

    fn capture(&self, capture_id: CaptureId, amount: Money) -> Result<Vec<PaymentEvent>, Refusal> {
        self.check_amount(amount)?;
        if let Some(known) = self.captures.get(capture_id) {
            if known.amount() == amount.amount {
                return Ok(vec![]);
            }
            let recorded = self.in_currency(known.amount());
            return Err(Refusal::CaptureDiffers { capture_id, recorded, requested: amount });
        }
        let authorized = match self.authorization {
            Authorization::Asked { .. } => return Err(Refusal::NotAuthorized),
            Authorization::Declined => return Err(Refusal::Declined),
            Authorization::AskedThenGivenUp { .. }
            | Authorization::BeingVoided { .. }
            | Authorization::Voided { .. } => return Err(Refusal::GivenUp),
            Authorization::Held { amount } => amount,
        };
        let captured = self.captures.made_or_asked();
        if captured.checked_add(amount.amount).is_none_or(|sum| sum > authorized.amount) {
            return Err(Refusal::CaptureExceedsAuthorization {
                authorized,
                captured: self.in_currency(captured),
                requested: amount,
            });
        }
        let payment_id = self.intent.payment_id;
        Ok(vec![PaymentEvent::CaptureRequested(CaptureRequested { payment_id, capture_id, amount })])
    }

    fn void(&self) -> Result<Vec<PaymentEvent>, Refusal> {
        match self.authorization {
            Authorization::AskedThenGivenUp { .. }
            | Authorization::Declined
            | Authorization::BeingVoided { .. }
            | Authorization::Voided { .. } => return Ok(vec![]),
            Authorization::Asked { .. } | Authorization::Held { .. } => {}
        }
        let captured = self.captures.made_or_asked();
        if captured > 0 {
            return Err(Refusal::VoidAfterCapture { captured: self.in_currency(captured) });
        }
        Ok(vec![self.void_requested()])
    }

    pub(super) fn void_requested(&self) -> PaymentEvent {
        PaymentEvent::VoidRequested(VoidRequested { payment_id: self.intent.payment_id })
    }

    fn refund(&self, refund_id: RefundId, amount: Money, reason: &str) -> Result<Vec<PaymentEvent>, Refusal> {
        self.check_amount(amount)?;
        if let Some(known) = self.refunds.get(refund_id) {
            if known.amount() == amount.amount {
                return Ok(vec![]);
            }
            let recorded = self.in_currency(known.amount());
            return Err(Refusal::RefundDiffers { refund_id, recorded, requested: amount });
        }
        let refunded = self.refunds.made_or_asked();
        let captured = self.captures.made();
        if refunded.checked_add(amount.amount).is_none_or(|sum| sum > captured) {
            return Err(Refusal::RefundExceedsCaptured {
                captured: self.in_currency(captured),
                refunded: self.in_currency(refunded),
                requested: amount,
            });
        }
        Ok(vec![PaymentEvent::RefundRequested(RefundRequested {
            payment_id: self.intent.payment_id,
            refund_id,
            amount,
            reason: reason.to_owned(),
        })])
    }

    fn check_amount(&self, amount: Money) -> Result<(), Refusal> {
        let expected = self.intent.amount.currency;
        check_positive(amount)?;
        if amount.currency != expected {
            return Err(Refusal::CurrencyDiffers { expected, given: amount.currency });
        }
        Ok(())
    }

    fn record_unknown(
        &self,
        operation: Operation,
        attempt: u32,
        reason: &str,
    ) -> Result<Vec<PaymentEvent>, Refusal> {
        match self.call(operation) {
            Call::NeverAsked => Err(Refusal::NeverAsked { operation }),
            Call::Answered => Ok(vec![]),
            Call::Open(effort) if attempt <= effort.attempts() => Ok(vec![]),
            Call::Open(_) => Ok(vec![PaymentEvent::OutcomeUnknown(OutcomeUnknown {
                payment_id: self.intent.payment_id,
                operation,
                attempt,
                reason: reason.to_owned(),
            })]),
        }
    }

    fn require_attention(&self, operation: Operation, attempts: u32) -> Result<Vec<PaymentEvent>, Refusal> {
        match self.call(operation) {
            Call::NeverAsked => Err(Refusal::NeverAsked { operation }),
            Call::Answered | Call::Open(Effort::PastLimit { .. }) => Ok(vec![]),
            Call::Open(Effort::Trying { .. }) => {
                Ok(vec![PaymentEvent::AttentionRequired(AttentionRequired {
                    payment_id: self.intent.payment_id,
                    operation,
                    attempts,
                })])
            }
        }
    }
}
