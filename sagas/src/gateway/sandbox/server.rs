//! The provider as a server of its own: calls and questions over HTTP, signed webhooks the other way. It
//! does to its caller what providers do: answers late, twice, with an error, or not at all.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use events::ids::PaymentId;
use platform::{clock::Clock, health::Health, postgres::Statements};
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::sync::CancellationToken;

use super::{
    books::Delivery,
    notification::Notice,
    postgres::{Error, Keeper, Waiting},
    signature,
    wire::{CALL, CALLS, CallBody, KEY_HEADER},
};
use crate::gateway::Call;

/// How long a slow answer takes: longer than our client waits.
const SLOW: Duration = Duration::from_secs(3);

/// How long a caller whose answer is lost is kept waiting, if it waits.
const LOST: Duration = Duration::from_secs(30);

/// How long a webhook's receiver may take.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the outbox is looked at when nothing says that there is something in it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the provider has to know.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// What it signs its webhooks with.
    pub secret: Vec<u8>,
    /// Where it sends them.
    pub webhook_url: String,
    /// Its clock.
    pub clock: Clock,
}

/// The provider, with books that outlive it.
#[derive(Debug)]
struct Provider {
    keeper: Keeper,
    options: ServerOptions,
    http: reqwest::Client,
    /// Something was put into the outbox.
    posted: Notify,
    shutdown: CancellationToken,
}

/// Serves until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    db: Statements,
    options: ServerOptions,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let http = reqwest::Client::builder().timeout(DELIVERY_TIMEOUT).build().map_err(io::Error::other)?;
    let keeper = Keeper::new(db);
    let provider =
        Arc::new(Provider { keeper, options, http, posted: Notify::new(), shutdown: shutdown.clone() });
    let router = Router::new()
        .route(CALLS, post(call))
        .route(CALL, get(look_up))
        .route("/books", get(books))
        .with_state(Arc::clone(&provider))
        .merge(health(&provider));
    let serving = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let (served, ()) = tokio::join!(serving.into_future(), provider.keep_delivering());
    served
}

/// Ready while the books can be read.
fn health(provider: &Arc<Provider>) -> Router {
    let provider = Arc::clone(provider);
    let reading = move || {
        let provider = Arc::clone(&provider);
        async move { provider.keeper.ping().await }
    };
    Health::new().check("sandbox", "books", reading).router()
}

async fn call(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    Json(body): Json<CallBody>,
) -> Response {
    let call = Call::from(body);
    if headers.get(KEY_HEADER).is_none_or(|key| key.as_bytes() != call.idempotency_key().as_bytes()) {
        return (StatusCode::BAD_REQUEST, "the key does not belong to this call").into_response();
    }
    let reply = match provider.keeper.call(&call, provider.options.clock.now()).await {
        Ok(Some(reply)) => reply,
        Ok(None) => return (StatusCode::UNPROCESSABLE_ENTITY, "the key was used otherwise").into_response(),
        Err(error) => return unavailable(&error),
    };
    for notice in &reply.notify_before {
        // It is in the outbox too: what does not arrive now arrives later, or twice.
        provider.send(notice).await;
    }
    if reply.leaves_something_to_do() {
        provider.posted.notify_one();
    }
    match reply.delivery {
        Delivery::Prompt => Json(reply.answer).into_response(),
        Delivery::Slow => {
            provider.pause(SLOW).await;
            Json(reply.answer).into_response()
        }
        Delivery::Lost => {
            provider.pause(LOST).await;
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
        Delivery::InternalError => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Delivery::Unavailable => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn look_up(
    State(provider): State<Arc<Provider>>,
    Path((payment_id, key)): Path<(PaymentId, String)>,
) -> Response {
    match provider.keeper.book(payment_id).await {
        Ok(book) => match book.and_then(|book| book.look_up(&key)) {
            Some(answer) => Json(answer).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        Err(error) => unavailable(&error),
    }
}

async fn books(State(provider): State<Arc<Provider>>) -> Response {
    match provider.keeper.books().await {
        Ok(books) => Json(books).into_response(),
        Err(error) => unavailable(&error),
    }
}

fn unavailable(error: &Error) -> Response {
    tracing::warn!(%error, "the sandbox provider cannot keep its books");
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

impl Provider {
    /// Waits, but not past the end of the process.
    async fn pause(&self, time: Duration) {
        let _ = tokio::time::timeout(time, self.shutdown.cancelled()).await;
    }

    /// Approves what was pending and delivers webhooks, each until it is acknowledged.
    async fn keep_delivering(&self) {
        while !self.shutdown.is_cancelled() {
            let pause = match self.deliver_due().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(%error, "the sandbox provider cannot deliver its webhooks");
                    LOOK_AGAIN
                }
            };
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = self.posted.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Delivers what is due, and says how long nothing will be.
    async fn deliver_due(&self) -> Result<Duration, Error> {
        let now = self.options.clock.now();
        self.keeper.settle(now).await?;
        let due = self.keeper.due(now).await?;
        let deliveries = due.iter().map(|waiting| self.deliver(waiting));
        for delivered in futures::future::join_all(deliveries).await {
            delivered?;
        }
        let next = self.keeper.next_due().await?;
        let now = self.options.clock.now();
        let pause = next.map_or(LOOK_AGAIN, |next| (next - now).to_std().unwrap_or(Duration::ZERO));
        Ok(pause.min(LOOK_AGAIN))
    }

    async fn deliver(&self, waiting: &Waiting) -> Result<(), Error> {
        if self.send(&waiting.notice).await {
            return self.keeper.delivered(waiting.number).await;
        }
        self.keeper.undelivered(waiting, self.options.clock.now()).await
    }

    /// Sends a webhook once; whether it was acknowledged.
    async fn send(&self, notice: &Notice) -> bool {
        let Ok(body) = serde_json::to_vec(notice) else { return false };
        let signature = signature::sign(&self.options.secret, self.options.clock.now(), &body);
        let request = self
            .http
            .post(&self.options.webhook_url)
            .header("content-type", "application/json")
            .header(signature::HEADER, signature)
            .body(body);
        request.send().await.is_ok_and(|response| response.status().is_success())
    }
}
