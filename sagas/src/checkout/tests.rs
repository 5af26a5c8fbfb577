#![allow(clippy::unwrap_used, clippy::expect_used)]

use events::{
    checkout::Completed,
    ids::OrderId,
    order::{Line, Origin, Placed},
};
use uuid::Uuid;

use super::*;

mod every_pair;

fn order_id() -> OrderId {
    OrderId(Uuid::from_u128(7))
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn pence(amount: i64) -> Money {
    Money::new(amount, "GBP".parse().unwrap())
}

fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}

fn placed(origin: Origin) -> Placed {
    let line = |text: &str, quantity: i64| Line {
        sku: sku(text),
        quantity,
        unit_price: events::UnitPrice::from_minor(100, "GBP".parse().unwrap()).unwrap(),
        amount: pence(quantity * 100),
    };
    Placed {
        order_id: order_id(),
        customer_id: None,
        contact: None,
        lines: vec![line("TEAPOT", 1), line("CUP", 2), line("TEAPOT", 3)],
        total: pence(600),
        payment_method: "tok_approve".to_owned(),
        origin,
    }
}

fn live() -> Started {
    started(&placed(Origin::Live), noon(), noon() + TimeDelta::minutes(15))
}

fn imported() -> Started {
    let origin =
        Origin::Imported { source: "retail".to_owned(), reference: "536365".to_owned(), country: None };
    started(&placed(origin), noon(), noon() + TimeDelta::minutes(15))
}

fn order_placed(checkout: &Started) -> Fact {
    Fact::OrderPlaced(Box::new(checkout.clone()))
}

fn authorized() -> Fact {
    Fact::PaymentAuthorized { amount: pence(600) }
}

fn captured() -> Fact {
    Fact::PaymentCaptured { in_all: pence(600) }
}

fn short() -> Fact {
    Fact::StockShort { sku: sku("CUP"), requested: 2, available: 1 }
}

fn rejected() -> Fact {
    Fact::OrderRejected { reason: RejectionReason::DeadlinePassed }
}

fn skus() -> Vec<Sku> {
    vec![sku("CUP"), sku("TEAPOT")]
}

fn release() -> Intent {
    Intent::ReleaseStock { skus: skus() }
}

/// The state after these facts, from the beginning.
fn after(facts: &[Fact]) -> State {
    facts.iter().fold(State::NotStarted, |state, fact| {
        let events = react(&state, fact).events;
        events.iter().try_fold(state, State::evolve).unwrap()
    })
}

/// What is written, and what is then to be done, when `fact` comes after `given`.
fn when(given: &[Fact], fact: &Fact) -> (Vec<&'static str>, Vec<Intent>) {
    let reaction = react(&after(given), fact);
    (reaction.events.iter().map(DomainEvent::wire_name).collect(), reaction.intents)
}

#[test]
fn lines_of_one_sku_are_one_item_and_items_are_in_sku_order() {
    let items: Vec<_> = live().items.into_iter().map(|item| (item.sku, item.quantity)).collect();
    assert_eq!(items, [(sku("CUP"), 2), (sku("TEAPOT"), 4)]);
}

#[test]
fn quantities_that_do_not_fit_together_are_more_than_any_shop_has() {
    let mut order = placed(Origin::Live);
    order.lines[0].quantity = i64::MAX;
    order.lines[2].quantity = i64::MAX;
    let checkout = started(&order, noon(), noon());
    assert_eq!(checkout.items[1].quantity, i64::MAX);
}

#[test]
fn a_placed_order_has_its_stock_held_longer_than_its_deadline() {
    let (events, intents) = when(&[], &order_placed(&live()));
    assert_eq!(events, ["CheckoutStarted"]);
    let [Intent::ReserveStock { items, expires_at }] = intents.as_slice() else { panic!("{intents:?}") };
    assert_eq!(*items, live().items);
    assert!(*expires_at > live().deadline);
}

#[test]
fn a_live_checkout_reserves_authorizes_confirms_captures_and_commits() {
    let steps = [
        (
            Fact::StockReserved,
            "CheckoutStockReserved",
            vec![Intent::RequestPayment { amount: pence(600), method: "tok_approve".to_owned() }],
        ),
        (authorized(), "CheckoutPaymentAuthorized", vec![Intent::ConfirmOrder]),
        (Fact::OrderConfirmed, "CheckoutOrderConfirmed", vec![Intent::CapturePayment { amount: pence(600) }]),
        (captured(), "CheckoutPaymentCaptured", vec![Intent::CommitStock { skus: skus() }]),
        (Fact::StockCommitted, "CheckoutCompleted", vec![Intent::LookForDispatch]),
        (Fact::DispatchRecorded, "CheckoutDispatchStarted", vec![Intent::DispatchStock { skus: skus() }]),
        (Fact::OrderCompleted, "CheckoutDispatchCompleted", vec![]),
    ];
    let mut given = vec![order_placed(&live())];
    for (fact, event, intents) in steps {
        assert_eq!(when(&given, &fact), (vec![event], intents));
        given.push(fact);
    }
    assert!(matches!(after(&given), State::Dispatched(_)));
}

#[test]
fn an_imported_checkout_records_the_dispatch_instead_of_committing() {
    let given = [order_placed(&imported()), Fact::StockReserved, authorized(), Fact::OrderConfirmed];
    let (events, intents) = when(&given, &captured());
    assert_eq!(events, ["CheckoutPaymentCaptured"]);
    assert_eq!(intents, [Intent::RecordDispatch]);
    let given = [given.as_slice(), &[captured()]].concat();
    let (events, intents) = when(&given, &Fact::DispatchRecorded);
    assert_eq!(events, ["CheckoutDispatchStarted"]);
    assert_eq!(intents, [Intent::DispatchStock { skus: skus() }]);
    let given = [given.as_slice(), &[Fact::DispatchRecorded]].concat();
    assert_eq!(when(&given, &Fact::StockDispatched), (vec![], vec![Intent::CompleteOrder]));
}

#[test]
fn too_little_stock_releases_everything_and_then_rejects_the_order() {
    let given = [order_placed(&live())];
    // The payment was not asked for, or the stock would have been held.
    let undone = vec!["CheckoutCompensationStarted", "CheckoutPaymentUndone"];
    assert_eq!(when(&given, &short()), (undone, vec![release()]));
    let given = [order_placed(&live()), short()];
    let reason = RejectionReason::InsufficientStock { sku: sku("CUP"), requested: 2, available: 1 };
    assert_eq!(
        when(&given, &Fact::StockReleased),
        (vec!["CheckoutStockReleased"], vec![Intent::RejectOrder { reason: reason.clone() }])
    );
    let given = [order_placed(&live()), short(), Fact::StockReleased];
    assert_eq!(when(&given, &Fact::OrderRejected { reason }), (vec!["CheckoutCompensated"], vec![]));
    // Somebody who was paused in the middle of the same step may still get some.
    assert_eq!(when(&given, &Fact::HoldFound), (vec![], vec![release()]));
}

#[test]
fn a_decline_another_amount_and_a_failed_capture_are_undone_with_their_reason() {
    let authorizing = [order_placed(&live()), Fact::StockReserved];
    let capturing = [authorizing.as_slice(), &[authorized(), Fact::OrderConfirmed]].concat();
    let cases: [(&[Fact], Fact, RejectionReason); 4] = [
        (
            &authorizing,
            Fact::PaymentDeclined { code: "card_declined".to_owned() },
            RejectionReason::PaymentDeclined { code: "card_declined".to_owned() },
        ),
        (&authorizing, Fact::PaymentDiffers, RejectionReason::PaymentDiffers),
        (&authorizing, Fact::PaymentAuthorized { amount: pence(599) }, RejectionReason::PaymentDiffers),
        (
            &capturing,
            Fact::CaptureFailed { code: "expired".to_owned() },
            RejectionReason::CaptureFailed { code: "expired".to_owned() },
        ),
    ];
    for (given, fact, reason) in cases {
        let (events, intents) = when(given, &fact);
        assert_eq!(events, ["CheckoutCompensationStarted"], "{fact:?}");
        assert_eq!(intents, [release(), Intent::UndoPayment]);
        let given = [given, &[fact, Fact::PaymentUndone]].concat();
        let (_, intents) = when(&given, &Fact::StockReleased);
        assert_eq!(intents, [Intent::RejectOrder { reason }]);
    }
}

#[test]
fn time_runs_out_only_until_the_money_is_held() {
    let reserving = [order_placed(&live())];
    let authorizing = [order_placed(&live()), Fact::StockReserved];
    for given in [reserving.as_slice(), authorizing.as_slice()] {
        assert_eq!(after(given).deadline(), Some(live().deadline));
        let (events, intents) = when(given, &Fact::DeadlinePassed);
        assert_eq!(events, ["CheckoutDeadlinePassed", "CheckoutCompensationStarted"]);
        assert_eq!(intents, [release(), Intent::UndoPayment]);
    }
    let confirming = [order_placed(&live()), Fact::StockReserved, authorized()];
    assert_eq!(after(&confirming).deadline(), None);
    assert_eq!(when(&confirming, &Fact::DeadlinePassed), (vec![], vec![]));
}

#[test]
fn a_cancelled_order_is_undone_at_every_point_before_dispatch_and_is_not_rejected() {
    let path = [
        order_placed(&live()),
        Fact::StockReserved,
        authorized(),
        Fact::OrderConfirmed,
        captured(),
        Fact::StockCommitted,
    ];
    for upto in 1..=path.len() {
        let given = &path[..upto];
        let (events, intents) = when(given, &Fact::OrderCancelled);
        assert_eq!(events, ["CheckoutCompensationStarted"], "after {upto} facts");
        assert_eq!(intents, [release(), Intent::UndoPayment]);
        let given = [given, &[Fact::OrderCancelled, Fact::StockReleased]].concat();
        let (events, intents) = when(&given, &Fact::PaymentUndone);
        assert_eq!(events, ["CheckoutPaymentUndone", "CheckoutCompensated"]);
        assert_eq!(intents, []);
    }
    let dispatching = [path.as_slice(), &[Fact::DispatchRecorded]].concat();
    assert_eq!(when(&dispatching, &Fact::OrderCancelled), (vec![], vec![]));
}

#[test]
fn an_order_that_was_cancelled_while_it_was_undone_needs_no_rejection() {
    let given = [order_placed(&live()), short(), Fact::StockReleased];
    assert_eq!(when(&given, &Fact::OrderCancelled), (vec!["CheckoutCompensated"], vec![]));
}

#[test]
fn a_success_that_comes_after_giving_up_is_undone() {
    let compensating = [order_placed(&live()), Fact::StockReserved, Fact::DeadlinePassed];
    assert_eq!(when(&compensating, &authorized()), (vec![], vec![Intent::UndoPayment]));
    let compensated =
        [compensating.as_slice(), &[Fact::StockReleased, Fact::PaymentUndone, rejected()]].concat();
    assert!(matches!(after(&compensated), State::Compensated(_)));
    for late in [authorized(), captured(), Fact::PaymentMoved] {
        assert_eq!(when(&compensated, &late), (vec![], vec![Intent::UndoPayment]), "{late:?}");
    }
    for held in [Fact::StockReserved, Fact::HoldFound] {
        assert_eq!(when(&compensated, &held), (vec![], vec![release()]));
    }
}

#[test]
fn a_part_that_somebody_else_captured_leaves_the_rest_to_capture() {
    let given = [order_placed(&live()), Fact::StockReserved, authorized(), Fact::OrderConfirmed];
    let part = Fact::PaymentCaptured { in_all: pence(200) };
    assert_eq!(when(&given, &part), (vec![], vec![Intent::CapturePayment { amount: pence(600) }]));
}

#[test]
fn a_hold_that_was_lost_before_the_sale_gives_the_money_back() {
    let given = [order_placed(&live()), Fact::StockReserved, authorized(), Fact::OrderConfirmed, captured()];
    let (events, intents) = when(&given, &Fact::HoldLost);
    assert_eq!(events, ["CheckoutCompensationStarted"]);
    assert_eq!(intents, [release(), Intent::UndoPayment]);
}

#[test]
fn what_is_stuck_is_shown_to_a_person_under_an_id_of_its_own() {
    let given = [order_placed(&live()), short()];
    let stuck = |step| react(&after(&given), &Fact::Stuck { step }).events;
    let ids: Vec<_> = [stuck("refund"), stuck("refund"), stuck("reject")]
        .iter()
        .map(|events| event_id(order_id(), &events[0]))
        .collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
}

#[test]
fn being_overtaken_by_a_coordinator_that_undid_everything_releases_and_voids_again() {
    let compensated = after(&[order_placed(&live()), short(), Fact::StockReleased, rejected()]);
    assert_eq!(compensated.intents(), []);
    assert_eq!(compensated.intents_when_in_doubt(), [release(), Intent::UndoPayment]);
    let authorizing = after(&[order_placed(&live()), Fact::StockReserved]);
    assert_eq!(authorizing.intents_when_in_doubt(), authorizing.intents());
}

#[test]
fn an_event_that_its_state_rules_out_is_corrupt() {
    let completed = CheckoutEvent::Completed(Completed { order_id: order_id() });
    let refused = after(&[order_placed(&live())]).evolve(&completed).unwrap_err();
    assert_eq!((refused.event, refused.state), ("CheckoutCompleted", "reserving"));
}
