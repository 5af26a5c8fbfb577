//! Commands through the handlers, as the sagas and the HTTP API send them. What the senders were told
//! is compared with what the log says.

mod contention;
mod faults;
mod postgres;
mod repeats;
mod snapshots;
mod together;

use std::sync::Arc;

use chrono::DateTime;
use domain::inventory::{Command, Refusal};
use event_store::{Direction, EventStore, RecordedEvent, memory::MemoryStore};
use events::{
    Actor, Category,
    ids::{ReservationId, Sku},
};
use uuid::Uuid;
use write_side::{CommandContext, Commands, HandleError, Handled};

type Answer = Result<Handled, HandleError<Refusal>>;

const SKU: &str = "MUG-1";

fn sku() -> Sku {
    SKU.parse().unwrap()
}

fn command_id(name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}

/// The context of the command of this name: the same name, the same command id.
fn context(name: &str) -> CommandContext {
    CommandContext {
        command_id: command_id(name),
        correlation_id: command_id("journey"),
        causation_id: command_id("journey"),
        actor: Actor::Client,
        occurred_at: DateTime::UNIX_EPOCH,
        request_digest: None,
        traceparent: None,
        expected_revision: None,
    }
}

fn with_digest(name: &str, digest: &str) -> CommandContext {
    CommandContext { request_digest: Some(digest.to_owned()), ..context(name) }
}

fn receive(quantity: i64) -> Command {
    Command::Receive { sku: sku(), quantity, reference: "delivery note".to_owned() }
}

fn reserve(name: &str, quantity: i64) -> Command {
    Command::Reserve {
        sku: sku(),
        reservation_id: ReservationId(command_id(name)),
        quantity,
        expires_at: DateTime::from_timestamp(1_000, 0).unwrap(),
    }
}

/// Two handlers over one store are what two processes are to each other.
fn process(store: &MemoryStore) -> Commands {
    Commands::new(Arc::new(store.clone()))
}

async fn send(commands: &Commands, name: &str, command: Command) -> Answer {
    commands.inventory.handle(SKU, command, context(name)).await
}

async fn history(store: &MemoryStore) -> Vec<RecordedEvent> {
    store.read_stream(&Category::Inventory.stream(SKU), Direction::Forwards, None, 10_000).await.unwrap()
}

/// Every command that was acknowledged is in the history where its sender was told, exactly once, and
/// nothing else is there.
async fn history_is_what_was_answered(store: &MemoryStore, answers: &[(String, Answer)]) {
    let history = history(store).await;
    let mut acknowledged: Vec<_> = answers
        .iter()
        .filter_map(|(name, answer)| {
            let handled = answer.as_ref().ok()?;
            Some((handled.revision.unwrap(), handled.position, command_id(name)))
        })
        .collect();
    acknowledged.sort_unstable();
    let recorded: Vec<_> =
        history.iter().map(|event| (event.revision, event.position, event.metadata.command_id)).collect();
    assert_eq!(acknowledged, recorded);
}
