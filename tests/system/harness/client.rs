//! A client of the HTTP API that keeps what it was told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use events::ids::OrderId;
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use uuid::{Uuid, uuid};

use super::{Faults, Log, eventually};

/// What the server answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// A header as text; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The answer, if it has this status; fails the test otherwise.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:#}", self.body);
        self
    }

    /// The name of the problem that it tells of, where it is not a success.
    pub(crate) fn problem_if_any(&self) -> Option<&str> {
        (!self.status.is_success()).then(|| self.problem())
    }

    /// The name of the problem that it tells of.
    pub(crate) fn problem(&self) -> &str {
        assert_eq!(self.header("content-type"), "application/problem+json", "{:#}", self.body);
        self.body["type"].as_str().unwrap().strip_prefix("/problems/").unwrap()
    }
}

/// Processes that serve the same, of which a client uses another one when one does not answer.
#[derive(Debug, Clone)]
struct Doors {
    bases: Arc<[String]>,
    current: Arc<AtomicUsize>,
}

impl Doors {
    fn at(bases: Vec<String>) -> Self {
        Self { bases: bases.into(), current: Arc::default() }
    }

    fn url(&self, path: &str) -> String {
        let current = self.current.load(Ordering::Relaxed) % self.bases.len();
        format!("{}{path}", self.bases[current])
    }

    fn try_the_next(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
    }
}

/// A client of one server, or of several that share the work.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    commands: Doors,
    queries: Doors,
    http: reqwest::Client,
    log: Log,
    faults: Faults,
}

/// A key that no other request has.
pub(crate) fn key(name: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

impl Client {
    pub(crate) fn new(base: String, log: Log) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        let doors = Doors::at(vec![base]);
        Self { commands: doors.clone(), queries: doors, http, log, faults: Faults::default() }
    }

    /// A client of the processes that take commands and of those that answer queries. One that does not
    /// answer for a few seconds is left for the next.
    pub(crate) fn of_several(commands: Vec<String>, queries: Vec<String>, log: Log) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        Self {
            commands: Doors::at(commands),
            queries: Doors::at(queries),
            http,
            log,
            faults: Faults::default(),
        }
    }

    /// Whether every role is ready.
    pub(crate) async fn is_ready(&self, role: Option<&str>) -> bool {
        let path = role.map_or_else(|| "/readyz".to_owned(), |role| format!("/readyz/{role}"));
        let answer = self.http.get(self.queries.url(&path)).timeout(Duration::from_secs(2)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Option<Answer> {
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.ok()?;
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let answer = Answer { status, headers, body };
        self.faults.note(&answer);
        Some(answer)
    }

    /// The same client, which writes down answers that are faults of the server.
    pub(crate) fn noting(mut self, faults: &Faults) -> Self {
        self.faults = faults.clone();
        self
    }

    /// A command with an idempotency key. `None` when the server went away before it answered.
    pub(crate) async fn try_post(&self, path: &str, key: &str, body: &Value) -> Option<Answer> {
        let request = self.http.post(self.commands.url(path)).header("Idempotency-Key", key).json(body);
        let answer = self.answer(request).await;
        if answer.is_none() {
            self.commands.try_the_next();
        }
        answer
    }

    /// A command with an idempotency key.
    pub(crate) async fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.try_post(path, key, body).await.expect("the server answers")
    }

    /// A command that is sent again with the same key until it is carried out or refused, whatever
    /// becomes of the server meanwhile, as a good client does.
    pub(crate) async fn insist(&self, path: &str, key: &str, body: &Value) -> Answer {
        let deadline = tokio::time::Instant::now() + Duration::from_mins(3);
        loop {
            match self.try_post(path, key, body).await {
                Some(answer) if answer.status == 503 => self.commands.try_the_next(),
                Some(answer) => return answer,
                None => {}
            }
            assert!(tokio::time::Instant::now() < deadline, "{path} {key} is not answered");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A query. `None` when the server went away before it answered.
    pub(crate) async fn try_get(&self, path: &str) -> Option<Answer> {
        let answer = self.answer(self.http.get(self.queries.url(path))).await;
        if answer.is_none() {
            self.queries.try_the_next();
        }
        answer
    }

    /// A query.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// A query with headers.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.http.get(self.queries.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answer(request).await.expect("the server answers")
    }

    /// A query that reflects everything that is in the log by now, so that it cannot be answered from
    /// before the thing that is looked for. `None` when the read model does not get there in time.
    pub(crate) async fn get_up_to_date(&self, path: &str) -> Option<Answer> {
        let head = self.log.head().await.to_string();
        let headers = [("Counterfoil-At-Least", head.as_str()), ("Prefer", "wait=20")];
        Some(self.get_with(path, &headers).await).filter(|answer| answer.status != 503)
    }

    /// Any request, as raw as it has to be.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, self.commands.url(path))
    }

    /// Sends a request that was built by hand.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.answer(request).await.expect("the server answers")
    }

    /// Offers a product in pounds and receives units of it.
    pub(crate) async fn stock(&self, sku: &str, pence: i64, units: i64) {
        let product = json!({"sku": sku, "title": sku, "prices": [{"amount": pence, "currency": "GBP"}]});
        self.post("/products", &key("product"), &product).await.expect(201);
        if units > 0 {
            let receipt = json!({"quantity": units, "reference": "first delivery"});
            self.post(&format!("/stock/{sku}/receipts"), &key("receipt"), &receipt).await;
        }
    }

    /// A checkout of lines of SKU and units.
    pub(crate) async fn check_out(&self, key: &str, lines: &[(&str, i64)], payment_method: &str) -> Answer {
        self.post("/checkouts", key, &checkout(lines, payment_method)).await
    }

    /// A checkout that is accepted; gives the order's id.
    pub(crate) async fn place(&self, key: &str, lines: &[(&str, i64)], payment_method: &str) -> String {
        let answer = self.check_out(key, lines, payment_method).await.expect(202);
        answer.body["order_id"].as_str().unwrap().to_owned()
    }

    /// A checkout of what may be sold out; gives the order's id, if one was placed.
    pub(crate) async fn place_unless_sold_out(&self, key: &str, lines: &[(&str, i64)]) -> Option<String> {
        let answer = self.check_out(key, lines, "tok_approve").await;
        if answer.problem_if_any() == Some("sold-out") {
            answer.expect(409);
            return None;
        }
        Some(answer.expect(202).body["order_id"].as_str().unwrap().to_owned())
    }

    /// Places an order and waits until it is paid.
    pub(crate) async fn buy(&self, lines: &[(&str, i64)], payment_method: &str) -> String {
        let order_id = self.place(&key("cart"), lines, payment_method).await;
        self.order_at(&order_id, "confirmed", "captured").await;
        order_id
    }

    /// The order's row, once it and its payment have come to these statuses.
    pub(crate) async fn order_at(&self, order_id: &str, status: &str, payment_status: &str) -> Value {
        let path = format!("/orders/{order_id}");
        eventually(&format!("order {order_id} is {status} and its payment {payment_status}"), || async {
            let order = self.get(&path).await.body;
            (order["status"] == status && order["payment_status"] == payment_status).then_some(order)
        })
        .await
    }

    /// Fails unless the order and its payment have these statuses by everything that is in the log.
    pub(crate) async fn order_is_still(&self, order_id: &str, status: &str, payment_status: &str) {
        let path = format!("/orders/{order_id}");
        let what = format!("{path} reflects the log");
        let answer = eventually(&what, || self.get_up_to_date(&path)).await;
        let order = answer.body;
        assert_eq!(order["status"], status, "{order:#}");
        assert_eq!(order["payment_status"], payment_status, "{order:#}");
    }

    /// The order's row, once nothing but a dispatch or a person can change it.
    pub(crate) async fn order_at_rest(&self, order_id: &str) -> Value {
        let path = format!("/orders/{order_id}");
        eventually(&format!("order {order_id} is at rest"), || async {
            let order = self.get(&path).await.body;
            let ends = [
                ("confirmed", &["captured"][..]),
                ("completed", &["captured"][..]),
                ("rejected", &["none", "declined", "voided", "refunded"][..]),
                ("cancelled", &["none", "declined", "voided", "refunded"][..]),
            ];
            let is_end = ends.iter().any(|(status, payments)| {
                order["status"] == *status
                    && payments.iter().any(|payment| order["payment_status"] == *payment)
            });
            is_end.then_some(order)
        })
        .await
    }

    /// Waits until the shop counts so many units of a SKU as available, reserved for orders that are not
    /// paid, and sold but not dispatched, by all that was in the log when it was asked.
    pub(crate) async fn stock_at(&self, sku: &str, available: i64, reserved: i64, committed: i64) {
        let path = format!("/stock/{sku}");
        let wanted = json!([available, reserved, committed]);
        eventually(&format!("{sku} has {wanted} units available, reserved and committed"), || async {
            let stock = self.get_up_to_date(&path).await?.body;
            (json!([stock["available"], stock["reserved"], stock["committed"]]) == wanted).then_some(())
        })
        .await;
    }
}

/// What the ids of orders are derived in. It never changes: an old key would become another order.
const ORDERS: Uuid = uuid!("6b0f4b0e-2f0a-5d1c-9c3d-6f1c5a1e7d02");

/// The order that a checkout under this key makes.
pub(crate) fn order_of(key: &str) -> String {
    OrderId::derived(ORDERS, key).to_string()
}

/// The body of a checkout in pounds.
pub(crate) fn checkout(lines: &[(&str, i64)], payment_method: &str) -> Value {
    let lines: Vec<Value> =
        lines.iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
    json!({"currency": "GBP", "lines": lines, "payment_method": payment_method})
}
