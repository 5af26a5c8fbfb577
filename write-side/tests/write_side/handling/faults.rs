//! The store fails, loses answers, has no room, or holds what cannot be understood.

use event_store::{
    EventStore, ExpectedRevision, NewEvent, StoreError,
    memory::{Fault, FaultPlan, MemoryStore, Operation},
};
use events::{Category, Metadata};
use futures::future::join_all;
use write_side::{HandleError, HistoryError};

use super::{
    SKU, command_id, context, history, history_is_what_was_answered, process, receive, reserve, send,
};

fn failing(operation: Operation, times: u64, fault: Fault) -> FaultPlan {
    (1..=times).fold(FaultPlan::none(), |plan, nth| plan.at(operation, nth, fault))
}

#[tokio::test]
async fn an_append_whose_answer_was_lost_is_acknowledged_exactly_once() {
    let store = MemoryStore::new();
    let commands = process(&store);
    send(&commands, "receive", receive(5)).await.unwrap();
    store.set_faults(failing(Operation::Append, 1, Fault::After));

    let handled = send(&commands, "more", receive(5)).await.unwrap();

    assert_eq!((handled.revision, handled.replayed), (Some(1), true));
    assert_eq!(history(&store).await.len(), 2);
}

#[tokio::test]
async fn a_lost_answer_does_not_mix_up_a_batch() {
    let store = MemoryStore::new();
    let commands = process(&store);
    let received = send(&commands, "receive", receive(10)).await;
    store.set_faults(failing(Operation::Append, 2, Fault::After));
    let names: Vec<_> = (0..64).map(|n| format!("buyer-{n}")).collect();

    let answers = join_all(names.iter().map(|name| send(&commands, name, reserve(name, 1)))).await;

    let mut answers: Vec<_> = names.into_iter().zip(answers).collect();
    assert_eq!(answers.iter().filter(|(_, answer)| answer.is_ok()).count(), 10);
    answers.push(("receive".to_owned(), received));
    history_is_what_was_answered(&store, &answers).await;
}

#[tokio::test]
async fn a_process_that_dies_after_its_append_has_done_the_command() {
    let store = MemoryStore::new();
    // The first process writes and hears of nothing any more: that is how dying looks from outside.
    let dying = failing(Operation::Append, 1, Fault::After);
    store.set_faults((1..=10).fold(dying, |plan, nth| plan.at(Operation::Read, nth, Fault::Before)));
    let unknown = send(&process(&store), "receive", receive(5)).await;
    assert!(matches!(unknown, Err(HandleError::Store(StoreError::Unavailable { .. }))), "{unknown:?}");
    store.set_faults(FaultPlan::none());

    let repeated = send(&process(&store), "receive", receive(5)).await.unwrap();

    assert_eq!((repeated.revision, repeated.replayed), (Some(0), true));
    assert_eq!(history(&store).await.len(), 1);
}

#[tokio::test]
async fn an_outage_is_answered_and_leaves_nothing_behind() {
    let store = MemoryStore::new();
    let commands = process(&store);
    store.set_faults(failing(Operation::Append, 10, Fault::Before));
    let unavailable = send(&commands, "receive", receive(5)).await;
    assert!(
        matches!(unavailable, Err(HandleError::Store(StoreError::Unavailable { .. }))),
        "{unavailable:?}"
    );
    assert!(history(&store).await.is_empty());
    store.set_faults(FaultPlan::none());

    let handled = send(&commands, "receive", receive(5)).await.unwrap();

    assert_eq!((handled.revision, handled.replayed), (Some(0), false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_the_store_does_each_acknowledged_command_is_there_once() {
    for seed in 0..20 {
        let store = MemoryStore::new();
        let (one, other) = (process(&store), process(&store));
        store.set_faults(FaultPlan::seeded(seed, 100));
        let names: Vec<_> = (0..100).map(|n| format!("command-{n}")).collect();
        let both = names.iter().enumerate().map(|(n, name)| {
            let commands = if n % 2 == 0 { &one } else { &other };
            send(commands, name, receive(1))
        });
        let mut answers = join_all(both).await;
        store.set_faults(FaultPlan::none());

        // Whoever was not told what became of their command asks again, and then knows.
        for (name, answer) in names.iter().zip(&mut answers) {
            if answer.is_err() {
                *answer = send(&one, name, receive(1)).await;
            }
        }

        let answers: Vec<_> = names.into_iter().zip(answers).collect();
        assert_eq!(history(&store).await.len(), 100, "seed {seed}");
        history_is_what_was_answered(&store, &answers).await;
    }
}

#[tokio::test]
async fn what_is_too_large_together_is_appended_in_parts() {
    let store = MemoryStore::new();
    let commands = process(&store);
    let sized = |bytes: usize| domain::inventory::Command::Receive {
        sku: super::sku(),
        quantity: 1,
        reference: "x".repeat(bytes),
    };
    let names: Vec<_> = (0..30).map(|n| format!("command-{n}")).collect();

    let answers = join_all(names.iter().enumerate().map(|(n, name)| {
        let bytes = if n == 7 { 2_000_000 } else { 700_000 };
        send(&commands, name, sized(bytes))
    }))
    .await;

    assert!(matches!(answers[7], Err(HandleError::Unkeepable(_))), "{:?}", answers[7]);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 29);
    let answers: Vec<_> = names.into_iter().zip(answers).collect();
    history_is_what_was_answered(&store, &answers).await;
}

#[tokio::test]
async fn a_history_that_cannot_be_understood_is_named() {
    let store = MemoryStore::new();
    let commands = process(&store);
    send(&commands, "receive", receive(5)).await.unwrap();
    let stream = Category::Inventory.stream(SKU);
    let poison = NewEvent {
        id: command_id("poison"),
        name: "StockReceived".to_owned(),
        version: 1,
        payload: "{\"quantity\":".into(),
        metadata: Metadata {
            occurred_at: context("poison").occurred_at,
            correlation_id: command_id("poison"),
            causation_id: command_id("poison"),
            command_id: command_id("poison"),
            request_digest: None,
            actor: events::Actor::Operator,
            traceparent: None,
        },
    };
    store.append(&stream, ExpectedRevision::Exact(0), vec![poison]).await.unwrap();

    for commands in [commands, process(&store)] {
        let answer = send(&commands, "more", receive(5)).await;
        let Err(HandleError::Corrupt(HistoryError::Undecodable { stream: named, revision, .. })) = answer
        else {
            panic!("{answer:?}");
        };
        assert_eq!((named, revision), (stream.clone(), 1));
    }
}
