//! Payments: one for each order intent. Every call to the provider has its intent here first
//! (`…Requested`), and every answer, also a late one, is recorded.

use serde::{Deserialize, Serialize};

use crate::{
    codec::wire_events,
    ids::{CaptureId, OrderId, PaymentId, RefundId},
    money::Money,
};

wire_events! {
    /// What happened to a payment.
    PaymentEvent in Payment {
        /// An authorization is to be asked for.
        Requested(Requested) = "PaymentRequested" v 1,
        /// The provider holds the money for us.
        Authorized(Authorized) = "PaymentAuthorized" v 1,
        /// The provider will not.
        Declined(Declined) = "PaymentDeclined" v 1,
        /// A call ended without an answer that means anything: it may have had its effect.
        OutcomeUnknown(OutcomeUnknown) = "PaymentOutcomeUnknown" v 1,
        /// A capture is to be made.
        CaptureRequested(CaptureRequested) = "PaymentCaptureRequested" v 1,
        /// The money is ours.
        Captured(Captured) = "PaymentCaptured" v 1,
        /// The provider refused the capture for good.
        CaptureFailed(CaptureFailed) = "PaymentCaptureFailed" v 1,
        /// The authorization is to be given up, whatever its outcome turns out to be.
        VoidRequested(VoidRequested) = "PaymentVoidRequested" v 1,
        /// The authorization was given up.
        Voided(Voided) = "PaymentVoided" v 1,
        /// Money is to be given back.
        RefundRequested(RefundRequested) = "PaymentRefundRequested" v 1,
        /// Money was given back.
        Refunded(Refunded) = "PaymentRefunded" v 1,
        /// The provider refused the refund for good.
        RefundFailed(RefundFailed) = "PaymentRefundFailed" v 1,
        /// The provider's answer does not fit what we asked for; a person has to look.
        DiscrepancyFound(DiscrepancyFound) = "PaymentDiscrepancyFound" v 1,
        /// Retries of a call went past their limit; a person has to look.
        AttentionRequired(AttentionRequired) = "PaymentAttentionRequired" v 1,
    }
}

/// A call to the provider. Its text form ends the idempotency key: `{payment_id}:capture:{capture_id}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Operation {
    /// Ask for the money to be held.
    Authorize,
    /// Take held money.
    Capture {
        /// Which capture.
        capture_id: CaptureId,
    },
    /// Give held money up.
    Void,
    /// Give taken money back.
    Refund {
        /// Which refund.
        refund_id: RefundId,
    },
}

impl Operation {
    /// The key under which the provider knows this call, however often it is made.
    pub fn idempotency_key(self, payment_id: PaymentId) -> String {
        match self {
            Self::Authorize => format!("{payment_id}:authorize"),
            Self::Capture { capture_id } => format!("{payment_id}:capture:{capture_id}"),
            Self::Void => format!("{payment_id}:void"),
            Self::Refund { refund_id } => format!("{payment_id}:refund:{refund_id}"),
        }
    }
}

/// An authorization is to be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// The payment.
    pub payment_id: PaymentId,
    /// The order that it pays for.
    pub order_id: OrderId,
    /// How much.
    pub amount: Money,
    /// What the provider knows the means of payment by.
    pub method: String,
}

/// The provider holds the money for us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorized {
    /// The payment.
    pub payment_id: PaymentId,
    /// How much is held.
    pub amount: Money,
    /// The provider's own id of the payment.
    pub provider_reference: String,
}

/// The provider will not pay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    /// The payment.
    pub payment_id: PaymentId,
    /// The provider's reason code.
    pub code: String,
}

/// A call ended without an answer that means anything; it is asked about with the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeUnknown {
    /// The payment.
    pub payment_id: PaymentId,
    /// The call.
    pub operation: Operation,
    /// How many times it has been made, this one included.
    pub attempt: u32,
    /// What was seen: `timeout`, `http_502`, `pending` and the like.
    pub reason: String,
}

/// A capture is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureRequested {
    /// The payment.
    pub payment_id: PaymentId,
    /// The capture.
    pub capture_id: CaptureId,
    /// How much.
    pub amount: Money,
}

/// The money is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// The payment.
    pub payment_id: PaymentId,
    /// The capture.
    pub capture_id: CaptureId,
    /// How much.
    pub amount: Money,
}

/// The provider refused the capture for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureFailed {
    /// The payment.
    pub payment_id: PaymentId,
    /// The capture.
    pub capture_id: CaptureId,
    /// The provider's reason code.
    pub code: String,
}

/// The authorization is to be given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidRequested {
    /// The payment.
    pub payment_id: PaymentId,
}

/// The authorization was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voided {
    /// The payment.
    pub payment_id: PaymentId,
}

/// Money is to be given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundRequested {
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// How much.
    pub amount: Money,
    /// Why, as a code or a short text without personal data.
    pub reason: String,
}

/// Money was given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refunded {
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// How much.
    pub amount: Money,
}

/// The provider refused the refund for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFailed {
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// The provider's reason code.
    pub code: String,
}

/// The provider's answer does not fit what we asked for, or contradicts an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscrepancyFound {
    /// The payment.
    pub payment_id: PaymentId,
    /// The call that was answered.
    pub operation: Operation,
    /// What was expected, where it was an amount.
    pub expected: Option<Money>,
    /// What the provider said, where it was an amount.
    pub reported: Option<Money>,
    /// What does not fit, as a code: `amount_differs`, `authorized_after_decline` and the like.
    pub code: String,
}

/// Retries of a call went past their limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttentionRequired {
    /// The payment.
    pub payment_id: PaymentId,
    /// The call that could not be finished.
    pub operation: Operation,
    /// How many times it was made.
    pub attempts: u32,
}
