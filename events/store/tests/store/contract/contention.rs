//! Where event stores lose events: many writers at once, and readers that follow closely. If a
//! position could become visible before a lower one, a reader would pass over the lower one for ever.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use event_store::{
    AppendError, Direction, EventStore, ExpectedRevision, Filter, Numbering, Position, RecordedEvent,
};
use events::StreamName;
use futures::{StreamExt, future::join_all};
use uuid::Uuid;

use crate::history::{beginning, place, places_of, some, stream};

const WRITERS: usize = 64;
const APPENDS_PER_WRITER: usize = 12;
/// Fewer than writers, so that they meet.
const STREAMS: usize = 24;

pub(crate) async fn with_64_writers_no_reader_ever_skips_or_reorders(store: Arc<dyn EventStore>) {
    contend(&[store]).await;
}

/// Writes and reads through all of `stores`, which are ways to one log.
pub(crate) async fn contend(stores: &[Arc<dyn EventStore>]) {
    let nth_store = |nth: usize| Arc::clone(&stores[nth % stores.len()]);
    let beginning = beginning(&*stores[0]).await;
    let done = Arc::new(AtomicBool::new(false));
    let pollers = [(0, 1), (1, 3), (2, 64)]
        .map(|(nth, limit)| tokio::spawn(poll(nth_store(nth), beginning, limit, Arc::clone(&done))));
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(write_contended(nth_store(writer), writer))).collect();
    let followers = [0, 1, 2].map(|nth| tokio::spawn(follow_until_quiet(nth_store(nth), Arc::clone(&done))));

    let mut acknowledged: HashMap<Uuid, Acknowledged> = HashMap::new();
    for writer in join_all(writers).await {
        acknowledged.extend(writer.unwrap());
    }
    let store = nth_store(0);
    let last = store.head().await.unwrap();
    done.store(true, Ordering::SeqCst);
    // One more event, so that whoever waits looks up.
    store.append(&stream("done"), ExpectedRevision::NoStream, some(1)).await.unwrap();

    let last = places_of(&*store, &[last]).await;
    assert_eq!(last, [acknowledged.len() as u64], "as many events as were acknowledged");
    for reader in join_all(pollers.into_iter().chain(followers)).await {
        let mut seen = reader.unwrap();
        seen.truncate(acknowledged.len());
        assert_eq!(seen.len(), acknowledged.len(), "everything that was acknowledged was seen");
        for event in &seen {
            let told = &acknowledged[&event.id];
            assert_eq!((&event.stream, event.revision), (&told.stream, told.revision));
            assert_eq!(event.position, told.position);
        }
    }
}

/// What a writer was told of one event.
struct Acknowledged {
    stream: StreamName,
    revision: u64,
    position: Position,
}

/// Appends with every kind of expectation to streams that others write too, until each append has
/// succeeded.
async fn write_contended(store: Arc<dyn EventStore>, writer: usize) -> Vec<(Uuid, Acknowledged)> {
    let mut acknowledged = Vec::new();
    for nth in 0..APPENDS_PER_WRITER {
        let stream = stream(&((writer * 7 + nth) % STREAMS).to_string());
        let events = some(1 + (writer + nth) % 3);
        let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
        let appended = loop {
            let expected = if nth % 4 == 0 {
                ExpectedRevision::Any
            } else {
                let newest = store.read_stream(&stream, Direction::Backwards, None, 1).await.unwrap();
                ExpectedRevision::after(newest.first().map(|event| event.revision))
            };
            match store.append(&stream, expected, events.clone()).await {
                Ok(appended) => break appended,
                Err(AppendError::Conflict { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        };
        assert!(!appended.replayed);
        let positions = store.positions_of(&stream, appended, ids.len()).await.unwrap();
        for ((id, position), back) in ids.into_iter().zip(positions).rev().zip(0..) {
            let told = Acknowledged { stream: stream.clone(), revision: appended.revision - back, position };
            acknowledged.push((id, told));
        }
    }
    acknowledged
}

/// Reads page after page as fast as it can, and checks each page as it comes.
async fn poll(
    store: Arc<dyn EventStore>,
    beginning: Position,
    limit: usize,
    done: Arc<AtomicBool>,
) -> Vec<RecordedEvent> {
    let mut seen = Seen { scanned: beginning, ..Seen::of(&*store) };
    loop {
        let finished = done.load(Ordering::SeqCst);
        let page = store.read_all(seen.scanned, &Filter::all(), limit).await.unwrap();
        let end = page.end;
        seen.take(page.events, page.scanned);
        if finished && end {
            return seen.events;
        }
    }
}

async fn follow_until_quiet(store: Arc<dyn EventStore>, done: Arc<AtomicBool>) -> Vec<RecordedEvent> {
    let mut seen = Seen::of(&*store);
    let mut pages = store.follow(Position::START, Filter::all());
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        let end = page.end;
        seen.take(page.events, page.scanned);
        if end && done.load(Ordering::SeqCst) && store.head().await.unwrap() == seen.position {
            break;
        }
    }
    seen.events
}

/// What a reader has seen so far; it objects to anything skipped, doubled or out of order.
struct Seen {
    numbering: Numbering,
    position: Position,
    scanned: Position,
    revisions: HashMap<StreamName, u64>,
    events: Vec<RecordedEvent>,
}

impl Seen {
    fn of(store: &dyn EventStore) -> Self {
        Self {
            numbering: store.numbering(),
            position: Position::START,
            scanned: Position::START,
            revisions: HashMap::new(),
            events: Vec::new(),
        }
    }

    fn take(&mut self, events: Vec<RecordedEvent>, scanned: Position) {
        for event in events {
            match self.numbering {
                Numbering::Dense => assert_eq!(place(event.position), place(self.position) + 1),
                Numbering::Sparse => assert!(event.position > self.position && event.position <= scanned),
            }
            let revision =
                self.revisions.entry(event.stream.clone()).and_modify(|last| *last += 1).or_default();
            assert_eq!(event.revision, *revision, "revisions of {} are dense and in order", event.stream);
            self.position = event.position;
            self.events.push(event);
        }
        assert!(scanned >= self.scanned, "a page never goes back");
        self.scanned = scanned;
        if self.numbering == Numbering::Dense {
            assert_eq!(scanned, self.position, "nothing was scanned that was not seen");
        }
    }
}
