//! The command API, as a client meets it: requests go in, and answers and the log are looked at.

mod bad_input;
mod catalog;
mod checkout;
mod documentation;
mod idempotency;
mod inventory;
mod order;
mod outage;
mod payment;
mod property;
mod socket;

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Request, StatusCode, header::CONTENT_TYPE},
};
use chrono::{DateTime, Utc};
use event_store::{EventStore, Filter, Position, RecordedEvent, memory::MemoryStore};
use platform::{clock::Clock, keys::MemoryKeys, problem::with_fallbacks};
use serde_json::{Value, json};
use tower::ServiceExt;
use write_side::{
    Commands,
    api::{Api, router},
};

/// One process with its API.
#[derive(Clone)]
struct Shop {
    store: MemoryStore,
    keys: Arc<MemoryKeys>,
    commands: Commands,
    router: Router,
}

/// What a client got.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Shop {
    fn new() -> Self {
        Self::on(MemoryStore::new())
    }

    fn on(store: MemoryStore) -> Self {
        Self::through(Arc::new(store.clone()), store)
    }

    /// A shop that reaches the log `store` through `port`.
    fn through(port: Arc<dyn EventStore>, store: MemoryStore) -> Self {
        let commands = Commands::new(port);
        let keys = Arc::new(MemoryKeys::default());
        let api = Api::new(commands.clone(), keys.clone(), Clock::manual(today()));
        Self { store, keys, commands, router: with_fallbacks(router(api)) }
    }

    /// A shop that sells mugs at 5.00 GBP and 6.00 EUR, and spoons at 0.001 GBP.
    async fn selling() -> Self {
        let shop = Self::new();
        let mug = json!({"sku": "MUG", "title": "A mug", "prices": [gbp(500), money(600, "EUR")]});
        assert_eq!(shop.post("/products", "mug", &mug).await.status, 201);
        let spoon = json!({"sku": "SPOON", "title": "A spoon", "prices": [
            {"amount": 0, "thousandths": 100, "currency": "GBP"}
        ]});
        assert_eq!(shop.post("/products", "spoon", &spoon).await.status, 201);
        shop
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.post_with(path, &[("idempotency-key", key)], body).await
    }

    async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut all = vec![(CONTENT_TYPE.as_str(), "application/json")];
        all.extend_from_slice(headers);
        self.send("POST", path, &all, body.to_string().into()).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 10_000_000).await.unwrap();
        let body = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn log(&self) -> Vec<RecordedEvent> {
        self.store.read_all(Position::START, &Filter::all(), 100_000).await.unwrap().events
    }
}

impl Answer {
    fn problem(&self) -> &str {
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], self.status.as_u16(), "{self:?}");
        self.body["type"].as_str().unwrap().strip_prefix("/problems/").unwrap()
    }

    /// The faults as pairs of place and sentence.
    fn faults(&self) -> Vec<(&str, &str)> {
        let faults = self.body["errors"].as_array().into_iter().flatten();
        faults.map(|fault| (fault["pointer"].as_str().unwrap(), fault["detail"].as_str().unwrap())).collect()
    }

    /// The places that have faults, each once.
    fn pointers(&self) -> Vec<&str> {
        let mut pointers: Vec<_> = self.faults().into_iter().map(|(pointer, _)| pointer).collect();
        pointers.dedup();
        pointers
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn today() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

fn money(amount: i64, currency: &str) -> Value {
    json!({"amount": amount, "currency": currency})
}

fn gbp(amount: i64) -> Value {
    money(amount, "GBP")
}

fn line(sku: &str, quantity: i64) -> Value {
    json!({"sku": sku, "quantity": quantity})
}

fn checkout(lines: &[Value]) -> Value {
    json!({"currency": "GBP", "lines": lines, "payment_method": "tok_approve"})
}
