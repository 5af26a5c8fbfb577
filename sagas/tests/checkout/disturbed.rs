//! Every step is done twice, and every step fails once: what can be seen at the end is the same as when
//! nothing had happened on the way.

use std::collections::BTreeSet;

use event_store::memory::{Fault, FaultPlan as StoreFaults, Operation};
use events::order::Origin;
use futures::future::join_all;
use sagas::gateway::sandbox::{memory::FaultPlan, tokens};

use crate::world::{AtNth, Seen, World, imported, order_id};

/// One order and what is done to it.
#[derive(Debug, Clone)]
struct Scenario {
    name: &'static str,
    method: &'static str,
    origin: Origin,
    teapots: i64,
    cancelled: bool,
}

fn scenarios() -> Vec<Scenario> {
    let live = |name, method| Scenario { name, method, origin: Origin::Live, teapots: 10, cancelled: false };
    vec![
        live("approved", tokens::APPROVE),
        live("declined", tokens::DECLINE),
        live("timed out, then approved", tokens::TIMEOUT_THEN_APPROVE),
        live("timed out, then declined", tokens::TIMEOUT_THEN_DECLINE),
        live("failed, then approved", tokens::ERROR_THEN_APPROVE),
        live("approved by webhook only", tokens::WEBHOOK_ONLY),
        live("approved with two webhooks", tokens::WEBHOOK_TWICE),
        live("capture refused", tokens::CAPTURE_FAILS),
        live("another amount", tokens::AMOUNT_DIFFERS),
        Scenario { teapots: 1, ..live("sold out", tokens::APPROVE) },
        Scenario { cancelled: true, ..live("cancelled", tokens::APPROVE) },
        Scenario { cancelled: true, ..live("cancelled while refunds are down", tokens::UNDO_DOWN) },
        Scenario { origin: imported(), ..live("imported", tokens::APPROVE) },
    ]
}

/// What disturbs a run. Each is counted from 1; 0 is never.
#[derive(Debug, Clone, Default)]
struct Disturbance {
    interrupt_at: u64,
    append_fails: Option<(u64, Fault)>,
    provider: FaultPlan,
    /// Everything that the coordinator keeps is dropped before it starts again.
    forgets: bool,
}

async fn play(scenario: &Scenario, disturbance: Disturbance) -> (World, Seen) {
    let Disturbance { interrupt_at, append_fails, provider, forgets } = disturbance;
    let mut world = World::disturbed_by(provider, AtNth::new(interrupt_at));
    world.receive("CUP", 10).await;
    world.receive("TEAPOT", scenario.teapots).await;
    world.place(order_id(1), scenario.method, scenario.origin.clone()).await;
    if let Some((nth, fault)) = append_fails {
        world.store.set_faults(StoreFaults::none().at(Operation::Append, nth, fault));
    }
    let mut coordinator = world.coordinator("simulated");
    world.settle(&mut coordinator).await;
    if scenario.cancelled {
        world.cancel(order_id(1)).await;
        world.settle(&mut coordinator).await;
    }
    if forgets {
        world.state.forget();
        coordinator = world.coordinator("simulated");
        world.settle(&mut coordinator).await;
    }
    let seen = world.see(order_id(1)).await;
    (world, seen)
}

/// Every event of its stream is there once.
async fn assert_nothing_is_doubled(world: &World, context: &str) {
    let events = world.events().await;
    let once: BTreeSet<_> = events
        .iter()
        .filter(|(_, name)| name != "PaymentOutcomeUnknown" && name != "StockReceived")
        .collect();
    let all =
        events.iter().filter(|(_, name)| name != "PaymentOutcomeUnknown" && name != "StockReceived").count();
    assert_eq!(once.len(), all, "{context}: {events:#?}");
}

#[tokio::test]
async fn a_coordinator_that_is_killed_at_any_boundary_resumes_and_doubles_nothing() {
    for scenario in scenarios() {
        let (world, expected) = play(&scenario, Disturbance::default()).await;
        let boundaries = world.interrupt.reached();
        assert!(boundaries > 10, "{scenario:?}");
        for interrupt_at in 1..=boundaries {
            let disturbance = Disturbance { interrupt_at, ..Disturbance::default() };
            let (world, seen) = play(&scenario, disturbance).await;
            let context = format!("{} interrupted at boundary {interrupt_at}", scenario.name);
            assert_eq!(seen, expected, "{context}");
            assert_eq!(world.restarts, 1, "{context}");
            assert_nothing_is_doubled(&world, &context).await;
        }
    }
}

#[tokio::test]
async fn an_append_that_fails_before_or_after_its_effect_changes_nothing_in_the_end() {
    for scenario in scenarios() {
        let (world, expected) = play(&scenario, Disturbance::default()).await;
        let appends = world.events().await.len() as u64;
        // Together, because a handler that meets an outage waits a little.
        let runs = (1..=appends).flat_map(|nth| [(nth, Fault::Before), (nth, Fault::After)]);
        let scenario = &scenario;
        let runs = runs.map(|(nth, fault)| async move {
            let disturbance = Disturbance { append_fails: Some((nth, fault)), ..Disturbance::default() };
            (format!("{}, append {nth} fails {fault:?}", scenario.name), play(scenario, disturbance).await)
        });
        for (context, (world, seen)) in join_all(runs).await {
            assert_eq!(seen, expected, "{context}");
            assert_nothing_is_doubled(&world, &context).await;
        }
    }
}

#[tokio::test]
async fn a_provider_that_fails_before_or_after_its_effect_is_asked_until_it_is_known() {
    for scenario in scenarios() {
        let (world, expected) = play(&scenario, Disturbance::default()).await;
        for nth in 1..=world.gateway.calls() {
            let before = FaultPlan { fail_before: BTreeSet::from([nth]), ..FaultPlan::default() };
            let after = FaultPlan { fail_after: BTreeSet::from([nth]), ..FaultPlan::default() };
            for provider in [before, after] {
                let context = format!("{}, {provider:?}", scenario.name);
                let (world, seen) = play(&scenario, Disturbance { provider, ..Disturbance::default() }).await;
                assert_eq!(seen, expected, "{context}");
                assert_nothing_is_doubled(&world, &context).await;
            }
        }
    }
}

#[tokio::test]
async fn everything_the_coordinator_keeps_can_be_dropped_and_the_log_read_again() {
    for scenario in scenarios() {
        let (world, expected) = play(&scenario, Disturbance::default()).await;
        let events = world.events().await;
        let (again, seen) = play(&scenario, Disturbance { forgets: true, ..Disturbance::default() }).await;
        assert_eq!(seen, expected, "{}", scenario.name);
        assert_eq!(again.events().await, events, "{}", scenario.name);
    }
}
