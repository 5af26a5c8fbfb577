//! A provider whose answers do not arrive: what is unknown is asked about under the same key until it is
//! known, and money that turns up after we have given up is given back. Its own books are the judge.

use events::payment::Operation;
use serde_json::json;

use crate::harness::{Books, Sandbox, Server, ServerOptions, eventually, free_port, key};

/// A shop and a provider with a breakable network between them.
async fn shop_and_provider(checkout_deadline_s: Option<u32>) -> (Server, Sandbox) {
    let port = free_port();
    let sandbox = Sandbox::start(port).await;
    let options = ServerOptions {
        provider_url: Some(sandbox.url()),
        port: Some(port),
        checkout_deadline_s,
        ..ServerOptions::default()
    };
    let server = Server::start_with(options).await;
    server.client().stock("MUG", 1250, 100).await;
    (server, sandbox)
}

#[tokio::test]
async fn whatever_a_provider_says_first_an_order_ends_where_its_books_are() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 100).await;
    let paid = [
        "tok_timeout_then_approve",
        "tok_error_then_approve",
        "tok_slow",
        "tok_webhook_only",
        "tok_webhook_first",
    ];
    let mut approved = Vec::new();
    for payment_method in paid {
        approved.push(client.place(&key("cart"), &[("MUG", 1)], payment_method).await);
    }
    let declined = client.place(&key("cart"), &[("MUG", 1)], "tok_timeout_then_decline").await;
    let uncapturable = client.place(&key("cart"), &[("MUG", 1)], "tok_capture_fails").await;

    client.order_at(&declined, "rejected", "declined").await;
    client.order_at(&uncapturable, "rejected", "voided").await;
    for order_id in &approved {
        client.order_at(order_id, "confirmed", "captured").await;
    }

    let books = Books::fetch(&server.sandbox_url("/books")).await;
    for order_id in &approved {
        let book = books.of(order_id).unwrap();
        assert_eq!((book.authorized, book.captured), (1250, 1250), "{book:#?}");
    }
    assert!(!books.has_money_of(&declined) && !books.has_money_of(&uncapturable));
    client.stock_at("MUG", 95, 0, 5).await;
    server.stop_and_verify().await;
}

#[tokio::test]
async fn a_call_or_an_answer_lost_on_the_way_has_one_effect_whichever_call_it_is() {
    let (mut server, sandbox) = shop_and_provider(None).await;
    let client = server.client();
    let mut lost = 0;

    let mut orders = Vec::new();
    for call in ["authorize", "capture"] {
        for answer_too_late in [false, true] {
            // The key of a call says what it is.
            let holding = format!(":{call}");
            if answer_too_late {
                sandbox.proxy.lose_answer(holding.as_bytes());
            } else {
                sandbox.proxy.lose_request(holding.as_bytes());
            }
            orders.push(client.buy(&[("MUG", 1)], "tok_approve").await);
            lost += 1;
            assert_eq!(sandbox.proxy.cuts(), lost, "the {call} was not lost");
        }
    }
    for (n, order_id) in orders.iter().enumerate() {
        if n % 2 == 0 {
            sandbox.proxy.lose_request(b":refund:");
        } else {
            sandbox.proxy.lose_answer(b":refund:");
        }
        let refund = json!({"amount": {"amount": 50, "currency": "GBP"}, "reason": "chipped"});
        client.post(&format!("/payments/{order_id}/refunds"), &key("refund"), &refund).await.expect(202);
        client.order_at(order_id, "confirmed", "partially_refunded").await;
        lost += 1;
        assert_eq!(sandbox.proxy.cuts(), lost, "the refund was not lost");
    }

    let books = sandbox.books().await;
    for order_id in &orders {
        let book = books.of(order_id).unwrap();
        assert_eq!((book.authorized, book.captured, book.refunded), (1250, 1250, 50), "{book:#?}");
    }
    server.stop_and_verify().await;
}

#[tokio::test]
async fn an_order_waits_for_a_provider_that_is_out_of_service_and_is_paid_once_it_is_back() {
    let (mut server, sandbox) = shop_and_provider(None).await;
    let client = server.client();
    sandbox.proxy.refuse();

    let order_id = client.place("cart", &[("MUG", 1)], "tok_approve").await;
    client.order_at(&order_id, "placed", "unknown").await;
    sandbox.proxy.forward();

    client.order_at(&order_id, "confirmed", "captured").await;
    assert_eq!(sandbox.books().await.kept_of(&order_id), 1250);
    server.stop_and_verify().await;
}

#[tokio::test]
async fn a_success_after_we_gave_up_is_given_back_also_where_voids_are_out_of_order_at_first() {
    let (mut server, sandbox) = shop_and_provider(Some(2)).await;
    let client = server.client();
    // The effect is there, and no answer gets through until time is up.
    sandbox.proxy.lose_answers();
    let mut order_ids = Vec::new();
    for payment_method in ["tok_approve", "tok_undo_down"] {
        order_ids.push(client.place(&key("cart"), &[("MUG", 4)], payment_method).await);
    }
    for order_id in &order_ids {
        let stream = format!("checkout-{order_id}");
        eventually("the checkout was given up and its stock released", || async {
            let names = server.log().names(&stream).await;
            let has = |wanted: &str| names.iter().any(|name| name == wanted);
            (has("CheckoutDeadlinePassed") && has("CheckoutStockReleased")).then_some(())
        })
        .await;
        assert_eq!(sandbox.books().await.of(order_id).unwrap().authorized, 5000, "it is no success");
    }
    client.stock_at("MUG", 100, 0, 0).await;
    sandbox.proxy.forward();

    for order_id in &order_ids {
        let order = client.order_at(order_id, "rejected", "voided").await;
        assert_eq!(order["reason"]["rule"], "deadline_passed", "{order:#}");
        assert!(!sandbox.books().await.has_money_of(order_id));
    }
    let books = sandbox.books().await;
    let mut calls = books.of(&order_ids[1]).unwrap().operations.values();
    let void = calls.find(|call| call.operation == Operation::Void).unwrap();
    assert!(void.calls > 1, "it was not out of order: {void:?}");
    server.stop_and_verify().await;
}
