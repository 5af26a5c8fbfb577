//! The ways in which an answer of the provider can fail to fit the history, each with the code that goes
//! into the log.

/// What does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// Another amount than was asked for.
    AmountDiffers,
    /// Another amount than the provider said before.
    AnswerChanged,
    /// Money of another currency, or an amount that is not above zero.
    NotInCurrency,
    /// Held after the provider had said that it would not.
    AuthorizedAfterDecline,
    /// Declined after the provider had said that it holds the money.
    DeclinedAfterAuthorization,
    /// Captured although nothing is known to be held; it takes effect when something is.
    CapturedBeforeAuthorization,
    /// Captured although we did not ask.
    CaptureNotRequested,
    /// Captured after the provider had said that it would not.
    CapturedAfterFailure,
    /// Refused after the provider had said that it was captured.
    FailedAfterCapture,
    /// More than is held; it is not counted as captured.
    CaptureExceedsAuthorization,
    /// Given up although nothing is known to be held; it takes effect when something is.
    VoidedBeforeAuthorization,
    /// Given up although we did not ask.
    VoidNotRequested,
    /// Given up although the provider had said that it would not pay.
    VoidedAfterDecline,
    /// Given up although it is captured; it stays captured.
    VoidedAfterCapture,
    /// Refunded although nothing of the amount is known to be captured; it takes effect when it is.
    RefundedBeforeCapture,
    /// Refunded although we did not ask.
    RefundNotRequested,
    /// Refunded after the provider had said that it would not.
    RefundedAfterFailure,
    /// Refused after the provider had said that it was refunded.
    FailedAfterRefund,
}

impl Mismatch {
    /// The code in the log. Part of the history: never changed.
    pub const fn code(self) -> &'static str {
        match self {
            Self::AmountDiffers => "amount_differs",
            Self::AnswerChanged => "answer_changed",
            Self::NotInCurrency => "not_in_currency",
            Self::AuthorizedAfterDecline => "authorized_after_decline",
            Self::DeclinedAfterAuthorization => "declined_after_authorization",
            Self::CapturedBeforeAuthorization => "captured_before_authorization",
            Self::CaptureNotRequested => "capture_not_requested",
            Self::CapturedAfterFailure => "captured_after_failure",
            Self::FailedAfterCapture => "failed_after_capture",
            Self::CaptureExceedsAuthorization => "capture_exceeds_authorization",
            Self::VoidedBeforeAuthorization => "voided_before_authorization",
            Self::VoidNotRequested => "void_not_requested",
            Self::VoidedAfterDecline => "voided_after_decline",
            Self::VoidedAfterCapture => "voided_after_capture",
            Self::RefundedBeforeCapture => "refunded_before_capture",
            Self::RefundNotRequested => "refund_not_requested",
            Self::RefundedAfterFailure => "refunded_after_failure",
            Self::FailedAfterRefund => "failed_after_refund",
        }
    }

    /// Whether the answer is kept until the history has come as far.
    pub(super) fn is_early(code: &str) -> bool {
        [Self::CapturedBeforeAuthorization, Self::VoidedBeforeAuthorization, Self::RefundedBeforeCapture]
            .iter()
            .any(|early| early.code() == code)
    }
}
