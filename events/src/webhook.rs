//! What payment providers told us, as it arrived. Only deliveries whose signature was verified get
//! here; each is kept before it is acknowledged, so that one that comes too early is not lost.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{codec::wire_events, ids::PaymentId};

wire_events! {
    /// What happened to a delivery.
    WebhookEvent in Webhook {
        /// It arrived, and its signature was good.
        Received(Received) = "WebhookReceived" v 1,
        /// What it says is recorded with its payment.
        Applied(Applied) = "WebhookApplied" v 1,
        /// Its payment never appeared; a person has to look.
        AttentionRequired(AttentionRequired) = "WebhookAttentionRequired" v 1,
    }
}

/// A delivery arrived, and its signature was good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The provider, by name.
    pub provider: String,
    /// The provider's id of the notification; the same for every delivery of it.
    pub notification_id: String,
    /// The payment that it speaks of.
    pub payment_id: PaymentId,
    /// The notification as the provider wrote it.
    pub notification: Value,
}

/// What the delivery says is recorded with its payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The provider's id of the notification.
    pub notification_id: String,
    /// The payment.
    pub payment_id: PaymentId,
}

/// The payment that the delivery speaks of never appeared, or would not take it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttentionRequired {
    /// The provider's id of the notification.
    pub notification_id: String,
    /// The payment.
    pub payment_id: PaymentId,
    /// What was in the way, as a code: `no_such_payment`, `unreadable`.
    pub code: String,
}
