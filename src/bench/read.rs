//! `read`: one order by its id, and the first page of a customer's orders, over HTTP; beside the bare
//! lookup of the same row by the same role through the same kind of pool.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
use hyper::StatusCode;
use platform::postgres::Statements;
use rand::seq::IndexedRandom;
use uuid::Uuid;

use super::{
    Aim, Figure, Ground, Plan, Report,
    http::Connection,
    load::{self, Worker},
    shop::{self, Shop},
};

/// How many read at once.
const READERS: usize = 32;

/// How many connections to the database the query API has.
const CONNECTIONS: usize = 16;

/// How long a lookup waits for one of as many.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bare lookup.
struct Lookup {
    statements: Statements,
    orders: Arc<Vec<Uuid>>,
}

#[async_trait]
impl Worker for Lookup {
    async fn step(&mut self) -> Result<u64> {
        let order = *self.orders.choose(&mut rand::rng()).unwrap_or(&Uuid::nil());
        let sql = "select * from read.orders where order_id = $1";
        self.statements.run(async |db| sqlx::query(sql).bind(order).fetch_one(db).await).await?;
        Ok(1)
    }
}

/// Asks for one of these paths, any of them.
struct Reader {
    http: Connection,
    paths: Arc<Vec<String>>,
}

#[async_trait]
impl Worker for Reader {
    async fn step(&mut self) -> Result<u64> {
        let path = self.paths.choose(&mut rand::rng()).map_or("/orders", String::as_str).to_owned();
        self.http.get(&path, None).await?.expect(StatusCode::OK)?;
        Ok(1)
    }
}

pub(super) async fn measure(ground: &Ground, plan: &Plan<'_>, report: &mut Report) -> Result<()> {
    plan.say("opening a shop, and selling for a while");
    Shop::serve(ground, async |shop| measure_in(shop, plan, report).await).await
}

async fn measure_in(shop: &Shop, plan: &Plan<'_>, report: &mut Report) -> Result<()> {
    report.machine = Some(shop.machine.clone());
    load::closed(shop.customers(64).await?, plan.each).await?;
    let statements = Statements::over(shop.roles.reader.clone(), CONNECTIONS, PATIENCE);
    let orders = sqlx::query_scalar("select order_id from read.orders");
    let orders: Vec<Uuid> = statements.run(async |db| orders.fetch_all(db).await).await?;
    report.remark(format!("There are {} orders.", orders.len()));
    let orders = Arc::new(orders);
    let by_id: Vec<_> = orders.iter().map(|order| format!("/orders/{order}")).collect();
    let by_customer: Vec<_> = (0..1_000)
        .map(|number| format!("/customers/{}/orders?limit=20", shop::customer_id(number)))
        .collect();

    for (what, paths) in [("an order by its id", by_id), ("first page of a customer's orders", by_customer)] {
        plan.say(what);
        let lookups =
            || (0..READERS).map(|_| Lookup { statements: statements.clone(), orders: Arc::clone(&orders) });
        let (floor, _) = load::closed(lookups().collect(), plan.each).await?;
        let paths = Arc::new(paths);
        let readers = Connection::open_many(shop.address, READERS).await?;
        let readers = readers.into_iter().map(|http| Reader { http, paths: Arc::clone(&paths) }).collect();
        let (ours, readers) = load::closed(readers, plan.each).await?;
        let figure = Figure::new(what, ours.rate(), "answers/s").taking(ours.latency());
        let figure = figure.against(format!("lookups by key on {CONNECTIONS}"), floor.rate());
        report.add(figure.aiming(Aim::OfFloor(0.5)));
        let (half, _) = load::open(readers, ours.rate() / 2.0, plan.each).await?;
        let figure = Figure::new(format!("{what}, at half of that"), half.rate(), "answers/s");
        report.add(figure.taking(half.latency()).aiming(Aim::P99Below(10.0)));
    }
    Ok(())
}
