//! Captures and refunds. What the payment process would record in between is sent to the handlers here.

use chrono::DateTime;
use domain::payment::Command;
use events::{
    Actor, Currency, Money,
    ids::{CaptureId, OrderId, PaymentId},
};
use serde_json::json;
use uuid::Uuid;
use write_side::CommandContext;

use super::{Answer, Shop, gbp, money};

const ID: Uuid = Uuid::from_u128(7);

async fn by_the_process(shop: &Shop, command: Command) {
    let context = CommandContext {
        command_id: Uuid::new_v5(&ID, format!("{command:?}").as_bytes()),
        correlation_id: ID,
        causation_id: ID,
        actor: Actor::Saga("payment".to_owned()),
        occurred_at: DateTime::UNIX_EPOCH,
        request_digest: None,
        traceparent: None,
        expected_revision: None,
    };
    shop.commands.payment.handle(&ID.to_string(), command, context).await.unwrap();
}

async fn authorized(pounds: i64) -> Shop {
    let shop = Shop::new();
    let amount = Money::new(pounds * 100, Currency::GBP);
    let request = Command::Request {
        payment_id: PaymentId(ID),
        order_id: OrderId(ID),
        amount,
        method: "tok_approve".to_owned(),
    };
    by_the_process(&shop, request).await;
    by_the_process(&shop, Command::RecordAuthorized { amount, provider_reference: "p-1".to_owned() }).await;
    shop
}

async fn capture(shop: &Shop, key: &str, amount: &serde_json::Value) -> Answer {
    shop.post(&format!("/payments/{ID}/captures"), key, &json!({"amount": amount})).await
}

async fn refund(shop: &Shop, key: &str, amount: &serde_json::Value) -> Answer {
    shop.post(&format!("/payments/{ID}/refunds"), key, &json!({"amount": amount, "reason": "returned"})).await
}

#[tokio::test]
async fn money_is_captured_and_refunded_in_parts_and_never_a_penny_over() {
    let shop = authorized(10).await;

    let first = capture(&shop, "capture 1", &gbp(600)).await;
    let over = capture(&shop, "capture 2", &gbp(401)).await;
    let second = capture(&shop, "capture 3", &gbp(400)).await;
    for (accepted, amount) in [(&first, 600), (&second, 400)] {
        let capture_id = CaptureId(accepted.body["capture_id"].as_str().unwrap().parse().unwrap());
        let amount = Money::new(amount, Currency::GBP);
        by_the_process(&shop, Command::RecordCaptured { capture_id, amount }).await;
    }
    let refunded = refund(&shop, "refund 1", &gbp(999)).await;
    let too_much = refund(&shop, "refund 2", &gbp(2)).await;

    assert_eq!((first.status.as_u16(), first.header("location")), (202, format!("/payments/{ID}").as_str()));
    assert_eq!((over.status.as_u16(), over.problem()), (409, "capture-exceeds-authorization"));
    assert_eq!(over.body["authorized"], gbp(1000));
    assert_eq!(over.body["captured"], gbp(600));
    assert_eq!(over.body["requested"], gbp(401));
    assert_eq!(second.status, 202);
    assert_eq!(refunded.status, 202);
    assert_eq!((too_much.status.as_u16(), too_much.problem()), (409, "refund-exceeds-captured"));
}

#[tokio::test]
async fn a_repeated_capture_is_the_same_capture() {
    let shop = authorized(10).await;

    let first = capture(&shop, "capture", &gbp(600)).await;
    let again = capture(&shop, "capture", &gbp(600)).await;
    let other = capture(&shop, "capture", &gbp(300)).await;

    assert_eq!(first.body, again.body);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!((other.status.as_u16(), other.problem()), (422, "idempotency-key-reused"));
}

#[tokio::test]
async fn amounts_of_nothing_of_another_currency_and_absurd_ones_are_refused() {
    let shop = authorized(10).await;
    let before = shop.log().await.len();

    let other = capture(&shop, "1", &money(100, "EUR")).await;
    assert_eq!((other.status.as_u16(), other.problem()), (422, "currency-differs"));
    assert_eq!((&other.body["expected"], &other.body["given"]), (&json!("GBP"), &json!("EUR")));
    for amount in [0, -1, i64::MIN, i64::MAX, 9_007_199_254_740_992] {
        let refused = capture(&shop, "2", &gbp(amount)).await;
        assert_eq!((refused.status.as_u16(), refused.pointers()), (400, vec!["/amount/amount"]), "{amount}");
    }
    let most = capture(&shop, "3", &gbp(9_007_199_254_740_991)).await;
    assert_eq!((most.status.as_u16(), most.problem()), (409, "capture-exceeds-authorization"));
    let unknown = refund(&shop, "4", &money(1, "QQQ")).await;
    assert_eq!((unknown.status.as_u16(), unknown.pointers()), (400, vec!["/amount/currency"]));
    assert_eq!(shop.log().await.len(), before);
}

#[tokio::test]
async fn what_is_no_payment_is_not_found() {
    let refused = capture(&Shop::new(), "1", &gbp(1)).await;
    assert_eq!((refused.status.as_u16(), refused.problem()), (404, "not-found"));
}
