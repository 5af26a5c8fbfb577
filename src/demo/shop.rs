//! The shop as a program outside of it sees it: commands and queries over HTTP, and nothing else.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use event_store::Position;
use futures::{StreamExt, TryStreamExt};
use reqwest::{Client, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::customers::{CATALOG, FLASH, Kind, Plan};

/// How many customers are in the shop at once.
const AT_ONCE: usize = 32;

/// How long an order may take until it is settled. The slowest customers wait for a provider that lost
/// its answer.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long the last steps may take once every order shows how it ended.
const SETTLED: Duration = Duration::from_secs(10);

/// How long to wait before looking at an order again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Units of each product that a demonstration receives: more than its customers can buy.
const UNITS: u64 = 100_000;

/// Why the demonstration could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server could not be reached.
    #[error("the server at {url} does not answer: {source}")]
    Unreachable {
        /// The address.
        url: String,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// It answered with something that a customer should not get.
    #[error("{doing} was answered {status}: {body}")]
    Refused {
        /// What was asked for.
        doing: String,
        /// The status.
        status: StatusCode,
        /// What it said.
        body: Value,
    },
    /// An order did not come to its end.
    #[error("order {order_id} is still {state} after {PATIENCE:?}")]
    Unsettled {
        /// The order.
        order_id: Uuid,
        /// Where it is.
        state: String,
    },
}

/// A connection to a server.
#[derive(Debug, Clone)]
pub struct Shop {
    url: String,
    http: Client,
}

/// Money of one demonstration, in pence.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct MoneySummary {
    /// What all orders would have come to.
    pub asked_for: i64,
    /// What was taken.
    pub captured: i64,
    /// What was given back.
    pub refunded: i64,
}

/// Units over all SKUs of the shop.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct StockSummary {
    /// Came in.
    pub received: i64,
    /// Held for checkouts that are under way.
    pub reserved: i64,
    /// Sold, and still in the house.
    pub committed: i64,
    /// Left the house.
    pub dispatched: i64,
    /// Free to be sold.
    pub available: i64,
}

/// What the demonstration looks at of an order.
#[derive(Debug, Deserialize)]
struct OrderView {
    status: String,
    payment_status: String,
    display_status: String,
    total: Amount,
    captured: Amount,
    refunded: Amount,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Amount {
    amount: i64,
}

#[derive(Debug, Deserialize)]
struct Items<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

/// The order of a visit, unless what its customer wanted was sold out.
fn order_id(plan: &Plan, acknowledged: &[(String, Uuid, Position)]) -> Option<Uuid> {
    acknowledged.iter().find(|(key, ..)| *key == plan.idempotency_key).map(|(_, id, _)| *id)
}

impl Shop {
    /// A shop at the base of its URLs.
    pub fn at(url: String) -> Self {
        Self { url, http: Client::new() }
    }

    /// Lists every product and receives stock of it.
    pub(super) async fn open(&self, run: Uuid, progress: &impl Fn(&str, u64, u64)) -> Result<(), Error> {
        let flash = (FLASH.0, FLASH.1, FLASH.2, u64::from(FLASH.3));
        let products = CATALOG.iter().map(|(sku, title, pence)| (*sku, *title, *pence, UNITS)).chain([flash]);
        for (number, (sku, title, pence, units)) in products.enumerate() {
            let product =
                json!({"sku": sku, "title": title, "prices": [{"amount": pence, "currency": "GBP"}]});
            self.command("/products", &format!("demo-product-{sku}"), &product).await?;
            let receipt = json!({"quantity": units, "reference": format!("demonstration {run}")});
            self.command(&format!("/stock/{sku}/receipts"), &format!("demo-{run}-{sku}"), &receipt).await?;
            progress("listing products and receiving stock", number as u64 + 1, CATALOG.len() as u64 + 1);
        }
        Ok(())
    }

    /// Sends every customer through the checkout, some of them twice. Gives the order of each key that has one.
    pub(super) async fn check_out_all(
        &self,
        plans: &[Plan],
        progress: &(impl Fn(&str, u64, u64) + Sync),
    ) -> Result<Vec<(String, Uuid, Position)>, Error> {
        let done = AtomicU64::new(0);
        futures::stream::iter(plans)
            .map(|plan| async {
                let acknowledged = self.check_out(plan).await?;
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                progress("checking out", done, plans.len() as u64);
                Ok(acknowledged)
            })
            .buffered(AT_ONCE)
            .try_filter_map(async |acknowledged| Ok(acknowledged))
            .try_collect()
            .await
    }

    /// The order of a customer; `None` where nothing is left of what was wanted.
    async fn check_out(&self, plan: &Plan) -> Result<Option<(String, Uuid, Position)>, Error> {
        #[derive(Deserialize)]
        struct Accepted {
            order_id: Uuid,
            position: Position,
        }
        let lines: Vec<Value> =
            plan.lines.iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
        let body = json!({
            "currency": "GBP",
            "lines": lines,
            "payment_method": plan.kind.payment_method(),
            "contact": {"name": "A. Customer", "email": "customer@example.com", "address": "1 High Street\nLeeds"},
        });
        let clicks = if plan.double_click { 2 } else { 1 };
        let requests = (0..clicks).map(|_| self.command("/checkouts", &plan.idempotency_key, &body));
        let mut placed = None;
        for answer in futures::future::join_all(requests).await {
            let answer = match answer {
                Err(Error::Refused { body, .. })
                    if plan.kind == Kind::FlashSale && body["type"] == "/problems/sold-out" =>
                {
                    continue;
                }
                answer => answer?,
            };
            let Accepted { order_id, position } = self.read("a checkout", answer).await?;
            placed = Some((plan.idempotency_key.clone(), order_id, position));
        }
        Ok(placed)
    }

    /// Waits for every order, and does with it what its customer came for.
    pub(super) async fn settle(
        &self,
        plans: &[Plan],
        acknowledged: &[(String, Uuid, Position)],
        progress: &(impl Fn(&str, u64, u64) + Sync),
    ) -> Result<(), Error> {
        let done = AtomicU64::new(0);
        futures::stream::iter(plans)
            .map(|plan| async {
                if let Some(order_id) = order_id(plan, acknowledged) {
                    self.follow_through(plan, order_id).await?;
                }
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                progress("settling payments, cancelling, refunding, dispatching", done, plans.len() as u64);
                Ok(())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn follow_through(&self, plan: &Plan, order_id: Uuid) -> Result<(), Error> {
        let settled = |order: &OrderView| {
            order.status == "rejected"
                || (order.status == "confirmed" && order.captured.amount == order.total.amount)
        };
        let order = self.wait_for(order_id, settled).await?;
        if order.status == "rejected" {
            return Ok(());
        }
        let key = format!("{}-after", plan.idempotency_key);
        match plan.kind {
            Kind::Cancelled => {
                let body = json!({"reason": "customer_request"});
                self.command(&format!("/orders/{order_id}/cancellation"), &key, &body).await?;
                self.wait_for(order_id, |order| order.refunded.amount == order.captured.amount).await?;
            }
            Kind::PartlyRefunded => {
                let half = (order.total.amount / 2).max(1);
                let body = json!({"amount": {"amount": half, "currency": "GBP"}, "reason": "goodwill"});
                self.command(&format!("/payments/{order_id}/refunds"), &key, &body).await?;
                self.wait_for(order_id, |order| order.refunded.amount == half).await?;
            }
            Kind::Dispatched => {
                self.command(&format!("/orders/{order_id}/dispatch"), &key, &json!({})).await?;
                self.wait_for(order_id, |order| order.status == "completed").await?;
            }
            Kind::Approved
            | Kind::ApprovedByWebhook
            | Kind::TimedOutThenApproved
            | Kind::TimedOutThenDeclined
            | Kind::Declined
            | Kind::FlashSale => {}
        }
        Ok(())
    }

    async fn wait_for(
        &self,
        order_id: Uuid,
        is_there: impl Fn(&OrderView) -> bool,
    ) -> Result<OrderView, Error> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = "not there".to_owned();
        loop {
            if let Some(order) = self.order(order_id).await? {
                if is_there(&order) {
                    return Ok(order);
                }
                state = format!("{} with its payment {}", order.status, order.payment_status);
            }
            if Instant::now() > deadline {
                return Err(Error::Unsettled { order_id, state });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// An order, if the read model has it yet.
    async fn order(&self, order_id: Uuid) -> Result<Option<OrderView>, Error> {
        let answer = self.get(&format!("/orders/{order_id}")).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.read("an order", answer).await.map(Some)
    }

    /// How the orders of this demonstration ended, as a customer is shown, and what money they moved.
    pub(super) async fn tally(
        &self,
        acknowledged: &[(String, Uuid, Position)],
    ) -> Result<(BTreeMap<String, u64>, MoneySummary), Error> {
        let orders: Vec<Option<OrderView>> = futures::stream::iter(acknowledged)
            .map(|(_, order_id, _)| self.order(*order_id))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let mut by_status = BTreeMap::new();
        let mut money = MoneySummary::default();
        for order in orders.into_iter().flatten() {
            *by_status.entry(order.display_status).or_insert(0) += 1;
            money.asked_for += order.total.amount;
            money.captured += order.captured.amount;
            money.refunded += order.refunded.amount;
        }
        Ok((by_status, money))
    }

    /// All units of the shop, once nothing is held for a checkout under way: the last units become a sale
    /// a moment after their order shows that it is paid.
    pub(super) async fn settled_stock(&self) -> Result<StockSummary, Error> {
        let deadline = Instant::now() + SETTLED;
        loop {
            let stock = self.stock().await?;
            if stock.reserved == 0 || Instant::now() > deadline {
                return Ok(stock);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn stock(&self) -> Result<StockSummary, Error> {
        let mut sum = StockSummary::default();
        let mut path = "/stock?limit=200".to_owned();
        loop {
            let page: Items<StockSummary> = self.read("the stock", self.get(&path).await?).await?;
            for stock in page.items {
                sum.received += stock.received;
                sum.reserved += stock.reserved;
                sum.committed += stock.committed;
                sum.dispatched += stock.dispatched;
                sum.available += stock.available;
            }
            match page.next_cursor {
                Some(cursor) => path = format!("/stock?limit=200&cursor={cursor}"),
                None => return Ok(sum),
            }
        }
    }

    async fn command(&self, path: &str, key: &str, body: &Value) -> Result<Response, Error> {
        let request = self.http.post(format!("{}{path}", self.url)).header("Idempotency-Key", key).json(body);
        let answer = request.send().await.map_err(|source| self.unreachable(source))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let body = answer.json().await.unwrap_or(Value::Null);
        Err(Error::Refused { doing: format!("POST {path}"), status, body })
    }

    async fn get(&self, path: &str) -> Result<Response, Error> {
        self.http.get(format!("{}{path}", self.url)).send().await.map_err(|source| self.unreachable(source))
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, what: &str, answer: Response) -> Result<T, Error> {
        let status = answer.status();
        if status.is_success() {
            return answer.json().await.map_err(|source| self.unreachable(source));
        }
        let body = answer.json().await.unwrap_or(Value::Null);
        Err(Error::Refused { doing: format!("reading {what}"), status, body })
    }

    fn unreachable(&self, source: reqwest::Error) -> Error {
        Error::Unreachable { url: self.url.clone(), source }
    }
}
