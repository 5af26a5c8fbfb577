//! The rules of a payment: no more captured than authorized, no more refunded than captured, and every
//! answer of the provider recorded, also one that comes late or contradicts an earlier one.

use events::{
    Money,
    ids::{CaptureId, OrderId, PaymentId, RefundId},
    payment::Operation,
};

/// What somebody wants done to a payment (imperative), or what the provider said (`Record…`, which is
/// never refused once the payment exists: what does not fit becomes a discrepancy).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ask for an authorization.
    Request {
        /// The payment.
        payment_id: PaymentId,
        /// What it pays for.
        order_id: OrderId,
        /// How much, above zero.
        amount: Money,
        /// The means of payment.
        method: String,
    },
    /// Take held money; several captures may share one authorization.
    Capture {
        /// The capture.
        capture_id: CaptureId,
        /// How much, above zero.
        amount: Money,
    },
    /// Give the authorization up, now or as soon as its outcome is known. Nothing to do once declined
    /// or voided; refused once anything is captured or being captured (refund instead).
    Void,
    /// Give taken money back; several refunds may share the captures.
    Refund {
        /// The refund.
        refund_id: RefundId,
        /// How much, above zero.
        amount: Money,
        /// Why.
        reason: String,
    },
    /// The provider holds the money.
    RecordAuthorized {
        /// How much it holds.
        amount: Money,
        /// Its own id of the payment.
        provider_reference: String,
    },
    /// The provider will not.
    RecordDeclined {
        /// Its reason code.
        code: String,
    },
    /// A call ended without an answer that means anything.
    RecordUnknown {
        /// The call.
        operation: Operation,
        /// How many times it was made.
        attempt: u32,
        /// What was seen.
        reason: String,
    },
    /// The provider captured.
    RecordCaptured {
        /// The capture.
        capture_id: CaptureId,
        /// How much.
        amount: Money,
    },
    /// The provider refused a capture for good.
    RecordCaptureFailed {
        /// The capture.
        capture_id: CaptureId,
        /// Its reason code.
        code: String,
    },
    /// The provider gave the authorization up.
    RecordVoided,
    /// The provider refunded.
    RecordRefunded {
        /// The refund.
        refund_id: RefundId,
        /// How much.
        amount: Money,
    },
    /// The provider refused a refund for good.
    RecordRefundFailed {
        /// The refund.
        refund_id: RefundId,
        /// Its reason code.
        code: String,
    },
    /// Retries of a call went past their limit.
    RequireAttention {
        /// The call.
        operation: Operation,
        /// How many times it was made.
        attempts: u32,
    },
}
