//! Orders after the checkout. What the checkout saga would do in between is sent to the handlers here.

use chrono::DateTime;
use domain::{order::Command, payment};
use event_store::{EventStore, ExpectedRevision, NewEvent};
use events::{
    Actor, Category, Currency, Metadata, Money,
    ids::{CaptureId, OrderId, PaymentId},
    order::RejectionReason,
};
use serde_json::{Value, json};
use uuid::Uuid;
use write_side::CommandContext;

use super::{Answer, Shop, checkout, gbp, line};

async fn placed(shop: &Shop, key: &str) -> String {
    let accepted = shop.post("/checkouts", key, &checkout(&[line("MUG", 1)])).await;
    accepted.body["order_id"].as_str().unwrap().to_owned()
}

fn by_the_coordinator(id: Uuid, command: &impl std::fmt::Debug) -> CommandContext {
    CommandContext {
        command_id: Uuid::new_v5(&id, format!("{command:?}").as_bytes()),
        correlation_id: id,
        causation_id: id,
        actor: Actor::Saga("checkout".to_owned()),
        occurred_at: DateTime::UNIX_EPOCH,
        request_digest: None,
        traceparent: None,
        expected_revision: None,
    }
}

async fn by_the_saga(shop: &Shop, id: &str, command: Command) {
    let context = by_the_coordinator(id.parse().unwrap(), &command);
    shop.commands.order.handle(id, command, context).await.unwrap();
}

async fn take_the_money(shop: &Shop, id: &str, pence: i64) {
    let order: Uuid = id.parse().unwrap();
    let (amount, capture_id) = (Money::new(pence, Currency::GBP), CaptureId(order));
    let (payment_id, order_id, method) = (PaymentId(order), OrderId(order), "tok_approve".to_owned());
    for command in [
        payment::Command::Request { payment_id, order_id, amount, method },
        payment::Command::RecordAuthorized { amount, provider_reference: "p-1".to_owned() },
        payment::Command::Capture { capture_id, amount },
        payment::Command::RecordCaptured { capture_id, amount },
    ] {
        let context = by_the_coordinator(order, &command);
        shop.commands.payment.handle(id, command, context).await.unwrap();
    }
}

async fn dispatch(shop: &Shop, id: &str, key: &str) -> Answer {
    shop.post(&format!("/orders/{id}/dispatch"), key, &json!({})).await
}

async fn cancel(shop: &Shop, id: &str, key: &str) -> Answer {
    shop.post(&format!("/orders/{id}/cancellation"), key, &json!({"reason": "customer_request"})).await
}

#[tokio::test]
async fn a_confirmed_order_is_dispatched_and_then_no_longer_cancelled() {
    let shop = Shop::selling().await;
    let id = placed(&shop, "order").await;

    let too_early = dispatch(&shop, &id, "early").await;
    by_the_saga(&shop, &id, Command::Confirm).await;
    let unpaid = dispatch(&shop, &id, "in time").await;
    take_the_money(&shop, &id, 500).await;
    let dispatched = dispatch(&shop, &id, "in time").await;
    let too_late = cancel(&shop, &id, "late").await;

    assert_eq!((too_early.status.as_u16(), too_early.problem()), (409, "order-not-confirmed"));
    assert_eq!((unpaid.status.as_u16(), unpaid.problem()), (409, "order-not-captured"));
    assert_eq!((&unpaid.body["captured"], &unpaid.body["total"]), (&Value::Null, &gbp(500)));
    assert_eq!((dispatched.status.as_u16(), dispatched.header("etag")), (200, "\"2\""));
    assert_eq!((too_late.status.as_u16(), too_late.problem()), (409, "order-dispatched"));
}

#[tokio::test]
async fn a_cancelled_order_says_why_it_is_not_dispatched() {
    let shop = Shop::selling().await;
    let id = placed(&shop, "order").await;

    let cancelled = cancel(&shop, &id, "cancel").await;
    let refused = dispatch(&shop, &id, "dispatch").await;

    assert_eq!(cancelled.status, 200);
    assert_eq!((refused.status.as_u16(), refused.problem()), (409, "order-cancelled"));
    assert_eq!(refused.body["reason"], "customer_request");
}

#[tokio::test]
async fn a_rejected_order_says_the_numbers_of_its_rejection() {
    let shop = Shop::selling().await;
    let id = placed(&shop, "order").await;
    let reason =
        RejectionReason::InsufficientStock { sku: "MUG".parse().unwrap(), requested: 1, available: 0 };
    by_the_saga(&shop, &id, Command::Reject { reason }).await;

    let refused = cancel(&shop, &id, "cancel").await;

    assert_eq!((refused.status.as_u16(), refused.problem()), (409, "order-rejected"));
    let numbers: Value = json!({"rule": "insufficient_stock", "sku": "MUG", "requested": 1, "available": 0});
    assert_eq!(refused.body["reason"], numbers);
}

#[tokio::test]
async fn what_is_no_order_is_not_found() {
    let shop = Shop::selling().await;
    for id in ["00000000-0000-0000-0000-000000000000", "17", "%00", "x".repeat(5_000).as_str()] {
        let refused = dispatch(&shop, id, "dispatch").await;
        assert_eq!((refused.status.as_u16(), refused.problem()), (404, "not-found"), "{id}");
    }
}

#[tokio::test]
async fn a_reason_is_one_of_three() {
    let shop = Shop::selling().await;
    let id = placed(&shop, "order").await;

    let refused = shop.post(&format!("/orders/{id}/cancellation"), "1", &json!({"reason": "whim"})).await;

    assert_eq!(
        refused.faults(),
        [("/reason", "must be one of [\"customer_request\",\"fraud\",\"operator\"]")]
    );
}

#[tokio::test]
async fn an_order_that_a_newer_release_has_written_to_is_left_to_that_one_with_a_time_to_try_again() {
    let shop = Shop::selling().await;
    for (key, version, status, problem) in
        [("newer", 99, 503, "newer-release"), ("nobody", 1, 500, "internal")]
    {
        let id = placed(&shop, key).await;
        let metadata = Metadata {
            occurred_at: DateTime::UNIX_EPOCH,
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            command_id: Uuid::nil(),
            request_digest: None,
            actor: Actor::Client,
            traceparent: None,
        };
        let written = NewEvent {
            id: Uuid::new_v5(&Uuid::nil(), key.as_bytes()),
            name: "OrderConfirmed".to_owned(),
            version,
            payload: "{}".into(),
            metadata,
        };
        let stream = Category::Order.stream(&id);
        shop.store.append(&stream, ExpectedRevision::Any, vec![written]).await.unwrap();
        let refused = cancel(&shop, &id, &format!("cancel-{key}")).await;
        assert_eq!((refused.status.as_u16(), refused.problem()), (status, problem));
        assert_eq!(refused.header("retry-after").is_empty(), status != 503, "{refused:?}");
    }
}
