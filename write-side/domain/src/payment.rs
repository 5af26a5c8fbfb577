//! The rules of a payment: no more captured than authorized, no more refunded than captured, and every
//! answer of the provider recorded, also one that comes late, twice, out of order or against an earlier
//! one.
//!
//! **What the provider says is never refused once the payment exists.** What fits is recorded as it is;
//! what does not fit becomes a discrepancy, beside the fact where the fact still keeps the two rules
//! above, and without it where it does not. An answer that is about a step further than the history has
//! come (refunded before captured, captured before authorized) is kept and takes effect when its turn
//! has come. Money that is held against what we asked for is given up by the payment itself: after a
//! void was requested, after a decline, and when another amount is held than was asked for.

mod decide;
mod discrepancy;
mod evolve;
mod movement;
mod record;
mod state;

use events::{
    Currency, Money,
    ids::{CaptureId, OrderId, PaymentId, RefundId},
    payment::Operation,
};

pub use discrepancy::Mismatch;
pub use state::{Account, Intent, OpenOperation, Payment};

/// What somebody wants done to a payment (imperative), or what the provider said (`Record…`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ask for an authorization. An exact repeat is nothing.
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
    /// Take held money; several captures may share one authorization. An exact repeat is nothing, also
    /// when the capture has been made or has failed.
    Capture {
        /// The capture.
        capture_id: CaptureId,
        /// How much, above zero.
        amount: Money,
    },
    /// Give the authorization up, now or as soon as its outcome is known. Nothing to do once declined
    /// or voided; refused once anything is captured or being captured (refund instead).
    Void,
    /// Give taken money back; several refunds may share the captures. An exact repeat is nothing, also
    /// when the refund has been made or has failed.
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
    /// A call ended without an answer that means anything. Nothing when the call has been answered
    /// since, or when as many attempts are recorded; refused when the call was never asked for.
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
    /// Retries of a call went past their limit. Nothing the second time, and when the call has been
    /// answered since; refused when the call was never asked for.
    RequireAttention {
        /// The call.
        operation: Operation,
        /// How many times it was made.
        attempts: u32,
    },
}

/// The rule that was in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such payment.
    #[error("the payment was never requested")]
    NotRequested,
    /// A payment of this id is there already, with other content.
    #[error("payment {payment_id} was requested otherwise already")]
    RequestedOtherwise {
        /// The payment.
        payment_id: PaymentId,
    },
    /// Money moves in amounts above zero.
    #[error("the amount is {amount}; it must be above zero")]
    AmountNotPositive {
        /// The amount that was given.
        amount: Money,
    },
    /// A payment is of one currency.
    #[error("the payment is in {expected}, not in {given}")]
    CurrencyDiffers {
        /// The currency of the payment.
        expected: Currency,
        /// The currency that was given.
        given: Currency,
    },
    /// The provider does not hold the money, as far as is known.
    #[error("the payment is not authorized")]
    NotAuthorized,
    /// The provider will not.
    #[error("the payment was declined")]
    Declined,
    /// The authorization was or is being given up.
    #[error("the authorization is given up")]
    GivenUp,
    /// No more is captured than was authorized.
    #[error("{requested} cannot be captured: {captured} of {authorized} is captured or being captured")]
    CaptureExceedsAuthorization {
        /// What the provider holds or held.
        authorized: Money,
        /// What is captured or being captured.
        captured: Money,
        /// What was asked for.
        requested: Money,
    },
    /// A capture has one amount.
    #[error("capture {capture_id} is of {recorded}, not of {requested}")]
    CaptureDiffers {
        /// The capture.
        capture_id: CaptureId,
        /// Its amount.
        recorded: Money,
        /// What was asked for.
        requested: Money,
    },
    /// Taken money is refunded, not voided.
    #[error("{captured} is captured or being captured and cannot be voided")]
    VoidAfterCapture {
        /// What is captured or being captured.
        captured: Money,
    },
    /// No more is refunded than was captured.
    #[error("{requested} cannot be refunded: {refunded} of {captured} is refunded or being refunded")]
    RefundExceedsCaptured {
        /// What was captured.
        captured: Money,
        /// What is refunded or being refunded.
        refunded: Money,
        /// What was asked for.
        requested: Money,
    },
    /// A refund has one amount.
    #[error("refund {refund_id} is of {recorded}, not of {requested}")]
    RefundDiffers {
        /// The refund.
        refund_id: RefundId,
        /// Its amount.
        recorded: Money,
        /// What was asked for.
        requested: Money,
    },
    /// A call that has no request in the history cannot be without an answer.
    #[error("the call {operation:?} was never asked for")]
    NeverAsked {
        /// The call.
        operation: Operation,
    },
}
