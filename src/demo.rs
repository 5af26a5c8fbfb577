//! The demonstration: a shop that opens, sells, declines, sells out, cancels and refunds over HTTP, as
//! its customers would, and then proves that the books are right. It is a client like any other and
//! uses nothing that a customer's program could not.

mod customers;
mod shop;

use std::time::{Duration, Instant};

use serde::Serialize;

pub use customers::{Kind, Plan};
pub use shop::{Error, Shop};

/// What a demonstration came to, as the read models tell it.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Checkouts that were asked for, by what was planned for them.
    pub planned: Vec<(Kind, u64)>,
    /// Orders by the status that they ended in.
    pub by_status: std::collections::BTreeMap<String, u64>,
    /// Orders per second, from the first request until the last order was settled.
    pub orders_per_s: f64,
    /// Checkout requests that were acknowledged: idempotency key and order id.
    pub acknowledged: Vec<(String, uuid::Uuid)>,
    /// Money by currency, in minor units.
    pub money: shop::MoneySummary,
    /// Units over all SKUs.
    pub stock: shop::StockSummary,
}

/// Runs `checkouts` checkouts against the server that `shop` talks to. The same seed plans the same
/// customers; `run` tells one demonstration on the same data from another.
pub async fn run(
    shop: &Shop,
    run: uuid::Uuid,
    checkouts: u64,
    seed: u64,
    progress: impl Fn(&str, u64, u64) + Sync,
) -> Result<Outcome, Error> {
    let plans = customers::plan(run, checkouts, seed);
    progress("listing products and receiving stock", 0, customers::CATALOG.len() as u64);
    shop.open(run, &progress).await?;
    let began = Instant::now();
    let acknowledged = shop.check_out_all(&plans, &progress).await?;
    shop.settle(&plans, &progress).await?;
    let seconds = began.elapsed().max(Duration::from_millis(1)).as_secs_f64();
    let by_status = shop.orders_by_status(&plans).await?;
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    let orders_per_s = plans.len() as f64 / seconds;
    Ok(Outcome {
        planned: customers::count(&plans),
        by_status,
        orders_per_s,
        acknowledged,
        money: shop.money(&plans).await?,
        stock: shop.stock().await?,
    })
}
