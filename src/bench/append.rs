//! `append`: events into many streams. Each writer has a stream of its own and begins another one after
//! ten events, as orders do.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use event_store::{EventStore, ExpectedRevision};
use events::{Category, StreamName};
use uuid::Uuid;

use super::{
    Aim, Figure, Ground, Plan, Report, floor,
    load::{self, Measured, Worker},
    sample,
};

/// How many events a stream gets.
const STREAM: u64 = 10;

/// Appends so many events a call, each time at the revision that it knows of.
struct Writer {
    store: Arc<dyn EventStore>,
    stream: StreamName,
    revision: Option<u64>,
    events: u64,
}

impl Writer {
    fn new(store: &Arc<dyn EventStore>, events: u64) -> Self {
        Self { store: Arc::clone(store), stream: new_stream(), revision: None, events }
    }
}

fn new_stream() -> StreamName {
    Category::Order.stream(Uuid::new_v4())
}

#[async_trait]
impl Worker for Writer {
    async fn step(&mut self) -> Result<u64> {
        let events = (0..self.events).map(|_| sample::event()).collect();
        let expected = ExpectedRevision::after(self.revision);
        let appended = self.store.append(&self.stream, expected, events).await?;
        self.revision = Some(appended.revision);
        if appended.revision + 1 >= STREAM {
            (self.stream, self.revision) = (new_stream(), None);
        }
        Ok(self.events)
    }
}

pub(super) async fn measure(ground: &Ground, plan: &Plan<'_>, report: &mut Report) -> Result<()> {
    let (database, machine) = ground.open().await?;
    report.machine = Some(machine);
    let store = database.log.open(&ground.settings).await?;
    let owner = &database.roles.owner;
    let writers = |count, events| (0..count).map(|_| Writer::new(&store, events)).collect::<Vec<_>>();

    plan.say("rows in batches of 500, as the machine takes them");
    let batch_on_one = floor::batches(owner, 1, plan.each).await?.rate();
    let batch_on_two = floor::batches(owner, 2, plan.each).await?.rate();
    for (count, least) in [(1, Some(0.9)), (16, None), (64, Some(2.0)), (256, None)] {
        plan.say(&format!("{count} writers, one event a call"));
        let connections = count.min(floor::CONNECTIONS_MAX);
        // Twice in turn, so that both meet the same weather.
        let mut rows = floor::rows(owner, connections, plan.each / 2).await?;
        let (mut ours, _) = load::closed(writers(count, 1), plan.each / 2).await?;
        rows.add(&floor::rows(owner, connections, plan.each / 2).await?)?;
        ours.add(&load::closed(writers(count, 1), plan.each / 2).await?.0)?;
        let figure = figure(format!("{count} writers, one event a call"), &ours);
        let figure = figure.against(format!("single rows on {connections}"), rows.rate());
        report.add(least.into_iter().fold(figure, |figure, least| figure.aiming(Aim::OfFloor(least))));
        if count == 256 {
            let figure = self::figure("the same".to_owned(), &ours);
            let figure = figure.against("rows in batches of 500 on 2", batch_on_two);
            report.add(figure.aiming(Aim::OfFloor(0.5)));
        }
    }
    for (count, least) in [(1, None), (16, Some(1.0)), (64, None)] {
        plan.say(&format!("{count} writers, ten events a call"));
        let (ours, _) = load::closed(writers(count, STREAM), plan.each).await?;
        let figure = figure(format!("{count} writers, ten events a call"), &ours);
        let figure = figure.against("rows in batches of 500 on 1", batch_on_one);
        report.add(least.into_iter().fold(figure, |figure, least| figure.aiming(Aim::OfFloor(least))));
    }
    store.close().await;
    drop(store);
    database.close()
}

fn figure(what: String, measured: &Measured) -> Figure {
    Figure::new(what, measured.rate(), "events/s").taking(measured.latency())
}
