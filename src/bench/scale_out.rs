//! `scale-out`: how far one store goes, and how far several would. **Simulated**, from what is measured
//! here: how long this store takes to commit, and what a checkout appends to which category. Each store
//! commits whatever waits for it at once; each checkout appends one thing after the other.

mod simulation;

use std::{collections::HashMap, time::Instant};

use anyhow::{Result, ensure};
use event_store::{EventStore, ExpectedRevision};
use events::Category;
use uuid::Uuid;

use self::simulation::{Append, Cost, Layout};
use super::{Figure, Ground, Plan, Report, history, sample};

/// The events of the large commit that is measured.
const LARGE: usize = 500;

/// How often each commit is measured.
const ROUNDS: usize = 200;

pub(super) async fn measure(ground: &Ground, plan: &Plan<'_>, report: &mut Report) -> Result<()> {
    history::begin(ground, plan).await?;
    let (database, machine) = ground.open().await?;
    report.machine = Some(machine);
    let store = database.log.open(&ground.settings).await?;
    let checkout = appends_of_a_checkout(&*store).await?;
    plan.say("timing small and large commits");
    let (small, large) = (commit(&*store, 1).await?, commit(&*store, LARGE).await?);
    store.close().await;
    drop(store);
    database.close()?;

    #[allow(clippy::cast_precision_loss, reason = "an average")]
    let cost = Cost::through((1.0, small), (LARGE as f64, large));
    report.remark(format!(
        "Measured: a commit takes {:.2} ms, and {:.1} µs for each event; a checkout is {} appends of {} events: {}.",
        cost.commit_s * 1_000.0,
        cost.event_s * 1_000_000.0,
        checkout.len(),
        checkout.iter().map(|append| append.events).sum::<u64>(),
        by_category(&checkout),
    ));
    for layout in Layout::ALL {
        plan.say(&format!("simulating {}", layout.what()));
        let rate = simulation::most_checkouts(&checkout, cost, layout);
        report.add(Figure::new(layout.what(), rate, "checkouts/s, simulated"));
    }
    report.remark(
        "The rates are what the write side alone bears with p99 of a checkout's appends below 250 ms.",
    );
    Ok(())
}

/// What a checkout of two lines appends, in order.
async fn appends_of_a_checkout(store: &dyn EventStore) -> Result<Vec<Append>> {
    let orders = history::orders(store).await?;
    let lines = |order: &history::Order| order.1.iter().filter(|event| event.name == "StockReserved").count();
    let order = orders.iter().find(|order| lines(order) == 2);
    ensure!(order.is_some(), "no order of two lines got to its end");
    let mut appends: Vec<(Uuid, Append)> = Vec::new();
    for event in order.into_iter().flat_map(|(_, events)| events) {
        let command = event.metadata.command_id;
        let category = Category::ALL.into_iter().find(|known| known.as_str() == event.stream.category());
        let Some(category) = category else { continue };
        match appends.last_mut() {
            Some((last, append)) if *last == command && append.category == category => append.events += 1,
            _ => appends.push((command, Append { category, events: 1 })),
        }
    }
    Ok(appends.into_iter().map(|(_, append)| append).collect())
}

/// How long a commit of so many events takes, in seconds: the middle of many.
async fn commit(store: &dyn EventStore, events: usize) -> Result<f64> {
    let mut took = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS.min(20_000 / events) {
        let events = (0..events).map(|_| sample::event()).collect();
        let stream = Category::Order.stream(Uuid::new_v4());
        let began = Instant::now();
        store.append(&stream, ExpectedRevision::NoStream, events).await?;
        took.push(began.elapsed().as_secs_f64());
    }
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() / 2])
}

fn by_category(appends: &[Append]) -> String {
    let mut events: HashMap<&str, u64> = HashMap::new();
    for append in appends {
        *events.entry(append.category.as_str()).or_default() += append.events;
    }
    let mut events: Vec<_> = events.into_iter().collect();
    events.sort_unstable();
    events.iter().map(|(category, events)| format!("{events} {category}")).collect::<Vec<_>>().join(", ")
}
