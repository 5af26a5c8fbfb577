//! `flash-sale`: ten thousand buyers want one SKU of which there are a hundred units. Each learns whether
//! he gets one; exactly a hundred do. Who comes when nothing is left is told so at once; who came before that, when his
//! order has ended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;
use sqlx::{ConnectOptions, Connection as _, postgres::PgConnectOptions};

use super::{
    Aim, Figure, Ground, Plan, Report, floor,
    followed::Ending,
    http::Connection,
    shop::{self, Accepted, Shop},
};

const BUYERS: u64 = 10_000;
const UNITS: u64 = 100;

/// How many of them send their request at the same moment.
const AT_ONCE: usize = 64;

#[derive(Deserialize)]
struct Stock {
    reserved: u64,
    committed: u64,
    dispatched: u64,
}

pub(super) async fn measure(ground: &Ground, plan: &Plan<'_>, report: &mut Report) -> Result<()> {
    plan.say("opening a shop");
    Shop::serve(ground, async |shop| measure_in(shop, plan, report).await).await
}

async fn measure_in(shop: &Shop, plan: &Plan<'_>, report: &mut Report) -> Result<()> {
    report.machine = Some(shop.machine.clone());
    let address = shop.address;
    let mut http = Connection::open(address).await?;
    shop::list(&mut http, "HOT", UNITS).await?;
    plan.say("10,000 conditional updates of one row, as the machine does them");
    let floor = updates(&shop.roles.owner).await?;

    plan.say("10,000 buyers of 100 units");
    let connections = Connection::open_many(address, AT_ONCE).await?;
    let (next, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let answers: Vec<Vec<Answered>> = stream::iter(connections)
        .map(|http| buy(http, Arc::clone(&next)))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let answered = began.elapsed();
    let (mut sold, mut rejected, mut turned_away) = (0_u32, 0_u32, 0_u32);
    for answer in answers.iter().flatten() {
        match answer {
            Answered::SoldOut => turned_away += 1,
            Answered::Accepted(order) => match shop.followed.ending_of(order.order_id).await? {
                Ending::Paid(_) => sold += 1,
                Ending::Rejected(_) => rejected += 1,
            },
        }
    }
    let decided = began.elapsed();
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let rate = |took: Duration| BUYERS as f64 / took.as_secs_f64();
    let figure = Figure::new("buyers decided", rate(decided), "buyers/s");
    let figure = figure.against(format!("conditional updates of one row on {AT_ONCE}"), floor);
    report.add(figure.aiming(Aim::AtLeast(3_000.0)));
    report.add(Figure::new("buyers answered", rate(answered), "buyers/s"));
    report.add(Figure::new("units sold", sold.into(), "units").aiming(Aim::Exactly(100.0)));
    let refused = f64::from(rejected) + f64::from(turned_away);
    report.add(Figure::new("buyers refused", refused, "buyers").aiming(Aim::Exactly(9_900.0)));
    report.add(Figure::new("of these at once, without an order", turned_away.into(), "buyers"));
    let stock = http.get("/stock/HOT", None).await?.expect(StatusCode::OK)?;
    let stock: Stock = stock.read()?;
    let taken = stock.reserved + stock.committed + stock.dispatched;
    ensure!(taken == UNITS, "{taken} units of {UNITS} are held or sold");
    Ok(())
}

/// What a buyer is told.
enum Answered {
    /// His order is placed, and he is to wait.
    Accepted(Accepted),
    /// He came too late.
    SoldOut,
}

/// Sends one request after the other until all buyers have been served.
async fn buy(mut http: Connection, next: Arc<AtomicU64>) -> Result<Vec<Answered>> {
    let mut answers = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= BUYERS {
            return Ok(answers);
        }
        let body = json!({
            "currency": "GBP",
            "lines": [{"sku": "HOT", "quantity": 1}],
            "payment_method": "tok_approve",
        });
        let answer = http.post("/checkouts", &format!("flash-{number}"), &body).await?;
        answers.push(if answer.is_problem("sold-out") {
            Answered::SoldOut
        } else {
            Answered::Accepted(answer.expect(StatusCode::ACCEPTED)?.read()?)
        });
    }
}

/// Attempts a second at taking one of a hundred units from one row.
async fn updates(owner: &PgConnectOptions) -> Result<f64> {
    let mut db = owner.connect().await?;
    sqlx::raw_sql(
        "create schema if not exists bench;
         drop table if exists bench.stock;
         create table bench.stock (sku text primary key, units bigint not null);
         insert into bench.stock values ('HOT', 100);",
    )
    .execute(&mut db)
    .await?;
    db.close().await?;
    let connections = floor::connections(owner, AT_ONCE).await?;
    let (next, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let sold: Vec<u64> = stream::iter(connections)
        .map(|mut db| {
            let next = Arc::clone(&next);
            async move {
                let mut sold = 0;
                while next.fetch_add(1, Ordering::Relaxed) < BUYERS {
                    let take = "update bench.stock set units = units - 1 where sku = 'HOT' and units > 0";
                    sold += sqlx::query(take).execute(&mut db).await?.rows_affected();
                }
                anyhow::Ok(sold)
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    ensure!(sold.iter().sum::<u64>() == UNITS, "the machine itself sold {sold:?}");
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    Ok(BUYERS as f64 / began.elapsed().as_secs_f64())
}
