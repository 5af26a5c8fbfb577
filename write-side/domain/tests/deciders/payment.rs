//! Payments: what we ask for, and what the provider says at every wrong moment.

#[path = "payment/answers.rs"]
mod answers;
#[path = "payment/requests.rs"]
mod requests;

use domain::payment::{Command, Mismatch};
use events::{
    Money,
    ids::{CaptureId, OrderId, PaymentId, RefundId},
    payment::{
        AttentionRequired, Authorized, CaptureFailed, CaptureRequested, Captured, Declined, DiscrepancyFound,
        Operation, OutcomeUnknown, PaymentEvent, RefundFailed, RefundRequested, Refunded, Requested,
        VoidRequested, Voided,
    },
};

use crate::scenario::{gbp, id};

fn payment_id() -> PaymentId {
    PaymentId(id(1))
}

fn capture_id(n: u128) -> CaptureId {
    CaptureId(id(n))
}

fn refund_id(n: u128) -> RefundId {
    RefundId(id(n))
}

fn capture_call(n: u128) -> Operation {
    Operation::Capture { capture_id: capture_id(n) }
}

fn refund_call(n: u128) -> Operation {
    Operation::Refund { refund_id: refund_id(n) }
}

fn request() -> Command {
    Command::Request {
        payment_id: payment_id(),
        order_id: OrderId(id(1)),
        amount: gbp(1000),
        method: "tok_approve".to_owned(),
    }
}

fn requested() -> PaymentEvent {
    PaymentEvent::Requested(Requested {
        payment_id: payment_id(),
        order_id: OrderId(id(1)),
        amount: gbp(1000),
        method: "tok_approve".to_owned(),
    })
}

fn authorized(amount: Money) -> PaymentEvent {
    PaymentEvent::Authorized(Authorized {
        payment_id: payment_id(),
        amount,
        provider_reference: "pay_1".to_owned(),
    })
}

fn record_authorized(amount: Money) -> Command {
    Command::RecordAuthorized { amount, provider_reference: "pay_1".to_owned() }
}

fn declined() -> PaymentEvent {
    PaymentEvent::Declined(Declined { payment_id: payment_id(), code: "no_funds".to_owned() })
}

fn record_declined() -> Command {
    Command::RecordDeclined { code: "no_funds".to_owned() }
}

fn unknown(operation: Operation, attempt: u32) -> PaymentEvent {
    PaymentEvent::OutcomeUnknown(OutcomeUnknown {
        payment_id: payment_id(),
        operation,
        attempt,
        reason: "timeout".to_owned(),
    })
}

fn record_unknown(operation: Operation, attempt: u32) -> Command {
    Command::RecordUnknown { operation, attempt, reason: "timeout".to_owned() }
}

fn attention(operation: Operation, attempts: u32) -> PaymentEvent {
    PaymentEvent::AttentionRequired(AttentionRequired { payment_id: payment_id(), operation, attempts })
}

fn capture(n: u128, pence: i64) -> Command {
    Command::Capture { capture_id: capture_id(n), amount: gbp(pence) }
}

fn capture_requested(n: u128, pence: i64) -> PaymentEvent {
    PaymentEvent::CaptureRequested(CaptureRequested {
        payment_id: payment_id(),
        capture_id: capture_id(n),
        amount: gbp(pence),
    })
}

fn captured(n: u128, pence: i64) -> PaymentEvent {
    PaymentEvent::Captured(Captured {
        payment_id: payment_id(),
        capture_id: capture_id(n),
        amount: gbp(pence),
    })
}

fn record_captured(n: u128, pence: i64) -> Command {
    Command::RecordCaptured { capture_id: capture_id(n), amount: gbp(pence) }
}

fn capture_failed(n: u128) -> PaymentEvent {
    PaymentEvent::CaptureFailed(CaptureFailed {
        payment_id: payment_id(),
        capture_id: capture_id(n),
        code: "expired".to_owned(),
    })
}

fn record_capture_failed(n: u128) -> Command {
    Command::RecordCaptureFailed { capture_id: capture_id(n), code: "expired".to_owned() }
}

fn void_requested() -> PaymentEvent {
    PaymentEvent::VoidRequested(VoidRequested { payment_id: payment_id() })
}

fn voided() -> PaymentEvent {
    PaymentEvent::Voided(Voided { payment_id: payment_id() })
}

fn refund(n: u128, pence: i64) -> Command {
    Command::Refund { refund_id: refund_id(n), amount: gbp(pence), reason: "broken".to_owned() }
}

fn refund_requested(n: u128, pence: i64) -> PaymentEvent {
    PaymentEvent::RefundRequested(RefundRequested {
        payment_id: payment_id(),
        refund_id: refund_id(n),
        amount: gbp(pence),
        reason: "broken".to_owned(),
    })
}

fn refunded(n: u128, pence: i64) -> PaymentEvent {
    PaymentEvent::Refunded(Refunded { payment_id: payment_id(), refund_id: refund_id(n), amount: gbp(pence) })
}

fn record_refunded(n: u128, pence: i64) -> Command {
    Command::RecordRefunded { refund_id: refund_id(n), amount: gbp(pence) }
}

fn refund_failed(n: u128) -> PaymentEvent {
    PaymentEvent::RefundFailed(RefundFailed {
        payment_id: payment_id(),
        refund_id: refund_id(n),
        code: "closed".to_owned(),
    })
}

fn record_refund_failed(n: u128) -> Command {
    Command::RecordRefundFailed { refund_id: refund_id(n), code: "closed".to_owned() }
}

fn found(
    operation: Operation,
    mismatch: Mismatch,
    expected: Option<Money>,
    reported: Option<Money>,
) -> PaymentEvent {
    PaymentEvent::DiscrepancyFound(DiscrepancyFound {
        payment_id: payment_id(),
        operation,
        expected,
        reported,
        code: mismatch.code().to_owned(),
    })
}

/// The usual history, up to and with what `more` adds to an authorized payment.
fn authorized_then(more: impl IntoIterator<Item = PaymentEvent>) -> Vec<PaymentEvent> {
    [requested(), authorized(gbp(1000))].into_iter().chain(more).collect()
}

fn captured_then(more: impl IntoIterator<Item = PaymentEvent>) -> Vec<PaymentEvent> {
    authorized_then([capture_requested(1, 1000), captured(1, 1000)].into_iter().chain(more))
}
