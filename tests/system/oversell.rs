//! Stock under contention: no SKU is sold twice, an order holds all of its lines or none, and whoever
//! does not get through is told so and left with nothing taken.

use std::collections::BTreeSet;

use events::{DomainEvent, inventory::InventoryEvent};
use futures::{StreamExt, future::join_all, stream};
use serde_json::json;

use crate::harness::{Books, Client, Server, key};

/// Checks out each cart, many at a time, and gives the ids of the orders: of all but those who are told at once that
/// it is sold out.
async fn place_all(client: &Client, carts: &[Vec<(&str, i64)>]) -> Vec<String> {
    stream::iter(carts)
        .map(|lines| async move { client.place_unless_sold_out(&key("cart"), lines).await })
        .buffer_unordered(200)
        .filter_map(async |placed| placed)
        .collect()
        .await
}

#[tokio::test]
async fn a_thousand_carts_for_ten_units_make_exactly_ten_orders_and_hold_nothing_else() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("LAST-TEN", 1250, 10).await;

    let order_ids = place_all(&client, &vec![vec![("LAST-TEN", 1)]; 1000]).await;

    let mut confirmed = BTreeSet::new();
    for order_id in &order_ids {
        let order = client.order_at_rest(order_id).await;
        if order["status"] == "confirmed" {
            confirmed.insert(order_id.clone());
        } else {
            assert_eq!(order["reason"]["rule"], "insufficient_stock", "{order:#}");
            assert_eq!((&order["status"], &order["payment_status"]), (&json!("rejected"), &json!("none")));
        }
    }
    assert_eq!(order_ids.iter().collect::<BTreeSet<_>>().len(), order_ids.len(), "two carts made one order");
    assert_eq!(confirmed.len(), 10);
    // The provider was asked about the ten and nobody else, and took the price of one unit from each.
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    let paid: BTreeSet<_> = books.all().iter().map(|book| book.payment_id.to_string()).collect();
    assert_eq!(paid, confirmed);
    for book in books.all() {
        assert_eq!((book.authorized, book.captured, book.refunded), (1250, 1250, 0), "{book:#?}");
    }
    // Ten holds were ever made, all of them became sales, and none of them is anybody else's.
    client.stock_at("LAST-TEN", 0, 0, 10).await;
    // Whoever comes now is told so, and leaves nothing behind.
    let too_late = client.check_out(&key("cart"), &[("LAST-TEN", 1)], "tok_approve").await;
    assert_eq!(too_late.expect(409).problem(), "sold-out");
    let mut holders = BTreeSet::new();
    for recorded in server.log().stream("inventory-LAST-TEN").await {
        let event = InventoryEvent::decode(&recorded.name, recorded.version, &recorded.payload).unwrap();
        match event {
            InventoryEvent::Received(_) | InventoryEvent::Committed(_) => {}
            InventoryEvent::Reserved(hold) => assert!(holders.insert(hold.reservation_id.to_string())),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(holders, confirmed);
    server.stop_and_verify().await;
}

#[tokio::test]
async fn who_begins_with_a_snapshot_after_a_crash_sells_no_more_than_there_is() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("LONG", 100, 320).await;
    // Two events for each order: enough for a snapshot, which a busy machine may leave for the next time.
    let mut left = 320;
    loop {
        place_all(&client, &vec![vec![("LONG", 1)]; 60]).await;
        left -= 60;
        client.stock_at("LONG", left, 0, 320 - left).await;
        let report = server.verify(&[]).await;
        let i8 = report["checks"].as_array().unwrap().iter().find(|check| check["invariant"] == "I8");
        let looked_at = i8.unwrap()["looked_at"].as_str().unwrap();
        if looked_at.ends_with(", 1 snapshots") {
            break;
        }
        assert!(left > 20, "no snapshot: {looked_at}");
    }

    server.kill();
    server.restart().await;
    let client = server.client();
    let mut confirmed = 0;
    let buyers = usize::try_from(left).unwrap() + 40;
    for order_id in place_all(&client, &vec![vec![("LONG", 1)]; buyers]).await {
        confirmed += i64::from(client.order_at_rest(&order_id).await["status"] == "confirmed");
    }
    assert_eq!(confirmed, left);
    client.stock_at("LONG", 0, 0, 320).await;
    server.stop_and_verify().await;
}

#[tokio::test]
async fn lines_of_one_sku_are_summed_and_several_skus_are_held_all_or_none() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("CUP", 300, 5).await;
    client.stock("SAUCER", 200, 5).await;
    client.stock("SPOON", 100, 0).await;

    let six_in_two_lines = client.place(&key("cart"), &[("CUP", 3), ("CUP", 3)], "tok_approve").await;
    let order = client.order_at(&six_in_two_lines, "rejected", "none").await;
    assert_eq!(order["reason"]["requested"], 6, "{order:#}");
    let bundle_without_spoons =
        client.place(&key("cart"), &[("SPOON", 1), ("CUP", 1), ("SAUCER", 1)], "tok_approve").await;
    client.order_at(&bundle_without_spoons, "rejected", "none").await;
    client.stock_at("CUP", 5, 0, 0).await;
    client.stock_at("SAUCER", 5, 0, 0).await;

    let five = client.buy(&[("CUP", 2), ("SAUCER", 1), ("CUP", 3)], "tok_approve").await;
    client.stock_at("CUP", 0, 0, 5).await;
    client.stock_at("SAUCER", 4, 0, 1).await;
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    assert_eq!(books.kept_of(&five), 5 * 300 + 200);
    server.stop_and_verify().await;
}

#[tokio::test]
async fn bundles_asked_for_in_opposite_orders_never_wait_for_each_other() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("LEFT", 100, 40).await;
    client.stock("RIGHT", 100, 40).await;
    let carts: Vec<_> = (0..120)
        .map(|n| if n % 2 == 0 { vec![("LEFT", 1), ("RIGHT", 1)] } else { vec![("RIGHT", 1), ("LEFT", 1)] })
        .collect();

    let mut confirmed = BTreeSet::new();
    for order_id in place_all(&client, &carts).await {
        if client.order_at_rest(&order_id).await["status"] == "confirmed" {
            confirmed.insert(order_id);
        }
    }

    assert_eq!(confirmed.len(), 40);
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    let paid: BTreeSet<_> = books.all().iter().map(|book| book.payment_id.to_string()).collect();
    assert_eq!(paid, confirmed);
    client.stock_at("LEFT", 0, 0, 40).await;
    client.stock_at("RIGHT", 0, 0, 40).await;
    server.stop_and_verify().await;
}

#[tokio::test]
async fn contention_for_one_stream_waits_or_conflicts_and_is_never_an_error_of_ours() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("HOT", 100, 1000).await;

    let changes = (0..300_i64).map(|n| {
        let client = &client;
        async move {
            let (path, body, units) = match n % 3 {
                0 => ("/stock/HOT/receipts", json!({"quantity": 2, "reference": "more"}), 2),
                1 => ("/stock/HOT/adjustments", json!({"delta": -1, "reason": "lost"}), -1),
                _ => ("/products/HOT/prices", json!({"price": {"amount": 100 + n, "currency": "GBP"}}), 0),
            };
            let answer = client.post(path, &key("change"), &body).await;
            let status = answer.status.as_u16();
            assert!((200..300).contains(&status) || status == 409, "{status} {:#}", answer.body);
            if status == 409 { 0 } else { units }
        }
    });
    let acknowledged: i64 = join_all(changes).await.into_iter().sum();

    client.stock_at("HOT", 1000 + acknowledged, 0, 0).await;
    server.stop_and_verify().await;
}
