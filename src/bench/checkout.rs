//! `checkout`: whole checkouts over HTTP, of one to three lines each, from the request until the customer
//! sees the order confirmed and its money taken. Then what one costs, and where its time goes.

use anyhow::Result;
use tokio::sync::mpsc;

use super::{
    Aim, Figure, Ground, Plan, Report,
    budget::{Budget, Spent},
    cpu::Cpu,
    flights::Flights,
    floor,
    load::{self, Measured},
    report::grouped,
    shop::Shop,
    stages::{self, Stages, Timed},
};

/// For how many at once the rate is promised.
const PROMISED: usize = 32;

pub(super) async fn measure(ground: &Ground, plan: &Plan<'_>, report: &mut Report) -> Result<()> {
    plan.say("opening a shop with 500 SKUs");
    let mut spent = None;
    Shop::serve(ground, async |shop| {
        spent = measure_in(shop, plan, report).await?;
        Ok(())
    })
    .await?;
    let flights = match round_trips(ground, plan).await? {
        Some(flights) => format!("{} round trips", grouped(flights)),
        None => "round trips that cannot be counted here".to_owned(),
    };
    if let Some(spent) = spent {
        report.remark(format!("A checkout costs {spent}, and {flights} ({PROMISED} customers at once)."));
        let fsyncs = grouped(spent.fsyncs_a_second);
        report.remark(format!("The disk is written through {fsyncs} times a second meanwhile."));
    }
    Ok(())
}

/// Answers what a checkout costs when as many are made at once as the rate is promised for.
async fn measure_in(shop: &Shop, plan: &Plan<'_>, report: &mut Report) -> Result<Option<Spent>> {
    report.machine = Some(shop.machine.clone());
    let owner = &shop.roles.owner;
    let (mut promised, mut cost) = (0.0, None);
    for clients in [1, 8, PROMISED, 128] {
        plan.say(&format!("{clients} customers at once"));
        let rows = floor::rows(owner, clients.min(floor::CONNECTIONS_MAX), plan.each).await?;
        let (before, begun) = (Budget::read(owner).await?, shop.begun());
        let (ours, customers) = load::closed(shop.customers(clients).await?, plan.each).await?;
        drop(customers);
        let spent = Budget::read(owner).await?.since(&before, shop.begun() - begun);
        let figure = figure(format!("{clients} customers at once"), &ours);
        let connections = clients.min(floor::CONNECTIONS_MAX);
        let what = format!("single rows on {connections} ÷ {:.1} events", spent.events);
        let figure = figure.against(what, rows.rate() / spent.events.max(1.0));
        if clients == PROMISED {
            (promised, cost) = (ours.rate(), Some(spent));
            report.add(figure.aiming(Aim::AtLeast(300.0)));
        } else {
            report.add(figure);
        }
    }
    let rate = promised * 0.7;
    plan.say(&format!("{rate:.0} customers a second"));
    let (ours, customers) = load::open(shop.customers(256).await?, rate, plan.each).await?;
    drop(customers);
    let figure = figure("at 70 % of the rate of 32 at once".to_owned(), &ours);
    report.add(figure.aiming(Aim::P99Below(250.0)));
    for clients in [1, PROMISED] {
        let stages = stages(shop, clients, plan, report).await?;
        report.stages.push(stages);
    }
    Ok(cost)
}

fn figure(what: String, measured: &Measured) -> Figure {
    Figure::new(what, measured.rate(), "checkouts/s").taking(measured.latency())
}

/// Where the time of checkouts goes, and whose processor it is.
async fn stages(shop: &Shop, clients: usize, plan: &Plan<'_>, report: &mut Report) -> Result<Stages> {
    let what = format!("{clients} customers at once");
    plan.say(&format!("{what}, stage by stage"));
    shop.settle().await?;
    let (visits, mut visited) = mpsc::unbounded_channel();
    let customers = shop.customers(clients).await?.into_iter();
    let customers = customers.map(|customer| Timed { customer, visits: visits.clone() }).collect();
    drop(visits);
    let (before, begun, head) =
        (Cpu::read(&shop.roles.service).await, shop.begun(), shop.store().head().await?);
    drop(load::closed(customers, plan.each).await?);
    let after = Cpu::read(&shop.roles.service).await;
    if let Some((before, after)) = before.zip(after) {
        let cost = after.since(&before, shop.begun() - begun);
        report.remark(format!("A checkout takes {cost} ({what})."));
    }
    shop.settle().await?;
    let mut all = Vec::new();
    while let Some(visit) = visited.recv().await {
        all.push(visit);
    }
    stages::stages(&what, &all, &stages::recorded(shop.store(), head).await?)
}

/// Round trips to the database for each checkout, in another shop that reaches it through who counts; `None`
/// where nobody can.
async fn round_trips(ground: &Ground, plan: &Plan<'_>) -> Result<Option<f64>> {
    plan.say("counting round trips");
    let server = ground.server().await?;
    let counted = async {
        let Ok(flights) = Flights::before(&server.admin).await else { return Ok(None) };
        let shop = Shop::open(&server.make_behind(&flights, "counted").await?).await?;
        let counted = async {
            shop.fill_shelves().await?;
            let (before, begun) = (flights.count(), shop.begun());
            drop(load::closed(shop.customers(PROMISED).await?, plan.each).await?);
            shop.settle().await?;
            #[allow(clippy::cast_precision_loss, reason = "an average")]
            anyhow::Ok((flights.count() - before) as f64 / (shop.begun() - begun).max(1) as f64)
        };
        let counted = counted.await;
        shop.close().await?;
        counted.map(Some)
    };
    let counted = counted.await;
    let closed = server.close();
    counted.and_then(|counted| closed.map(|()| counted))
}
