//! `tail`: how long after a checkout was acknowledged its order can be read, while the shop runs at 70 %
//! of what it can do.

use anyhow::Result;
use async_trait::async_trait;
use hyper::StatusCode;
use tokio::{sync::mpsc, time::Instant};

use super::{
    Aim, Figure, Ground, Plan, Report,
    load::{self, Measured, Worker},
    shop::{Customer, Shop},
};

/// Buys, and asks at once for an answer that has the order.
struct Impatient {
    customer: Customer,
    took: mpsc::UnboundedSender<std::time::Duration>,
}

#[async_trait]
impl Worker for Impatient {
    async fn step(&mut self) -> Result<u64> {
        let accepted = self.customer.check_out().await?;
        let acknowledged = Instant::now();
        let path = format!("/orders/{}", accepted.order_id);
        self.customer.http.get(&path, Some(accepted.position)).await?.expect(StatusCode::OK)?;
        self.took.send(acknowledged.elapsed())?;
        Ok(1)
    }
}

pub(super) async fn measure(ground: &Ground, plan: &Plan<'_>, report: &mut Report) -> Result<()> {
    plan.say("opening a shop, and finding out what it can do");
    Shop::serve(ground, async |shop| measure_in(shop, plan, report).await).await
}

async fn measure_in(shop: &Shop, plan: &Plan<'_>, report: &mut Report) -> Result<()> {
    report.machine = Some(shop.machine.clone());
    let (most, customers) = load::closed(shop.customers(32).await?, plan.each).await?;
    drop(customers);
    let rate = most.rate() * 0.7;
    plan.say(&format!("{rate:.0} customers a second"));
    let (sender, mut took) = mpsc::unbounded_channel();
    let customers = shop.customers(256).await?.into_iter();
    let impatient = customers.map(|customer| Impatient { customer, took: sender.clone() }).collect();
    drop(sender);
    let (ours, impatient) = load::open(impatient, rate, plan.each).await?;
    drop(impatient);
    let mut waits = Measured::new()?;
    while let Some(took) = took.recv().await {
        waits.record(took);
    }
    let figure = Figure::new("acknowledged until it can be read", ours.rate(), "checkouts/s");
    report.add(figure.taking(waits.latency()).aiming(Aim::P99Below(50.0)));
    Ok(())
}
