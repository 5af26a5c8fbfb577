//! I2, I3, I6 and I7: money that is moved twice, beyond its limit, out of balance, or in one of the books
//! only.

use super::*;

#[test]
fn i2_a_capture_that_we_did_not_ask_for() {
    let mut evidence = evidence();
    let twice = ProviderCapture { capture_id: capture_id(99), amount: 1000 };
    let book = &mut evidence.provider.as_mut().unwrap()[0];
    book.captures.push(twice);
    book.captured = 2000;
    let violations = violations_of(Invariant::I2, &sound(), &evidence);
    assert!(matches!(violations[0], Violation::CapturedUnasked { amount: 1000, .. }));
    assert!(matches!(
        violations[1],
        Violation::CapturedMoreThanOrdered { captured: 2000, ordered: 1000, .. }
    ));
}

#[test]
fn i2_a_capture_that_the_provider_told_of_before_we_asked_is_noted_and_only_that_one() {
    let mut history = sound();
    let found = PaymentEvent::DiscrepancyFound(DiscrepancyFound {
        payment_id: payment_id(1),
        operation: Operation::Capture { capture_id: capture_id(99) },
        expected: None,
        reported: Some(gbp(0)),
        code: "captured_before_authorization".to_owned(),
    });
    history.command(&Category::Payment.stream(payment_id(1)), &[found]);
    let mut evidence = evidence();
    let book = &mut evidence.provider.as_mut().unwrap()[0];
    book.captures.push(ProviderCapture { capture_id: capture_id(99), amount: 0 });
    let noted = report(&history, &evidence);
    assert!(noted.held, "{noted}");
    assert!(matches!(noted.notes[..], [Note::CapturedEarly { amount: 0, .. }]), "{noted}");

    let book = &mut evidence.provider.as_mut().unwrap()[0];
    book.captures.push(ProviderCapture { capture_id: capture_id(98), amount: 0 });
    let violation = the_violation(&history, &evidence);
    assert!(matches!(violation, Violation::CapturedUnasked { .. }));
}

#[test]
fn i2_a_capture_that_the_provider_made_twice() {
    let mut evidence = evidence();
    let book = &mut evidence.provider.as_mut().unwrap()[0];
    book.captures.push(book.captures[0]);
    let violation = the_violation(&sound(), &evidence);
    assert!(matches!(violation, Violation::CapturedTwice { times: 2, .. }));
}

#[test]
fn i2_a_capture_that_we_recorded_twice() {
    let mut history = sound();
    history.command(&Category::Payment.stream(payment_id(1)), &[captured(1, 1, 1000)]);
    let violations = violations_of(Invariant::I2, &history, &evidence());
    assert!(matches!(violations[0], Violation::CapturedTwice { .. }));
}

#[test]
fn i3_a_penny_more_refunded_than_captured() {
    let mut history = sound();
    history.command(&Category::Payment.stream(payment_id(1)), &[refunded(1, 1, 1000), refunded(1, 2, 1)]);
    let violations = violations_of(Invariant::I3, &history, &evidence());
    assert!(matches!(
        violations[..],
        [Violation::RefundedMoreThanCaptured { refunded: 1001, captured: 1000, .. }]
    ));
}

#[test]
fn i3_a_refund_made_twice() {
    let mut history = sound();
    let twice = [refunded(1, 1, 10), refunded(1, 1, 10)];
    history.command(&Category::Payment.stream(payment_id(1)), &twice);
    let violations = violations_of(Invariant::I3, &history, &evidence());
    assert!(matches!(violations[..], [Violation::RefundedTwice { .. }]));
}

#[test]
fn i3_a_penny_more_captured_than_authorized() {
    let mut history = sound();
    history.command(&Category::Payment.stream(payment_id(1)), &[captured(1, 7, 1)]);
    let violations = violations_of(Invariant::I3, &history, &evidence());
    assert!(matches!(
        violations[..],
        [Violation::CapturedMoreThanAuthorized { captured: 1001, authorized: 1000, .. }]
    ));
}

#[test]
fn i3_money_of_another_currency() {
    let mut history = sound();
    let yen = PaymentEvent::Refunded(Refunded {
        payment_id: payment_id(1),
        refund_id: refund_id(1),
        amount: Money::new(1, events::Currency::JPY),
    });
    history.command(&Category::Payment.stream(payment_id(1)), &[yen]);
    let violations = violations_of(Invariant::I3, &history, &evidence());
    assert!(matches!(violations[..], [Violation::MovedInOtherCurrency { .. }]));
}

#[test]
fn i3_refunds_beyond_captures_in_the_books_of_the_provider() {
    let mut evidence = evidence();
    evidence.provider.as_mut().unwrap()[0].refunded = 1001;
    let violations = violations_of(Invariant::I3, &sound(), &evidence);
    assert!(matches!(violations[..], [Violation::RefundedMoreThanCaptured { refunded: 1001, .. }]));
}

#[test]
fn i6_an_order_whose_total_is_not_its_lines() {
    let mut history = History::with_stock(100);
    history.place_with(1, |placed| placed.total = gbp(999));
    history.confirm(1, gbp(999));
    let violations = violations_of(Invariant::I6, &history, &Evidence::log_only(at(0)));
    assert!(matches!(
        violations[..],
        [
            Violation::Unbalanced { transaction: "OrderConfirmed", sum: -1, .. },
            Violation::UnbalancedInAll { sum: -1, .. }
        ]
    ));
}

#[test]
fn i6_a_credit_note_whose_total_is_not_its_lines() {
    let mut history = History::default();
    let price = events::UnitPrice::from_minor(250, events::Currency::GBP).unwrap();
    let line = Line { sku: sku(), quantity: 2, unit_price: price, amount: gbp(500) };
    let note = Issued {
        credit_note_id: CreditNoteId(Uuid::from_u128(1)),
        reference: "C1".to_owned(),
        customer_id: None,
        lines: vec![line],
        total: gbp(501),
    };
    history.command(&Category::Credit.stream(note.credit_note_id), &[CreditEvent::Issued(note)]);
    let violations = violations_of(Invariant::I6, &history, &Evidence::log_only(at(0)));
    assert!(matches!(violations[0], Violation::Unbalanced { transaction: "CreditNoteIssued", .. }));
}

#[test]
fn i6_balances_are_told_per_account() {
    let mut history = sound();
    let adjusted = events::ledger::Adjusted {
        adjustment_id: LedgerAdjustmentId(Uuid::from_u128(1)),
        reference: "A1".to_owned(),
        amount: gbp(-30),
        reason: "bad debt".to_owned(),
    };
    history.command(&Category::Ledger.stream(adjusted.adjustment_id), &[LedgerEvent::Adjusted(adjusted)]);
    let json = serde_json::to_value(report(&history, &evidence()).balances).unwrap();
    let balance = |account: &str| {
        let row = json.as_array().unwrap().iter().find(|row| row["account"] == account);
        row.map(|row| row["amount"].as_i64().unwrap())
    };
    // Two sales are paid for and kept; the third was given back, and its sale undone.
    assert_eq!(balance("clearing"), Some(2000));
    assert_eq!(balance("sales"), Some(-2000));
    assert_eq!(balance("receivable"), Some(0));
    assert_eq!((balance("adjustments"), balance("equity")), (Some(-30), Some(30)));
}

#[test]
fn i7_money_that_the_provider_does_not_have() {
    let mut evidence = evidence();
    evidence.provider.as_mut().unwrap()[0].refunded = 1;
    let violation = the_violation(&sound(), &evidence);
    assert!(matches!(violation, Violation::ClearingDiffers { ours: 1000, theirs: 999, .. }));
}

#[test]
fn i7_payments_that_only_one_of_us_knows() {
    let mut evidence = evidence();
    let stranger = ProviderPayment { captures: vec![], ..book(77, 5, 0) };
    evidence.provider.as_mut().unwrap().push(stranger);
    assert!(matches!(the_violation(&sound(), &evidence), Violation::UnknownPayment { theirs: 5, .. }));

    let mut evidence = self::evidence();
    evidence.provider.as_mut().unwrap().remove(0);
    assert!(matches!(the_violation(&sound(), &evidence), Violation::UnknownToProvider { ours: 1000, .. }));
}

#[test]
fn i7_money_that_stays_held_with_the_provider() {
    let mut history = sound();
    history.request_payment(3);
    history.decline(3);
    let mut evidence = evidence();
    let held = ProviderPayment { captures: vec![], ..book(3, 0, 0) };
    evidence.provider.as_mut().unwrap().push(held);
    let violation = the_violation(&history, &evidence);
    assert!(matches!(violation, Violation::HeldDiffers { ours: 0, theirs: 1000, .. }));
}

#[test]
fn i7_a_break_that_the_log_lists_is_noted() {
    let mut history = sound();
    history.find_discrepancy(1, Operation::Void);
    let mut evidence = evidence();
    evidence.provider.as_mut().unwrap()[0].refunded = 1;
    let report = report(&history, &evidence);
    assert!(report.held, "{report}");
    assert!(matches!(report.notes[..], [Note::ProviderBreak { ours: 1000, theirs: 999, .. }]));
}
