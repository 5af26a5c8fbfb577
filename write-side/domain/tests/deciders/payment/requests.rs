//! What we want done to a payment.

use domain::payment::{Command, OpenOperation, Payment, Refusal};
use events::{Currency, ids::OrderId, payment::Operation};

use super::*;
use crate::scenario::{eur, given};

#[test]
fn an_authorization_is_asked_for() {
    given::<Payment>([]).when(request()).then([requested()]);
}

#[test]
fn asking_for_the_same_again_is_nothing() {
    given::<Payment>([requested()]).when(request()).then_nothing();
    given::<Payment>(captured_then([])).when(request()).then_nothing();
}

#[test]
fn a_payment_is_not_requested_otherwise() {
    given::<Payment>([requested()])
        .when(Command::Request {
            payment_id: payment_id(),
            order_id: OrderId(id(1)),
            amount: gbp(999),
            method: "tok_approve".to_owned(),
        })
        .then_refused(&Refusal::RequestedOtherwise { payment_id: payment_id() });
}

#[test]
fn money_moves_in_amounts_above_zero() {
    for pence in [0, -1, i64::MIN] {
        let refusal = Refusal::AmountNotPositive { amount: gbp(pence) };
        let nothing_asked = Command::Request {
            payment_id: payment_id(),
            order_id: OrderId(id(1)),
            amount: gbp(pence),
            method: "tok_approve".to_owned(),
        };
        given::<Payment>([]).when(nothing_asked.clone()).then_refused(&refusal);
        given::<Payment>([requested()]).when(nothing_asked).then_refused(&refusal);
        given::<Payment>(captured_then([])).when(capture(2, pence)).then_refused(&refusal);
        given::<Payment>(captured_then([])).when(refund(2, pence)).then_refused(&refusal);
    }
}

#[test]
fn a_payment_is_of_one_currency() {
    let refusal = Refusal::CurrencyDiffers { expected: Currency::GBP, given: Currency::EUR };
    given::<Payment>(authorized_then([]))
        .when(Command::Capture { capture_id: capture_id(1), amount: eur(1) })
        .then_refused(&refusal);
    given::<Payment>(captured_then([]))
        .when(Command::Refund { refund_id: refund_id(1), amount: eur(1), reason: String::new() })
        .then_refused(&refusal);
}

#[test]
fn nothing_is_done_to_a_payment_that_was_never_requested() {
    for command in [
        capture(1, 1),
        Command::Void,
        refund(1, 1),
        record_authorized(gbp(1000)),
        record_declined(),
        record_unknown(Operation::Authorize, 1),
        record_captured(1, 1),
        record_capture_failed(1),
        Command::RecordVoided,
        record_refunded(1, 1),
        record_refund_failed(1),
        Command::RequireAttention { operation: Operation::Authorize, attempts: 1 },
    ] {
        given::<Payment>([]).when(command).then_refused(&Refusal::NotRequested);
    }
}

#[test]
fn held_money_is_taken_in_parts_down_to_the_last_penny() {
    given::<Payment>(authorized_then([])).when(capture(1, 600)).then([capture_requested(1, 600)]);
    given::<Payment>(authorized_then([capture_requested(1, 600)]))
        .when(capture(2, 400))
        .then([capture_requested(2, 400)]);
}

#[test]
fn capture_takes_no_more_than_was_authorized() {
    let refusal = |captured, requested| Refusal::CaptureExceedsAuthorization {
        authorized: gbp(1000),
        captured: gbp(captured),
        requested: gbp(requested),
    };
    given::<Payment>(authorized_then([])).when(capture(1, 1001)).then_refused(&refusal(0, 1001));
    given::<Payment>(authorized_then([capture_requested(1, 600)]))
        .when(capture(2, 401))
        .then_refused(&refusal(600, 401));
    given::<Payment>(captured_then([])).when(capture(2, i64::MAX)).then_refused(&refusal(1000, i64::MAX));
}

#[test]
fn what_a_failed_capture_would_have_taken_can_be_taken_by_another() {
    given::<Payment>(authorized_then([capture_requested(1, 1000), capture_failed(1)]))
        .when(capture(2, 1000))
        .then([capture_requested(2, 1000)]);
}

#[test]
fn capturing_the_same_again_is_nothing_whatever_became_of_it() {
    for became in [vec![], vec![captured(1, 600)], vec![capture_failed(1)]] {
        let history = authorized_then([capture_requested(1, 600)].into_iter().chain(became));
        given::<Payment>(&history).when(capture(1, 600)).then_nothing();
        given::<Payment>(&history).when(capture(1, 601)).then_refused(&Refusal::CaptureDiffers {
            capture_id: capture_id(1),
            recorded: gbp(600),
            requested: gbp(601),
        });
    }
}

#[test]
fn only_held_money_is_captured() {
    given::<Payment>([requested()]).when(capture(1, 1)).then_refused(&Refusal::NotAuthorized);
    given::<Payment>([requested(), declined()]).when(capture(1, 1)).then_refused(&Refusal::Declined);
    for given_up in [
        vec![requested(), void_requested()],
        authorized_then([void_requested()]),
        authorized_then([void_requested(), voided()]),
    ] {
        given::<Payment>(given_up).when(capture(1, 1)).then_refused(&Refusal::GivenUp);
    }
}

#[test]
fn an_authorization_is_given_up() {
    given::<Payment>(authorized_then([])).when(Command::Void).then([void_requested()]);
    given::<Payment>(authorized_then([capture_requested(1, 1), capture_failed(1)]))
        .when(Command::Void)
        .then([void_requested()]);
}

#[test]
fn an_authorization_of_unknown_outcome_is_given_up_as_soon_as_it_is_known() {
    given::<Payment>([requested()]).when(Command::Void).then([void_requested()]);
    let payment = given::<Payment>([requested(), void_requested()]).state();
    let authorize = OpenOperation { operation: Operation::Authorize, amount: Some(gbp(1000)), attempts: 0 };
    assert_eq!(payment.open_operations(), [authorize]);
    let payment = given::<Payment>([requested(), void_requested(), authorized(gbp(1000))]).state();
    let void = OpenOperation { operation: Operation::Void, amount: None, attempts: 0 };
    assert_eq!(payment.open_operations(), [void]);
}

#[test]
fn there_is_nothing_to_give_up_twice_or_after_a_decline() {
    for history in [
        vec![requested(), void_requested()],
        vec![requested(), declined()],
        authorized_then([void_requested()]),
        authorized_then([void_requested(), voided()]),
    ] {
        given::<Payment>(history).when(Command::Void).then_nothing();
    }
}

#[test]
fn what_is_captured_or_being_captured_is_refunded_and_not_voided() {
    let refusal = Refusal::VoidAfterCapture { captured: gbp(600) };
    let asked = authorized_then([capture_requested(1, 600)]);
    given::<Payment>(&asked).when(Command::Void).then_refused(&refusal);
    let made = authorized_then([capture_requested(1, 600), captured(1, 600)]);
    given::<Payment>(&made).when(Command::Void).then_refused(&refusal);
}

#[test]
fn taken_money_is_given_back_in_parts_down_to_the_last_penny() {
    given::<Payment>(captured_then([])).when(refund(1, 300)).then([refund_requested(1, 300)]);
    given::<Payment>(captured_then([refund_requested(1, 300)]))
        .when(refund(2, 700))
        .then([refund_requested(2, 700)]);
}

#[test]
fn no_more_is_refunded_than_was_captured() {
    let refusal = |captured, refunded, requested| Refusal::RefundExceedsCaptured {
        captured: gbp(captured),
        refunded: gbp(refunded),
        requested: gbp(requested),
    };
    given::<Payment>(authorized_then([])).when(refund(1, 1)).then_refused(&refusal(0, 0, 1));
    given::<Payment>(authorized_then([capture_requested(1, 1000)]))
        .when(refund(1, 1))
        .then_refused(&refusal(0, 0, 1));
    given::<Payment>(captured_then([refund_requested(1, 300)]))
        .when(refund(2, 701))
        .then_refused(&refusal(1000, 300, 701));
    given::<Payment>(captured_then([refund_requested(1, 300), refunded(1, 300)]))
        .when(refund(2, i64::MAX))
        .then_refused(&refusal(1000, 300, i64::MAX));
}

#[test]
fn what_a_failed_refund_would_have_given_can_be_given_by_another() {
    given::<Payment>(captured_then([refund_requested(1, 1000), refund_failed(1)]))
        .when(refund(2, 1000))
        .then([refund_requested(2, 1000)]);
}

#[test]
fn refunding_the_same_again_is_nothing_whatever_became_of_it() {
    for became in [vec![], vec![refunded(1, 300)], vec![refund_failed(1)]] {
        let history = captured_then([refund_requested(1, 300)].into_iter().chain(became));
        given::<Payment>(&history).when(refund(1, 300)).then_nothing();
        given::<Payment>(&history).when(refund(1, 301)).then_refused(&Refusal::RefundDiffers {
            refund_id: refund_id(1),
            recorded: gbp(300),
            requested: gbp(301),
        });
    }
}

#[test]
fn open_calls_tell_amount_and_attempts() {
    let history = captured_then([
        refund_requested(1, 300),
        refund_requested(2, 200),
        unknown(refund_call(2), 1),
        unknown(refund_call(2), 2),
    ]);
    let open =
        |n, pence, attempts| OpenOperation { operation: refund_call(n), amount: Some(gbp(pence)), attempts };
    assert_eq!(given::<Payment>(history).state().open_operations(), [open(1, 300, 0), open(2, 200, 2)]);
}

#[test]
fn a_payment_is_undone_when_nothing_is_held_or_kept() {
    let undone = |history: Vec<PaymentEvent>| {
        given::<Payment>(history).state().account().is_some_and(domain::payment::Account::is_undone)
    };
    assert!(!undone(vec![requested()]));
    assert!(!undone(vec![requested(), void_requested()]));
    assert!(undone(vec![requested(), declined()]));
    assert!(!undone(authorized_then([])));
    assert!(!undone(authorized_then([void_requested()])));
    assert!(undone(authorized_then([void_requested(), voided()])));
    assert!(!undone(captured_then([refund_requested(1, 1000)])));
    assert!(!undone(captured_then([refund_requested(1, 999), refunded(1, 999)])));
    assert!(undone(captured_then([refund_requested(1, 1000), refunded(1, 1000)])));
}
