//! `read-all`: the whole log, in order, through the port: what an audit does.

use std::{sync::Arc, time::Instant};

use anyhow::{Result, ensure};
use event_store::{EventStore, ExpectedRevision, Filter, Position, read_to_end};
use events::Category;
use futures::{StreamExt, TryStreamExt, stream};
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};
use uuid::Uuid;

use super::{Aim, Figure, Ground, Plan, Report, sample};

/// How many events there are to read.
const EVENTS: u64 = 200_000;
const STREAM: u64 = 10;
const WRITERS: usize = 200;

/// How often it is read.
const ROUNDS: u32 = 3;

pub(super) async fn measure(ground: &Ground, plan: &Plan<'_>, report: &mut Report) -> Result<()> {
    let (database, machine) = ground.open().await?;
    report.machine = Some(machine);
    let store = database.log.open(&ground.settings).await?;
    plan.say("writing a log of 200,000 events");
    fill(&store).await?;
    let (mut copying, mut reading) = (0.0, 0.0);
    for round in 1..=ROUNDS {
        plan.say(&format!("reading it, {round} of {ROUNDS}"));
        copying += copy_out(&database.roles.owner).await?;
        reading += read(&*store).await?;
    }
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let events = (EVENTS * u64::from(ROUNDS)) as f64;
    let figure = Figure::new("the whole log in order", events / reading, "events/s");
    report.add(figure.against("copy out of the same table", events / copying).aiming(Aim::OfFloor(0.8)));
    store.close().await;
    drop(store);
    database.close()
}

async fn fill(store: &Arc<dyn EventStore>) -> Result<()> {
    stream::iter(0..EVENTS / STREAM)
        .map(|_| async {
            let stream = Category::Order.stream(Uuid::new_v4());
            let events = (0..STREAM).map(|_| sample::event()).collect();
            store.append(&stream, ExpectedRevision::NoStream, events).await.map(|_| ())
        })
        .buffer_unordered(WRITERS)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// Seconds for the floor: the server hands the table out, and what comes is counted and thrown away.
async fn copy_out(owner: &PgConnectOptions) -> Result<f64> {
    let mut db = owner.connect().await?;
    let began = Instant::now();
    let mut rows = sqlx::postgres::PgConnection::copy_out_raw(
        &mut db,
        "copy event_store.events to stdout (format binary)",
    )
    .await?;
    let mut bytes = 0;
    while let Some(chunk) = rows.try_next().await? {
        bytes += chunk.len();
    }
    drop(rows);
    ensure!(bytes > 0, "the log is empty");
    let took = began.elapsed().as_secs_f64();
    db.close().await?;
    Ok(took)
}

/// Seconds for all of it through the port.
async fn read(store: &dyn EventStore) -> Result<f64> {
    let began = Instant::now();
    let (filter, mut events) = (Filter::all(), 0);
    let mut pages = read_to_end(store, Position::START, &filter);
    while let Some(page) = pages.try_next().await? {
        events += page.events.len() as u64;
    }
    ensure!(events == EVENTS, "{events} events of {EVENTS} were read");
    Ok(began.elapsed().as_secs_f64())
}
