//! NATS down, wiped, slow and forgetful: the relay waits, goes back to what was acknowledged, and skips
//! nothing.

use std::time::{Duration, Instant};

use event_store::{EventStore, Position};
use platform::proxy::{Direction, Proxy};

use crate::world::{World, eventually, header};

#[tokio::test]
async fn a_server_that_dies_and_comes_back_misses_nothing() {
    let mut world = World::new().await;
    let worker = world.start("one", world.nats.address());
    for _ in 0..3 {
        world.write(400).await;
        world.nats.kill();
        world.write(50).await;
        eventually("the relay says that NATS is away", async || {
            worker.condition.ready().is_err_and(|reason| reason.to_string().contains("cannot be reached"))
        })
        .await;
        world.nats.restart();
    }
    world.holds_everything_once().await;
    eventually("the relay is well again", async || worker.condition.ready().is_ok()).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let mut world = World::new().await;
    world.write(20).await;
    world.nats.kill();
    let worker = world.start("one", world.nats.address());
    eventually("the relay says so", async || {
        worker.condition.ready().is_err_and(|reason| reason.to_string().contains("cannot be reached"))
    })
    .await;
    world.nats.restart();
    world.holds_everything_once().await;
}

#[tokio::test]
async fn a_server_that_swallows_everything_is_noticed_and_waited_for() {
    let world = World::new().await;
    world.write(50).await;
    let worker = world.start("one", world.nats.address());
    world.caught_up().await;
    world.nats.pause();
    world.write(700).await;
    eventually("the relay notices", async || worker.condition.ready().is_err()).await;
    world.nats.resume();
    world.holds_everything_once().await;
}

#[tokio::test]
async fn a_stream_that_is_deleted_is_made_again_and_goes_on_behind_the_checkpoint() {
    let world = World::new().await;
    let _worker = world.start("one", world.nats.address());
    world.write(300).await;
    eventually("some are published", async || world.messages().await.len() > 100).await;
    world.jetstream().await.delete_stream(relay::STREAM).await.unwrap();
    world.write(300).await;
    world.caught_up().await;

    // What had been acknowledged is gone with the stream; behind that nothing is missing.
    let messages = world.messages().await;
    let first: Position = header(messages.first().unwrap(), "Counterfoil-Position").parse().unwrap();
    let before =
        world.log().await.iter().map(|event| event.position).filter(|position| *position < first).max();
    world.holds_everything_once_behind(before.unwrap_or(Position::START)).await;
}

#[tokio::test]
async fn connections_that_are_cut_anywhere_neither_lose_nor_double_nor_reorder() {
    let world = World::new().await;
    let proxy = Proxy::before(world.nats.address()).await.unwrap();
    let _worker = world.start("one", proxy.address());
    world.write(100).await;
    world.caught_up().await;
    for round in 0..12 {
        let cuts = proxy.cuts();
        match round % 3 {
            0 => proxy.cut_after(20_000 + round * 1_000, Direction::ToServer),
            1 => proxy.cut_after(3_000 + round * 100, Direction::ToClient),
            _ => proxy.lose_answer(b"SomethingHappened"),
        }
        world.write(200).await;
        eventually("the connection is cut", async || proxy.cuts() > cuts).await;
    }
    world.holds_everything_once().await;
}

#[tokio::test]
async fn acknowledgements_that_are_lost_for_a_while_move_no_checkpoint_and_double_nothing() {
    let world = World::new().await;
    let proxy = Proxy::before(world.nats.address()).await.unwrap();
    let worker = world.start("one", proxy.address());
    world.write(10).await;
    world.caught_up().await;
    let before = world.state().await.checkpoint;

    proxy.lose_answers();
    world.write(300).await;
    eventually("JetStream has some of it all the same", async || world.messages().await.len() > 10).await;
    eventually("the relay notices", async || worker.condition.ready().is_err()).await;
    assert_eq!(world.state().await.checkpoint, before);
    proxy.forward();
    world.holds_everything_once().await;
}

#[tokio::test]
async fn a_slow_way_is_filled_and_not_waited_on_event_by_event() {
    let world = World::new().await;
    world.write(1_000).await;
    let proxy = Proxy::before(world.nats.address()).await.unwrap();
    proxy.delay(Duration::from_millis(50));
    let began = Instant::now();
    let _worker = world.start("one", proxy.address());
    world.holds_everything_once().await;
    // One by one, each there and back, they would take a hundred seconds.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn messages_of_a_stranger_in_the_stream_hold_nothing_up() {
    let world = World::new().await;
    let _worker = world.start("one", world.nats.address());
    world.write(50).await;
    world.caught_up().await;
    let jetstream = world.jetstream().await;
    for _ in 0..3 {
        jetstream.publish("counterfoil.order.Intruder", "{}".into()).await.unwrap().await.unwrap();
        world.write(50).await;
        world.caught_up().await;
    }
    let positions: Vec<String> = world
        .messages()
        .await
        .iter()
        .map(|message| header(message, "Counterfoil-Position"))
        .filter(|position| !position.is_empty())
        .collect();
    let head = world.store.head().await.unwrap().distance_from(Position::START);
    assert_eq!(positions, (1..=head).map(|position| position.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_last_message_that_somebody_deletes_and_a_stream_that_is_emptied_hold_nothing_up() {
    let world = World::new().await;
    world.write(10).await;
    let worker = world.start("one", world.nats.address());
    world.caught_up().await;
    let stream = world.jetstream().await.get_stream(relay::STREAM).await.unwrap();
    worker.stop().await;
    stream.delete_message(10).await.unwrap();
    let _worker = world.start("one", world.nats.address());
    world.write(10).await;
    world.caught_up().await;

    stream.purge().await.unwrap();
    world.write(10).await;
    world.holds_everything_once_behind("20".parse().unwrap()).await;
}

#[tokio::test]
async fn an_event_that_is_too_large_for_the_server_stops_the_relay_and_is_not_skipped() {
    let world = World::new().await;
    world.write(5).await;
    world.append("order-1", "SomethingHappened", format!("{:?}", "x".repeat(1024 * 1024 - 2))).await;
    world.write(5).await;
    let worker = world.start("one", world.nats.address());
    eventually("the relay says what to do", async || {
        worker.condition.ready().is_err_and(|reason| reason.to_string().contains("max_payload"))
    })
    .await;
    let before = world.log().await[4].position;
    eventually("what comes before it is published", async || world.state().await.checkpoint == before).await;
    assert_eq!(world.messages().await.len(), 5);
}
