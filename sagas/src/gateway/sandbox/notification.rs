//! What the stand-in writes into its webhooks. The id follows from the call that is answered, so that
//! every delivery of one notification carries the same.

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use events::{ids::PaymentId, payment::Operation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::signature::Secrets;
use crate::gateway::{Answer, Notification, VerifyError};

/// The longest id of a notification that is read, in bytes: it becomes part of a stream's name.
const ID_CHARS_MAX: usize = 100;

/// The answer to one call, told by webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The same for every delivery.
    pub id: String,
    /// The payment, by the shop's id.
    pub payment_id: PaymentId,
    /// The call that is answered.
    pub operation: Operation,
    /// The answer.
    pub answer: Answer,
}

impl Notice {
    /// The notification of an answer.
    pub fn new(payment_id: PaymentId, operation: Operation, answer: Answer) -> Self {
        let key = operation.idempotency_key(payment_id);
        let id = uuid::Uuid::new_v5(&payment_id.0, key.as_bytes());
        Self { id: format!("ntf_{}", id.simple()), payment_id, operation, answer }
    }
}

impl Notice {
    /// Checks a delivery and reads it.
    pub fn verify(
        secrets: &Secrets,
        headers: &HeaderMap,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Notification, VerifyError> {
        secrets.verify(headers, body, now)?;
        let body: Value = serde_json::from_slice(body).map_err(|_| VerifyError::Unreadable)?;
        let notice = Self::deserialize(&body).map_err(|_| VerifyError::Unreadable)?;
        if notice.id.is_empty() || notice.id.len() > ID_CHARS_MAX {
            return Err(VerifyError::Unreadable);
        }
        Ok(Notification { id: notice.id, payment_id: notice.payment_id, body })
    }

    /// Which call a notification answers, and the answer. `None` when it is not one of this provider.
    pub fn interpret(notification: &Value) -> Option<(Operation, Answer)> {
        let notice = Self::deserialize(notification).ok()?;
        Some((notice.operation, notice.answer))
    }

    /// The notification as it is after its signature was checked.
    pub fn to_notification(&self) -> Result<Notification, serde_json::Error> {
        let body = serde_json::to_value(self)?;
        Ok(Notification { id: self.id.clone(), payment_id: self.payment_id, body })
    }
}
