//! What the customer was shown and what is charged: an amount or a currency that differs is a conflict,
//! and never an order.

use event_store::Filter;
use events::Category;
use serde_json::json;

use crate::harness::{Books, Server, checkout, key};

#[tokio::test]
async fn a_total_that_is_not_what_the_customer_was_shown_is_a_conflict() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 10).await;
    let mut body = checkout(&[("MUG", 2)], "tok_approve");
    body["expected_total"] = json!({"amount": 2500, "currency": "GBP"});
    client
        .post("/products/MUG/prices", "dearer", &json!({"price": {"amount": 1300, "currency": "GBP"}}))
        .await;

    let refused = client.post("/checkouts", "cart", &body).await.expect(409);
    assert_eq!(refused.problem(), "total-differs");
    assert_eq!(
        (&refused.body["total"]["amount"], &refused.body["expected_total"]["amount"]),
        (&json!(2600), &json!(2500))
    );

    body["expected_total"] = json!({"amount": 2600, "currency": "GBP"});
    let accepted = client.post("/checkouts", "cart", &body).await.expect(202);
    assert_eq!(accepted.body["total"]["amount"], 2600);
    let order_id = accepted.body["order_id"].as_str().unwrap();
    client.order_at(order_id, "confirmed", "captured").await;
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    assert_eq!((books.all().len(), books.kept_of(order_id)), (1, 2600));
    server.stop_and_verify().await;
}

#[tokio::test]
async fn a_currency_without_a_price_or_against_the_expected_total_makes_no_order() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 10).await;
    let mut in_euros = checkout(&[("MUG", 1)], "tok_approve");
    in_euros["currency"] = json!("EUR");
    let refused = client.post("/checkouts", &key("cart"), &in_euros).await.expect(422);
    assert_eq!(refused.problem(), "lines-not-sellable");

    let mut expecting_euros = checkout(&[("MUG", 1)], "tok_approve");
    expecting_euros["expected_total"] = json!({"amount": 1250, "currency": "EUR"});
    let refused = client.post("/checkouts", &key("cart"), &expecting_euros).await.expect(400);
    assert_eq!(refused.body["errors"][0]["pointer"], "/expected_total/currency", "{:#}", refused.body);
    let orders = server.log().all(&Filter::categories([Category::Order])).await;
    assert!(orders.is_empty(), "{orders:#?}");

    client.stock_at("MUG", 10, 0, 0).await;
    assert!(Books::fetch(&server.sandbox_url("/books")).await.all().is_empty());
    server.stop_and_verify().await;
}

#[tokio::test]
async fn a_provider_that_authorizes_another_amount_gets_no_order_and_keeps_no_money() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 10).await;

    let order_id = client.place("cart", &[("MUG", 1)], "tok_amount_differs").await;

    let order = client.order_at(&order_id, "rejected", "voided").await;
    assert_eq!(order["reason"]["rule"], "payment_differs", "{order:#}");
    client.stock_at("MUG", 10, 0, 0).await;
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    assert!(!books.has_money_of(&order_id));
    assert_eq!(books.of(&order_id).unwrap().captured, 0);
    server.stop_and_verify().await;
}
