//! I4, I8 and I9: what was acknowledged and lost, done twice, skipped or reordered.

use super::{history::next, *};

#[test]
fn i4_an_acknowledged_position_that_is_not_there() {
    let history = sound();
    let beyond = next(history.head());
    for (stream, position) in [("order-x".to_owned(), position(1)), ("order-x".to_owned(), beyond)] {
        let told = Acknowledged { stream, position, command_id: None };
        let evidence = Evidence { acknowledged: vec![told], ..evidence() };
        let violation = the_violation(&history, &evidence);
        assert!(matches!(violation, Violation::AcknowledgedAndLost { .. }));
    }
}

#[test]
fn i4_what_is_acknowledged_and_there_is_held() {
    let history = sound();
    let first = &history.events[0];
    let told = Acknowledged {
        stream: first.stream.to_string(),
        position: first.position,
        command_id: Some(first.metadata.command_id),
    };
    let evidence = Evidence { acknowledged: vec![told.clone(), told], ..evidence() };
    assert!(report(&history, &evidence).held);
}

#[test]
fn i4_an_acknowledged_command_that_is_not_there() {
    let history = sound();
    let first = &history.events[0];
    let told = Acknowledged {
        stream: first.stream.to_string(),
        position: first.position,
        command_id: Some(Uuid::from_u128(404)),
    };
    let evidence = Evidence { acknowledged: vec![told], ..evidence() };
    assert!(matches!(the_violation(&history, &evidence), Violation::CommandLost { .. }));
}

#[test]
fn i4_a_command_that_was_carried_out_twice() {
    let mut history = sound();
    let mut again = history.events[0].clone();
    again.id = Uuid::from_u128(1);
    history.append(again);
    assert!(matches!(the_violation(&history, &evidence()), Violation::CarriedOutTwice { .. }));
}

#[test]
fn i4_a_command_that_was_carried_out_twice_in_a_row() {
    let mut history = History::with_stock(100);
    let mut again = history.events[0].clone();
    again.id = Uuid::from_u128(1);
    history.append(again);
    let evidence = Evidence::log_only(at(0));
    assert!(matches!(the_violation(&history, &evidence), Violation::IdNotDerived { .. }));
}

#[test]
fn i8_a_row_that_differs() {
    let mut evidence = evidence();
    evidence.read_models.as_mut().unwrap()[0].differing.push("orders 1".to_owned());
    assert!(matches!(the_violation(&sound(), &evidence), Violation::ReadModelDiffers { .. }));
}

#[test]
fn i8_a_snapshot_that_differs() {
    let mut evidence = evidence();
    let snapshots = evidence.snapshots.insert(ComparedSnapshots { compared: 2, differing: vec![] });
    snapshots.differing.push("inventory-MUG".to_owned());
    assert!(matches!(the_violation(&sound(), &evidence), Violation::SnapshotDiffers { .. }));
}

#[test]
fn i9_an_event_that_is_gone() {
    let mut history = sound();
    let last_of_its_stream = history.events.iter().position(|event| event.name == "OrderCancelled").unwrap();
    history.events.remove(last_of_its_stream);
    let violations = violations_of(Invariant::I9, &history, &evidence());
    assert!(matches!(violations[..], [Violation::PositionGap { .. }]));
}

#[test]
fn i9_events_in_another_order() {
    let mut history = sound();
    history.events.swap(3, 4);
    let violations = violations_of(Invariant::I9, &history, &evidence());
    assert!(violations.iter().all(|violation| matches!(violation, Violation::PositionGap { .. })));
    assert_eq!(violations.len(), 3);
}

#[test]
fn i9_a_revision_that_is_missing() {
    let mut history = History::with_stock(1);
    history.events[0].revision = 1;
    let violation = the_violation(&history, &Evidence::log_only(at(0)));
    assert!(matches!(violation, Violation::RevisionGap { expected: 0, found: 1, .. }));
}

#[test]
fn i9_an_event_that_is_there_twice() {
    let mut history = History::default();
    let asked = AttentionRequired { order_id: order_id(5), step: "refund".to_owned() };
    history.own(&Category::Checkout.stream(order_id(5)), &[CheckoutEvent::AttentionRequired(asked)]);
    history.append(history.events[0].clone());
    let violation = the_violation(&history, &Evidence::log_only(at(0)));
    assert!(matches!(violation, Violation::EventTwice { position: at, .. } if at == position(2)));
}

#[test]
fn i9_a_log_that_ends_before_its_head() {
    let history = sound();
    let evidence = Evidence::log_only(at(10_000));
    let mut checker = Checker::new(&evidence, Numbering::Dense);
    for recorded in &history.events {
        checker.take(recorded);
    }
    let report = checker.finish(next(history.head()));
    assert!(matches!(report.of(Invariant::I9).unwrap().violations[..], [Violation::HeadDiffers { .. }]));
}

#[test]
fn i9_a_subscriber_that_was_given_too_little_or_too_much() {
    for seen in [vec![1, 3], vec![1, 1, 2], vec![2, 1], vec![2, 3]] {
        let subscriber = Subscriber {
            name: "orders".to_owned(),
            after: Position::START,
            upto: Position::START,
            seen: seen.into_iter().map(position).collect(),
        };
        let evidence = Evidence { subscribers: vec![subscriber], ..evidence() };
        let violations = violations_of(Invariant::I9, &sound(), &evidence);
        assert!(matches!(violations[0], Violation::SubscriberSkipped { .. }));
    }
}

#[test]
fn i9_holes_between_positions_break_nothing_where_only_the_order_counts() {
    let mut history = sound();
    let mut spread = Vec::new();
    for event in &mut history.events {
        event.position = position(event.position.to_column().unwrap() * 100);
        spread.push(event.position);
    }
    let whole = Subscriber {
        name: "orders".to_owned(),
        after: Position::START,
        upto: history.head(),
        seen: spread.clone(),
    };
    let mut skipping = whole.clone();
    skipping.seen.remove(3);
    for (subscriber, skipped) in [(whole, 0), (skipping, 1)] {
        let evidence = Evidence { subscribers: vec![subscriber], ..evidence() };
        let mut checker = Checker::new(&evidence, Numbering::Sparse);
        for recorded in &history.events {
            checker.take(recorded);
        }
        let report = checker.finish(history.head());
        assert_eq!(report.of(Invariant::I9).unwrap().violations_total, skipped, "{report}");
        assert_eq!(report.held, skipped == 0, "{report}");
    }
}

#[test]
fn i9_a_subscriber_that_was_given_no_more_although_there_is_more() {
    let (history, first) = (sound(), sound().events[0].position);
    let stopped = |seen: Vec<Position>| Subscriber {
        name: "orders".to_owned(),
        after: Position::START,
        upto: history.head(),
        seen,
    };
    for (seen, last) in [(vec![], Position::START), (vec![first], first)] {
        let evidence = Evidence { subscribers: vec![stopped(seen)], ..evidence() };
        let violation = the_violation(&history, &evidence);
        assert!(
            matches!(&violation, Violation::SubscriberStopped { last: at, .. } if *at == last),
            "{violation}"
        );
    }
    let all = history.events.iter().map(|event| event.position).collect();
    let evidence = Evidence { subscribers: vec![stopped(all)], ..evidence() };
    assert!(report(&history, &evidence).held);
}
