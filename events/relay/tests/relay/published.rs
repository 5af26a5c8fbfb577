//! What is published, and from where on.

use event_store::EventStore;
use relay::RewindError;

use crate::world::{World, eventually, header};

#[tokio::test]
async fn every_event_is_published_once_and_in_order_with_all_that_is_known_of_it() {
    let world = World::new().await;
    world.write(1_200).await;
    let worker = world.start("one", world.nats.address());
    world.holds_everything_once().await;
    world.write(30).await;
    world.holds_everything_once().await;

    let (log, messages) = (world.log().await, world.messages().await);
    for (event, message) in log.iter().zip(&messages) {
        assert_eq!(
            message.subject.as_str(),
            format!("counterfoil.{}.SomethingHappened", event.stream.category())
        );
        assert_eq!(message.payload, event.payload);
        for (name, value) in [
            ("Nats-Msg-Id", event.id.to_string()),
            ("Counterfoil-Position", event.position.to_string()),
            ("Counterfoil-Stream", event.stream.as_str().replace(' ', "%20")),
            ("Counterfoil-Revision", event.revision.to_string()),
            ("Counterfoil-Event", event.name.clone()),
            ("Counterfoil-Schema-Version", "3".to_owned()),
            ("Counterfoil-Occurred-At", "2026-01-02T03:04:05.678Z".to_owned()),
            ("Counterfoil-Correlation-Id", event.metadata.correlation_id.to_string()),
            ("Counterfoil-Causation-Id", event.metadata.causation_id.to_string()),
            ("Content-Type", "application/json".to_owned()),
        ] {
            assert_eq!(header(message, name), value, "{name}");
        }
    }
    assert!(worker.condition.is_publishing());
    worker.stop().await;
    assert_eq!(world.state().await.holder, None, "a relay that stops gives its lease back");
}

#[tokio::test]
async fn a_relay_that_is_killed_goes_on_where_it_was() {
    let world = World::new().await;
    world.write(2_000).await;
    for killed_at in [1, 400, 900, 1_500] {
        let worker = world.start("one", world.nats.address());
        eventually("some are published", async || {
            let stream = world.jetstream().await.get_stream(relay::STREAM).await;
            stream.is_ok_and(|stream| stream.cached_info().state.messages >= killed_at)
        })
        .await;
        worker.kill().await;
        world.write(10).await;
    }
    let _worker = world.start("one", world.nats.address());
    world.holds_everything_once().await;
}

#[tokio::test]
async fn a_rewind_fills_a_new_stream_and_repeats_nothing_in_one_that_knows_the_events() {
    let world = World::new().await;
    let nothing = world.progress().rewind("0".parse().unwrap()).await.unwrap_err();
    assert!(matches!(nothing, RewindError::NeverRun), "{nothing}");
    world.write(40).await;
    let _worker = world.start("one", world.nats.address());
    world.caught_up().await;
    let head = world.store.head().await.unwrap();

    // Beside the relay that publishes, which is fenced off and begins again.
    assert_eq!(world.progress().rewind("10".parse().unwrap()).await.unwrap(), head);
    world.write(5).await;
    world.holds_everything_once().await;

    world.jetstream().await.delete_stream(relay::STREAM).await.unwrap();
    world.progress().rewind("0".parse().unwrap()).await.unwrap();
    world.holds_everything_once().await;
    let ahead = world.progress().rewind("46".parse().unwrap()).await.unwrap_err();
    assert!(matches!(ahead, RewindError::Ahead { .. }), "{ahead}");
}
