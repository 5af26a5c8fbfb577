//! The same command again: after an answer, without one, with another body, on another stream.

use domain::inventory::{Command, Refusal};
use event_store::memory::MemoryStore;
use events::ids::ReservationId;
use futures::future::join_all;
use write_side::{HandleError, Handled};

use super::{SKU, command_id, context, history, process, receive, reserve, send, with_digest};

#[tokio::test]
async fn a_repeat_is_answered_as_the_first_time() {
    let store = MemoryStore::new();
    let commands = process(&store);
    let first = send(&commands, "receive", receive(5)).await.unwrap();
    send(&commands, "more", receive(5)).await.unwrap();

    let here = send(&commands, "receive", receive(5)).await.unwrap();
    let elsewhere = send(&process(&store), "receive", receive(5)).await.unwrap();

    assert!(!first.replayed);
    assert_eq!(here, Handled { replayed: true, ..first });
    assert_eq!(elsewhere, Handled { replayed: true, ..first });
    assert_eq!(history(&store).await.len(), 2);
}

#[tokio::test]
async fn a_process_with_an_old_state_knows_a_repeat() {
    let store = MemoryStore::new();
    let (one, other) = (process(&store), process(&store));
    send(&one, "receive", receive(5)).await.unwrap();
    let first = send(&other, "more", receive(5)).await.unwrap();

    let repeated = send(&one, "more", receive(5)).await.unwrap();

    assert_eq!(repeated, Handled { replayed: true, ..first });
}

#[tokio::test]
async fn a_double_click_is_carried_out_once() {
    let store = MemoryStore::new();
    let commands = process(&store);

    for (revision, name, command) in [(0, "receive", receive(5)), (1, "buyer", reserve("buyer", 1))] {
        let clicks = (0..8).map(|_| send(&commands, name, command.clone()));

        let answers: Vec<_> = join_all(clicks).await.into_iter().map(Result::unwrap).collect();

        assert_eq!(answers.iter().filter(|handled| !handled.replayed).count(), 1, "{name}");
        assert!(answers.iter().all(|handled| handled.revision == Some(revision)), "{name}");
    }
    assert_eq!(history(&store).await.len(), 2);
}

#[tokio::test]
async fn a_repeat_of_what_would_be_refused_by_now_is_no_refusal() {
    let store = MemoryStore::new();
    let commands = process(&store);
    send(&commands, "receive", receive(1)).await.unwrap();
    let first = send(&commands, "buyer", reserve("buyer", 1)).await.unwrap();
    let release = Command::Release { reservation_id: ReservationId(command_id("buyer")) };
    send(&commands, "release", release).await.unwrap();

    let repeated = send(&process(&store), "buyer", reserve("buyer", 1)).await.unwrap();

    assert_eq!(repeated, Handled { replayed: true, ..first });
}

#[tokio::test]
async fn a_repeat_is_known_when_the_state_has_long_forgotten_it() {
    let store = MemoryStore::new();
    let commands = process(&store);
    send(&commands, "receive", receive(10_000)).await.unwrap();
    let bought = send(&commands, "buyer", reserve("buyer", 10_000)).await.unwrap();
    let dispatch = Command::Dispatch { reservation_id: ReservationId(command_id("buyer")) };
    send(&commands, "dispatch", dispatch).await.unwrap();
    for n in 0..600 {
        send(&commands, &format!("more-{n}"), receive(1)).await.unwrap();
    }

    let refused_by_now = send(&commands, "buyer", reserve("buyer", 10_000)).await.unwrap();
    let events_again = send(&commands, "receive", receive(10_000)).await.unwrap();

    assert_eq!(refused_by_now, Handled { replayed: true, ..bought });
    assert_eq!((events_again.revision, events_again.replayed), (Some(0), true));
    assert_eq!(history(&store).await.len(), 603);
}

#[tokio::test]
async fn a_first_try_that_was_refused_leaves_the_id_free() {
    let store = MemoryStore::new();
    let commands = process(&store);
    send(&commands, "receive", receive(1)).await.unwrap();
    let refused = send(&commands, "buyer", reserve("buyer", 2)).await;
    assert!(matches!(refused, Err(HandleError::Refused(Refusal::InsufficientStock { .. }))), "{refused:?}");

    send(&commands, "more", receive(1)).await.unwrap();

    let handled = send(&commands, "buyer", reserve("buyer", 2)).await.unwrap();
    assert_eq!((handled.revision, handled.replayed), (Some(2), false));
}

#[tokio::test]
async fn the_same_id_with_another_request_is_told_from_a_repeat() {
    let store = MemoryStore::new();
    let commands = process(&store);
    commands.inventory.handle(SKU, receive(5), with_digest("receive", "a")).await.unwrap();

    for handler in [commands.inventory, process(&store).inventory] {
        let other = handler.handle(SKU, receive(6), with_digest("receive", "b")).await;
        assert!(matches!(other, Err(HandleError::RequestDiffers)), "{other:?}");
        let same = handler.handle(SKU, receive(5), with_digest("receive", "a")).await.unwrap();
        assert!(same.replayed);
    }
    assert_eq!(history(&store).await.len(), 1);
}

#[tokio::test]
async fn a_process_with_an_old_state_tells_another_request_from_a_repeat() {
    let store = MemoryStore::new();
    let (one, other) = (process(&store), process(&store));
    send(&one, "receive", receive(5)).await.unwrap();
    other.inventory.handle(SKU, receive(5), with_digest("more", "a")).await.unwrap();

    let differs = one.inventory.handle(SKU, receive(6), with_digest("more", "b")).await;

    assert!(matches!(differs, Err(HandleError::RequestDiffers)), "{differs:?}");
    assert_eq!(history(&store).await.len(), 2);
}

#[tokio::test]
async fn the_same_id_on_another_stream_is_told_from_a_repeat() {
    let store = MemoryStore::new();
    let commands = process(&store);
    send(&commands, "receive", receive(5)).await.unwrap();

    let other = commands.inventory.handle("MUG-2", receive(5), context("receive")).await;

    assert!(matches!(other, Err(HandleError::RequestDiffers)), "{other:?}");
    assert_eq!(commands.inventory.load("MUG-2").await.unwrap().1, None);
}
