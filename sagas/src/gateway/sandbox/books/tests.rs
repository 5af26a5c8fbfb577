#![allow(clippy::unwrap_used, clippy::expect_used)]

use chrono::TimeDelta;
use events::ids::{CaptureId, RefundId};
use uuid::Uuid;

use super::*;
use crate::gateway::sandbox::tokens;

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn pence(amount: i64) -> Money {
    Money::new(amount, "GBP".parse().unwrap())
}

fn call(method: &str, operation: Operation, amount: i64) -> Call {
    Call { payment_id: PaymentId(Uuid::nil()), operation, amount: pence(amount), method: method.to_owned() }
}

fn authorize(method: &str, amount: i64) -> Call {
    call(method, Operation::Authorize, amount)
}

fn capture(method: &str, number: u128, amount: i64) -> Call {
    call(method, Operation::Capture { capture_id: CaptureId(Uuid::from_u128(number)) }, amount)
}

fn refund(method: &str, number: u128, amount: i64) -> Call {
    call(method, Operation::Refund { refund_id: RefundId(Uuid::from_u128(number)) }, amount)
}

/// The book after these calls, and the replies.
fn calls(calls: &[Call]) -> (PaymentBook, Vec<Reply>) {
    let mut book = PaymentBook::new(&calls[0]);
    let replies = calls.iter().map(|call| book.call(call, noon()).unwrap()).collect();
    (book, replies)
}

fn is_approved(reply: &Reply) -> bool {
    matches!(reply.answer, Answer::Approved { .. })
}

fn code(reply: &Reply) -> &str {
    match &reply.answer {
        Answer::Declined { code } => code,
        Answer::Approved { .. } | Answer::Pending | Answer::Unknown { .. } => "not declined",
    }
}

#[test]
fn the_same_key_twice_has_one_effect_and_one_answer() {
    let (book, replies) = calls(&[
        authorize(tokens::APPROVE, 100),
        authorize(tokens::APPROVE, 100),
        capture(tokens::APPROVE, 1, 60),
        capture(tokens::APPROVE, 1, 60),
    ]);
    assert_eq!((book.authorized, book.captured, book.calls), (100, 60, 4));
    assert_eq!(replies[0], replies[1]);
    assert_eq!(replies[2].answer, replies[3].answer);
}

#[test]
fn a_key_with_other_content_is_an_error_and_changes_nothing() {
    let mut book = PaymentBook::new(&authorize(tokens::APPROVE, 100));
    book.call(&authorize(tokens::APPROVE, 100), noon()).unwrap();
    let before = book.clone();
    assert!(book.call(&authorize(tokens::APPROVE, 101), noon()).is_err());
    assert_eq!(book, before);
}

#[test]
fn no_more_is_captured_than_authorized_nor_refunded_than_captured() {
    let token = tokens::APPROVE;
    let (book, replies) = calls(&[
        authorize(token, 100),
        capture(token, 1, 60),
        capture(token, 2, 41),
        refund(token, 1, 30),
        refund(token, 2, 31),
        call(token, Operation::Void, 100),
    ]);
    assert_eq!((book.captured, book.refunded, book.voided), (60, 30, false));
    assert_eq!(code(&replies[2]), "exceeds_authorization");
    assert_eq!(code(&replies[4]), "exceeds_captured");
    assert_eq!(code(&replies[5]), "already_captured");
}

#[test]
fn nothing_is_captured_once_voided() {
    let token = tokens::APPROVE;
    let (book, replies) =
        calls(&[authorize(token, 100), call(token, Operation::Void, 100), capture(token, 1, 100)]);
    assert!(book.voided);
    assert_eq!(book.captured, 0);
    assert_eq!(code(&replies[2]), "authorization_voided");
}

#[test]
fn declined_and_unknown_tokens_authorize_nothing() {
    for (token, reason) in [(tokens::DECLINE, "card_declined"), ("4242424242424242", "unknown_method")] {
        let (book, replies) = calls(&[authorize(token, 100)]);
        assert_eq!(book.authorized, 0);
        assert_eq!(code(&replies[0]), reason);
    }
}

#[test]
fn a_lost_answer_has_had_its_effect_and_is_found_by_its_key() {
    let (book, replies) = calls(&[authorize(tokens::TIMEOUT_THEN_APPROVE, 100)]);
    assert_eq!(replies[0].delivery, Delivery::Lost);
    assert_eq!(book.authorized, 100);
    let key = authorize(tokens::TIMEOUT_THEN_APPROVE, 100).idempotency_key();
    assert!(matches!(book.look_up(&key), Some(Answer::Approved { .. })));

    let (book, replies) =
        calls(&[authorize(tokens::TIMEOUT_THEN_DECLINE, 100), authorize(tokens::TIMEOUT_THEN_DECLINE, 100)]);
    assert_eq!((replies[0].delivery, replies[1].delivery), (Delivery::Lost, Delivery::Prompt));
    assert_eq!(code(&replies[1]), "card_declined");
    assert_eq!(book.authorized, 0);
}

#[test]
fn an_internal_error_has_no_effect_and_its_key_is_not_found() {
    let asked = authorize(tokens::ERROR_THEN_APPROVE, 100);
    let mut book = PaymentBook::new(&asked);
    assert_eq!(book.call(&asked, noon()).unwrap().delivery, Delivery::InternalError);
    assert_eq!(book.authorized, 0);
    assert_eq!(book.look_up(&asked.idempotency_key()), None);
    assert!(is_approved(&book.call(&asked, noon()).unwrap()));
    assert_eq!(book.authorized, 100);
}

#[test]
fn what_is_pending_is_approved_once_and_later() {
    let asked = authorize(tokens::WEBHOOK_ONLY, 100);
    let mut book = PaymentBook::new(&asked);
    let reply = book.call(&asked, noon()).unwrap();
    assert_eq!(reply.answer, Answer::Pending);
    assert!(reply.notify_after.is_empty());
    assert!(book.settle(noon()).is_empty());
    let later = book.next_settlement().unwrap();
    assert!(later > noon() && later < noon() + TimeDelta::seconds(5));
    assert_eq!(book.settle(later).len(), 1);
    assert!(book.settle(later).is_empty());
    assert_eq!(book.authorized, 100);
    assert!(is_approved(&book.call(&asked, later).unwrap()));
    assert_eq!(book.authorized, 100);
}

#[test]
fn webhooks_go_out_twice_or_first_as_the_token_says() {
    let (_, twice) = calls(&[authorize(tokens::WEBHOOK_TWICE, 100)]);
    assert_eq!(twice[0].notify_after.len(), 2);
    assert_eq!(twice[0].notify_after[0].id, twice[0].notify_after[1].id);
    let (_, first) = calls(&[authorize(tokens::WEBHOOK_FIRST, 100), authorize(tokens::WEBHOOK_FIRST, 100)]);
    assert_eq!((first[0].notify_before.len(), first[1].notify_before.len()), (1, 0));
    let (_, quiet) = calls(&[authorize(tokens::APPROVE, 100)]);
    assert!(quiet[0].notify_before.is_empty() && quiet[0].notify_after.is_empty());
}

#[test]
fn captures_fail_and_undoing_is_down_as_the_token_says() {
    let (book, replies) =
        calls(&[authorize(tokens::CAPTURE_FAILS, 100), capture(tokens::CAPTURE_FAILS, 1, 100)]);
    assert_eq!((code(&replies[1]), book.captured), ("capture_refused", 0));

    let asked = call(tokens::UNDO_DOWN, Operation::Void, 100);
    let (book, replies) = calls(&[
        authorize(tokens::UNDO_DOWN, 100),
        asked.clone(),
        asked.clone(),
        asked.clone(),
        asked.clone(),
    ]);
    assert!(replies[1..4].iter().all(|reply| reply.delivery == Delivery::Unavailable));
    assert_eq!(replies[4].delivery, Delivery::Prompt);
    assert!(book.voided);
}

#[test]
fn another_amount_is_authorized_as_the_token_says() {
    let (book, _) = calls(&[authorize(tokens::AMOUNT_DIFFERS, 100)]);
    assert_eq!(book.authorized, 99);
    let (book, _) = calls(&[authorize(tokens::AMOUNT_DIFFERS, 1)]);
    assert_eq!(book.authorized, 2);
}
