//! What an append may rely on: its expectation, its place in the log, and its bytes.

use std::sync::Arc;

use event_store::{AppendError, Appended, EventStore, ExpectedRevision, NewEvent, Position, RecordedEvent};
use events::{Actor, Category, Metadata, StreamName};
use futures::future::join_all;

use crate::history::{all_of, metadata, named, nth, places, revisions, some, stream, with_payload, write};

pub(crate) async fn a_new_stream_begins_at_revision_zero_and_an_empty_log_at_position_one(
    store: Arc<dyn EventStore>,
) {
    assert_eq!(store.head().await.unwrap(), Position::START);
    let appended = store.append(&stream("a"), ExpectedRevision::NoStream, some(1)).await.unwrap();
    assert_eq!(appended, Appended { revision: 0, position: nth(&*store, 1).await, replayed: false });
    assert_eq!(store.head().await.unwrap(), nth(&*store, 1).await);
}

pub(crate) async fn an_append_that_expects_the_last_revision_goes_behind_it(store: Arc<dyn EventStore>) {
    store.append(&stream("a"), ExpectedRevision::NoStream, some(2)).await.unwrap();
    let appended = store.append(&stream("a"), ExpectedRevision::Exact(1), some(3)).await.unwrap();
    assert_eq!(appended, Appended { revision: 4, position: nth(&*store, 5).await, replayed: false });
    assert_eq!(revisions(&all_of(&*store, &stream("a")).await), [0, 1, 2, 3, 4]);
}

pub(crate) async fn a_wrong_expectation_is_a_conflict_that_names_the_current_revision(
    store: Arc<dyn EventStore>,
) {
    write(&*store, &stream("a"), some(3)).await;
    let wrong = [
        ("a", ExpectedRevision::NoStream, Some(2)),
        ("a", ExpectedRevision::Exact(1), Some(2)),
        ("a", ExpectedRevision::Exact(3), Some(2)),
        ("a", ExpectedRevision::Exact(u64::MAX), Some(2)),
        ("b", ExpectedRevision::Exact(0), None),
    ];
    for (id, wrongly_expected, really) in wrong {
        match store.append(&stream(id), wrongly_expected, some(1)).await {
            Err(AppendError::Conflict { stream: of, expected, current }) => {
                assert_eq!((of, expected, current), (stream(id), wrongly_expected, really));
            }
            other => panic!("{id} at {wrongly_expected}: {other:?}"),
        }
    }
    assert_eq!(store.head().await.unwrap(), nth(&*store, 3).await);
    assert_eq!(all_of(&*store, &stream("b")).await, []);
}

pub(crate) async fn any_revision_is_never_a_conflict(store: Arc<dyn EventStore>) {
    for revision in 0..3 {
        let appended = store.append(&stream("a"), ExpectedRevision::Any, some(1)).await.unwrap();
        assert_eq!(appended.revision, revision);
    }
}

pub(crate) async fn the_events_of_one_append_have_consecutive_positions(store: Arc<dyn EventStore>) {
    let writers = (0..20).map(|writer| {
        let store = Arc::clone(&store);
        async move { write(&*store, &stream(&writer.to_string()), some(7)).await }
    });
    for (writer, appended) in join_all(writers).await.into_iter().enumerate() {
        let events = all_of(&*store, &stream(&writer.to_string())).await;
        assert_eq!(events.last().map(|last| last.position), Some(appended.position));
        assert_eq!(store.positions_of(&events[0].stream, appended, 3).await.unwrap(), last_three(&events));
        let written = places(&*store, &events).await;
        let last = written[6];
        assert_eq!(written, (last - 6..=last).collect::<Vec<_>>());
    }
}

fn last_three(events: &[RecordedEvent]) -> Vec<Position> {
    events[events.len() - 3..].iter().map(|event| event.position).collect()
}

pub(crate) async fn what_is_refused_takes_no_position(store: Arc<dyn EventStore>) {
    write(&*store, &stream("a"), some(1)).await;
    store.append(&stream("a"), ExpectedRevision::NoStream, some(5)).await.unwrap_err();
    store.append(&stream("b"), ExpectedRevision::Exact(7), some(5)).await.unwrap_err();
    assert_eq!(write(&*store, &stream("c"), some(1)).await.position, nth(&*store, 2).await);
}

pub(crate) async fn what_is_read_is_what_was_written_byte_for_byte(store: Arc<dyn EventStore>) {
    let payloads: [&[u8]; 8] = [
        b"{ \"b\" : 1,\r\n\t\"a\":1.0, \"a\":10000000000000000000000000 }",
        "{\"title\":\"gr\u{fc}n \u{1f33f}\",\"zero\":\"\\u0000\"}".as_bytes(),
        b"",
        b"null",
        b"\0\x01\\x41\\\\",
        b"\xff\xfe not text",
        b"{\"cut",
        &[0x5c; 300],
    ];
    let mut events: Vec<NewEvent> = payloads.map(|payload| with_payload(payload.to_vec())).into();
    events[1].metadata = Metadata {
        request_digest: Some("9f86d081884c7d659a2feaa0c55ad015".to_owned()),
        actor: Actor::Import("a \u{0} \"quoted\" \\ source \u{1f4e6}".to_owned()),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        ..metadata()
    };
    events[2].version = 32_767;
    events[3] = named("\u{c4}nderung 'quoted', {braced}");
    write(&*store, &stream("a"), events.clone()).await;

    let read = all_of(&*store, &stream("a")).await;
    assert_eq!(read.len(), events.len());
    for (read, written) in read.into_iter().zip(events) {
        assert_eq!(read.stream, stream("a"));
        let read = NewEvent {
            id: read.id,
            name: read.name,
            version: read.version,
            payload: read.payload,
            metadata: read.metadata,
        };
        assert_eq!(read, written);
    }
}

pub(crate) async fn streams_are_told_apart_by_every_byte_of_their_names(store: Arc<dyn EventStore>) {
    let names = ["a", "A", "a ", " a", "a-b", "\u{e4}", "a\u{308}", "{a}", "a,b", "\"a\"", "a\\", "null"];
    let streams: Vec<StreamName> = names.iter().map(|name| stream(name)).collect();
    for stream in &streams {
        store.append(stream, ExpectedRevision::NoStream, some(1)).await.unwrap();
    }
    let other_category = Category::Payment.stream("a");
    store.append(&other_category, ExpectedRevision::NoStream, some(1)).await.unwrap();
    for (stream, place) in streams.iter().chain([&other_category]).zip(1..) {
        let read = all_of(&*store, stream).await;
        assert_eq!((places(&*store, &read).await, &read[0].stream), (vec![place], stream));
    }
}

pub(crate) async fn one_of_many_who_expect_the_same_revision_wins(store: Arc<dyn EventStore>) {
    write(&*store, &stream("a"), some(1)).await;
    let rivals = (0..24).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            store.append(&stream("a"), ExpectedRevision::Exact(0), vec![named("OrderConfirmed")]).await
        })
    });
    let mut won = 0;
    for answer in join_all(rivals).await {
        match answer.unwrap() {
            Ok(appended) => {
                assert_eq!(
                    appended,
                    Appended { revision: 1, position: nth(&*store, 2).await, replayed: false }
                );
                won += 1;
            }
            Err(AppendError::Conflict { current, .. }) => assert_eq!(current, Some(1)),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(store.head().await.unwrap(), nth(&*store, 2).await);
}
