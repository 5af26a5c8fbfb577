//! The port to payment providers. Every call carries a key of our own, so that making it twice has one
//! effect. **An answer that cannot be understood is unknown, never a failure**: it may have had its effect.

pub mod sandbox;

use std::fmt;

use async_trait::async_trait;
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use events::{Money, ids::PaymentId, payment::Operation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A call to a provider. Repeating it repeats its key, and so has one effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Our id of the payment.
    pub payment_id: PaymentId,
    /// What is to be done.
    pub operation: Operation,
    /// How much to authorize, capture or refund; what was authorized, when it is given up.
    pub amount: Money,
    /// What the provider knows the means of payment by. Never logged.
    pub method: String,
}

impl Call {
    /// The key under which the provider knows this call, however often it is made.
    pub fn idempotency_key(&self) -> String {
        self.operation.idempotency_key(self.payment_id)
    }
}

/// What is known after a call, or after asking about one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Answer {
    /// It was done.
    Approved {
        /// The provider's own id of the payment.
        provider_reference: String,
        /// How much was authorized, captured, given up or refunded.
        amount: Money,
    },
    /// It was refused for good: the same call will never be approved.
    Declined {
        /// The provider's reason code.
        code: String,
    },
    /// The provider has it and has not decided.
    Pending,
    /// No answer that means anything. The call may have had its effect.
    Unknown {
        /// What was seen, as a code: `timeout`, `http_502`, `connection` and the like.
        reason: String,
    },
}

/// A notification whose signature and age are good.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The provider's id of it; the same for every delivery.
    pub id: String,
    /// The payment that it speaks of, by our id.
    pub payment_id: PaymentId,
    /// What the provider wrote.
    pub body: Value,
}

/// Why a delivery is not believed. Says nothing that would help to forge one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// No signature, or one that is not in the provider's format.
    #[error("the delivery carries no readable signature")]
    Unsigned,
    /// The signature was not made with a secret that we share over these bytes.
    #[error("the signature does not fit the delivery")]
    Forged,
    /// Signed too long ago, or too far in the future.
    #[error("the delivery was not signed just now")]
    Stale,
    /// Well signed, but not a notification that this provider sends.
    #[error("the delivery is signed well but cannot be read")]
    Unreadable,
}

/// A payment provider.
#[async_trait]
pub trait PaymentGateway: Send + Sync + fmt::Debug + 'static {
    /// The provider's name, as it stands in addresses and events.
    fn provider(&self) -> &'static str;

    /// Makes a call, or makes it again under the same key.
    async fn perform(&self, call: &Call) -> Answer;

    /// Asks what became of a call without making it. `None` when the provider has never seen its key.
    async fn look_up(&self, call: &Call) -> Option<Answer>;

    /// Checks that a delivery was signed by the provider, over these very bytes, close to `now`.
    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Notification, VerifyError>;

    /// Reads what a notification says: which call it answers, and the answer. `None` when it is of a
    /// kind that says nothing about a call.
    fn interpret(&self, notification: &Value) -> Option<(Operation, Answer)>;
}
