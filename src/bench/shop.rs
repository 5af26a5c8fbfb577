//! A shop that is open: all roles in this process, over HTTP, with 500 SKUs on the shelves; and the
//! customers who come.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use async_trait::async_trait;
use event_store::{EventStore, Position};
use futures::{StreamExt, TryStreamExt, stream};
use hyper::StatusCode;
use platform::{clock::Clock, postgres::Databases};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{
    Ground, Machine, durability,
    followed::{Ending, Followed},
    http::Connection,
    load::Worker,
};
use crate::{
    config::{Role, Settings},
    run::Running,
};

/// How many products it has.
const SKUS: u64 = 500;

/// Units of each: more than anybody can buy.
const UNITS: u64 = 1_000_000_000;

/// For how long nothing may be written until nothing more is expected.
const QUIET: Duration = Duration::from_millis(500);

/// How much the shop itself does at once.
const BACK_OFFICE: usize = 8;

/// Customers who come again.
const CUSTOMERS: u64 = 1_000;

/// An open shop.
pub(super) struct Shop {
    pub(super) address: SocketAddr,
    pub(super) roles: Databases,
    pub(super) machine: Machine,
    pub(super) followed: Followed,
    following: JoinHandle<Result<()>>,
    customers: Arc<AtomicU64>,
    /// Tells the requests to one shop from those to the next on the same database.
    opening: Uuid,
    running: Running,
}

impl Shop {
    /// Opens one, and closes it after the measurement, however that ends.
    pub(super) async fn serve(
        ground: &Ground,
        measurement: impl AsyncFnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let shop = Self::open(&ground.settings).await?;
        let measured = async {
            shop.fill_shelves().await?;
            measurement(&shop).await
        };
        let measured = measured.await;
        shop.close().await?;
        measured
    }

    /// Opens one, with what there is on its shelves already.
    pub(super) async fn open(settings: &Settings) -> Result<Self> {
        let mut settings = settings.clone();
        settings.run_privately(&Role::DEFAULT);
        let running = Running::start(&settings, Clock::system()).await?;
        match Self::around(&running).await {
            Ok((machine, followed, following)) => Ok(Self {
                address: running.address,
                roles: running.database.roles.clone(),
                machine,
                followed,
                following,
                customers: Arc::default(),
                opening: Uuid::new_v4(),
                running,
            }),
            Err(error) => {
                running.stop().await?;
                Err(error)
            }
        }
    }

    async fn around(running: &Running) -> Result<(Machine, Followed, JoinHandle<Result<()>>)> {
        durability::check(&running.database.roles.service).await?;
        let machine = Machine::describe(&running.database.roles.service).await?;
        let (followed, following) = Followed::start(running.address).await?;
        Ok((machine, followed, following))
    }

    /// Closes it; what was begun is finished.
    pub(super) async fn close(self) -> Result<()> {
        self.following.abort();
        self.running.stop().await
    }

    /// Lists every product, and receives more units of it than anybody can buy.
    pub(super) async fn fill_shelves(&self) -> Result<()> {
        let skus: Vec<String> = (0..SKUS).map(sku).collect();
        self.for_each(&skus, async |http, sku| list(http, sku, UNITS).await).await
    }

    /// Sends these orders out.
    pub(super) async fn send_out(&self, orders: &[String]) -> Result<()> {
        self.for_each(orders, async |http, order| {
            let path = format!("/orders/{order}/dispatch");
            http.post(&path, &format!("dispatch-{order}"), &json!({})).await?.expect(StatusCode::OK)?;
            Ok(())
        })
        .await
    }

    /// Does the same for each of these, on a few connections at once.
    async fn for_each(
        &self,
        all: &[String],
        each: impl AsyncFn(&mut Connection, &str) -> Result<()>,
    ) -> Result<()> {
        let connections = Connection::open_many(self.address, BACK_OFFICE).await?.into_iter().enumerate();
        let each = &each;
        stream::iter(connections)
            .map(|(first, mut http)| async move {
                for one in all.iter().skip(first).step_by(BACK_OFFICE) {
                    each(&mut http, one).await?;
                }
                anyhow::Ok(())
            })
            .buffer_unordered(BACK_OFFICE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    /// Waits until nothing is written any more: what follows on the last checkout is done.
    pub(super) async fn settle(&self) -> Result<()> {
        let mut before = None;
        loop {
            let head = self.running.store.head().await?;
            if before == Some(head) {
                return Ok(());
            }
            before = Some(head);
            tokio::time::sleep(QUIET).await;
        }
    }

    /// So many customers, each with a connection.
    pub(super) async fn customers(&self, count: usize) -> Result<Vec<Customer>> {
        let connections = Connection::open_many(self.address, count).await?;
        let customer = |http| Customer {
            http,
            followed: self.followed.clone(),
            numbers: Arc::clone(&self.customers),
            opening: self.opening,
        };
        Ok(connections.into_iter().map(customer).collect())
    }

    /// The log, as its write side sees it.
    pub(super) fn store(&self) -> &dyn EventStore {
        &*self.running.store
    }

    /// How many checkouts were begun.
    pub(super) fn begun(&self) -> u64 {
        self.customers.load(Ordering::Relaxed)
    }
}

/// Lists a product and receives units of it.
pub(super) async fn list(http: &mut Connection, sku: &str, units: u64) -> Result<()> {
    let product = json!({"sku": sku, "title": sku, "prices": [{"amount": 1999, "currency": "GBP"}]});
    http.post("/products", &format!("product-{sku}"), &product).await?.expect(StatusCode::CREATED)?;
    let receipt = json!({"quantity": units, "reference": "bench"});
    let path = format!("/stock/{sku}/receipts");
    http.post(&path, &format!("receipt-{sku}"), &receipt).await?.expect(StatusCode::OK)?;
    Ok(())
}

pub(super) fn sku(number: u64) -> String {
    format!("SKU-{number:03}")
}

/// The customer with this number, who may come more than once.
pub(super) fn customer_id(number: u64) -> Uuid {
    Uuid::from_u128(u128::from(number % CUSTOMERS) + (1 << 100))
}

/// A cart of one to three lines.
pub(super) fn cart(number: u64) -> Value {
    // Multiplied by a prime, so that neighbours want different things.
    let line = |place: u64| json!({"sku": sku((number * 7_919 + place * 131) % SKUS), "quantity": 1});
    let lines: Vec<_> = (0..=number % 3).map(line).collect();
    json!({
        "customer_id": customer_id(number),
        "currency": "GBP",
        "lines": lines,
        "payment_method": "tok_approve",
        "contact": {"name": "A. Customer", "email": "customer@example.com", "address": "1 High Street\nLeeds"},
    })
}

/// A checkout that was accepted.
#[derive(Debug, Deserialize)]
pub(super) struct Accepted {
    pub(super) order_id: Uuid,
    pub(super) position: Position,
}

/// Buys something, waits until the money is taken, and looks at the order.
pub(super) struct Customer {
    pub(super) http: Connection,
    followed: Followed,
    numbers: Arc<AtomicU64>,
    opening: Uuid,
}

impl Customer {
    /// Asks for what the next customer wants.
    pub(super) async fn check_out(&mut self) -> Result<Accepted> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let key = format!("bench-{}-{number}", self.opening.simple());
        self.http.post("/checkouts", &key, &cart(number)).await?.expect(StatusCode::ACCEPTED)?.read()
    }

    /// Waits until the money for it is taken, and looks at the order.
    pub(super) async fn see_paid(&mut self, accepted: &Accepted) -> Result<()> {
        let ending = self.followed.ending_of(accepted.order_id).await?;
        let Ending::Paid(position) = ending else { anyhow::bail!("an order was rejected: {accepted:?}") };
        let order = self.http.get(&format!("/orders/{}", accepted.order_id), Some(position)).await?;
        let seen: Seen = order.expect(StatusCode::OK)?.read()?;
        ensure!(
            seen.status == "confirmed" && seen.payment_status == "captured",
            "order {} is {} and its payment {}",
            accepted.order_id,
            seen.status,
            seen.payment_status
        );
        Ok(())
    }
}

#[derive(Deserialize)]
struct Seen {
    status: String,
    payment_status: String,
}

#[async_trait]
impl Worker for Customer {
    async fn step(&mut self) -> Result<u64> {
        let accepted = self.check_out().await?;
        self.see_paid(&accepted).await?;
        Ok(1)
    }
}
