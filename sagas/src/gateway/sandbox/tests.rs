//! The provider over real HTTP, with books in a real Postgres.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{net::SocketAddr, time::Duration};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use events::{
    Currency, Money,
    ids::{CaptureId, PaymentId},
    payment::Operation,
};
use platform::{
    clock::Clock,
    postgres::{Statements, testing::fresh_database},
};
use sqlx::postgres::PgConnectOptions;
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    client::SandboxGateway,
    migrate,
    server::{ServerOptions, serve},
    signature::Secrets,
    tokens,
};
use crate::gateway::{Answer, Call, Notification, PaymentGateway};

const SECRET: &str = "secret";

fn call(operation: Operation, method: &str) -> Call {
    let payment_id = PaymentId(Uuid::from_u128(7));
    Call { payment_id, operation, amount: Money::new(1999, Currency::GBP), method: method.to_owned() }
}

fn approved(answer: &Answer) -> bool {
    matches!(answer, Answer::Approved { amount, .. } if amount.amount == 1999)
}

/// A provider that can be killed and started again on the same books.
struct Running {
    service: PgConnectOptions,
    webhook_url: String,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(webhook_url: &str) -> Self {
        let roles = fresh_database().await;
        migrate(&roles.owner).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = run(listener, &roles.service, webhook_url);
        Self { service: roles.service, webhook_url: webhook_url.to_owned(), address, task }
    }

    /// Dropping the task in the middle of whatever it does is as abrupt as a kill: nothing is flushed.
    async fn kill_and_restart(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.task = run(listener, &self.service, &self.webhook_url);
    }

    fn gateway(&self) -> SandboxGateway {
        SandboxGateway::new(&format!("http://{}", self.address), Secrets::new(SECRET)).unwrap()
    }

    async fn book(&self) -> serde_json::Value {
        let books: serde_json::Value =
            reqwest::get(format!("http://{}/books", self.address)).await.unwrap().json().await.unwrap();
        assert_eq!(books.as_array().unwrap().len(), 1);
        books[0].clone()
    }
}

fn run(listener: TcpListener, service: &PgConnectOptions, webhook_url: &str) -> JoinHandle<()> {
    let db = Statements::over(service.clone(), 8, Duration::from_secs(10));
    let options =
        ServerOptions { secret: SECRET.into(), webhook_url: webhook_url.to_owned(), clock: Clock::system() };
    tokio::spawn(async move { serve(listener, db, options, CancellationToken::new()).await.unwrap() })
}

/// A receiver of webhooks, and what it received with a good signature. Refuses the first `refuse`.
async fn receiver(refuse: u32) -> (String, mpsc::UnboundedReceiver<Notification>) {
    type Shared = (mpsc::UnboundedSender<Notification>, std::sync::Arc<std::sync::atomic::AtomicU32>);
    async fn take(
        State((tell, refuse)): State<Shared>,
        headers: HeaderMap,
        body: Bytes,
    ) -> axum::http::StatusCode {
        use std::sync::atomic::Ordering::SeqCst;
        if refuse.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            return axum::http::StatusCode::SERVICE_UNAVAILABLE;
        }
        let gateway = SandboxGateway::new("http://127.0.0.1:1", Secrets::new(SECRET)).unwrap();
        tell.send(gateway.verify(&headers, &body, Clock::system().now()).unwrap()).unwrap();
        axum::http::StatusCode::OK
    }
    let (tell, told) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let state: Shared = (tell, std::sync::Arc::new(refuse.into()));
    tokio::spawn(async move {
        axum::serve(listener, Router::new().route("/", post(take)).with_state(state)).await
    });
    (url, told)
}

async fn next(told: &mut mpsc::UnboundedReceiver<Notification>) -> Notification {
    tokio::time::timeout(Duration::from_secs(30), told.recv()).await.expect("a webhook arrives").unwrap()
}

const NOWHERE: &str = "http://127.0.0.1:1/";

#[tokio::test]
async fn the_same_key_has_one_effect_also_after_the_provider_was_killed() {
    let mut provider = Running::start(NOWHERE).await;
    let authorize = call(Operation::Authorize, tokens::APPROVE);
    let first = provider.gateway().perform(&authorize).await;
    assert!(approved(&first), "{first:?}");
    provider.kill_and_restart().await;
    assert_eq!(provider.gateway().perform(&authorize).await, first);
    assert_eq!(provider.book().await["authorized"], 1999);
    assert_eq!(provider.book().await["calls"], 2);
}

#[tokio::test]
async fn twenty_calls_at_once_under_one_key_have_one_effect() {
    let provider = Running::start(NOWHERE).await;
    let gateway = provider.gateway();
    let authorize = call(Operation::Authorize, tokens::APPROVE);
    let answers = futures::future::join_all((0..20).map(|_| gateway.perform(&authorize))).await;
    assert!(answers.iter().all(approved), "{answers:?}");
    let book = provider.book().await;
    assert_eq!((&book["authorized"], &book["calls"]), (&serde_json::json!(1999), &serde_json::json!(20)));
}

#[tokio::test]
async fn of_two_providers_over_the_same_books_none_goes_by_what_it_remembers() {
    let one = Running::start(NOWHERE).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = Running {
        service: one.service.clone(),
        webhook_url: NOWHERE.to_owned(),
        address: listener.local_addr().unwrap(),
        task: run(listener, &one.service, NOWHERE),
    };
    let authorize = call(Operation::Authorize, tokens::APPROVE);
    let capture = call(Operation::Capture { capture_id: CaptureId(Uuid::from_u128(8)) }, tokens::APPROVE);
    assert!(approved(&one.gateway().perform(&authorize).await));
    let captured = other.gateway().perform(&capture).await;
    assert!(approved(&captured), "{captured:?}");
    // The first one remembers a book in which nothing was captured.
    assert_eq!(one.gateway().perform(&capture).await, captured);
    let void = call(Operation::Void, tokens::APPROVE);
    let refused = one.gateway().perform(&void).await;
    assert!(matches!(refused, Answer::Declined { .. }), "{refused:?}");
    assert_eq!(other.gateway().perform(&void).await, refused);
    let book = one.book().await;
    assert_eq!((&book["captured"], &book["calls"]), (&serde_json::json!(1999), &serde_json::json!(5)));
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_can_be_looked_up() {
    let provider = Running::start(NOWHERE).await;
    let gateway = provider.gateway();
    let authorize = call(Operation::Authorize, tokens::TIMEOUT_THEN_APPROVE);
    assert_eq!(gateway.look_up(&authorize).await, None);
    assert_eq!(gateway.perform(&authorize).await, Answer::Unknown { reason: "timeout".to_owned() });
    assert!(approved(&gateway.look_up(&authorize).await.unwrap()));
    assert!(approved(&gateway.perform(&authorize).await));
}

#[tokio::test]
async fn an_error_of_the_server_is_unknown_and_had_no_effect() {
    let provider = Running::start(NOWHERE).await;
    let gateway = provider.gateway();
    let authorize = call(Operation::Authorize, tokens::ERROR_THEN_APPROVE);
    assert_eq!(gateway.perform(&authorize).await, Answer::Unknown { reason: "http_500".to_owned() });
    assert_eq!(gateway.look_up(&authorize).await, None);
    assert!(approved(&gateway.perform(&authorize).await));
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unknown() {
    let gateway = SandboxGateway::new(NOWHERE, Secrets::new(SECRET)).unwrap();
    let answer = gateway.perform(&call(Operation::Authorize, tokens::APPROVE)).await;
    assert_eq!(answer, Answer::Unknown { reason: "connection".to_owned() });
}

#[tokio::test]
async fn what_is_pending_is_approved_by_a_signed_webhook() {
    let (url, mut told) = receiver(0).await;
    let provider = Running::start(&url).await;
    let gateway = provider.gateway();
    let authorize = call(Operation::Authorize, tokens::WEBHOOK_ONLY);
    assert_eq!(gateway.perform(&authorize).await, Answer::Pending);
    let (operation, answer) = gateway.interpret(&next(&mut told).await.body).unwrap();
    assert_eq!(operation, Operation::Authorize);
    assert!(approved(&answer));
}

#[tokio::test]
async fn a_webhook_that_is_refused_comes_again_also_after_a_kill() {
    let (url, mut told) = receiver(2).await;
    let mut provider = Running::start(&url).await;
    provider.gateway().perform(&call(Operation::Authorize, tokens::WEBHOOK_TWICE)).await;
    provider.kill_and_restart().await;
    let (first, second) = (next(&mut told).await, next(&mut told).await);
    assert_eq!(first.id, second.id);
}
