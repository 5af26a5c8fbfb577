//! Coordinators that share the work out, one step at a time: each does what is in its partitions, and what a
//! partition has behind it is not done again.

use std::time::Duration;

use chrono::TimeDelta;
use event_store::{EventStore, Position};
use events::{ids::OrderId, order::Origin};
use sagas::{
    coordinator::{Changes, CoordinatorState, Idle, Key, Partition},
    gateway::sandbox::tokens,
};

use crate::world::{Seen, World, order_id};

const TOKENS: [&str; 6] = [
    tokens::APPROVE,
    tokens::DECLINE,
    tokens::TIMEOUT_THEN_APPROVE,
    tokens::WEBHOOK_ONLY,
    tokens::WEBHOOK_FIRST,
    tokens::CAPTURE_FAILS,
];

async fn shop() -> World {
    let world = World::new();
    world.receive("CUP", 100).await;
    world.receive("TEAPOT", 100).await;
    for number in 0..24 {
        world.place(order_id(number), TOKENS[number as usize % TOKENS.len()], Origin::Live).await;
    }
    world
}

fn partition(order_id: OrderId) -> Partition {
    Partition::of(&Key::Checkout(order_id))
}

async fn seen(world: &World) -> Vec<Seen> {
    let mut seen = Vec::new();
    for number in 0..24 {
        seen.push(world.see(order_id(number)).await);
    }
    seen
}

#[tokio::test]
async fn two_that_share_the_work_do_everything_and_do_it_once() {
    let mut alone = shop().await;
    let mut only = alone.coordinator("only");
    alone.settle(&mut only).await;

    let mut world = shop().await;
    let (mut first, mut second) = (world.coordinator("first"), world.coordinator("second"));
    // The first is there before the second, and gives half of what it has when it sees it.
    world.settle_for_now(&mut first).await;
    assert_eq!(second.run_until_idle().await.unwrap(), Idle::StandingBy);
    for _ in 0..400 {
        world.settle_for_now(&mut first).await;
        assert!(matches!(second.run_until_idle().await.unwrap(), Idle::Until(_)));
        world.clock.advance(TimeDelta::milliseconds(500));
    }
    let own = world.state.claim("first", Duration::from_secs(5), &[]).await.unwrap();
    assert_eq!(own.gained.len(), 8);
    assert_eq!(seen(&world).await, seen(&alone).await);
    let sorted = |mut events: Vec<(String, String)>| {
        events.sort();
        events
    };
    let once = |events: Vec<(String, String)>| {
        let asked_again = |name: &str| name == "PaymentOutcomeUnknown";
        sorted(events.into_iter().filter(|(_, name)| !asked_again(name)).collect())
    };
    assert_eq!(once(world.events().await), once(alone.events().await));
}

#[tokio::test]
async fn what_a_partition_has_behind_it_is_passed_over_while_another_reads_it() {
    let mut world = shop().await;
    let ahead = partition(order_id(0));
    let leases = world.state.claim("before", Duration::from_secs(5), &[]).await.unwrap().gained;
    let lease = *leases.iter().find(|lease| lease.partition == ahead).unwrap();
    let checkpoint = world.store.head().await.unwrap();
    let changes = Changes { lease, checkpoint, wakes: vec![] };
    world.state.save(Duration::from_secs(5), &[changes]).await.unwrap();
    world.state.release(&leases).await.unwrap();
    world.state.leave("before").await.unwrap();

    let mut coordinator = world.coordinator("simulated");
    world.settle(&mut coordinator).await;
    for number in 0..24 {
        let is_behind = partition(order_id(number)) == ahead;
        let checkout = world.see(order_id(number)).await.checkout;
        assert_eq!(checkout.is_empty(), is_behind, "order {number}: {checkout}");
    }
    assert!(checkpoint > Position::START);
}
