//! `checkout`: whole checkouts over HTTP, of one to three lines each, from the request until the customer
//! sees the order confirmed and its money taken.

use anyhow::Result;

use super::{
    Aim, Figure, Ground, Plan, Report,
    budget::Budget,
    floor,
    load::{self, Measured},
    shop::Shop,
};

/// For how many at once the rate is promised.
const PROMISED: usize = 32;

pub(super) async fn measure(ground: &Ground, plan: &Plan<'_>, report: &mut Report) -> Result<()> {
    plan.say("opening a shop with 500 SKUs");
    Shop::serve(ground, async |shop| measure_in(shop, plan, report).await).await
}

async fn measure_in(shop: &Shop, plan: &Plan<'_>, report: &mut Report) -> Result<()> {
    report.machine = Some(shop.machine.clone());
    let owner = &shop.roles.owner;
    let mut promised = 0.0;
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
            promised = ours.rate();
            report.add(figure.aiming(Aim::AtLeast(300.0)));
            report.remark(format!("A checkout costs {spent} ({clients} customers at once)."));
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
    Ok(())
}

fn figure(what: String, measured: &Measured) -> Figure {
    Figure::new(what, measured.rate(), "checkouts/s").taking(measured.latency())
}
