//! What goes over the wire between the sandbox's client and its server.

use events::{Money, ids::PaymentId, payment::Operation};
use serde::{Deserialize, Serialize};

use crate::gateway::Call;

/// The header with the key of a call.
pub(super) const KEY_HEADER: &str = "idempotency-key";

/// Where calls are made.
pub(super) const CALLS: &str = "/v1/calls";

/// Where it can be asked what became of a call.
pub(super) const CALL: &str = "/v1/payments/{payment_id}/calls/{key}";

/// The body of a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallBody {
    payment_id: PaymentId,
    operation: Operation,
    amount: Money,
    method: String,
}

impl From<&Call> for CallBody {
    fn from(call: &Call) -> Self {
        Self {
            payment_id: call.payment_id,
            operation: call.operation,
            amount: call.amount,
            method: call.method.clone(),
        }
    }
}

impl From<CallBody> for Call {
    fn from(body: CallBody) -> Self {
        Self {
            payment_id: body.payment_id,
            operation: body.operation,
            amount: body.amount,
            method: body.method,
        }
    }
}
