//! What the provider tells us by itself: early, late, twice, out of order, and what somebody else tells
//! us in its name. Whatever is well signed is kept before it is acknowledged; nothing else is kept.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use event_store::Filter;
use events::{
    Category,
    ids::{CaptureId, RefundId},
    payment::Operation,
};
use futures::future::join_all;
use platform::clock::Clock;
use sagas::checkout::Step;
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use uuid::Uuid;

use crate::harness::{
    Acknowledged, Books, Sandbox, Server, ServerOptions, checkout, eventually, free_port, key, order_of,
    webhook,
};

/// The names of the events that are kept of a notification.
async fn kept_of(server: &Server, notification_id: &str) -> Vec<String> {
    server.log().names(&format!("webhook-{notification_id}")).await
}

/// Waits until a notification is kept once and applied once.
async fn applied(server: &Server, notification_id: &str) {
    eventually("the notification is kept once and applied once", || async {
        (kept_of(server, notification_id).await == ["WebhookReceived", "WebhookApplied"]).then_some(())
    })
    .await;
}

/// A shop and a provider beyond a network that can be broken; its webhooks reach the shop all the same.
async fn shop_and_provider() -> (Server, Sandbox) {
    let port = free_port();
    let sandbox = Sandbox::start(port).await;
    let options =
        ServerOptions { provider_url: Some(sandbox.url()), port: Some(port), ..ServerOptions::default() };
    let server = Server::start_with(options).await;
    server.client().stock("MUG", 1250, 10).await;
    (server, sandbox)
}

#[tokio::test]
async fn a_webhook_that_comes_before_its_order_is_kept_and_counts_when_its_turn_has_come() {
    let (mut server, sandbox) = shop_and_provider().await;
    let client = server.client();
    let order_id = order_of("early-cart");
    // The browser went to the provider first, which tells us of money for an order that is not there.
    sandbox.performs(&webhook::call(&order_id, Operation::Authorize, 1250, "tok_webhook_first")).await;
    let notice = webhook::approval(&order_id, Operation::Authorize, 1250);
    assert_eq!(kept_of(&server, &notice.id).await, ["WebhookReceived"]);

    // Nobody can ask the provider any more: what it told us is all that we have.
    sandbox.proxy.refuse();
    let placed = client.place("early-cart", &[("MUG", 1)], "tok_webhook_first").await;
    assert_eq!(placed, order_id);
    client.order_at(&order_id, "confirmed", "authorized").await;
    applied(&server, &notice.id).await;
    sandbox.proxy.forward();

    client.order_at(&order_id, "confirmed", "captured").await;
    assert_eq!(sandbox.books().await.kept_of(&order_id), 1250);
    server.stop_and_verify().await;
}

/// A browser that sends a checkout and does not live to read the answer: when the provider has been called,
/// the power is gone. Gives the order.
async fn pay_and_vanish(server: &Server, sandbox: &Sandbox, payment_method: &str) -> String {
    let key = key("gone");
    let body = checkout(&[("MUG", 1)], payment_method).to_string();
    let mut browser = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    let head = format!(
        "POST /checkouts HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\n"
    );
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    browser.write_all(request.as_bytes()).await.unwrap();
    let order_id = order_of(&key);
    eventually("the customer has paid", || async { sandbox.books().await.of(&order_id).map(|_| ()) }).await;
    // Reset, not closed.
    browser.set_zero_linger().unwrap();
    order_id
}

#[tokio::test]
async fn an_order_whose_browser_is_gone_completes_from_webhooks_alone() {
    let (mut server, sandbox) = shop_and_provider().await;
    let client = server.client();
    // The provider is called and does what it is asked, but the shop never hears an answer.
    sandbox.proxy.lose_answers();

    let mut order_ids = Vec::new();
    for payment_method in ["tok_webhook_only", "tok_webhook_first", "tok_webhook_twice"] {
        order_ids.push(pay_and_vanish(&server, &sandbox, payment_method).await);
    }

    for order_id in &order_ids {
        client.order_at(order_id, "confirmed", "captured").await;
        applied(&server, &webhook::approval(order_id, Operation::Authorize, 1250).id).await;
    }
    sandbox.proxy.forward();
    let books = sandbox.books().await;
    for order_id in &order_ids {
        assert_eq!(books.kept_of(order_id), 1250);
    }
    client.stock_at("MUG", 7, 0, 3).await;
    server.stop_and_verify().await;
}

#[tokio::test]
async fn an_order_whose_browser_is_gone_completes_from_polling_alone() {
    // Nobody listens where this provider sends its webhooks.
    let sandbox = Sandbox::start(free_port()).await;
    let options = ServerOptions { provider_url: Some(sandbox.url()), ..ServerOptions::default() };
    let mut server = Server::start_with(options).await;
    let client = server.client();
    client.stock("MUG", 1250, 10).await;

    let mut order_ids = Vec::new();
    for payment_method in ["tok_webhook_only", "tok_timeout_then_approve", "tok_error_then_approve"] {
        order_ids.push(pay_and_vanish(&server, &sandbox, payment_method).await);
    }

    for order_id in &order_ids {
        client.order_at(order_id, "confirmed", "captured").await;
        let payment = server.log().names(&format!("payment-{order_id}")).await;
        assert!(
            payment.contains(&"PaymentOutcomeUnknown".to_owned()),
            "nothing was asked again: {payment:?}"
        );
    }
    let webhooks = server.log().all(&Filter::categories([Category::Webhook])).await;
    assert!(webhooks.is_empty(), "a webhook got through: {webhooks:#?}");
    let books = sandbox.books().await;
    for order_id in &order_ids {
        assert_eq!(books.kept_of(order_id), 1250);
    }
    client.stock_at("MUG", 7, 0, 3).await;
    server.stop_and_verify().await;
}

#[tokio::test]
async fn what_was_captured_before_we_know_of_an_authorization_counts_once_that_is_known() {
    // What the shop itself would ask for, and what a provider takes that captures on its own account.
    for own_capture in [true, false] {
        let (mut server, sandbox) = shop_and_provider().await;
        let client = server.client();
        sandbox.proxy.lose_answers();
        let order_id = client.place("cart", &[("MUG", 1)], "tok_approve").await;
        client.order_at(&order_id, "placed", "unknown").await;
        let capture_id = if own_capture {
            Step::Capture { captured_before: 0 }.capture_id(order_id.parse().unwrap())
        } else {
            CaptureId(Uuid::new_v4())
        };
        let capture = Operation::Capture { capture_id };
        sandbox.performs(&webhook::call(&order_id, capture, 1250, "tok_approve")).await;

        let captured = webhook::approval(&order_id, capture, 1250);
        client.deliver(&captured).await.expect(200);
        applied(&server, &captured.id).await;
        let stream = format!("payment-{order_id}");
        let names = server.log().names(&stream).await;
        assert!(names.contains(&"PaymentDiscrepancyFound".to_owned()), "{names:?}");
        assert!(!names.contains(&"PaymentAuthorized".to_owned()), "it was not early: {names:?}");
        client.order_is_still(&order_id, "placed", "unknown").await;

        let authorized = webhook::approval(&order_id, Operation::Authorize, 1250);
        client.deliver(&authorized).await.expect(200);
        client.order_at(&order_id, "confirmed", "captured").await;
        sandbox.proxy.forward();
        client.deliver(&captured).await.expect(200);

        let names = server.log().names(&stream).await;
        let times = |wanted: &str| names.iter().filter(|name| *name == wanted).count();
        assert_eq!((times("PaymentAuthorized"), times("PaymentCaptured")), (1, 1), "{names:?}");
        let books = sandbox.books().await;
        let book = books.of(&order_id).unwrap();
        assert_eq!((book.authorized, book.captured, book.refunded), (1250, 1250, 0), "{book:#?}");
        client.stock_at("MUG", 9, 0, 1).await;
        let report = server.stop_and_verify_noting(&Acknowledged::default(), &BTreeSet::new()).await;
        let notes = report["notes"].as_array().unwrap();
        assert_eq!(notes.len(), 1, "{notes:#?}");
        assert_eq!((&notes[0]["note"], &notes[0]["amount"]), (&json!("captured_early"), &json!(1250)));
    }
}

#[tokio::test]
async fn what_was_refunded_before_we_know_of_the_capture_counts_once_that_is_known() {
    let (mut server, sandbox) = shop_and_provider().await;
    let client = server.client();
    sandbox.proxy.lose_answers();
    let order_id = client.place("cart", &[("MUG", 1)], "tok_approve").await;
    client.order_at(&order_id, "placed", "unknown").await;
    client.deliver(&webhook::approval(&order_id, Operation::Authorize, 1250)).await.expect(200);
    // The provider has captured, and the shop does not hear of it. Somebody gives money back over there.
    let capture = eventually("the provider has captured", || async {
        let books = sandbox.books().await;
        let mut calls = books.of(&order_id).filter(|book| book.captured == 1250)?.operations.values();
        let capture = calls.find(|entry| matches!(entry.operation, Operation::Capture { .. }));
        capture.map(|entry| entry.operation)
    })
    .await;
    let refund = Operation::Refund { refund_id: RefundId(Uuid::new_v4()) };
    sandbox.performs(&webhook::call(&order_id, refund, 250, "tok_approve")).await;

    let refunded = webhook::approval(&order_id, refund, 250);
    client.deliver(&refunded).await.expect(200);
    applied(&server, &refunded.id).await;
    let stream = format!("payment-{order_id}");
    let names = server.log().names(&stream).await;
    assert!(names.contains(&"PaymentDiscrepancyFound".to_owned()), "{names:?}");
    assert!(!names.contains(&"PaymentCaptured".to_owned()), "it was not early: {names:?}");
    assert!(!names.contains(&"PaymentRefunded".to_owned()), "more is given back than was taken: {names:?}");

    let captured = webhook::approval(&order_id, capture, 1250);
    client.deliver(&captured).await.expect(200);
    client.order_at(&order_id, "confirmed", "partially_refunded").await;
    sandbox.proxy.forward();
    client.deliver(&refunded).await.expect(200);

    let names = server.log().names(&stream).await;
    let times = |wanted: &str| names.iter().filter(|name| *name == wanted).count();
    assert_eq!((times("PaymentCaptured"), times("PaymentRefunded")), (1, 1), "{names:?}");
    let payment = client.get_up_to_date(&format!("/payments/{order_id}")).await.unwrap().body;
    assert_eq!((&payment["captured"]["amount"], &payment["refunded"]["amount"]), (&json!(1250), &json!(250)));
    let books = sandbox.books().await;
    let book = books.of(&order_id).unwrap();
    assert_eq!((book.authorized, book.captured, book.refunded), (1250, 1250, 250), "{book:#?}");
    client.stock_at("MUG", 9, 0, 1).await;
    server.stop_and_verify().await;
}

#[tokio::test]
async fn webhooks_twice_at_once_and_out_of_order_change_nothing_twice() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 10).await;
    let order_id = client.buy(&[("MUG", 1)], "tok_webhook_first").await;
    let refund = json!({"amount": {"amount": 250, "currency": "GBP"}, "reason": "chipped"});
    let answer = client.post(&format!("/payments/{order_id}/refunds"), "chipped", &refund).await.expect(202);
    let refund_id: RefundId = serde_json::from_value(answer.body["refund_id"].clone()).unwrap();
    client.order_at(&order_id, "confirmed", "partially_refunded").await;
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    let book = books.of(&order_id).unwrap();
    let capture_id = book
        .operations
        .values()
        .find_map(|entry| match entry.operation {
            Operation::Capture { capture_id } => Some(capture_id),
            Operation::Authorize | Operation::Void | Operation::Refund { .. } => None,
        })
        .unwrap();

    // Everything again: the last first, all of it many times, all of it at once.
    let told = [
        webhook::approval(&order_id, Operation::Refund { refund_id }, 250),
        webhook::approval(&order_id, Operation::Capture { capture_id }, 1250),
        webhook::approval(&order_id, Operation::Authorize, 1250),
    ];
    let deliveries = (0..30).map(|n| client.deliver(&told[n % told.len()]));
    for answer in join_all(deliveries).await {
        assert!(answer.status.is_success(), "{} {:#}", answer.status, answer.body);
    }

    for notice in &told {
        applied(&server, &notice.id).await;
    }
    let payment = client.get_up_to_date(&format!("/payments/{order_id}")).await.unwrap().body;
    assert_eq!((&payment["captured"]["amount"], &payment["refunded"]["amount"]), (&json!(1250), &json!(250)));
    let names = server.log().names(&format!("payment-{order_id}")).await;
    for once in ["PaymentAuthorized", "PaymentCaptured", "PaymentRefunded"] {
        assert_eq!(names.iter().filter(|name| *name == once).count(), 1, "{names:?}");
    }
    server.stop_and_verify().await;
}

#[tokio::test]
async fn forged_stale_and_old_deliveries_are_refused_and_late_ones_are_not() {
    let options = ServerOptions { webhook_secret: Some("the new secret"), ..ServerOptions::default() };
    let mut server = Server::start_with(options).await;
    let client = server.client();
    client.stock("MUG", 1250, 10).await;
    // The sandbox in the same process has the same secret: its own webhooks get through.
    let own = client.buy(&[("MUG", 1)], "tok_webhook_only").await;
    applied(&server, &webhook::approval(&own, Operation::Authorize, 1250).id).await;
    let order_id = client.buy(&[("MUG", 1)], "tok_approve").await;

    let notice = webhook::approval(&order_of("nobody"), Operation::Authorize, 1250);
    let now = Clock::system().now();
    for (secret, signed_at) in [
        (webhook::SECRET, now),
        ("the new secret", now - TimeDelta::days(3)),
        ("the new secret", now + TimeDelta::hours(1)),
        ("", now),
    ] {
        client.deliver_signed(&notice, secret, signed_at).await.expect(401).problem();
    }
    assert!(kept_of(&server, &notice.id).await.is_empty());

    // Three days late, but signed when it was sent.
    let late = webhook::approval(&order_id, Operation::Authorize, 1250);
    client.deliver_signed(&late, "the new secret", now).await.expect(200);
    applied(&server, &late.id).await;
    client.order_is_still(&order_id, "confirmed", "captured").await;
    server.stop_and_verify().await;
}
