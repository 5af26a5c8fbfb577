//! The pure part of the payment process: which call a payment's open operation is, what an answer becomes in
//! the log, when to ask again, and how money is given back. **An unknown outcome is asked about under the
//! same key until it is known**; only how patiently is decided here.

mod retry;
mod undo;

use domain::payment::{Account, Command, OpenOperation};
use events::payment::Operation;
use uuid::Uuid;

pub use retry::Retry;
pub use undo::{Undo, undo};

use crate::gateway::{Answer, Call};

/// The call to the provider that an open operation is.
pub fn call(account: &Account, open: &OpenOperation) -> Call {
    let intent = account.intent();
    Call {
        payment_id: intent.payment_id,
        operation: open.operation,
        amount: open.amount.or_else(|| account.authorized()).unwrap_or(intent.amount),
        method: intent.method.clone(),
    }
}

/// What an answer means to us. No provider refuses to give up what it holds, unless something was captured
/// that we do not know of yet, or nothing is held any longer: such a refusal is asked about again like an
/// answer that was lost, and past the limit shown to a person.
pub fn heard(operation: Operation, answer: Answer) -> Answer {
    match (operation, answer) {
        (Operation::Void, Answer::Declined { code }) => {
            Answer::Unknown { reason: format!("declined_{code}") }
        }
        (_, answer) => answer,
    }
}

/// The command that records an answer as it was [`heard`]; `attempt` counts the calls that were made, this
/// one included.
pub fn record(operation: Operation, answer: Answer, attempt: u32) -> Command {
    let unknown = |reason| Command::RecordUnknown { operation, attempt, reason };
    match (operation, answer) {
        (_, Answer::Pending) => unknown("pending".to_owned()),
        (_, Answer::Unknown { reason }) => unknown(reason),
        (Operation::Authorize, Answer::Approved { provider_reference, amount }) => {
            Command::RecordAuthorized { amount, provider_reference }
        }
        (Operation::Authorize, Answer::Declined { code }) => Command::RecordDeclined { code },
        (Operation::Capture { capture_id }, Answer::Approved { amount, .. }) => {
            Command::RecordCaptured { capture_id, amount }
        }
        (Operation::Capture { capture_id }, Answer::Declined { code }) => {
            Command::RecordCaptureFailed { capture_id, code }
        }
        (Operation::Void, Answer::Approved { .. }) => Command::RecordVoided,
        (Operation::Void, Answer::Declined { code }) => unknown(format!("declined_{code}")),
        (Operation::Refund { refund_id }, Answer::Approved { amount, .. }) => {
            Command::RecordRefunded { refund_id, amount }
        }
        (Operation::Refund { refund_id }, Answer::Declined { code }) => {
            Command::RecordRefundFailed { refund_id, code }
        }
    }
}

/// The id of the command that records an answer. The same answer has the same id, whether it came back from
/// the call or by webhook; another answer to the same call has another.
pub fn record_id(call: &Call, answer: &Answer, attempt: u32) -> Uuid {
    let key = call.idempotency_key();
    let name = match answer {
        Answer::Approved { amount, .. } => format!("{key}:approved:{}:{}", amount.amount, amount.currency),
        Answer::Declined { code } => format!("{key}:declined:{code}"),
        Answer::Pending => format!("{key}:pending:{attempt}"),
        Answer::Unknown { .. } => format!("{key}:unknown:{attempt}"),
    };
    Uuid::new_v5(&call.payment_id.0, name.as_bytes())
}

/// The id of the command that asks for a person to look at a call.
pub fn attention_id(call: &Call) -> Uuid {
    Uuid::new_v5(&call.payment_id.0, format!("{}:attention", call.idempotency_key()).as_bytes())
}

#[cfg(test)]
mod tests;
