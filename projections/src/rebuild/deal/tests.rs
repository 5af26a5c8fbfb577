//! Everybody gets his own stretch of the log, whatever becomes of the others.
#![allow(clippy::unwrap_used)]

use event_store::{ExpectedRevision, NewEvent, memory::MemoryStore};
use events::{Actor, Metadata};
use uuid::Uuid;

use super::*;

/// A log of `pages` pages and some.
async fn log(pages: usize) -> MemoryStore {
    let store = MemoryStore::new();
    for number in 0..=pages * PAGE / 100 {
        let event = || NewEvent {
            id: Uuid::new_v4(),
            name: "Happened".to_owned(),
            version: 1,
            payload: "{}".into(),
            metadata: Metadata {
                occurred_at: chrono::DateTime::UNIX_EPOCH,
                correlation_id: Uuid::nil(),
                causation_id: Uuid::nil(),
                command_id: Uuid::nil(),
                request_digest: None,
                actor: Actor::Client,
                traceparent: None,
            },
        };
        let stream = format!("order-{number}").parse().unwrap();
        let events = (0..100).map(|_| event()).collect();
        store.append(&stream, ExpectedRevision::NoStream, events).await.unwrap();
    }
    store
}

type Heard = (Vec<mpsc::Receiver<Batch>>, oneshot::Receiver<Result<(), StoreError>>);

fn consumer(workers: usize, first: u64, target: Position) -> (Consumer, Heard) {
    let (queues, batches) = (0..workers).map(|_| mpsc::channel(1)).unzip();
    let (outcome, heard) = oneshot::channel();
    let first = first.to_string().parse().unwrap();
    (Consumer { filter: Filter::all(), first, target, queues, outcome }, (batches, heard))
}

/// Takes everything that a worker gets, and fails unless one batch begins where the one before ended.
async fn all_of(mut batches: mpsc::Receiver<Batch>) -> Vec<Batch> {
    let mut all = Vec::<Batch>::new();
    while let Some(batch) = batches.recv().await {
        assert!(all.last().is_none_or(|last| last.through == batch.after), "no stretch is missing");
        all.push(batch);
    }
    all
}

#[tokio::test]
async fn who_takes_nothing_more_keeps_no_other_from_getting_everything() {
    let store = log(3).await;
    let head = store.head().await.unwrap();
    let (first, mut fails_at_once) = consumer(2, 0, head);
    let (second, (mut stays, stays_heard)) = consumer(2, 0, head);
    let (third, (mut leaves, leaves_heard)) = consumer(1, 0, head);
    fails_at_once.0.remove(1).close();
    let leaving = tokio::spawn(async move {
        let mut batches = leaves.remove(0);
        batches.recv().await.unwrap()
    });
    let taking = stays.drain(..).map(|batches| tokio::spawn(all_of(batches))).collect::<Vec<_>>();
    deal(vec![first, second, third], &store, &CancellationToken::new()).await;
    assert_eq!(leaving.await.unwrap().events.len(), PAGE);
    leaves_heard.await.unwrap().unwrap();
    fails_at_once.1.await.unwrap().unwrap();
    stays_heard.await.unwrap().unwrap();
    let mut events = 0;
    for worker in taking {
        let all = worker.await.unwrap();
        assert_eq!((all[0].after, all.last().unwrap().through), (Position::START, head));
        events += all.iter().map(|batch| batch.events.len()).sum::<usize>();
    }
    assert_eq!(events, store.events_written());
}

#[tokio::test]
async fn everybody_gets_what_is_between_his_own_beginning_and_his_own_end() {
    let store = log(3).await;
    let head = store.head().await.unwrap();
    let middle: Position = (PAGE + 500).to_string().parse().unwrap();
    let (early, (mut early_batches, early_heard)) = consumer(1, 10, middle);
    let (late, (mut late_batches, late_heard)) = consumer(1, 2 * PAGE as u64, head);
    let (done, (mut done_batches, done_heard)) = consumer(1, head.to_string().parse().unwrap(), head);
    let early_gets = tokio::spawn(all_of(early_batches.remove(0)));
    let late_gets = tokio::spawn(all_of(late_batches.remove(0)));
    let done_gets = tokio::spawn(all_of(done_batches.remove(0)));
    deal(vec![early, late, done], &store, &CancellationToken::new()).await;
    let reach = |batches: &[Batch]| {
        let events: Vec<_> = batches.iter().flat_map(|batch| &batch.events).collect();
        (events.first().map(|it| it.position.to_string()), events.last().map(|it| it.position))
    };
    assert_eq!(reach(&early_gets.await.unwrap()), (Some("11".to_owned()), Some(middle)));
    let late_gets = late_gets.await.unwrap();
    assert_eq!(late_gets.last().unwrap().through, head);
    assert_eq!(reach(&late_gets).1, Some(head));
    assert!(late_gets[0].after <= (2 * PAGE).to_string().parse().unwrap());
    assert!(done_gets.await.unwrap().is_empty());
    for heard in [early_heard, late_heard, done_heard] {
        heard.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn who_is_told_to_stop_says_that_not_everything_was_dealt_out() {
    let store = log(1).await;
    let (consumer, (_batches, heard)) = consumer(1, 0, store.head().await.unwrap());
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    deal(vec![consumer], &store, &shutdown).await;
    heard.await.unwrap_err();
}
