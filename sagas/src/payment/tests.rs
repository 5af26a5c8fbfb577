#![allow(clippy::unwrap_used, clippy::expect_used)]

use chrono::TimeDelta;
use domain::{Decider, payment::Payment};
use events::{
    Money,
    ids::{CaptureId, OrderId, PaymentId, RefundId},
};
use uuid::Uuid;

use super::*;
use crate::checkout::Step;

fn order_id() -> OrderId {
    OrderId(Uuid::from_u128(7))
}

fn pence(amount: i64) -> Money {
    Money::new(amount, "GBP".parse().unwrap())
}

fn request() -> Command {
    Command::Request {
        payment_id: PaymentId::from(order_id()),
        order_id: order_id(),
        amount: pence(600),
        method: "tok_approve".to_owned(),
    }
}

fn authorized() -> Command {
    Command::RecordAuthorized { amount: pence(600), provider_reference: "sbx_1".to_owned() }
}

fn capture_id() -> CaptureId {
    CaptureId(Uuid::from_u128(1))
}

fn captured(amount: i64) -> [Command; 2] {
    let capture_id = capture_id();
    let amount = pence(amount);
    [Command::Capture { capture_id, amount }, Command::RecordCaptured { capture_id, amount }]
}

/// The payment after these commands.
fn after(commands: &[Command]) -> Payment {
    commands.iter().fold(Payment::default(), |payment, command| {
        let events = payment.decide(command).unwrap();
        events.iter().try_fold(payment, Decider::evolve).unwrap()
    })
}

fn undo_refund(commands: &[Command], again: bool) -> (RefundId, i64) {
    match undo(&after(commands), order_id(), again) {
        Undo::Send { command: Command::Refund { refund_id, amount, .. }, step } => {
            assert_eq!(step.refund_id(order_id()), refund_id);
            (refund_id, amount.amount)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn pauses_double_up_to_the_longest() {
    let retry = Retry::default();
    let pauses: Vec<_> = [1, 2, 3, 8, 9, 10, u32::MAX]
        .iter()
        .map(|attempts| retry.pause(*attempts).num_milliseconds())
        .collect();
    assert_eq!(pauses, [200, 400, 800, 25_600, 51_200, 60_000, 60_000]);
    assert_eq!(retry.pause_after(TimeDelta::zero()), retry.first);
    assert_eq!(retry.pause_after(TimeDelta::seconds(3)), TimeDelta::seconds(3));
    assert_eq!(retry.pause_after(TimeDelta::days(3)), retry.longest);
}

#[test]
fn a_payment_that_was_never_asked_for_or_was_declined_needs_no_undoing() {
    assert_eq!(undo(&Payment::default(), order_id(), false), Undo::Done);
    let declined = after(&[request(), Command::RecordDeclined { code: "card_declined".to_owned() }]);
    assert_eq!(undo(&declined, order_id(), false), Undo::Done);
}

#[test]
fn money_that_is_or_may_be_held_is_voided() {
    for commands in [vec![request()], vec![request(), authorized()]] {
        let expected = Undo::Send { command: Command::Void, step: Step::Void };
        assert_eq!(undo(&after(&commands), order_id(), false), expected);
    }
    let voided = after(&[request(), authorized(), Command::Void, Command::RecordVoided]);
    assert_eq!(undo(&voided, order_id(), false), Undo::Done);
}

#[test]
fn a_capture_that_is_under_way_is_waited_for() {
    let [capture, _] = captured(600);
    assert_eq!(undo(&after(&[request(), authorized(), capture]), order_id(), false), Undo::Wait);
}

#[test]
fn what_was_captured_is_refunded_less_what_is_refunded_already() {
    let [capture, record] = captured(600);
    let paid = [request(), authorized(), capture, record];
    let (first, amount) = undo_refund(&paid, false);
    assert_eq!(amount, 600);
    let by_hand = RefundId(Uuid::from_u128(9));
    let refund = Command::Refund { refund_id: by_hand, amount: pence(150), reason: "broken".to_owned() };
    let partly = [paid.as_slice(), &[refund]].concat();
    let (second, amount) = undo_refund(&partly, false);
    assert_eq!(amount, 450);
    assert_ne!(first, second);
}

#[test]
fn a_refund_that_is_under_way_is_waited_for_and_one_that_was_made_is_all() {
    let [capture, record] = captured(600);
    let paid = [request(), authorized(), capture, record];
    let Undo::Send { command, .. } = undo(&after(&paid), order_id(), false) else { panic!() };
    let Command::Refund { refund_id, amount, .. } = command.clone() else { panic!() };
    let refunding = [paid.as_slice(), &[command]].concat();
    assert_eq!(undo(&after(&refunding), order_id(), true), Undo::Wait);
    let refunded = [refunding.as_slice(), &[Command::RecordRefunded { refund_id, amount }]].concat();
    assert_eq!(undo(&after(&refunded), order_id(), false), Undo::Done);
}

#[test]
fn a_refund_that_was_refused_for_good_is_tried_again_under_another_id_and_only_when_it_is_time() {
    let [capture, record] = captured(600);
    let paid = [request(), authorized(), capture, record];
    let (refund_id, _) = undo_refund(&paid, false);
    let Undo::Send { command, .. } = undo(&after(&paid), order_id(), false) else { panic!() };
    let refused = Command::RecordRefundFailed { refund_id, code: "account_closed".to_owned() };
    let failed = [paid.as_slice(), &[command, refused]].concat();
    assert_eq!(undo(&after(&failed), order_id(), false), Undo::Refused);
    let (again, amount) = undo_refund(&failed, true);
    assert_ne!(again, refund_id);
    assert_eq!(amount, 600);
}

#[test]
fn a_call_carries_the_key_and_the_amount_of_its_operation() {
    let payment = after(&[request(), authorized(), Command::Void]);
    let open = payment.open_operations();
    let call = call(payment.account().unwrap(), &open[0]);
    assert_eq!(call.operation, Operation::Void);
    assert_eq!(call.amount, pence(600));
    assert_eq!(call.idempotency_key(), format!("{}:void", order_id()));
}

#[test]
fn an_answer_that_means_nothing_is_recorded_as_unknown_and_never_as_a_failure() {
    let operations = [
        Operation::Authorize,
        Operation::Capture { capture_id: capture_id() },
        Operation::Void,
        Operation::Refund { refund_id: RefundId(Uuid::nil()) },
    ];
    for operation in operations {
        for answer in [Answer::Pending, Answer::Unknown { reason: "http_502".to_owned() }] {
            let command = record(operation, answer, 3);
            assert!(matches!(command, Command::RecordUnknown { attempt: 3, .. }), "{command:?}");
        }
    }
}

#[test]
fn the_same_answer_has_one_command_id_and_another_answer_has_another() {
    let payment = after(&[request()]);
    let call = call(payment.account().unwrap(), &payment.open_operations()[0]);
    let approved = |amount| Answer::Approved { provider_reference: "sbx".to_owned(), amount: pence(amount) };
    assert_eq!(record_id(&call, &approved(600), 1), record_id(&call, &approved(600), 2));
    assert_ne!(record_id(&call, &approved(600), 1), record_id(&call, &approved(599), 1));
    let unknown = Answer::Unknown { reason: "timeout".to_owned() };
    assert_ne!(record_id(&call, &unknown, 1), record_id(&call, &unknown, 2));
}
