//! What no store takes, refused with a reason before anything is written.

use std::sync::Arc;

use event_store::{
    AppendError, EventStore, ExpectedRevision, NewEvent, Position,
    limits::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX, EVENT_NAME_BYTES_MAX, PAYLOAD_BYTES_MAX},
};
use events::StreamName;

use crate::history::{all_of, named, nth, some, stream, with_payload};

pub(crate) async fn nothing_and_the_same_twice_are_malformed(store: Arc<dyn EventStore>) {
    let event = named("OrderPlaced");
    let version = |version| NewEvent { version, ..named("OrderPlaced") };
    let cases = [
        (stream("a"), vec![], "no events"),
        (stream("a"), vec![event.clone(), event.clone()], "twice"),
        (stream("a"), vec![named("")], "name"),
        (stream("a"), vec![named("Order\0Placed")], "name"),
        (stream("a"), vec![version(0)], "version 0"),
        (stream("a"), vec![version(32_768)], "version 32768"),
        (stream("a\0b"), some(1), "no stream"),
        (stream(""), some(1), "no stream"),
    ];
    for (stream, events, why) in cases {
        match store.append(&stream, ExpectedRevision::Any, events).await {
            Err(AppendError::Malformed { reason, .. }) => assert!(reason.contains(why), "{why}: {reason}"),
            other => panic!("{why}: {other:?}"),
        }
    }
    assert_eq!(store.head().await.unwrap(), Position::START);
}

pub(crate) async fn an_append_at_its_limits_is_taken(store: Arc<dyn EventStore>) {
    let longest = "x".repeat(StreamName::BYTES_MAX - "order-".len());
    let mut events = some(APPEND_EVENTS_MAX - 1);
    events.push(NewEvent {
        name: "N".repeat(EVENT_NAME_BYTES_MAX),
        ..with_payload(vec![b'1'; PAYLOAD_BYTES_MAX])
    });
    let appended = store.append(&stream(&longest), ExpectedRevision::NoStream, events.clone()).await.unwrap();
    assert_eq!(appended.position, nth(&*store, APPEND_EVENTS_MAX as u64).await);
    let read = all_of(&*store, &stream(&longest)).await;
    assert!(read.iter().map(|event| &event.payload).eq(events.iter().map(|event| &event.payload)));
}

pub(crate) async fn an_append_over_a_limit_is_refused_by_the_name_of_the_limit(store: Arc<dyn EventStore>) {
    let too_long = "x".repeat(StreamName::BYTES_MAX);
    let large = || with_payload(vec![b' '; PAYLOAD_BYTES_MAX]);
    let cases = [
        (stream("a"), some(APPEND_EVENTS_MAX + 1), format!("{APPEND_EVENTS_MAX} are the most")),
        (
            stream("a"),
            vec![with_payload(vec![b' '; PAYLOAD_BYTES_MAX + 1])],
            format!("{PAYLOAD_BYTES_MAX} are the most"),
        ),
        (stream("a"), (0..8).map(|_| large()).collect(), format!("{APPEND_BYTES_MAX} are the most")),
        (
            stream("a"),
            vec![named(&"N".repeat(EVENT_NAME_BYTES_MAX + 1))],
            format!("{EVENT_NAME_BYTES_MAX} are the most"),
        ),
        (stream(&too_long), some(1), format!("{} are the most", StreamName::BYTES_MAX)),
    ];
    for (stream, events, why) in cases {
        match store.append(&stream, ExpectedRevision::Any, events).await {
            Err(AppendError::TooLarge { reason, .. }) => assert!(reason.contains(&why), "{why}: {reason}"),
            other => panic!("{why}: {other:?}"),
        }
    }
    assert_eq!(store.head().await.unwrap(), Position::START);
}
