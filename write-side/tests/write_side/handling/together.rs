//! Many senders, one stream.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicI64, Ordering},
};

use chrono::DateTime;
use domain::inventory::{Refusal, Stock};
use event_store::{Position, memory::MemoryStore};
use futures::{FutureExt, future::join_all};
use write_side::{Commands, HandleError};

use super::{Answer, SKU, context, history, history_is_what_was_answered, process, receive, reserve, send};
use crate::rival::Rivalled;

async fn buyers(commands: &Commands, names: impl Iterator<Item = String>) -> Vec<(String, Answer)> {
    let tasks = names.map(|name| {
        let commands = commands.clone();
        tokio::spawn(async move {
            let answer = send(&commands, &name, reserve(&name, 1)).await;
            (name, answer)
        })
    });
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_senders_each_get_their_own_answer() {
    let store = MemoryStore::new();
    let commands = process(&store);
    let received = send(&commands, "receive", receive(10)).await;

    let mut answers = buyers(&commands, (0..64).map(|n| format!("buyer-{n}"))).await;

    assert_eq!(answers.iter().filter(|(_, answer)| answer.is_ok()).count(), 10);
    for (name, answer) in answers.iter().filter(|(_, answer)| answer.is_err()) {
        assert!(
            matches!(
                answer,
                Err(HandleError::Refused(Refusal::InsufficientStock { requested: 1, available: 0, .. }))
            ),
            "{name}: {answer:?}"
        );
    }
    answers.push(("receive".to_owned(), received));
    history_is_what_was_answered(&store, &answers).await;
}

#[tokio::test]
async fn all_that_wait_for_a_stream_are_appended_at_once() {
    // The store asks for the time once an append.
    let appends = Arc::new(AtomicI64::new(0));
    let counted = appends.clone();
    let store = MemoryStore::with_time(move || {
        DateTime::from_timestamp(counted.fetch_add(1, Ordering::SeqCst), 0).unwrap()
    });
    let commands = process(&store);
    send(&commands, "receive", receive(1_000)).await.unwrap();
    let names: Vec<_> = (0..64).map(|n| format!("buyer-{n}")).collect();

    let answers = join_all(names.iter().map(|name| send(&commands, name, reserve(name, 1)))).await;

    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(history(&store).await.len(), 65);
    assert_eq!(appends.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_share_a_stream_without_selling_more_than_there_is() {
    let store = MemoryStore::new();
    let (one, other) = (process(&store), process(&store));
    let received = send(&one, "receive", receive(40)).await;

    let (here, there) = tokio::join!(
        buyers(&one, (0..32).map(|n| format!("here-{n}"))),
        buyers(&other, (0..32).map(|n| format!("there-{n}"))),
    );

    let mut answers = [here, there].concat();
    assert_eq!(answers.iter().filter(|(_, answer)| answer.is_ok()).count(), 40);
    answers.push(("receive".to_owned(), received));
    history_is_what_was_answered(&store, &answers).await;
}

#[tokio::test]
async fn a_refusal_is_never_given_on_a_state_that_another_process_has_changed() {
    let store = MemoryStore::new();
    let (one, other) = (process(&store), process(&store));
    send(&one, "receive", receive(1)).await.unwrap();
    send(&one, "first", reserve("first", 1)).await.unwrap();
    send(&one, "second", reserve("second", 1)).await.unwrap_err();

    send(&other, "more", receive(1)).await.unwrap();

    let handled = send(&one, "second", reserve("second", 1)).await.unwrap();
    assert_eq!(handled.revision, Some(3));
}

#[tokio::test]
async fn what_is_loaded_is_what_the_store_has_now() {
    let store = MemoryStore::new();
    let (one, other) = (process(&store), process(&store));
    send(&one, "receive", receive(1)).await.unwrap();
    let (before, _) = one.inventory.load(SKU).await.unwrap();

    send(&other, "more", receive(1)).await.unwrap();

    let (after, revision) = one.inventory.load(SKU).await.unwrap();
    assert_eq!(revision, Some(1));
    assert_ne!(before, after);
}

#[tokio::test]
async fn nothing_to_do_is_answered_with_the_end_of_the_stream() {
    let store = MemoryStore::new();
    let commands = process(&store);
    send(&commands, "receive", receive(5)).await.unwrap();
    send(&commands, "first", reserve("hold", 1)).await.unwrap();

    let handled = send(&commands, "second", reserve("hold", 1)).await.unwrap();

    assert_eq!(
        (handled.revision, handled.position, handled.replayed),
        (Some(1), Position::from_column(2).unwrap(), false)
    );
}

#[tokio::test]
async fn more_senders_than_a_queue_holds_are_all_answered() {
    let store = MemoryStore::new();
    let commands = process(&store);
    let names: Vec<_> = (0..3_000).map(|n| format!("command-{n}")).collect();

    let answers = join_all(names.iter().map(|name| send(&commands, name, receive(1)))).await;

    let answers: Vec<_> = names.into_iter().zip(answers).collect();
    assert!(answers.iter().all(|(_, answer)| answer.is_ok()));
    history_is_what_was_answered(&store, &answers).await;
}

#[tokio::test]
async fn a_sender_that_goes_away_disturbs_nobody() {
    let store = MemoryStore::new();
    let commands = process(&store);
    send(&commands, "receive", receive(5)).await.unwrap();

    let mut gone = Box::pin(send(&commands, "gone", reserve("gone", 1)));
    assert!(futures::poll!(&mut gone).is_pending());
    drop(gone);
    let stayed = send(&commands, "stayed", reserve("stayed", 1)).await.unwrap();
    commands.finish().await;

    // It had been let in, so it was carried out, once.
    assert_eq!(stayed.revision, Some(2));
    assert_eq!(history(&store).await.len(), 3);
    assert!(send(&commands, "gone", reserve("gone", 1)).await.unwrap().replayed);
}

#[tokio::test]
async fn a_revision_that_the_sender_insists_on_is_kept() {
    let store = MemoryStore::new();
    let commands = process(&store);
    send(&commands, "receive", receive(5)).await.unwrap();
    let insisting = |name: &str, revision| write_side::CommandContext {
        expected_revision: Some(revision),
        ..context(name)
    };

    let met = commands.inventory.handle(SKU, receive(1), insisting("met", 0)).await.unwrap();
    let missed = commands.inventory.handle(SKU, receive(1), insisting("missed", 0)).await;
    let repeated = commands.inventory.handle(SKU, receive(1), insisting("met", 0)).await.unwrap();

    assert_eq!(met.revision, Some(1));
    assert!(
        matches!(missed, Err(HandleError::RevisionMismatch { expected: 0, current: Some(1) })),
        "{missed:?}"
    );
    assert_eq!(repeated, write_side::Handled { replayed: true, ..met });
}

#[tokio::test]
async fn what_is_loaded_from_a_revision_on_is_read_only_where_the_process_does_not_know_it() {
    let store = MemoryStore::new();
    let counting = Rivalled::new(store.clone(), |_| async {}.boxed());
    let events_read = counting.events_read();
    let (one, other) = (Commands::new(Arc::new(counting)), process(&store));
    send(&other, "receive", receive(1)).await.unwrap();
    one.inventory.load(SKU).await.unwrap();
    send(&other, "more", receive(1)).await.unwrap();

    let (_, known) = one.inventory.load_from(SKU, 0).await.unwrap();
    assert_eq!((known, events_read.load(Ordering::SeqCst)), (Some(0), 1));
    let (_, read) = one.inventory.load_from(SKU, 1).await.unwrap();
    assert_eq!((read, events_read.load(Ordering::SeqCst)), (Some(1), 2));
}

#[tokio::test]
async fn whoever_looks_at_a_stream_while_it_is_worked_on_does_not_read_its_history_again() {
    let store = MemoryStore::new();
    let (looking, seen) = (Arc::new(OnceLock::<Commands>::new()), Arc::new(AtomicI64::new(-1)));
    let meanwhile = {
        let (looking, seen) = (looking.clone(), seen.clone());
        move |_| {
            let (looking, seen) = (looking.get().cloned(), seen.clone());
            async move {
                if let Some(commands) = looking {
                    let available = commands.inventory.look(SKU, Stock::available).await.unwrap();
                    seen.store(available, Ordering::SeqCst);
                }
            }
            .boxed()
        }
    };
    let counting = Rivalled::new(store.clone(), meanwhile);
    let events_read = counting.events_read();
    let commands = Commands::new(Arc::new(counting));
    for n in 0..5 {
        send(&commands, &format!("receive-{n}"), receive(1)).await.unwrap();
    }
    looking.set(commands.clone()).unwrap();
    let before = events_read.load(Ordering::SeqCst);

    send(&commands, "receive-5", receive(1)).await.unwrap();

    assert_eq!(seen.load(Ordering::SeqCst), 5);
    // And what it did before is still known to whoever works on it.
    assert!(send(&commands, "receive-2", receive(1)).await.unwrap().replayed);
    assert_eq!(events_read.load(Ordering::SeqCst) - before, 0);
    assert_eq!(commands.inventory.look(SKU, Stock::available).await.unwrap(), 6);
}
