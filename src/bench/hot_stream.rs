//! `hot-stream`: 64 writers that all want the same stream, through the command handler, as buyers in a
//! flash sale do. Everything is appended at the revision that was decided on. Afterwards the stream is
//! read, and has to hold what was acknowledged, once.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Result, ensure};
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::inventory;
use event_store::{Direction, EventStore};
use events::{
    Actor, Category,
    ids::{ReservationId, Sku},
};
use platform::clock::Clock;
use tokio::sync::mpsc;
use uuid::Uuid;
use write_side::{CommandContext, Commands};

use super::{
    Aim, Figure, Ground, Plan, Report, floor,
    load::{self, Worker},
};

const WRITERS: usize = 64;

/// How many events are read at a time afterwards.
const PAGE: usize = 5_000;

/// Holds a unit of the one thing that everybody wants.
struct Buyer {
    commands: Commands,
    sku: Sku,
    acknowledged: mpsc::UnboundedSender<Uuid>,
}

#[async_trait]
impl Worker for Buyer {
    async fn step(&mut self) -> Result<u64> {
        let command_id = Uuid::new_v4();
        let command = inventory::Command::Reserve {
            sku: self.sku.clone(),
            reservation_id: ReservationId(command_id),
            quantity: 1,
            expires_at: Clock::system().now() + TimeDelta::minutes(15),
        };
        let handled = self.commands.inventory.handle(self.sku.as_str(), command, context(command_id)).await?;
        ensure!(!handled.replayed, "a command that was never sent before is said to be a repeat");
        self.acknowledged.send(command_id)?;
        Ok(1)
    }
}

fn context(command_id: Uuid) -> CommandContext {
    CommandContext {
        command_id,
        correlation_id: command_id,
        causation_id: command_id,
        actor: Actor::Client,
        occurred_at: Clock::system().now(),
        request_digest: None,
        traceparent: None,
        expected_revision: None,
    }
}

pub(super) async fn measure(ground: &Ground, plan: &Plan<'_>, report: &mut Report) -> Result<()> {
    let (database, machine) = ground.open().await?;
    report.machine = Some(machine);
    let store = database.log.open(&ground.settings).await?;
    let commands = Commands::new(Arc::clone(&store));
    let sku: Sku = "HOT".parse()?;
    let received = inventory::Command::Receive {
        sku: sku.clone(),
        quantity: 1_000_000_000,
        reference: "bench".to_owned(),
    };
    commands.inventory.handle(sku.as_str(), received, context(Uuid::new_v4())).await?;

    let (acknowledged, mut told) = mpsc::unbounded_channel();
    let buyers = (0..WRITERS)
        .map(|_| Buyer { commands: commands.clone(), sku: sku.clone(), acknowledged: acknowledged.clone() })
        .collect();
    drop(acknowledged);
    plan.say("single rows on one connection, as the machine takes them");
    let rows = floor::rows(&database.roles.owner, 1, plan.each).await?;
    plan.say("64 writers, one stream");
    let (ours, buyers) = load::closed(buyers, plan.each).await?;
    drop(buyers);
    let figure = Figure::new("64 writers, one stream", ours.rate(), "accepted/s").taking(ours.latency());
    let figure = figure.against("single rows on 1", rows.rate());
    report.add(figure.aiming(Aim::OfFloor(3.0)).aiming(Aim::AtLeast(10_000.0)));

    plan.say("looking for what was acknowledged");
    let mut written = commands_of(&*store, &sku).await?;
    let (mut lost, mut count) = (0_u32, 0_u32);
    while let Some(command_id) = told.recv().await {
        count += 1;
        if written.remove(&command_id) != Some(1) {
            lost += 1;
        }
    }
    let figure = Figure::new(format!("lost or doubled of {count} acknowledged"), lost.into(), "events");
    report.add(figure.aiming(Aim::Exactly(0.0)));
    commands.finish().await;
    store.close().await;
    drop((commands, store));
    database.close()
}

/// How often each command is in the stream.
async fn commands_of(store: &dyn EventStore, sku: &Sku) -> Result<HashMap<Uuid, u32>> {
    let stream = Category::Inventory.stream(sku);
    let mut commands: HashMap<Uuid, u32> = HashMap::new();
    let mut from = None;
    loop {
        let events = store.read_stream(&stream, Direction::Forwards, from, PAGE).await?;
        let Some(last) = events.last() else { return Ok(commands) };
        from = Some(last.revision + 1);
        for event in &events {
            *commands.entry(event.metadata.command_id).or_default() += 1;
        }
    }
}
