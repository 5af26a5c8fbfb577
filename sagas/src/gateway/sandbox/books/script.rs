//! What each test token makes the provider do. All of it follows from the token, the call and how many
//! times it has arrived, so that a run can be repeated.

use chrono::{DateTime, TimeDelta, Utc};
use events::{Money, payment::Operation};

use super::{Delivery, Outcome};
use crate::gateway::sandbox::{notification::Notice, tokens};

/// How many times `tok_undo_down` refuses to void or refund.
const UNDO_DOWN_CALLS: u32 = 3;

/// How long `tok_webhook_only` stays pending.
const PENDING: TimeDelta = TimeDelta::milliseconds(500);

/// How the answer to the `nth` call of a key travels.
pub(super) fn delivery(method: &str, operation: Operation, nth: u32) -> Delivery {
    match operation {
        Operation::Authorize => match method {
            tokens::TIMEOUT_THEN_APPROVE | tokens::TIMEOUT_THEN_DECLINE if nth == 1 => Delivery::Lost,
            tokens::ERROR_THEN_APPROVE if nth == 1 => Delivery::InternalError,
            tokens::SLOW if nth == 1 => Delivery::Slow,
            _ => Delivery::Prompt,
        },
        Operation::Void | Operation::Refund { .. } => match method {
            tokens::UNDO_DOWN if nth <= UNDO_DOWN_CALLS => Delivery::Unavailable,
            _ => Delivery::Prompt,
        },
        Operation::Capture { .. } => Delivery::Prompt,
    }
}

/// What an authorization comes to.
pub(super) fn authorization(method: &str, amount: Money, now: DateTime<Utc>) -> Outcome {
    let declined = |code: &str| Outcome::Declined { code: code.to_owned() };
    if amount.amount <= 0 {
        return declined("invalid_amount");
    }
    match method {
        tokens::DECLINE | tokens::TIMEOUT_THEN_DECLINE => declined("card_declined"),
        tokens::WEBHOOK_ONLY => Outcome::Pending { approve_at: now + PENDING },
        tokens::AMOUNT_DIFFERS => {
            let other = if amount.amount > 1 { amount.amount - 1 } else { 2 };
            Outcome::Approved { amount: Money::new(other, amount.currency) }
        }
        known if tokens::ALL.contains(&known) => Outcome::Approved { amount },
        _ => declined("unknown_method"),
    }
}

/// Whether captures are refused for good.
pub(super) fn refuses_captures(method: &str) -> bool {
    method == tokens::CAPTURE_FAILS
}

/// Which webhooks go out before the answer and which after it.
pub(super) fn notices(method: &str, notice: Option<Notice>) -> (Vec<Notice>, Vec<Notice>) {
    let Some(notice) = notice else { return (Vec::new(), Vec::new()) };
    match method {
        tokens::WEBHOOK_FIRST => (vec![notice], Vec::new()),
        tokens::WEBHOOK_TWICE => (Vec::new(), vec![notice.clone(), notice]),
        tokens::WEBHOOK_ONLY => (Vec::new(), vec![notice]),
        _ => (Vec::new(), Vec::new()),
    }
}
