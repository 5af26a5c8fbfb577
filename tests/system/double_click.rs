//! The same request more than once: a double click, a retry after a failure, a browser that comes back
//! while the first is on its way. One key is one order, one charge and one answer.

use futures::future::join_all;
use serde_json::json;

use crate::harness::{Books, Client, Server, checkout, key};

#[tokio::test]
async fn one_checkout_clicked_twenty_times_is_one_order_one_capture_and_one_answer() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 100).await;

    // The provider's webhooks race the browser, too: each is sent twice.
    let clicks = (0..20).map(|_| client.check_out("one-cart", &[("MUG", 2)], "tok_webhook_twice"));
    let answers = join_all(clicks).await;

    let order_id = answers[0].body["order_id"].as_str().unwrap();
    for answer in &answers {
        assert_eq!(answer.status, 202, "{:#}", answer.body);
        assert_eq!(answer.body, answers[0].body);
        assert_eq!(answer.header("location"), format!("/orders/{order_id}"));
    }
    let first_ones = answers.iter().filter(|answer| answer.header("idempotent-replayed") != "true").count();
    assert_eq!(first_ones, 1);
    client.order_at(order_id, "confirmed", "captured").await;
    client.stock_at("MUG", 98, 0, 2).await;
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    assert_eq!(books.all().len(), 1);
    assert_eq!(books.kept_of(order_id), 2500);
    server.stop_and_verify().await;
}

#[tokio::test]
async fn a_key_answers_the_same_for_as_long_as_the_server_lives_and_after() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 100).await;
    let first = client.check_out("cart", &[("MUG", 1)], "tok_approve").await.expect(202);
    let order_id = first.body["order_id"].as_str().unwrap();
    client.order_at(order_id, "confirmed", "captured").await;
    client
        .post("/products/MUG/prices", "dearer", &json!({"price": {"amount": 9900, "currency": "GBP"}}))
        .await;

    server.stop().await;
    server.restart_with(crate::harness::ServerOptions::default()).await;

    let again = client.check_out("cart", &[("MUG", 1)], "tok_approve").await.expect(202);
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("idempotent-replayed"), "true");
    client.stock_at("MUG", 99, 0, 1).await;
    server.stop_and_verify().await;
}

#[tokio::test]
async fn a_key_with_another_body_is_refused_and_changes_nothing() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 100).await;
    let order_id = client.place("cart", &[("MUG", 1)], "tok_approve").await;

    for other in [
        checkout(&[("MUG", 2)], "tok_approve"),
        checkout(&[("MUG", 1)], "tok_slow"),
        checkout(&[("MUG", 1), ("MUG", 1)], "tok_approve"),
    ] {
        let refused = client.post("/checkouts", "cart", &other).await.expect(422);
        assert_eq!(refused.problem(), "idempotency-key-reused");
    }
    // Keys are one space: what was a cart is no receipt.
    let receipt = json!({"quantity": 5, "reference": "delivery note 1"});
    let refused = client.post("/stock/MUG/receipts", "cart", &receipt).await.expect(422);
    assert_eq!(refused.problem(), "idempotency-key-reused");

    client.order_at(&order_id, "confirmed", "captured").await;
    client.stock_at("MUG", 99, 0, 1).await;
    server.stop_and_verify().await;
}

#[tokio::test]
async fn a_key_whose_first_try_was_refused_may_be_tried_again() {
    let mut server = Server::start().await;
    let client = server.client();
    let refused = client.check_out("cart", &[("NEW", 1)], "tok_approve").await;
    assert!(refused.status.is_client_error(), "{:#}", refused.body);

    client.stock("NEW", 500, 1).await;

    let order_id = client.place("cart", &[("NEW", 1)], "tok_approve").await;
    client.order_at(&order_id, "confirmed", "captured").await;
    server.stop_and_verify().await;
}

/// A receipt that is sent again and again; gives how often it was counted. Which of them is a repeat
/// cannot be told from what it asks for, only from its key.
pub(crate) async fn units_counted_of_a_repeated_receipt(client: &Client) -> i64 {
    client.stock("MUG", 1250, 0).await;
    let receipt = json!({"quantity": 1, "reference": "delivery note 17"});
    let clicks = (0..8).map(|_| client.post("/stock/MUG/receipts", "receipt-17", &receipt));
    join_all(clicks).await;
    // By now the server may have forgotten the first one, but the log has not.
    for n in 0..3 {
        client
            .post("/stock/MUG/receipts", &key("other"), &json!({"quantity": 1, "reference": "other"}))
            .await;
        let again = client.post("/stock/MUG/receipts", "receipt-17", &receipt).await;
        assert!(again.status.is_success(), "{n}: {:#}", again.body);
    }
    let last =
        client.post("/stock/MUG/receipts", &key("last"), &json!({"quantity": 1, "reference": "last"})).await;
    let wanted = last.header("counterfoil-position").to_owned();
    let headers = [("Counterfoil-At-Least", wanted.as_str()), ("Prefer", "wait=20")];
    let stock = client.get_with("/stock/MUG", &headers).await.expect(200);
    stock.body["received"].as_i64().unwrap() - 4
}

#[tokio::test]
async fn a_repeated_receipt_is_counted_once() {
    let mut server = Server::start().await;
    assert_eq!(units_counted_of_a_repeated_receipt(&server.client()).await, 1);
    server.stop_and_verify().await;
}

#[tokio::test]
async fn undoing_the_losing_attempt_never_touches_the_winner() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("LAST", 4000, 3).await;
    client.stock("CANDLE", 100, 10).await;

    // Two tabs, two keys, enough for one of them. Candles are held first: the losing attempt has something to undo.
    let (one, two) = tokio::join!(
        client.place("tab-1", &[("CANDLE", 2), ("LAST", 2)], "tok_approve"),
        client.place("tab-2", &[("CANDLE", 2), ("LAST", 2)], "tok_approve"),
    );
    let first = client.order_at_rest(&one).await;
    let (winner, loser) = if first["status"] == "confirmed" { (&one, &two) } else { (&two, &one) };
    client.order_at(loser, "rejected", "none").await;

    // Whatever else is tried on the loser leaves the winner alone.
    let cancellation = json!({"reason": "customer_request"});
    client.post(&format!("/orders/{loser}/cancellation"), &key("cancel"), &cancellation).await.expect(409);
    let refund = json!({"amount": {"amount": 4000, "currency": "GBP"}, "reason": "lost the race"});
    let refused = client.post(&format!("/payments/{loser}/refunds"), &key("refund"), &refund).await;
    assert!(refused.status.is_client_error(), "{:#}", refused.body);

    client.order_at(winner, "confirmed", "captured").await;
    client.stock_at("LAST", 1, 0, 2).await;
    client.stock_at("CANDLE", 8, 0, 2).await;
    let candles = server.log().names("inventory-CANDLE").await;
    let times = |wanted: &str| candles.iter().filter(|name| *name == wanted).count();
    assert_eq!((times("StockReserved"), times("StockReleased")), (2, 1), "{candles:?}");
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    assert_eq!((books.kept_of(winner), books.has_money_of(loser)), (8200, false));
    server.stop_and_verify().await;
}
