//! Where providers deliver: `POST /webhooks/payments/{provider}`. **What is not signed by the provider leaves
//! nothing behind; what is goes into the log before it is acknowledged**, so that one that comes too early is
//! not lost. What it means is found out from the log.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use event_store::{AppendError, EventStore, ExpectedRevision, NewEvent};
use events::{
    Actor, Category, DomainEvent, Metadata,
    webhook::{Received, WebhookEvent},
};
use platform::{
    clock::Clock,
    fault::crash_point,
    problem::{INTERNAL, INVALID_REQUEST, NOT_FOUND, Problem, UNAVAILABLE},
};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    coordinator::WEBHOOK_RECEIVED,
    gateway::{Notification, PaymentGateway, VerifyError},
};

platform::problem_types! {
    /// What webhooks are refused with.
    pub const TYPES;

    /// The delivery is not signed by the provider, over these bytes, just now. Nothing of it was kept.
    WEBHOOK_NOT_VERIFIED = 401 "webhook-not-verified" "The delivery cannot be verified";
}

/// The longest delivery that is read, in bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// What makes ids of events from the ids of notifications.
const NAMESPACE: Uuid = Uuid::from_u128(0x6d0f_4f86_5b1c_4a53_9e3b_2f6a_8d1c_7e90);

#[derive(Debug, Clone)]
struct Door {
    gateway: Arc<dyn PaymentGateway>,
    store: Arc<dyn EventStore>,
    clock: Clock,
}

/// Takes the deliveries of the provider behind `gateway`.
pub fn router(gateway: Arc<dyn PaymentGateway>, store: Arc<dyn EventStore>, clock: Clock) -> Router {
    let (router, _) = routes().split_for_parts();
    router.layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(Door { gateway, store, clock })
}

/// The same route, described.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Door> {
    OpenApiRouter::new().routes(routes!(deliver))
}

/// Takes a payment provider's notification of what became of a payment.
///
/// The delivery is kept before it is acknowledged, and acted on afterwards; a repeat changes nothing. The
/// provider signs the bytes of the body and the time, and whatever is not signed, or not just now, is refused.
#[utoipa::path(post, path = "/webhooks/payments/{provider}", tag = "webhooks",
    params(
        ("provider" = String, Path, description = "who delivers; `sandbox` for the sandbox provider"),
        ("Counterfoil-Signature" = String, Header, description = "how the sandbox provider signs: `t=<unix seconds>,v1=<hex>`, the HMAC-SHA256 of `<unix seconds>.<body>`"),
    ),
    request_body(content = Object, description = "the notification, as the provider writes it"),
    responses(
        (status = 200, description = "it is kept, or was before"),
        (status = 400, body = Problem, description = "it is signed, and is no notification"),
        (status = 401, body = Problem, description = "it is not signed by the provider, over these bytes, just now; nothing of it was kept"),
        (status = 404, body = Problem, description = "there is no such provider"),
        (status = 413, body = Problem, description = "it is longer than 256 KiB"),
        (status = 503, body = Problem, description = "it could not be kept; deliver it again"),
    ))]
async fn deliver(
    State(door): State<Door>,
    Path(provider): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if provider != door.gateway.provider() {
        return Problem::new(&NOT_FOUND).detail("no such payment provider").into_response();
    }
    let now = door.clock.now();
    let notification = match door.gateway.verify(&headers, &body, now) {
        Ok(notification) => notification,
        Err(error) => return refuse(&provider, error).into_response(),
    };
    match receive(door.store.as_ref(), &provider, &notification, now).await {
        Ok(()) => {
            crash_point(WEBHOOK_RECEIVED);
            StatusCode::OK.into_response()
        }
        Err(error) => fail(&provider, &error).into_response(),
    }
}

fn refuse(provider: &str, error: VerifyError) -> Problem {
    tracing::warn!(provider, %error, "a delivery was refused");
    match error {
        VerifyError::Unsigned | VerifyError::Forged | VerifyError::Stale => {
            Problem::new(&WEBHOOK_NOT_VERIFIED).detail(error.to_string())
        }
        VerifyError::Unreadable => Problem::new(&INVALID_REQUEST).detail(error.to_string()),
    }
}

fn fail(provider: &str, error: &ReceiveError) -> Problem {
    tracing::error!(provider, %error, "a delivery could not be kept; the provider will repeat it");
    match error {
        ReceiveError::Store(_) => Problem::new(&UNAVAILABLE).retry_after(Duration::from_secs(1)),
        ReceiveError::Unkeepable(_) => Problem::new(&INVALID_REQUEST),
        ReceiveError::Encode(_) => Problem::new(&INTERNAL),
    }
}

/// A delivery could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The store failed.
    #[error(transparent)]
    Store(event_store::StoreError),
    /// No store keeps such a delivery.
    #[error(transparent)]
    Unkeepable(AppendError),
    /// It has no JSON form.
    #[error(transparent)]
    Encode(#[from] serde_json::Error),
}

/// Keeps a delivery whose signature was verified. One that is kept already is kept.
pub async fn receive(
    store: &dyn EventStore,
    provider: &str,
    notification: &Notification,
    now: DateTime<Utc>,
) -> Result<(), ReceiveError> {
    let event = WebhookEvent::Received(Received {
        provider: provider.to_owned(),
        notification_id: notification.id.clone(),
        payment_id: notification.payment_id,
        notification: notification.body.clone(),
    });
    let id = Uuid::new_v5(&NAMESPACE, format!("{provider}:{}", notification.id).as_bytes());
    let new = NewEvent {
        id,
        name: event.wire_name().to_owned(),
        version: event.wire_version(),
        payload: event.encode()?.into(),
        metadata: Metadata {
            occurred_at: now,
            correlation_id: notification.payment_id.0,
            causation_id: id,
            command_id: id,
            request_digest: None,
            actor: Actor::Provider(provider.to_owned()),
            traceparent: None,
        },
    };
    let stream = Category::Webhook.stream(&notification.id);
    match store.append(&stream, ExpectedRevision::NoStream, vec![new]).await {
        Ok(_) | Err(AppendError::Conflict { .. } | AppendError::AlreadyAppended { .. }) => Ok(()),
        Err(AppendError::Store(error)) => Err(ReceiveError::Store(error)),
        Err(error @ (AppendError::TooLarge { .. } | AppendError::Malformed { .. })) => {
            Err(ReceiveError::Unkeepable(error))
        }
    }
}
