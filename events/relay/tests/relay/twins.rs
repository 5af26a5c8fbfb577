//! Two relays on one database: one publishes, the other stands by, and nobody moves the checkpoint back.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::world::{World, eventually};

#[tokio::test]
async fn the_second_relay_stands_by_and_takes_over_within_seconds_of_the_first_ones_death() {
    let world = World::new().await;
    let first = world.start("first", world.nats.address());
    eventually("the first publishes", async || first.condition.is_publishing()).await;
    let second = world.start("second", world.nats.address());
    eventually("the second is ready", async || second.condition.ready().is_ok()).await;
    world.write(300).await;
    world.caught_up().await;
    assert!(!second.condition.is_publishing());
    assert_eq!(world.state().await.holder.as_deref(), Some("first"));

    world.write(300).await;
    first.kill().await;
    let died = Instant::now();
    eventually("the second publishes", async || second.condition.is_publishing()).await;
    assert!(died.elapsed() < Duration::from_secs(5), "{:?}", died.elapsed());
    world.holds_everything_once().await;
    assert_eq!(world.state().await.holder.as_deref(), Some("second"));
}

#[tokio::test]
async fn a_relay_that_cannot_reach_nats_leaves_the_lease_to_one_that_can() {
    let world = World::new().await;
    let proxy = platform::proxy::Proxy::before(world.nats.address()).await.unwrap();
    let first = world.start("first", proxy.address());
    eventually("the first publishes", async || first.condition.is_publishing()).await;
    let second = world.start("second", world.nats.address());
    proxy.refuse();
    world.write(20).await;
    world.holds_everything_once().await;
    assert!(second.condition.is_publishing() && first.condition.ready().is_err());
}

#[tokio::test]
async fn a_relay_that_was_paused_and_wakes_moves_nothing_and_doubles_nothing() {
    let world = World::new().await;
    // A thread of its own that can be stopped in the middle of anything, like a process.
    let relay = world.relay("paused", world.nats.address());
    let condition = relay.condition();
    let shutdown = CancellationToken::new();
    let (pause, mut pauses) = tokio::sync::mpsc::unbounded_channel::<std::sync::mpsc::Receiver<()>>();
    let token = shutdown.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            tokio::spawn(async move {
                while let Some(until_woken) = pauses.recv().await {
                    let _ = until_woken.recv();
                }
            });
            relay.run(token).await;
        });
    });
    eventually("it publishes", async || condition.is_publishing()).await;
    let successor = world.start("successor", world.nats.address());

    let (wake, until_woken) = std::sync::mpsc::channel();
    world.write(500).await;
    pause.send(until_woken).unwrap();
    world.write(500).await;
    eventually("the other one has taken over", async || successor.condition.is_publishing()).await;
    world.caught_up().await;

    wake.send(()).unwrap();
    let mut last = world.state().await.checkpoint;
    eventually("the one that was paused stands by", async || {
        world.write(5).await;
        let now = world.state().await;
        assert!(now.checkpoint >= last, "the checkpoint went back from {last} to {}", now.checkpoint);
        assert_eq!(now.holder.as_deref(), Some("successor"));
        last = now.checkpoint;
        condition.ready().is_ok() && !condition.is_publishing()
    })
    .await;
    world.holds_everything_once().await;
    shutdown.cancel();
    thread.join().unwrap();
}
