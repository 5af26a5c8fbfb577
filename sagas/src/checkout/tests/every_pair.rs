//! Checks that hold for every state and every fact, whatever they are.

use std::collections::BTreeSet;

use super::*;

/// Every fact once, with content that fits the checkouts of these tests, and where content decides also
/// with other content.
fn facts() -> Vec<Fact> {
    vec![
        order_placed(&live()),
        Fact::OrderConfirmed,
        rejected(),
        Fact::OrderCancelled,
        Fact::DispatchRecorded,
        Fact::OrderCompleted,
        Fact::StockReserved,
        short(),
        Fact::HoldFound,
        Fact::HoldLost,
        Fact::StockCommitted,
        Fact::StockReleased,
        Fact::StockDispatched,
        authorized(),
        Fact::PaymentAuthorized { amount: pence(1) },
        Fact::PaymentDeclined { code: "card_declined".to_owned() },
        Fact::PaymentDiffers,
        captured(),
        Fact::PaymentCaptured { in_all: pence(1) },
        Fact::CaptureFailed { code: "expired".to_owned() },
        Fact::PaymentMoved,
        Fact::PaymentUndone,
        Fact::DeadlinePassed,
        Fact::Stuck { step: "refund" },
    ]
}

/// Every state that facts can lead to, with the events that led there.
fn reachable() -> Vec<(State, Vec<CheckoutEvent>)> {
    let mut found = vec![(State::NotStarted, vec![])];
    for checkout in [live(), imported()] {
        let events = react(&State::NotStarted, &order_placed(&checkout)).events;
        found.push((events.iter().try_fold(State::NotStarted, State::evolve).unwrap(), events));
    }
    let mut looked_at = 0;
    while looked_at < found.len() {
        let (state, history) = found[looked_at].clone();
        looked_at += 1;
        for fact in facts() {
            let events = react(&state, &fact).events;
            let reached = events.iter().try_fold(state.clone(), State::evolve).unwrap();
            if found.iter().all(|(known, _)| *known != reached) {
                found.push((reached, [history.clone(), events].concat()));
            }
        }
    }
    found
}

#[test]
fn every_state_can_be_reached_and_no_event_is_written_twice_on_the_way() {
    let names: BTreeSet<_> = reachable().iter().map(|(state, _)| state.name()).collect();
    assert_eq!(names.len(), 11, "{names:?}");
    for (state, history) in reachable() {
        let ids: BTreeSet<_> = history.iter().map(|event| event_id(order_id(), event)).collect();
        assert_eq!(ids.len(), history.len(), "{state:?}");
    }
}

#[test]
fn a_fact_that_is_repeated_writes_nothing_new() {
    for (state, _) in reachable() {
        for fact in facts() {
            let first = react(&state, &fact).events;
            let reached = first.iter().try_fold(state.clone(), State::evolve).unwrap();
            let again = react(&reached, &fact).events;
            let known = |event: &CheckoutEvent| {
                first.iter().any(|written| event_id(order_id(), written) == event_id(order_id(), event))
            };
            assert!(again.iter().all(known), "{fact:?} twice in {}: {again:?}", state.name());
        }
    }
}

#[test]
fn what_is_to_be_done_after_a_step_is_what_its_state_says() {
    for (state, _) in reachable() {
        for fact in facts() {
            let reaction = react(&state, &fact);
            let reached = reaction.events.iter().try_fold(state.clone(), State::evolve).unwrap();
            if reached == state {
                continue;
            }
            let due = reached.intents();
            // While two things are being undone, the one that is left is under way already.
            let under_way =
                matches!(state, State::Compensating { remaining: Remaining::PaymentAndStock, .. });
            assert!(
                reaction.intents == due || (under_way && reaction.intents.is_empty()),
                "{fact:?} in {}: {:?} instead of {due:?}",
                state.name(),
                reaction.intents
            );
        }
    }
}

#[test]
fn the_state_follows_from_the_events_alone() {
    for (state, history) in reachable() {
        assert_eq!(history.iter().try_fold(State::NotStarted, State::evolve).unwrap(), state);
    }
}

#[test]
fn a_checkout_at_rest_has_nothing_to_undo_and_one_at_work_has_something_to_do() {
    for (state, _) in reachable() {
        if !state.is_at_rest() {
            assert!(!state.intents().is_empty(), "{state:?}");
        }
    }
}
