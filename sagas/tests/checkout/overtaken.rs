//! Two coordinators at once: whatever both do has one effect, and the one that was paused is refused.

use event_store::{EventStore, Position};
use events::order::Origin;
use sagas::{
    coordinator::{CoordinatorState, Error, Idle, Kept, PARTITIONS, Partition},
    gateway::sandbox::tokens,
};

use crate::world::{World, order_id};

async fn shop() -> World {
    let world = World::new();
    world.receive("CUP", 10).await;
    world.receive("TEAPOT", 10).await;
    world
}

async fn kept(world: &World) -> Vec<Kept> {
    world.state.load(&Partition::all().collect::<Vec<_>>()).await.unwrap()
}

#[tokio::test]
async fn a_second_coordinator_stands_by_until_the_lease_has_run_out() {
    let mut world = shop().await;
    world.place(order_id(1), tokens::APPROVE, Origin::Live).await;
    let (mut first, mut second) = (world.coordinator("first"), world.coordinator("second"));
    world.settle_for_now(&mut first).await;
    assert_eq!(second.run_until_idle().await.unwrap(), Idle::StandingBy);
    world.clock.advance(chrono::TimeDelta::seconds(11));
    assert!(matches!(second.run_until_idle().await.unwrap(), Idle::Until(_)));
}

#[tokio::test]
async fn a_paused_coordinator_that_wakes_doubles_nothing_and_cannot_save_its_checkpoint() {
    let mut world = shop().await;
    let (mut paused, mut second) = (world.coordinator("paused"), world.coordinator("second"));
    world.settle_for_now(&mut paused).await;
    world.clock.advance(chrono::TimeDelta::seconds(11));
    world.place(order_id(1), tokens::APPROVE, Origin::Live).await;
    world.settle(&mut second).await;
    let expected = world.see(order_id(1)).await;
    let events = world.events().await;
    let before = kept(&world).await;

    // It still believes that it has the lease, and takes the same order on.
    let refused = paused.run_until_idle().await.unwrap_err();
    let Error::Fenced { partitions } = &refused else { panic!("{refused}") };
    assert_eq!(partitions.len(), usize::from(PARTITIONS));
    assert_eq!(world.see(order_id(1)).await, expected);
    assert_eq!(world.events().await, events);
    assert_eq!(kept(&world).await, before);
    assert_eq!(paused.run_until_idle().await.unwrap(), Idle::StandingBy);
}

#[tokio::test]
async fn stock_that_a_paused_coordinator_holds_after_its_order_was_undone_is_released() {
    let mut world = World::new();
    world.receive("TEAPOT", 10).await;
    world.place(order_id(1), tokens::APPROVE, Origin::Live).await;
    let mut coordinator = world.coordinator("second");
    world.settle(&mut coordinator).await;
    world.receive("CUP", 10).await;
    let undone = world.see(order_id(1)).await;
    assert_eq!(undone.checkout, "CheckoutCompensated");

    // What the first was about to do when it was paused it does now.
    world.hold("CUP", 1, order_id(1)).await;
    world.hold("TEAPOT", 2, order_id(1)).await;
    assert_ne!(world.see(order_id(1)).await, undone);

    world.settle(&mut coordinator).await;
    assert_eq!(world.see(order_id(1)).await, undone);
}

#[tokio::test]
async fn two_coordinators_that_take_turns_at_every_event_do_everything_once() {
    let mut world = shop().await;
    let alone = {
        let mut other = shop().await;
        other.place(order_id(1), tokens::TIMEOUT_THEN_APPROVE, Origin::Live).await;
        let mut coordinator = other.coordinator("alone");
        other.settle(&mut coordinator).await;
        (other.see(order_id(1)).await, other.events().await)
    };
    world.place(order_id(1), tokens::TIMEOUT_THEN_APPROVE, Origin::Live).await;
    for turn in 0..40 {
        // Each takes the lease from the other, as after a pause that was too long.
        world.clock.advance(chrono::TimeDelta::seconds(11));
        let name = if turn % 2 == 0 { "even" } else { "odd" };
        let mut coordinator = world.coordinator(name);
        world.settle_for_now(&mut coordinator).await;
    }
    assert_eq!((world.see(order_id(1)).await, world.events().await), alone);
    assert!(world.store.head().await.unwrap() > Position::START);
}
