//! Others write to the stream between a decision and its append.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use domain::inventory::Refusal;
use event_store::memory::{Fault, FaultPlan, MemoryStore, Operation};
use futures::FutureExt;
use write_side::{Commands, HandleError};

use super::{SKU, history, process, receive, reserve, send, with_digest};
use crate::rival::Rivalled;

/// A process in whose way another receives one unit, before each of the first `times` appends.
fn hindered(store: &MemoryStore, times: u64) -> Commands {
    let rival = process(store);
    let appends = Arc::new(AtomicU64::new(0));
    let meanwhile = move |_| {
        let (rival, nth) = (rival.clone(), appends.fetch_add(1, Ordering::SeqCst));
        async move {
            if nth < times {
                send(&rival, &format!("rival-{nth}"), receive(1)).await.unwrap();
            }
        }
        .boxed()
    };
    Commands::new(Arc::new(Rivalled::new(store.clone(), meanwhile)))
}

#[tokio::test]
async fn a_command_is_decided_again_on_what_others_wrote() {
    let store = MemoryStore::new();
    let commands = hindered(&store, 5);

    let first = send(&commands, "receive", receive(1)).await.unwrap();
    let sold = send(&commands, "buyer", reserve("buyer", 6)).await.unwrap();

    assert_eq!((first.revision, sold.revision), (Some(5), Some(6)));
}

#[tokio::test]
async fn who_never_gets_through_is_told_so_and_leaves_nothing_behind() {
    let store = MemoryStore::new();
    let commands = hindered(&store, u64::MAX);

    let contended = send(&commands, "receive", receive(1)).await;

    let Err(HandleError::Contended { attempts }) = contended else { panic!("{contended:?}") };
    assert_eq!(history(&store).await.len() as u64, u64::from(attempts));
    assert_eq!(send(&process(&store), "receive", receive(1)).await.unwrap().revision, Some(attempts.into()));
}

#[tokio::test]
async fn what_another_wrote_under_the_same_id_is_not_taken_for_a_first_try_of_ours() {
    let store = MemoryStore::new();
    let (rival, appends) = (process(&store), Arc::new(AtomicU64::new(0)));
    let meanwhile = move |_| {
        let (rival, nth) = (rival.clone(), appends.fetch_add(1, Ordering::SeqCst));
        async move {
            if nth == 1 {
                rival.inventory.handle(SKU, receive(5), with_digest("receive", "five")).await.unwrap();
            }
        }
        .boxed()
    };
    let ours = Commands::new(Arc::new(Rivalled::new(store.clone(), meanwhile)));
    // Of the first try we do not know what became of it.
    store.set_faults(FaultPlan::none().at(Operation::Append, 1, Fault::Before));

    let answer = ours.inventory.handle(SKU, receive(500), with_digest("receive", "five hundred")).await;

    assert!(matches!(answer, Err(HandleError::RequestDiffers)), "{answer:?}");
    let sold = send(&ours, "buyer", reserve("buyer", 6)).await;
    assert!(matches!(sold, Err(HandleError::Refused(Refusal::InsufficientStock { .. }))), "{sold:?}");
}
