//! How the rules write and read history in few words.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use event_store::{
    Appended, Direction, EventStore, ExpectedRevision, Filter, NewEvent, Numbering, Page, Position,
    RecordedEvent,
};
use events::{Actor, Category, Metadata, StreamName};
use uuid::Uuid;

/// Far beyond what any rule needs: it ends a test that would otherwise hang.
const DEADLINE: Duration = Duration::from_mins(2);

pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("the rule came to no end")
}

pub(crate) fn stream(id: &str) -> StreamName {
    Category::Order.stream(id)
}

pub(crate) fn metadata() -> Metadata {
    Metadata {
        occurred_at: "2011-08-01T12:30:00.123456789Z".parse().unwrap(),
        correlation_id: Uuid::new_v4(),
        causation_id: Uuid::new_v4(),
        command_id: Uuid::new_v4(),
        request_digest: None,
        actor: Actor::Client,
        traceparent: None,
    }
}

pub(crate) fn named(name: &str) -> NewEvent {
    NewEvent {
        id: Uuid::new_v4(),
        name: name.to_owned(),
        version: 1,
        payload: Bytes::from_static(br#"{"sku":"85123A"}"#),
        metadata: metadata(),
    }
}

pub(crate) fn with_payload(payload: impl Into<Bytes>) -> NewEvent {
    NewEvent { payload: payload.into(), ..named("OrderPlaced") }
}

pub(crate) fn some(count: usize) -> Vec<NewEvent> {
    (0..count).map(|_| named("OrderPlaced")).collect()
}

/// Appends where nothing can go wrong.
pub(crate) async fn write(store: &dyn EventStore, stream: &StreamName, events: Vec<NewEvent>) -> Appended {
    store.append(stream, ExpectedRevision::Any, events).await.unwrap()
}

/// All of a stream, oldest first.
pub(crate) async fn all_of(store: &dyn EventStore, stream: &StreamName) -> Vec<RecordedEvent> {
    store.read_stream(stream, Direction::Forwards, None, usize::MAX).await.unwrap()
}

/// What a reader looks at in one go who has no wish of his own.
const PAGE_EVENTS: usize = 10_000;

/// The last position before the first event of this log. In a server that was given it is behind all that others
/// have written there, which nobody can pass in small pages and in time.
pub(crate) async fn beginning(store: &dyn EventStore) -> Position {
    let (mut after, mut limit) = (Position::START, PAGE_EVENTS);
    loop {
        let page = store.read_all(after, &Filter::all(), limit).await.unwrap();
        match (page.events.is_empty(), limit) {
            (true, _) if page.end => return page.scanned,
            (true, _) => after = page.scanned,
            (false, 1) => return after,
            (false, _) => limit /= 10,
        }
    }
}

/// The whole log, read in pages of `limit`.
pub(crate) async fn whole_log(store: &dyn EventStore, filter: &Filter, limit: usize) -> Vec<RecordedEvent> {
    let mut events = Vec::new();
    let mut after = if limit < 1_000 { beginning(store).await } else { Position::START };
    loop {
        let Page { events: page, scanned, end } = store.read_all(after, filter, limit).await.unwrap();
        events.extend(page);
        if end {
            return events;
        }
        assert!(scanned > after, "a page that is not the last one moves on");
        after = scanned;
    }
}

pub(crate) fn ids(events: &[RecordedEvent]) -> Vec<Uuid> {
    events.iter().map(|event| event.id).collect()
}

/// The position of the event at a place of the log, counted from 1; before the first at 0.
pub(crate) async fn nth(store: &dyn EventStore, place: u64) -> Position {
    match (store.numbering(), place) {
        (Numbering::Dense, place) => position(place),
        (Numbering::Sparse, 0) => Position::START,
        (Numbering::Sparse, place) => {
            let log = whole_log(store, &Filter::all(), 1_000).await;
            log[usize::try_from(place).unwrap() - 1].position
        }
    }
}

/// The place in the log of each of these positions, counted from 1.
pub(crate) async fn places_of(store: &dyn EventStore, positions: &[Position]) -> Vec<u64> {
    match store.numbering() {
        Numbering::Dense => positions.iter().copied().map(place).collect(),
        Numbering::Sparse => {
            let log = whole_log(store, &Filter::all(), 1_000).await;
            let place = |position: &Position| {
                let at = log.binary_search_by_key(position, |event| event.position);
                at.unwrap_or_else(|_| panic!("no event is at {position}")) as u64 + 1
            };
            positions.iter().map(place).collect()
        }
    }
}

/// The place in the log of each of these events.
pub(crate) async fn places(store: &dyn EventStore, events: &[RecordedEvent]) -> Vec<u64> {
    let positions: Vec<_> = events.iter().map(|event| event.position).collect();
    places_of(store, &positions).await
}

/// A position of a dense log.
pub(crate) fn position(place: u64) -> Position {
    Position::from_column(place.try_into().unwrap()).unwrap()
}

/// The place that a position is in a dense log, from 1.
pub(crate) fn place(position: Position) -> u64 {
    position.to_column().unwrap().unsigned_abs()
}

pub(crate) fn positions(events: &[RecordedEvent]) -> Vec<u64> {
    events.iter().map(|event| place(event.position)).collect()
}

pub(crate) fn revisions(events: &[RecordedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.revision).collect()
}
