//! What the provider tells us by itself: early, late, twice, out of order, and what somebody else tells
//! us in its name. Whatever is well signed is kept before it is acknowledged; nothing else is kept.

use chrono::TimeDelta;
use event_store::Direction;
use events::{
    Money,
    ids::{OrderId, RefundId},
    payment::Operation,
};
use futures::future::join_all;
use platform::clock::Clock;
use sagas::gateway::{
    Answer as ProviderAnswer, Call, PaymentGateway,
    sandbox::{client::SandboxGateway, signature::Secrets},
};
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use uuid::{Uuid, uuid};

use crate::harness::{Books, Sandbox, Server, ServerOptions, checkout, eventually, free_port, key, webhook};

/// What the ids of orders are derived in. It never changes: an old key would become another order.
const ORDERS: Uuid = uuid!("6b0f4b0e-2f0a-5d1c-9c3d-6f1c5a1e7d02");

/// The order that a checkout under this key makes.
fn order_of(key: &str) -> String {
    OrderId::derived(ORDERS, key).to_string()
}

/// The names of the events that are kept of a notification.
async fn kept_of(server: &Server, notification_id: &str) -> Vec<String> {
    let stream = format!("webhook-{notification_id}").parse().unwrap();
    let store = server.event_store().await;
    let events = store.read_stream(&stream, Direction::Forwards, None, 10).await.unwrap();
    events.into_iter().map(|event| event.name).collect()
}

#[tokio::test]
async fn a_webhook_that_comes_before_its_order_is_kept_and_counts_when_its_turn_has_come() {
    let port = free_port();
    let sandbox = Sandbox::start(port).await;
    let options =
        ServerOptions { provider_url: Some(sandbox.url()), port: Some(port), ..ServerOptions::default() };
    let mut server = Server::start_with(options).await;
    let client = server.client();
    client.stock("MUG", 1250, 10).await;
    let order_id = order_of("early-cart");
    // The browser went to the provider first, which tells us of money for an order that is not there.
    let provider = SandboxGateway::new(&sandbox.url(), Secrets::new(webhook::SECRET)).unwrap();
    let call = Call {
        payment_id: order_id.parse().unwrap(),
        operation: Operation::Authorize,
        amount: Money::new(1250, "GBP".parse().unwrap()),
        method: "tok_webhook_first".to_owned(),
    };
    assert!(matches!(provider.perform(&call).await, ProviderAnswer::Approved { .. }));
    let notice = webhook::approval(&order_id, Operation::Authorize, 1250);
    assert_eq!(kept_of(&server, &notice.id).await, ["WebhookReceived"]);

    // Nobody can ask the provider any more: what it told us is all that we have.
    sandbox.proxy.refuse();
    let placed = client.place("early-cart", &[("MUG", 1)], "tok_webhook_first").await;
    assert_eq!(placed, order_id);
    client.order_at(&order_id, "confirmed", "authorized").await;
    assert_eq!(kept_of(&server, &notice.id).await, ["WebhookReceived", "WebhookApplied"]);
    sandbox.proxy.forward();

    client.order_at(&order_id, "confirmed", "captured").await;
    assert_eq!(sandbox.books().await.kept_of(&order_id), 1250);
    server.stop_and_verify().await;
}

#[tokio::test]
async fn an_order_whose_browser_is_gone_completes_by_itself() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 10).await;
    let mut gone = Vec::new();
    for payment_method in ["tok_webhook_only", "tok_timeout_then_approve", "tok_webhook_first"] {
        let key = key("gone");
        let body = checkout(&[("MUG", 1)], payment_method).to_string();
        let mut browser = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
        let head = format!(
            "POST /checkouts HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\n"
        );
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        browser.write_all(request.as_bytes()).await.unwrap();
        gone.push((browser, order_of(&key)));
    }
    let order_ids: Vec<_> = gone
        .into_iter()
        .map(|(browser, order_id)| {
            // Reset, not closed: the power is gone.
            browser.set_zero_linger().unwrap();
            order_id
        })
        .collect();

    let store = server.event_store().await;
    for order_id in &order_ids {
        // A request that was cut off before it was read is no order; one that was placed is completed.
        let stream = format!("order-{order_id}").parse().unwrap();
        client.get("/healthz").await.expect(200);
        let placed = store.read_stream(&stream, Direction::Forwards, None, 1).await.unwrap();
        if !placed.is_empty() {
            client.order_at(order_id, "confirmed", "captured").await;
        }
    }
    // And one that is surely placed: its answer was read, and nobody asks again before it is over.
    let order_id = client.place("read-and-gone", &[("MUG", 1)], "tok_webhook_only").await;
    client.order_at(&order_id, "confirmed", "captured").await;
    server.stop_and_verify().await;
}

#[tokio::test]
async fn polling_alone_completes_an_order_when_no_webhook_gets_through() {
    // Nobody listens where this provider sends its webhooks.
    let sandbox = Sandbox::start(free_port()).await;
    let options = ServerOptions { provider_url: Some(sandbox.url()), ..ServerOptions::default() };
    let mut server = Server::start_with(options).await;
    let client = server.client();
    client.stock("MUG", 1250, 10).await;

    let order_id = client.place("cart", &[("MUG", 1)], "tok_webhook_only").await;

    client.order_at(&order_id, "confirmed", "captured").await;
    assert_eq!(sandbox.books().await.kept_of(&order_id), 1250);
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
        eventually("each notification is kept once and applied once", || async {
            (kept_of(&server, &notice.id).await == ["WebhookReceived", "WebhookApplied"]).then_some(())
        })
        .await;
    }
    let path = format!("/payments/{order_id}");
    eventually("the payment shows what was taken and given back", || async {
        let payment = client.get(&path).await.body;
        (payment["captured"]["amount"] == 1250 && payment["refunded"]["amount"] == 250).then_some(())
    })
    .await;
    server.stop_and_verify().await;
}

#[tokio::test]
async fn forged_stale_and_old_deliveries_are_refused_and_late_ones_are_not() {
    let options = ServerOptions { webhook_secret: Some("the new secret"), ..ServerOptions::default() };
    let mut server = Server::start_with(options).await;
    let client = server.client();
    client.stock("MUG", 1250, 10).await;
    // The sandbox in the same process has the same secret: its own webhooks get through.
    let order_id = client.buy(&[("MUG", 1)], "tok_webhook_only").await;

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
    assert!(client.deliver_signed(&late, "the new secret", now).await.status.is_success());
    client.order_at(&order_id, "confirmed", "captured").await;
    server.stop_and_verify().await;
}
