//! The demonstration: a shop that opens, sells, declines, sells out, cancels and refunds over HTTP, as
//! its customers would, and then proves that the books are right. It is a client like any other and
//! uses nothing that a customer's program could not.

mod customers;
mod shop;

use std::{collections::BTreeMap, time::Instant};

use event_store::Position;
use serde::Serialize;
use uuid::Uuid;

pub use customers::{Kind, Plan};
pub use shop::{Error, MoneySummary, Shop, StockSummary};

/// What a demonstration came to, as the read models tell it.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Checkouts that were asked for, by what was planned for them.
    pub planned: Vec<(Kind, u64)>,
    /// Checkouts that were refused at once, because what was wanted was sold out: no order was placed.
    pub turned_away: u64,
    /// Orders by the status that they ended in.
    pub by_status: BTreeMap<String, u64>,
    /// Orders per second, from the first request until the last order was settled.
    pub orders_per_s: f64,
    /// Checkout requests that were acknowledged: idempotency key, order id and position.
    pub acknowledged: Vec<(String, Uuid, Position)>,
    /// Money by currency, in minor units.
    pub money: MoneySummary,
    /// Units over all SKUs.
    pub stock: StockSummary,
}

/// Runs `checkouts` checkouts against the server that `shop` talks to. The same seed plans the same
/// customers; `run` tells one demonstration on the same data from another.
pub async fn run(
    shop: &Shop,
    run: Uuid,
    checkouts: u64,
    seed: u64,
    progress: impl Fn(&str, u64, u64) + Sync,
) -> Result<Outcome, Error> {
    let plans = customers::plan(run, checkouts, seed);
    shop.open(run, &progress).await?;
    let began = Instant::now();
    let acknowledged = shop.check_out_all(&plans, &progress).await?;
    shop.settle(&plans, &acknowledged, &progress).await?;
    let seconds = began.elapsed().as_secs_f64().max(0.001);
    let (by_status, money) = shop.tally(&acknowledged).await?;
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    let orders_per_s = acknowledged.len() as f64 / seconds;
    let planned = customers::count(&plans);
    let turned_away = (plans.len() - acknowledged.len()) as u64;
    let stock = shop.settled_stock().await?;
    Ok(Outcome { planned, turned_away, by_status, orders_per_s, acknowledged, money, stock })
}
