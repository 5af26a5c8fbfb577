//! Every way in which a checkout can end, undisturbed.

use std::collections::BTreeMap;

use events::order::Origin;
use sagas::gateway::sandbox::tokens;

use crate::world::{Seen, World, imported, order_id};

/// Ten cups and ten teapots, and one order that is paid with this.
async fn check_out(method: &str, origin: Origin) -> (World, Seen) {
    let mut world = World::new();
    world.receive("CUP", 10).await;
    world.receive("TEAPOT", 10).await;
    world.place(order_id(1), method, origin).await;
    let mut coordinator = world.coordinator("simulated");
    world.settle(&mut coordinator).await;
    let seen = world.see(order_id(1)).await;
    (world, seen)
}

fn stock(cups: (i64, i64), teapots: (i64, i64)) -> BTreeMap<String, (i64, i64)> {
    BTreeMap::from([("CUP".to_owned(), cups), ("TEAPOT".to_owned(), teapots)])
}

fn sold(order: &str, checkout: &str, stock: BTreeMap<String, (i64, i64)>) -> Seen {
    Seen {
        order: order.to_owned(),
        checkout: checkout.to_owned(),
        stock,
        captured: 300,
        refunded: 0,
        books: Some((300, 300, 0, false)),
    }
}

fn undone(order: &str, refunded: i64, books: Option<(i64, i64, i64, bool)>) -> Seen {
    Seen {
        order: order.to_owned(),
        checkout: "CheckoutCompensated".to_owned(),
        stock: stock((10, 0), (10, 0)),
        captured: refunded,
        refunded,
        books,
    }
}

#[tokio::test]
async fn what_the_provider_approves_in_whatever_way_is_sold() {
    for method in [
        tokens::APPROVE,
        tokens::TIMEOUT_THEN_APPROVE,
        tokens::ERROR_THEN_APPROVE,
        tokens::SLOW,
        tokens::WEBHOOK_ONLY,
        tokens::WEBHOOK_TWICE,
        tokens::WEBHOOK_FIRST,
        tokens::UNDO_DOWN,
    ] {
        let (_, seen) = check_out(method, Origin::Live).await;
        let expected = sold("OrderConfirmed", "CheckoutCompleted", stock((10, 1), (10, 2)));
        assert_eq!(seen, expected, "{method}");
    }
}

#[tokio::test]
async fn what_history_tells_of_leaves_the_house() {
    let (world, seen) = check_out(tokens::APPROVE, imported()).await;
    assert_eq!(seen, sold("OrderCompleted", "CheckoutDispatchCompleted", stock((9, 0), (8, 0))));
    assert!(!world.names("inventory").await.contains(&"StockCommitted".to_owned()));
}

#[tokio::test]
async fn what_the_provider_declines_is_rejected_and_its_stock_is_free() {
    for method in [tokens::DECLINE, tokens::TIMEOUT_THEN_DECLINE, "no such token"] {
        let (_, seen) = check_out(method, Origin::Live).await;
        assert_eq!(seen, undone("OrderRejected", 0, Some((0, 0, 0, false))), "{method}");
    }
}

#[tokio::test]
async fn another_amount_and_a_failed_capture_are_voided() {
    let (_, seen) = check_out(tokens::AMOUNT_DIFFERS, Origin::Live).await;
    assert_eq!(seen, undone("OrderRejected", 0, Some((299, 0, 0, true))));
    let (_, seen) = check_out(tokens::CAPTURE_FAILS, Origin::Live).await;
    assert_eq!(seen, undone("OrderRejected", 0, Some((300, 0, 0, true))));
}

#[tokio::test]
async fn a_sold_out_order_holds_nothing_and_asks_for_no_money() {
    let mut world = World::new();
    world.receive("CUP", 10).await;
    world.receive("TEAPOT", 1).await;
    world.place(order_id(1), tokens::APPROVE, Origin::Live).await;
    let mut coordinator = world.coordinator("simulated");
    world.settle(&mut coordinator).await;
    let seen = world.see(order_id(1)).await;
    assert_eq!(seen, Seen { stock: stock((10, 0), (1, 0)), ..undone("OrderRejected", 0, None) });
    assert_eq!(world.gateway.calls(), 0);
}

#[tokio::test]
async fn of_many_who_want_the_last_units_exactly_as_many_get_them_as_there_are() {
    let mut world = World::new();
    world.receive("CUP", 3).await;
    world.receive("TEAPOT", 100).await;
    for number in 1..=20 {
        world.place(order_id(number), tokens::APPROVE, Origin::Live).await;
    }
    let mut coordinator = world.coordinator("simulated");
    world.settle(&mut coordinator).await;
    let endings = world.names("order").await;
    assert_eq!(endings.iter().filter(|name| *name == "OrderConfirmed").count(), 3);
    assert_eq!(endings.iter().filter(|name| *name == "OrderRejected").count(), 17);
    assert_eq!(world.see(order_id(1)).await.stock, stock((3, 3), (100, 6)));
    assert_eq!(world.gateway.books().len(), 3);
}

#[tokio::test]
async fn a_confirmed_order_that_is_cancelled_is_refunded() {
    let (mut world, _) = check_out(tokens::APPROVE, Origin::Live).await;
    world.cancel(order_id(1)).await;
    let mut coordinator = world.coordinator("simulated");
    world.settle(&mut coordinator).await;
    let seen = world.see(order_id(1)).await;
    assert_eq!(seen, undone("OrderCancelled", 300, Some((300, 300, 300, false))));
}

#[tokio::test]
async fn an_order_that_is_cancelled_before_it_is_taken_on_is_undone_too() {
    let mut world = World::new();
    world.receive("CUP", 10).await;
    world.receive("TEAPOT", 10).await;
    world.place(order_id(1), tokens::APPROVE, Origin::Live).await;
    world.cancel(order_id(1)).await;
    let mut coordinator = world.coordinator("simulated");
    world.settle(&mut coordinator).await;
    let seen = world.see(order_id(1)).await;
    assert_eq!(seen, undone("OrderCancelled", 0, Some((300, 0, 0, true))));
}

#[tokio::test]
async fn a_refund_that_is_out_of_service_is_made_when_it_is_back() {
    let (mut world, _) = check_out(tokens::UNDO_DOWN, Origin::Live).await;
    world.cancel(order_id(1)).await;
    let mut coordinator = world.coordinator("simulated");
    world.settle_for_now(&mut coordinator).await;
    assert_eq!(world.see(order_id(1)).await.refunded, 0);
    world.settle(&mut coordinator).await;
    let seen = world.see(order_id(1)).await;
    assert_eq!(seen, undone("OrderCancelled", 300, Some((300, 300, 300, false))));
    assert_eq!(
        world.names("payment").await.iter().filter(|name| *name == "PaymentOutcomeUnknown").count(),
        3
    );
}

#[tokio::test]
async fn a_dispatched_order_is_booked_out_and_completed() {
    let (mut world, _) = check_out(tokens::APPROVE, Origin::Live).await;
    world.dispatch(order_id(1)).await;
    let mut coordinator = world.coordinator("simulated");
    world.settle(&mut coordinator).await;
    let seen = world.see(order_id(1)).await;
    assert_eq!(seen, sold("OrderCompleted", "CheckoutDispatchCompleted", stock((9, 0), (8, 0))));
}
