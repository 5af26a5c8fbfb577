//! What was taken is given back, and no more than that: stock and money after a decline, a
//! cancellation or a lack of time, and captures and refunds in parts.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Books, Client, Server, ServerOptions, eventually, key};

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
    assert!((200..300).contains(&cancel(&client, &paid).await));
    client.order_at(&paid, "cancelled", "refunded").await;

    // As early as can be: while the checkout is under way, wherever it is.
    let mut racing = Vec::new();
    for payment_method in ["tok_approve", "tok_webhook_only", "tok_error_then_approve", "tok_decline"] {
        for _ in 0..4 {
            let order_id = client.place(&key("cart"), &[("MUG", 2)], payment_method).await;
            let status = cancel(&client, &order_id).await;
            assert!((200..300).contains(&status) || status == 409, "{status}");
            racing.push(order_id);
        }
    }
    for order_id in &racing {
        let order = client.order_at_rest(order_id).await;
        assert!(order["status"] == "cancelled" || order["status"] == "rejected", "{order:#}");
    }

    client.stock_at("MUG", 100, 0, 0).await;
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    for order_id in racing.iter().chain([&paid]) {
        assert!(!books.has_money_of(order_id), "{:#?}", books.of(order_id));
    }
    server.stop_and_verify().await;
}

#[tokio::test]
async fn a_void_or_refund_that_is_out_of_order_is_made_in_the_end() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 700, 10).await;
    let order_id = client.buy(&[("MUG", 1)], "tok_undo_down").await;

    cancel(&client, &order_id).await;

    client.order_at(&order_id, "cancelled", "refunded").await;
    client.stock_at("MUG", 10, 0, 0).await;
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    assert_eq!(books.kept_of(&order_id), 0);
    server.stop_and_verify().await;
}

#[tokio::test]
async fn an_order_that_was_dispatched_is_completed_and_no_longer_cancelled() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 700, 10).await;
    let order_id = client.buy(&[("MUG", 3)], "tok_approve").await;
    client.stock_at("MUG", 7, 0, 3).await;

    client.post(&format!("/orders/{order_id}/dispatch"), &key("dispatch"), &json!({})).await;

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

#[tokio::test]
async fn many_refunds_at_once_never_give_back_a_penny_more_than_was_taken() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1000, 10).await;
    let order_id = client.buy(&[("MUG", 1)], "tok_approve").await;
    let path = format!("/payments/{order_id}/refunds");

    let refunds = (0..50).map(|_| {
        let (client, path) = (&client, &path);
        async move {
            let body = json!({"amount": pounds(30), "reason": "chipped"});
            let answer = client.post(path, &key("refund"), &body).await;
            let status = answer.status.as_u16();
            assert!(status == 202 || status == 422, "{status} {:#}", answer.body);
            status
        }
    });
    let accepted = join_all(refunds).await.into_iter().filter(|status| *status == 202).count();
    assert_eq!(accepted, 33);
    let over = json!({"amount": pounds(11), "reason": "eleven of the ten that are left"});
    client.post(&path, &key("refund"), &over).await.expect(422);
    let rest = json!({"amount": pounds(10), "reason": "the rest"});
    assert!(client.post(&path, "the-rest", &rest).await.status.is_success());
    assert!(client.post(&path, "the-rest", &rest).await.status.is_success());

    client.order_at(&order_id, "confirmed", "refunded").await;
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    let book = books.of(&order_id).unwrap();
    assert_eq!((book.captured, book.refunded), (1000, 1000), "{book:#?}");
    server.stop_and_verify().await;
}

#[tokio::test]
async fn captures_in_parts_never_take_a_penny_more_than_was_authorized() {
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1000, 10).await;
    let order_id = client.place(&key("cart"), &[("MUG", 1)], "tok_approve").await;
    let path = format!("/payments/{order_id}/captures");

    // They race the checkout's own capture of the whole, before and after the authorization.
    let captures = (0..60).map(|_| {
        let (client, path) = (&client, &path);
        async move {
            let answer = client.post(path, &key("capture"), &json!({"amount": pounds(30)})).await;
            let status = answer.status.as_u16();
            assert!([202, 404, 409, 422].contains(&status), "{status} {:#}", answer.body);
        }
    });
    join_all(captures).await;

    client.order_at(&order_id, "confirmed", "captured").await;
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    let book = books.of(&order_id).unwrap();
    assert_eq!((book.authorized, book.captured), (1000, 1000), "{book:#?}");
    server.stop_and_verify().await;
}
