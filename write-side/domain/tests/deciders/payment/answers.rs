//! What the provider says: in time, late, twice, out of order, and against itself.

use domain::{
    Decider,
    payment::{Command, Payment, Refusal},
};
use events::payment::Operation;

use super::*;
use crate::scenario::{eur, given};

#[test]
fn an_authorization_is_recorded_once() {
    given::<Payment>([requested()]).when(record_authorized(gbp(1000))).then([authorized(gbp(1000))]);
    for history in [
        authorized_then([]),
        authorized_then([void_requested()]),
        authorized_then([void_requested(), voided()]),
        captured_then([]),
    ] {
        given::<Payment>(history).when(record_authorized(gbp(1000))).then_nothing();
    }
}

#[test]
fn a_late_success_is_recorded_and_opens_the_void_that_waited_for_it() {
    given::<Payment>([requested(), void_requested()])
        .when(record_authorized(gbp(1000)))
        .then([authorized(gbp(1000))]);
}

#[test]
fn another_amount_than_was_asked_for_is_held_only_to_be_given_up() {
    for other in [gbp(999), gbp(1001), eur(1000)] {
        let found = found(Operation::Authorize, Mismatch::AmountDiffers, Some(gbp(1000)), Some(other));
        let events = [found, authorized(other), void_requested()];
        given::<Payment>([requested()]).when(record_authorized(other)).then(&events);
        let history: Vec<_> = [requested()].into_iter().chain(events).collect();
        given::<Payment>(&history).when(capture(1, 1)).then_refused(&Refusal::GivenUp);
        given::<Payment>(&history).when(record_authorized(other)).then_nothing();
    }
}

#[test]
fn another_amount_after_a_void_was_requested_needs_no_second_void() {
    let found = found(Operation::Authorize, Mismatch::AmountDiffers, Some(gbp(1000)), Some(gbp(5)));
    given::<Payment>([requested(), void_requested()])
        .when(record_authorized(gbp(5)))
        .then([found, authorized(gbp(5))]);
}

#[test]
fn a_success_after_a_decline_is_given_up() {
    let found = found(Operation::Authorize, Mismatch::AuthorizedAfterDecline, None, Some(gbp(1000)));
    given::<Payment>([requested(), declined()]).when(record_authorized(gbp(1000))).then([
        found,
        authorized(gbp(1000)),
        void_requested(),
    ]);
}

#[test]
fn an_authorization_that_changes_its_amount_is_found_once() {
    let found = found(Operation::Authorize, Mismatch::AnswerChanged, Some(gbp(1000)), Some(gbp(900)));
    given::<Payment>(authorized_then([])).when(record_authorized(gbp(900))).then([found.clone()]);
    given::<Payment>(authorized_then([found])).when(record_authorized(gbp(900))).then_nothing();
}

#[test]
fn a_decline_is_recorded_once() {
    for history in [vec![requested()], vec![requested(), void_requested()]] {
        given::<Payment>(history).when(record_declined()).then([declined()]);
    }
    given::<Payment>([requested(), declined()]).when(record_declined()).then_nothing();
}

#[test]
fn a_decline_of_held_money_is_a_discrepancy() {
    let mismatch = Mismatch::DeclinedAfterAuthorization;
    let found = found(Operation::Authorize, mismatch, Some(gbp(1000)), None);
    for history in [authorized_then([]), authorized_then([void_requested()]), captured_then([])] {
        given::<Payment>(history).when(record_declined()).then([found.clone()]);
    }
}

#[test]
fn an_unknown_outcome_is_counted_once_per_attempt() {
    let first = unknown(Operation::Authorize, 1);
    given::<Payment>([requested()]).when(record_unknown(Operation::Authorize, 1)).then([first.clone()]);
    given::<Payment>([requested(), first.clone()])
        .when(record_unknown(Operation::Authorize, 1))
        .then_nothing();
    given::<Payment>([requested(), first])
        .when(record_unknown(Operation::Authorize, 2))
        .then([unknown(Operation::Authorize, 2)]);
}

#[test]
fn every_call_can_be_of_unknown_outcome() {
    for (history, call) in [
        (vec![requested(), void_requested()], Operation::Authorize),
        (authorized_then([capture_requested(1, 1)]), capture_call(1)),
        (authorized_then([void_requested()]), Operation::Void),
        (captured_then([refund_requested(1, 1)]), refund_call(1)),
    ] {
        given::<Payment>(history).when(record_unknown(call, 1)).then([unknown(call, 1)]);
    }
}

#[test]
fn not_knowing_is_nothing_once_the_answer_is_known() {
    for (history, call) in [
        (authorized_then([]), Operation::Authorize),
        (vec![requested(), declined()], Operation::Authorize),
        (captured_then([]), capture_call(1)),
        (authorized_then([capture_requested(1, 1), capture_failed(1)]), capture_call(1)),
        (authorized_then([void_requested(), voided()]), Operation::Void),
        (captured_then([refund_requested(1, 1), refunded(1, 1)]), refund_call(1)),
    ] {
        given::<Payment>(&history).when(record_unknown(call, 9)).then_nothing();
        given::<Payment>(&history)
            .when(Command::RequireAttention { operation: call, attempts: 9 })
            .then_nothing();
    }
}

#[test]
fn a_call_that_was_never_asked_for_has_no_unknown_outcome() {
    for call in [capture_call(7), Operation::Void, refund_call(7)] {
        let refusal = Refusal::NeverAsked { operation: call };
        given::<Payment>(captured_then([])).when(record_unknown(call, 1)).then_refused(&refusal);
        given::<Payment>(captured_then([]))
            .when(Command::RequireAttention { operation: call, attempts: 9 })
            .then_refused(&refusal);
    }
}

#[test]
fn a_person_is_told_once_per_call_and_the_call_stays_open() {
    let require = Command::RequireAttention { operation: Operation::Void, attempts: 9 };
    let history = authorized_then([void_requested()]);
    given::<Payment>(history).when(require.clone()).then([attention(Operation::Void, 9)]);
    let told = authorized_then([void_requested(), attention(Operation::Void, 9)]);
    given::<Payment>(&told).when(require.clone()).then_nothing();
    given::<Payment>(&told).when(record_unknown(Operation::Void, 10)).then([unknown(Operation::Void, 10)]);
    let tried: Vec<_> = told.into_iter().chain([unknown(Operation::Void, 10)]).collect();
    given::<Payment>(&tried).when(require).then_nothing();
    assert_eq!(given::<Payment>(&tried).state().open_operations().len(), 1);
}

#[test]
fn a_capture_is_recorded_once() {
    given::<Payment>(authorized_then([capture_requested(1, 600)]))
        .when(record_captured(1, 600))
        .then([captured(1, 600)]);
    given::<Payment>(captured_then([])).when(record_captured(1, 1000)).then_nothing();
}

#[test]
fn a_capture_of_another_amount_is_recorded_as_it_was_made() {
    let found = found(capture_call(1), Mismatch::AmountDiffers, Some(gbp(600)), Some(gbp(500)));
    given::<Payment>(authorized_then([capture_requested(1, 600)]))
        .when(record_captured(1, 500))
        .then([found, captured(1, 500)]);
}

#[test]
fn a_capture_that_changes_its_amount_stays_as_it_was() {
    let found = found(capture_call(1), Mismatch::AnswerChanged, Some(gbp(1000)), Some(gbp(1)));
    given::<Payment>(captured_then([])).when(record_captured(1, 1)).then([found]);
}

#[test]
fn a_capture_in_another_currency_or_of_nothing_is_not_counted() {
    let history = authorized_then([capture_requested(1, 600)]);
    for odd in [eur(600), gbp(0), gbp(-600)] {
        let found = found(capture_call(1), Mismatch::NotInCurrency, Some(gbp(600)), Some(odd));
        given::<Payment>(&history)
            .when(Command::RecordCaptured { capture_id: capture_id(1), amount: odd })
            .then([found]);
    }
}

#[test]
fn a_capture_that_we_did_not_ask_for_is_recorded_and_found() {
    let found = found(capture_call(9), Mismatch::CaptureNotRequested, None, Some(gbp(10)));
    given::<Payment>(authorized_then([])).when(record_captured(9, 10)).then([found, captured(9, 10)]);
}

#[test]
fn a_capture_beyond_what_is_held_is_found_and_not_counted() {
    let mismatch = Mismatch::CaptureExceedsAuthorization;
    for pence in [1001, i64::MAX] {
        let found = found(capture_call(9), mismatch, Some(gbp(1000)), Some(gbp(pence)));
        given::<Payment>(authorized_then([])).when(record_captured(9, pence)).then([found.clone()]);
        given::<Payment>(authorized_then([found])).when(record_captured(9, pence)).then_nothing();
    }
}

#[test]
fn a_capture_before_its_authorization_takes_effect_with_it() {
    let mismatch = Mismatch::CapturedBeforeAuthorization;
    let early = found(capture_call(1), mismatch, None, Some(gbp(1000)));
    given::<Payment>([requested()]).when(record_captured(1, 1000)).then([early.clone()]);
    given::<Payment>([requested(), early.clone()]).when(record_captured(1, 1000)).then_nothing();
    given::<Payment>([requested(), early])
        .when(record_authorized(gbp(1000)))
        .then([authorized(gbp(1000)), captured(1, 1000)]);
}

#[test]
fn an_early_capture_that_changes_its_amount_keeps_the_first() {
    let mismatch = Mismatch::CapturedBeforeAuthorization;
    let early = found(capture_call(1), mismatch, None, Some(gbp(1000)));
    let changed = found(capture_call(1), Mismatch::AnswerChanged, Some(gbp(1000)), Some(gbp(900)));
    given::<Payment>([requested(), early]).when(record_captured(1, 900)).then([changed]);
}

#[test]
fn a_failed_capture_is_recorded_once() {
    given::<Payment>(authorized_then([capture_requested(1, 600)]))
        .when(record_capture_failed(1))
        .then([capture_failed(1)]);
    given::<Payment>(authorized_then([capture_requested(1, 600), capture_failed(1)]))
        .when(record_capture_failed(1))
        .then_nothing();
}

#[test]
fn a_capture_is_believed_after_a_failure_and_a_failure_not_after_a_capture() {
    let late = found(capture_call(1), Mismatch::CapturedAfterFailure, Some(gbp(600)), Some(gbp(600)));
    given::<Payment>(authorized_then([capture_requested(1, 600), capture_failed(1)]))
        .when(record_captured(1, 600))
        .then([late, captured(1, 600)]);
    let contradicted = found(capture_call(1), Mismatch::FailedAfterCapture, Some(gbp(1000)), None);
    given::<Payment>(captured_then([])).when(record_capture_failed(1)).then([contradicted]);
}

#[test]
fn a_failure_of_what_we_did_not_ask_for_is_found() {
    let capture = found(capture_call(9), Mismatch::CaptureNotRequested, None, None);
    given::<Payment>(captured_then([])).when(record_capture_failed(9)).then([capture]);
    let refund = found(refund_call(9), Mismatch::RefundNotRequested, None, None);
    given::<Payment>(captured_then([])).when(record_refund_failed(9)).then([refund]);
}

#[test]
fn a_void_is_recorded_once() {
    given::<Payment>(authorized_then([void_requested()])).when(Command::RecordVoided).then([voided()]);
    given::<Payment>(authorized_then([void_requested(), voided()]))
        .when(Command::RecordVoided)
        .then_nothing();
}

#[test]
fn a_void_that_we_did_not_ask_for_is_recorded_and_found() {
    let found = found(Operation::Void, Mismatch::VoidNotRequested, Some(gbp(1000)), None);
    given::<Payment>(authorized_then([])).when(Command::RecordVoided).then([found, voided()]);
}

#[test]
fn a_void_before_its_authorization_takes_effect_with_it() {
    let early = found(Operation::Void, Mismatch::VoidedBeforeAuthorization, None, None);
    for history in [vec![requested()], vec![requested(), void_requested()]] {
        given::<Payment>(&history).when(Command::RecordVoided).then([early.clone()]);
        let kept: Vec<_> = history.into_iter().chain([early.clone()]).collect();
        given::<Payment>(&kept).when(Command::RecordVoided).then_nothing();
        given::<Payment>(&kept).when(record_authorized(gbp(1000))).then([authorized(gbp(1000)), voided()]);
    }
}

#[test]
fn a_void_of_what_is_captured_or_declined_is_found_and_changes_nothing() {
    let of_captured = found(Operation::Void, Mismatch::VoidedAfterCapture, Some(gbp(1000)), None);
    given::<Payment>(captured_then([])).when(Command::RecordVoided).then([of_captured]);
    let of_declined = found(Operation::Void, Mismatch::VoidedAfterDecline, None, None);
    given::<Payment>([requested(), declined()]).when(Command::RecordVoided).then([of_declined]);
}

#[test]
fn a_refund_is_recorded_once() {
    let history = captured_then([refund_requested(1, 300)]);
    given::<Payment>(history).when(record_refunded(1, 300)).then([refunded(1, 300)]);
    given::<Payment>(captured_then([refund_requested(1, 300), refunded(1, 300)]))
        .when(record_refunded(1, 300))
        .then_nothing();
}

#[test]
fn a_refund_of_another_amount_is_recorded_as_it_was_made() {
    let differs = found(refund_call(1), Mismatch::AmountDiffers, Some(gbp(300)), Some(gbp(200)));
    given::<Payment>(captured_then([refund_requested(1, 300)]))
        .when(record_refunded(1, 200))
        .then([differs, refunded(1, 200)]);
    let changed = found(refund_call(1), Mismatch::AnswerChanged, Some(gbp(300)), Some(gbp(200)));
    given::<Payment>(captured_then([refund_requested(1, 300), refunded(1, 300)]))
        .when(record_refunded(1, 200))
        .then([changed]);
}

#[test]
fn a_refund_in_another_currency_or_of_nothing_is_not_counted() {
    let history = captured_then([refund_requested(1, 300)]);
    for odd in [eur(300), gbp(0), gbp(-300)] {
        let found = found(refund_call(1), Mismatch::NotInCurrency, Some(gbp(300)), Some(odd));
        given::<Payment>(&history)
            .when(Command::RecordRefunded { refund_id: refund_id(1), amount: odd })
            .then([found]);
    }
}

#[test]
fn a_refund_that_we_did_not_ask_for_is_recorded_and_found() {
    let found = found(refund_call(9), Mismatch::RefundNotRequested, None, Some(gbp(10)));
    given::<Payment>(captured_then([])).when(record_refunded(9, 10)).then([found, refunded(9, 10)]);
}

#[test]
fn a_refund_before_its_capture_takes_effect_with_it() {
    let early = found(refund_call(9), Mismatch::RefundedBeforeCapture, None, Some(gbp(1000)));
    let asked = authorized_then([capture_requested(1, 1000)]);
    given::<Payment>(&asked).when(record_refunded(9, 1000)).then([early.clone()]);
    let kept: Vec<_> = asked.into_iter().chain([early]).collect();
    given::<Payment>(&kept).when(record_refunded(9, 1000)).then_nothing();
    given::<Payment>(&kept).when(record_captured(1, 1000)).then([captured(1, 1000), refunded(9, 1000)]);
}

#[test]
fn a_refund_and_a_capture_before_the_authorization_take_effect_in_their_order() {
    let history = [
        requested(),
        found(refund_call(9), Mismatch::RefundedBeforeCapture, None, Some(gbp(1000))),
        found(capture_call(1), Mismatch::CapturedBeforeAuthorization, None, Some(gbp(1000))),
    ];
    given::<Payment>(history).when(record_authorized(gbp(1000))).then([
        authorized(gbp(1000)),
        captured(1, 1000),
        refunded(9, 1000),
    ]);
}

#[test]
fn a_failed_refund_is_recorded_once() {
    given::<Payment>(captured_then([refund_requested(1, 300)]))
        .when(record_refund_failed(1))
        .then([refund_failed(1)]);
    given::<Payment>(captured_then([refund_requested(1, 300), refund_failed(1)]))
        .when(record_refund_failed(1))
        .then_nothing();
}

#[test]
fn a_refund_is_believed_after_a_failure_and_a_failure_not_after_a_refund() {
    let late = found(refund_call(1), Mismatch::RefundedAfterFailure, Some(gbp(300)), Some(gbp(300)));
    given::<Payment>(captured_then([refund_requested(1, 300), refund_failed(1)]))
        .when(record_refunded(1, 300))
        .then([late, refunded(1, 300)]);
    let contradicted = found(refund_call(1), Mismatch::FailedAfterRefund, Some(gbp(300)), None);
    given::<Payment>(captured_then([refund_requested(1, 300), refunded(1, 300)]))
        .when(record_refund_failed(1))
        .then([contradicted]);
}

#[test]
fn histories_that_cannot_be_are_corrupt() {
    let impossible: [Vec<PaymentEvent>; 12] = [
        vec![authorized(gbp(1000))],
        vec![requested(), requested()],
        authorized_then([authorized(gbp(1000))]),
        authorized_then([declined()]),
        authorized_then([captured(1, 1001)]),
        authorized_then([capture_failed(1)]),
        captured_then([refunded(1, 1001)]),
        captured_then([refund_failed(1)]),
        vec![requested(), voided()],
        vec![requested(), declined(), void_requested()],
        vec![requested(), unknown(Operation::Void, 1)],
        vec![requested(), attention(Operation::Void, 1)],
    ];
    for history in impossible {
        assert!(Payment::replay(&history).is_err(), "{history:?}");
    }
}
