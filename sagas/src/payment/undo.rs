//! How a payment is undone: held money is voided, taken money refunded, and what the provider has not said
//! is waited for.

use domain::payment::{Account, Command, Payment};
use events::{Money, ids::OrderId, payment::Operation};

use crate::checkout::Step;

/// The next thing to do so that no money of the customer is held or kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// Nothing: none is.
    Done,
    /// Wait for what the provider has been asked.
    Wait,
    /// Send this, as this step of the checkout.
    Send {
        /// The command.
        command: Command,
        /// The step that it is.
        step: Step<'static>,
    },
    /// The provider has refused a refund for good. A person has to look; it is tried again slowly.
    Refused,
}

/// The next thing to do about a payment that is to be undone. After a refused refund another is asked for
/// only when `again`.
pub fn undo(payment: &Payment, order_id: OrderId, again: bool) -> Undo {
    let Some(account) = payment.account() else { return Undo::Done };
    if account.is_undone() {
        return Undo::Done;
    }
    let capturing =
        payment.open_operations().iter().any(|open| matches!(open.operation, Operation::Capture { .. }));
    if capturing {
        return Undo::Wait;
    }
    if account.captured().amount == 0 {
        return Undo::Send { command: Command::Void, step: Step::Void };
    }
    refund(payment, account, order_id, again)
}

fn refund(payment: &Payment, account: &Account, order_id: OrderId, again: bool) -> Undo {
    let open: i64 = payment
        .open_operations()
        .iter()
        .filter(|open| matches!(open.operation, Operation::Refund { .. }))
        .filter_map(|open| open.amount)
        .fold(0, |sum, amount| sum.saturating_add(amount.amount));
    let refunded_before = account.refunded().amount.saturating_add(open);
    let left = account.captured().amount.saturating_sub(refunded_before);
    if left <= 0 {
        return Undo::Wait;
    }
    let failures = account.failed_refunds();
    if failures > 0 && !again {
        return Undo::Refused;
    }
    let step = Step::Refund { refunded_before, failures };
    let command = Command::Refund {
        refund_id: step.refund_id(order_id),
        amount: Money::new(left, account.captured().currency),
        reason: "checkout_undone".to_owned(),
    };
    Undo::Send { command, step }
}
