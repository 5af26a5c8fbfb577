//! What was taken is given back, and no more than that: stock and money after a decline, a
//! cancellation or a lack of time, and captures and refunds in parts.

use std::{cell::Cell, collections::BTreeMap, time::Duration};

use events::{
    DomainEvent,
    ids::{CaptureId, RefundId},
    payment::{Operation, PaymentEvent},
};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Books, Client, Server, ServerOptions, checkout, eventually, key, order_of};

fn pounds(pence: i64) -> Value {
    json!({"amount": pence, "currency": "GBP"})
}

async fn cancel(client: &Client, order_id: &str) -> u16 {
    let reason = json!({"reason": "customer_request"});
    let answer = client.post(&format!("/orders/{order_id}/cancellation"), &key("cancel"), &reason).await;
    answer.status.as_u16()
}

#[tokio::test]
async fn a_decline_frees_the_stock() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("ONE", 700, 1).await;
    let declined = client.place(&key("cart"), &[("ONE", 1)], "tok_decline").await;
    let order = client.order_at(&declined, "rejected", "declined").await;
    assert_eq!(order["reason"]["rule"], "payment_declined");
    client.stock_at("ONE", 1, 0, 0).await;

    client.buy(&[("ONE", 1)], "tok_approve").await;

    let books = Books::fetch(&server.sandbox_url("/books")).await;
    assert!(!books.has_money_of(&declined));
    server.stop_and_verify().await;
}

#[tokio::test]
async fn a_sale_whose_capture_fails_is_taken_out_of_the_sales_as_out_of_the_books() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 700, 10).await;
    let order_id = client.place(&key("cart"), &[("MUG", 2)], "tok_capture_fails").await;
    client.order_at(&order_id, "rejected", "voided").await;

    let net = eventually("the sales show the order as undone", || async {
        let sales = client.get("/sales").await.body;
        let day = &sales["items"][0];
        let undone = day["cancelled"]["count"] == 1;
        undone.then(|| amount_of(&day["sales"]) - amount_of(&day["cancelled"]))
    })
    .await;
    let report = server.stop_and_verify().await;
    let balances = report["balances"].as_array().unwrap();
    let sold = balances.iter().find(|balance| balance["account"] == "sales").unwrap();
    assert_eq!((net, sold["amount"].as_i64()), (0, Some(0)), "{report:#}");
}

fn amount_of(tally: &Value) -> i64 {
    tally["amount"]["amount"].as_i64().unwrap()
}

#[tokio::test]
async fn a_cancellation_at_any_time_gives_stock_and_money_back() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 700, 100).await;
    let paid = client.buy(&[("MUG", 1)], "tok_approve").await;
    assert_eq!(cancel(&client, &paid).await, 200);
    client.order_at(&paid, "cancelled", "refunded").await;

    // As early as can be: while the checkout is under way, wherever it is.
    let mut racing = Vec::new();
    for payment_method in ["tok_approve", "tok_webhook_only", "tok_error_then_approve", "tok_decline"] {
        for _ in 0..4 {
            let order_id = client.place(&key("cart"), &[("MUG", 2)], payment_method).await;
            // Only what is declined can have ended by itself before it is called off.
            let ends = match cancel(&client, &order_id).await {
                200 => "cancelled",
                409 if payment_method == "tok_decline" => "rejected",
                other => panic!("{payment_method}: {other}"),
            };
            racing.push((order_id, ends));
        }
    }
    for (order_id, ends) in &racing {
        let order = client.order_at_rest(order_id).await;
        assert_eq!(order["status"], *ends, "{order:#}");
    }

    client.stock_at("MUG", 100, 0, 0).await;
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    for order_id in racing.iter().map(|(order_id, _)| order_id).chain([&paid]) {
        assert!(!books.has_money_of(order_id), "{:#?}", books.of(order_id));
    }
    server.stop_and_verify().await;
}

#[tokio::test]
async fn a_refund_that_is_out_of_order_is_made_in_the_end() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 700, 10).await;
    let order_id = client.buy(&[("MUG", 1)], "tok_undo_down").await;

    assert_eq!(cancel(&client, &order_id).await, 200);

    client.order_at(&order_id, "cancelled", "refunded").await;
    client.stock_at("MUG", 10, 0, 0).await;
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    assert_eq!(books.kept_of(&order_id), 0);
    let mut calls = books.of(&order_id).unwrap().operations.values();
    let refund = calls.find(|call| matches!(call.operation, Operation::Refund { .. })).unwrap();
    assert!(refund.calls > 1, "it was not out of order: {refund:?}");
    server.stop_and_verify().await;
}

#[tokio::test]
async fn an_order_that_was_dispatched_is_completed_and_no_longer_cancelled() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 700, 10).await;
    let order_id = client.buy(&[("MUG", 3)], "tok_approve").await;
    client.stock_at("MUG", 7, 0, 3).await;

    client.post(&format!("/orders/{order_id}/dispatch"), &key("dispatch"), &json!({})).await.expect(200);

    client.order_at(&order_id, "completed", "captured").await;
    client.stock_at("MUG", 7, 0, 0).await;
    assert_eq!(cancel(&client, &order_id).await, 409);
    server.stop_and_verify().await;
}

#[tokio::test]
async fn a_checkout_that_runs_out_of_time_frees_stock_and_voids_what_is_authorized_later() {
    // One that the provider does not answer in time; `tok_slow` takes longer than this shop gives it.
    let options = ServerOptions { checkout_deadline_s: Some(1), ..ServerOptions::default() };
    let mut server = Server::start_with(options).await;
    let client = server.client();
    client.stock("MUG", 700, 3).await;

    let order_id = client.place(&key("cart"), &[("MUG", 3)], "tok_slow").await;

    let order = client.order_at(&order_id, "rejected", "voided").await;
    assert_eq!(order["reason"]["rule"], "deadline_passed", "{order:#}");
    client.stock_at("MUG", 3, 0, 0).await;
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    assert!(!books.has_money_of(&order_id));
    server.stop_and_verify().await;
}

/// What our own history of a payment accepted to take and to give back, with every rule held against each
/// event of it; whatever the provider would have refused is none of its business.
#[derive(Debug, Default)]
struct Accepted {
    authorized: i64,
    /// Asked for and not refused, by the capture.
    captures: BTreeMap<CaptureId, i64>,
    captured: i64,
    refunds: BTreeMap<RefundId, i64>,
}

impl Accepted {
    async fn of(server: &Server, order_id: &str) -> Self {
        let mut accepted = Self::default();
        for recorded in server.log().stream(&format!("payment-{order_id}")).await {
            let event = PaymentEvent::decode(&recorded.name, recorded.version, &recorded.payload).unwrap();
            match &event {
                PaymentEvent::Authorized(event) => accepted.authorized = event.amount.amount,
                PaymentEvent::CaptureRequested(event) => {
                    accepted.captures.insert(event.capture_id, event.amount.amount);
                }
                PaymentEvent::Captured(event) => {
                    assert_eq!(accepted.captures[&event.capture_id], event.amount.amount);
                    accepted.captured += event.amount.amount;
                }
                PaymentEvent::RefundRequested(event) => {
                    accepted.refunds.insert(event.refund_id, event.amount.amount);
                }
                PaymentEvent::Requested(_) | PaymentEvent::OutcomeUnknown(_) | PaymentEvent::Refunded(_) => {}
                other => panic!("the provider refused what we should have: {other:?}"),
            }
            assert!(accepted.to_capture() <= accepted.authorized, "{event:?} {accepted:?}");
            assert!(accepted.to_refund() <= accepted.captured, "{event:?} {accepted:?}");
        }
        accepted
    }

    fn to_capture(&self) -> i64 {
        self.captures.values().sum()
    }

    fn to_refund(&self) -> i64 {
        self.refunds.values().sum()
    }
}

/// Sends so many commands about a payment at once. Each is accepted, or refused as going over the limit with
/// numbers that say so. Gives how many were accepted.
async fn at_once(client: &Client, path: &str, times: usize, body: &Value) -> usize {
    let pence = body["amount"]["amount"].as_i64().unwrap();
    let (limit, over) = if path.ends_with("/captures") {
        (["authorized", "captured"], "capture-exceeds-authorization")
    } else {
        (["captured", "refunded"], "refund-exceeds-captured")
    };
    let answers = join_all((0..times).map(|_| async { client.post(path, &key("part"), body).await })).await;
    let mut accepted = 0;
    for answer in answers {
        if answer.status == 202 {
            accepted += 1;
            continue;
        }
        let answer = answer.expect(409);
        assert_eq!(answer.problem(), over);
        let number = |name: &str| answer.body[name]["amount"].as_i64().unwrap();
        assert_eq!(number("requested"), pence, "{:#}", answer.body);
        assert!(number(limit[0]) < number(limit[1]) + pence, "that would have fitted: {:#}", answer.body);
    }
    accepted
}

/// An order of ten pounds whose payment is authorized, and nobody there who takes it further: the process was
/// killed when the checkout had noted the authorization (which comes third, after its beginning and its stock)
/// and had done nothing about it, and the next one only takes commands.
async fn authorized_and_left_alone() -> (Server, String) {
    let crash_at = Some("saga.event_appended:3".to_owned());
    let mut server = Server::start_with(ServerOptions { crash_at, ..ServerOptions::default() }).await;
    server.client().stock("MUG", 1000, 10).await;
    server.client().try_post("/checkouts", "parts", &checkout(&[("MUG", 1)], "tok_approve")).await;
    eventually("the server dies when it knows of the authorization", || {
        let ended = !server.runs();
        async move { ended.then_some(()) }
    })
    .await;
    let roles = Some("write,read,projections");
    server.restart_with(ServerOptions { roles, ..ServerOptions::default() }).await;
    (server, order_of("parts"))
}

#[tokio::test]
async fn captures_in_parts_never_take_a_penny_more_than_was_authorized() {
    let (mut server, order_id) = authorized_and_left_alone().await;
    let client = server.client();
    let path = format!("/payments/{order_id}/captures");

    assert_eq!(at_once(&client, &path, 60, &json!({"amount": pounds(30)})).await, 33);
    assert_eq!(at_once(&client, &path, 1, &json!({"amount": pounds(11)})).await, 0);
    assert_eq!(at_once(&client, &path, 20, &json!({"amount": pounds(1)})).await, 10);
    let accepted = Accepted::of(&server, &order_id).await;
    assert_eq!((accepted.captures.len(), accepted.to_capture()), (43, 1000));

    // The provider is called only now, and gives as much as we said.
    server.stop().await;
    server.restart_with(ServerOptions::default()).await;
    client.order_at(&order_id, "confirmed", "captured").await;
    let accepted = Accepted::of(&server, &order_id).await;
    assert_eq!((accepted.captures.len(), accepted.captured), (43, 1000));
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    let book = books.of(&order_id).unwrap();
    assert_eq!((book.authorized, book.captured), (1000, 1000), "{book:#?}");
    server.stop_and_verify().await;
}

#[tokio::test]
async fn captures_in_parts_that_race_the_checkouts_own_capture_leave_it_the_rest() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1000, 10).await;
    let order_id = client.place(&key("cart"), &[("MUG", 1)], "tok_webhook_first").await;
    let path = format!("/payments/{order_id}/captures");

    // Before the authorization, and on until everything is taken.
    let captures = (0..8).map(|_| async {
        let mut accepted = 0;
        loop {
            let answer = client.post(&path, &key("capture"), &json!({"amount": pounds(30)})).await;
            match (answer.status.as_u16(), answer.problem_if_any()) {
                (202, None) => accepted += 1,
                (404, Some("not-found")) | (409, Some("payment-not-authorized")) => {}
                (409, Some("capture-exceeds-authorization")) => return accepted,
                other => panic!("{other:?} {:#}", answer.body),
            }
        }
    });
    let all = tokio::time::timeout(Duration::from_mins(1), join_all(captures)).await;
    let accepted_parts: usize = all.expect("everything is taken").into_iter().sum();

    client.order_at(&order_id, "confirmed", "captured").await;
    let accepted = Accepted::of(&server, &order_id).await;
    assert_eq!((accepted.to_capture(), accepted.captured), (1000, 1000), "{accepted:?}");
    let parts = accepted.captures.values().filter(|pence| **pence == 30).count();
    assert_eq!(parts, accepted_parts, "{accepted:?}");
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    let book = books.of(&order_id).unwrap();
    assert_eq!((book.authorized, book.captured), (1000, 1000), "{book:#?}");
    server.stop_and_verify().await;
}

#[tokio::test]
async fn many_refunds_at_once_never_give_back_a_penny_more_than_was_taken() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1000, 10).await;
    let order_id = client.buy(&[("MUG", 1)], "tok_approve").await;
    let path = format!("/payments/{order_id}/refunds");
    let refund = |pence| json!({"amount": pounds(pence), "reason": "chipped"});

    assert_eq!(at_once(&client, &path, 50, &refund(30)).await, 33);
    assert_eq!(at_once(&client, &path, 1, &refund(11)).await, 0);
    client.post(&path, "the-rest", &refund(10)).await.expect(202);
    let again = client.post(&path, "the-rest", &refund(10)).await.expect(202);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(at_once(&client, &path, 5, &refund(1)).await, 0);

    client.order_at(&order_id, "confirmed", "refunded").await;
    let accepted = Accepted::of(&server, &order_id).await;
    assert_eq!((accepted.refunds.len(), accepted.to_refund()), (34, 1000));
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    let book = books.of(&order_id).unwrap();
    assert_eq!((book.captured, book.refunded), (1000, 1000), "{book:#?}");
    server.stop_and_verify().await;
}

#[tokio::test]
async fn refunds_while_parts_are_still_being_captured_give_back_only_what_was_taken() {
    let (mut server, order_id) = authorized_and_left_alone().await;
    let client = server.client();
    let captures = format!("/payments/{order_id}/captures");
    assert_eq!(at_once(&client, &captures, 50, &json!({"amount": pounds(20)})).await, 50);
    let path = format!("/payments/{order_id}/refunds");
    let refund = json!({"amount": pounds(50), "reason": "chipped"});
    assert_eq!(at_once(&client, &path, 10, &refund).await, 0, "nothing is taken yet");

    server.stop().await;
    server.restart_with(ServerOptions::default()).await;
    let accepted = Cell::new(0);
    eventually("everything is given back", || async {
        accepted.set(accepted.get() + at_once(&client, &path, 4, &refund).await);
        (accepted.get() >= 20).then_some(())
    })
    .await;

    assert_eq!(accepted.get(), 20);
    client.order_at(&order_id, "confirmed", "refunded").await;
    assert_eq!(Accepted::of(&server, &order_id).await.to_refund(), 1000);
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    let book = books.of(&order_id).unwrap();
    assert_eq!((book.captured, book.refunded), (1000, 1000), "{book:#?}");
    server.stop_and_verify().await;
}
