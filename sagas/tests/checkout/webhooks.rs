//! Deliveries of the provider: twice, early, late, and over HTTP with good and bad signatures.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use chrono::TimeDelta;
use events::{ids::PaymentId, order::Origin, payment::Operation};
use sagas::{
    gateway::{
        Answer,
        sandbox::{notification::Notice, signature, tokens},
    },
    webhook,
};
use tower::ServiceExt;

use crate::world::{World, order_id, pence};

/// A notification that the order's payment is authorized.
fn authorized(number: u128) -> Notice {
    let answer = Answer::Approved { provider_reference: "sbx_early".to_owned(), amount: pence(300) };
    Notice::new(PaymentId::from(order_id(number)), Operation::Authorize, answer)
}

async fn shop() -> World {
    let world = World::new();
    world.receive("CUP", 10).await;
    world.receive("TEAPOT", 10).await;
    world
}

async fn post(
    world: &World,
    provider: &str,
    signature: Option<String>,
    body: Vec<u8>,
) -> (StatusCode, String) {
    let router = webhook::router(world.gateway.clone(), Arc::new(world.store.clone()), world.clock.clone());
    let mut request = Request::post(format!("/webhooks/payments/{provider}"));
    if let Some(signature) = signature {
        request = request.header(signature::HEADER, signature);
    }
    let response = router.oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let media_type = response.headers().get(header::CONTENT_TYPE);
    let media_type = media_type.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    (response.status(), media_type)
}

#[tokio::test]
async fn a_delivery_before_its_payment_is_kept_and_applied_when_the_payment_is_there() {
    let mut world = shop().await;
    world.deliver(&authorized(1).to_notification().unwrap()).await;
    let mut coordinator = world.coordinator("simulated");
    world.settle_for_now(&mut coordinator).await;
    assert_eq!(world.names("webhook").await, ["WebhookReceived"]);
    world.clock.advance(TimeDelta::minutes(2));
    // The provider itself says nothing that means anything for as long as this test runs.
    world.place(order_id(1), tokens::WEBHOOK_ONLY, Origin::Live).await;
    world.settle(&mut coordinator).await;
    assert!(world.names("webhook").await.contains(&"WebhookApplied".to_owned()));
    assert_eq!(world.see(order_id(1)).await.checkout, "CheckoutCompleted");
}

#[tokio::test]
async fn a_delivery_whose_payment_never_comes_is_shown_to_a_person() {
    let mut world = shop().await;
    world.deliver(&authorized(1).to_notification().unwrap()).await;
    let mut coordinator = world.coordinator("simulated");
    world.settle(&mut coordinator).await;
    assert_eq!(world.names("webhook").await, ["WebhookReceived", "WebhookAttentionRequired"]);
    assert_eq!(world.names("payment").await, Vec::<String>::new());
}

#[tokio::test]
async fn the_same_notification_many_times_is_recorded_once() {
    let mut world = shop().await;
    world.place(order_id(1), tokens::WEBHOOK_TWICE, Origin::Live).await;
    let mut coordinator = world.coordinator("simulated");
    world.settle(&mut coordinator).await;
    let before = world.events().await;
    for _ in 0..5 {
        world.deliver(&authorized(1).to_notification().unwrap()).await;
    }
    world.settle(&mut coordinator).await;
    assert_eq!(world.events().await, before);
}

#[tokio::test]
async fn a_success_that_is_told_after_the_deadline_is_voided() {
    let mut world = shop().await;
    world.place(order_id(1), tokens::WEBHOOK_ONLY, Origin::Live).await;
    let mut coordinator = world.coordinator("simulated");
    coordinator.run_until_idle().await.unwrap();
    assert_eq!(world.see(order_id(1)).await.order, "OrderPlaced");
    // Nobody hears of the approval before the customer's patience is over.
    world.clock.advance(TimeDelta::minutes(16));
    world.settle(&mut coordinator).await;
    let seen = world.see(order_id(1)).await;
    assert_eq!(seen.order, "OrderRejected");
    assert_eq!(seen.books, Some((300, 0, 0, true)));
    assert_eq!(seen.stock["CUP"], (10, 0));
}

#[tokio::test]
async fn what_is_signed_by_the_provider_is_kept_before_it_is_acknowledged() {
    let world = shop().await;
    let body = serde_json::to_vec(&authorized(1)).unwrap();
    let signed = signature::sign(b"secret", world.clock.now(), &body);
    for _ in 0..2 {
        let (status, _) = post(&world, "sandbox", Some(signed.clone()), body.clone()).await;
        assert_eq!(status, StatusCode::OK);
    }
    assert_eq!(world.names("webhook").await, ["WebhookReceived"]);
}

#[tokio::test]
async fn what_is_unsigned_forged_or_stale_is_refused_and_leaves_nothing() {
    let world = shop().await;
    let body = serde_json::to_vec(&authorized(1)).unwrap();
    let now = world.clock.now();
    let stale = signature::sign(b"secret", now - TimeDelta::days(3), &body);
    let old_secret = signature::sign(b"old secret", now, &body);
    let other_body = signature::sign(b"secret", now, b"{}");
    for signature in [None, Some("nonsense".to_owned()), Some(stale), Some(old_secret), Some(other_body)] {
        let (status, media_type) = post(&world, "sandbox", signature.clone(), body.clone()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{signature:?}");
        assert_eq!(media_type, "application/problem+json");
    }
    assert_eq!(world.names("webhook").await, Vec::<String>::new());
}

#[tokio::test]
async fn other_providers_nonsense_and_too_much_are_refused_and_leave_nothing() {
    let world = shop().await;
    let sign = |body: &[u8]| Some(signature::sign(b"secret", world.clock.now(), body));
    let body = serde_json::to_vec(&authorized(1)).unwrap();
    assert_eq!(post(&world, "stripe", sign(&body), body.clone()).await.0, StatusCode::NOT_FOUND);
    let nonsense = b"not json".to_vec();
    assert_eq!(post(&world, "sandbox", sign(&nonsense), nonsense).await.0, StatusCode::BAD_REQUEST);
    let too_much = vec![b' '; 300 * 1024];
    assert_eq!(post(&world, "sandbox", sign(&too_much), too_much).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(world.names("webhook").await, Vec::<String>::new());
}
