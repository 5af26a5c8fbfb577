//! Each way to break an invariant, by hand: a sound history is sound, and every crooked one is caught.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod history;
mod log;
mod money;
mod orders;

use event_store::{EventStore, ExpectedRevision, NewEvent, memory::MemoryStore};
use events::{
    Category, DomainEvent, Money,
    checkout::{AttentionRequired, CheckoutEvent},
    credit::{CreditEvent, Issued, Line},
    ids::{CreditNoteId, LedgerAdjustmentId},
    inventory::{Adjusted, Dispatched, InventoryEvent, Released},
    ledger::LedgerEvent,
    order::OrderEvent,
    payment::{Captured, DiscrepancyFound, Operation, PaymentEvent, Refunded},
};
use history::{History, at, capture_id, gbp, order_id, payment_id, position, refund_id, reservation_id, sku};
use uuid::Uuid;

use super::*;

/// A sale that is waiting for dispatch, one that has left, one that was sold out, one that was cancelled.
fn sound() -> History {
    let mut history = History::with_stock(100);
    history.sell(1);
    history.sell(2);
    history.dispatch(2);
    history.sell_out(3);
    history.sell(4);
    history.cancel(4);
    history
}

/// The evidence that fits [`sound`].
fn evidence() -> Evidence {
    Evidence {
        provider: Some(vec![book(1, 1000, 0), book(2, 1000, 0), book(4, 1000, 1000)]),
        read_models: Some(vec![ReadModel {
            projection: "orders".to_owned(),
            position: position(1),
            rows: 4,
            differing: vec![],
        }]),
        ..Evidence::log_only(at(10_000))
    }
}

fn book(n: u128, captured: i64, refunded: i64) -> ProviderPayment {
    ProviderPayment {
        payment_id: payment_id(n),
        currency: events::Currency::GBP,
        authorized: 1000,
        captured,
        refunded,
        voided: false,
        captures: vec![ProviderCapture { capture_id: capture_id(n), amount: captured }],
    }
}

fn report(history: &History, evidence: &Evidence) -> Report {
    let mut checker = Checker::new(evidence, Numbering::Dense);
    for recorded in &history.events {
        checker.take(recorded);
    }
    checker.finish(history.head())
}

/// The one violation that is found.
#[track_caller]
fn the_violation(history: &History, evidence: &Evidence) -> Violation {
    let report = report(history, evidence);
    let violations: Vec<_> = report.checks.iter().flat_map(|check| &check.violations).collect();
    assert_eq!(violations.len(), 1, "{report}");
    assert!(!report.held);
    assert_eq!(report.of(violations[0].invariant()).unwrap().verdict, Verdict::Broken);
    violations[0].clone()
}

/// All violations of one invariant.
fn violations_of(invariant: Invariant, history: &History, evidence: &Evidence) -> Vec<Violation> {
    report(history, evidence).of(invariant).unwrap().violations.clone()
}

fn captured(n: u128, capture: u128, pence: i64) -> PaymentEvent {
    PaymentEvent::Captured(Captured {
        payment_id: payment_id(n),
        capture_id: capture_id(capture),
        amount: gbp(pence),
    })
}

fn refunded(n: u128, refund: u128, pence: i64) -> PaymentEvent {
    PaymentEvent::Refunded(Refunded {
        payment_id: payment_id(n),
        refund_id: refund_id(refund),
        amount: gbp(pence),
    })
}

#[test]
fn a_sound_history_holds_in_everything() {
    let report = report(&sound(), &evidence());
    assert!(report.held, "{report}");
    assert!(report.checks.iter().all(|check| check.verdict == Verdict::Held), "{report}");
    assert_eq!(report.notes, []);
}

#[test]
fn what_there_is_no_evidence_for_is_not_checked() {
    let report = report(&sound(), &Evidence::log_only(at(10_000)));
    let unchecked: Vec<_> = report
        .checks
        .iter()
        .filter(|check| check.verdict == Verdict::NotChecked)
        .map(|check| check.invariant)
        .collect();
    assert_eq!(unchecked, [Invariant::I2, Invariant::I7, Invariant::I8]);
    assert!(report.held);
}

#[test]
fn a_report_is_json_and_text() {
    let mut history = sound();
    history.sell_beyond_stock(5, 1_000);
    let report = report(&history, &evidence());
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["held"], false);
    assert_eq!(json["checks"][0]["invariant"], "I1");
    assert_eq!(json["checks"][0]["verdict"], "broken");
    assert_eq!(json["checks"][0]["violations"][0]["violation"], "oversold");
    assert_eq!(json["checks"][0]["violations"][0]["held"], 1002);
    assert!(report.to_string().contains("I1  BROKEN"), "{report}");
}

#[tokio::test]
async fn the_log_of_a_store_is_checked_up_to_its_head() {
    let store = MemoryStore::new();
    for recorded in sound().events {
        let event = NewEvent {
            id: recorded.id,
            name: recorded.name,
            version: recorded.version,
            payload: recorded.payload,
            metadata: recorded.metadata,
        };
        store.append(&recorded.stream, ExpectedRevision::Any, vec![event]).await.unwrap();
    }
    let report = check(&store, &evidence()).await.unwrap();
    assert!(report.held, "{report}");
    assert_eq!(report.position, sound().head());
    assert_eq!(report.events, sound().events.len() as u64);
}

#[test]
fn an_event_that_cannot_be_read_is_noted() {
    let mut history = sound();
    let released = Released { sku: sku(), reservation_id: reservation_id(9), quantity: 1 };
    history.command(&Category::Inventory.stream("OTHER"), &[InventoryEvent::Released(released)]);
    let last = history.events.last_mut().unwrap();
    last.payload = "{".into();
    let report = report(&history, &evidence());
    assert!(report.held, "{report}");
    assert!(matches!(report.notes[..], [Note::Unreadable { .. }]));
}
