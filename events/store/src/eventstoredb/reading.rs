//! What is read from the server, and what must hold of it. Reading changes nothing, so that a read which
//! failed on the way is made again. **A hole in a stream is an error, and no one passes over it.**

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use events::StreamName;
use eventstore::{
    Client, Error, Position as LogPosition, ReadAllOptions, ReadStreamOptions, ResolvedEvent, StreamPosition,
};

use super::{
    Settings,
    failure::{self, Blame},
    record::{self, Namespace, Seen, Stored},
    session::{Failure, Session},
};
use crate::{Direction, Filter, Page, Position, StoreError};

const PAUSE: Duration = Duration::from_millis(50);

/// The most events that are asked for at once.
const READ_EVENTS_MAX: usize = 10_000;

/// How many events are looked at for the last one of ours, at first.
const HEAD_EVENTS: usize = 32;

/// How many events that are not ours are passed over for one page, give or take a read.
const PASSED_OVER_MAX: usize = 20_000;

/// The largest revision that the server can count to.
const REVISION_MAX: u64 = i64::MAX as u64 - 1;

#[derive(Clone)]
pub(super) struct Reader {
    session: Session,
    namespace: Namespace,
    tries_max: u32,
    timeout: Duration,
    end: Arc<Mutex<End>>,
}

/// What is known of the end of our log, which others may write behind.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    /// The last event of ours.
    head: Position,
    /// Between it and here there is none.
    looked_until: Position,
}

impl Reader {
    pub(super) fn new(session: Session, namespace: Option<String>, settings: Settings) -> Self {
        let Settings { read_tries_max, read_timeout, .. } = settings;
        let namespace = Namespace(namespace);
        Self { session, namespace, tries_max: read_tries_max, timeout: read_timeout, end: Arc::default() }
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Where the log of everything ends, whosever the last event is.
    pub(super) async fn end_of_everything(&self) -> Result<Position, Failure> {
        let options = ReadAllOptions::default().position(StreamPosition::End).max_count(1);
        let last = self.session.call(self.timeout, move |client| all(client, options)).await?;
        Ok(last
            .first()
            .and_then(|last| last.event.as_ref())
            .map_or(Position::START, |last| Position::of(last.position.commit)))
    }

    /// The position of the last event of ours. What was found out before is not looked at again.
    pub(super) async fn head(&self) -> Result<Position, StoreError> {
        let doing = "reading the head";
        let mut known = *self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = StreamPosition::End;
        let mut count = HEAD_EVENTS;
        let mut newest = None;
        let head = 'found: loop {
            // Read backwards, the server begins before the position that is given.
            let options = ReadAllOptions::default().position(before).backwards().max_count(count);
            let events = self.read(doing, || options.clone(), all).await?;
            let exhausted = events.len() < count;
            for event in events {
                let Seen { position, event } = record::seen(event, &self.namespace)?;
                // A log that ends before that is another one than it was.
                if newest.is_none() && position < known.looked_until {
                    known = End::default();
                }
                newest.get_or_insert(position);
                if event.is_some() {
                    break 'found position;
                }
                if position <= known.looked_until {
                    break 'found known.head;
                }
                before = StreamPosition::Position(at(position));
            }
            if exhausted {
                break known.head;
            }
            count = (count * 4).min(READ_EVENTS_MAX);
        };
        let looked_until = newest.unwrap_or_default();
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = End { head, looked_until };
        Ok(head)
    }

    pub(super) async fn stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        from: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        let nothing = limit == 0 || direction == Direction::Forwards && from > Some(REVISION_MAX);
        if nothing {
            return Ok(Vec::new());
        }
        let options = ReadStreamOptions::default().max_count(limit.min(u32::MAX as usize));
        let options = match (direction, from) {
            (Direction::Forwards, None) => options.forwards().position(StreamPosition::Start),
            (Direction::Forwards, Some(from)) => options.forwards().position(StreamPosition::Position(from)),
            (Direction::Backwards, Some(from)) if from <= REVISION_MAX => {
                options.backwards().position(StreamPosition::Position(from))
            }
            (Direction::Backwards, Some(_) | None) => options.backwards().position(StreamPosition::End),
        };
        let name = self.namespace.name_of(stream);
        let read = move |client, options| one_stream(client, name.clone(), options);
        let events = self.read("reading a stream", || options.clone(), read).await?;
        let mut stored = Vec::with_capacity(events.len());
        for event in events {
            match record::seen(event, &self.namespace)?.event {
                Some(event) if event.recorded.stream == *stream => stored.push(event),
                _ => {
                    let reason = format!("the server gave an event of another stream than {stream}");
                    return Err(StoreError::Corrupt { reason });
                }
            }
        }
        without_holes(stream, direction, from, &stored)?;
        Ok(stored)
    }

    /// The read begins with the event at `after` itself, which is passed over, as is what is not ours: of that as
    /// much at a time as the server gives, for the log may have long stretches of it.
    pub(super) async fn page(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let limit = limit.clamp(1, READ_EVENTS_MAX);
        let mut page = Page { events: Vec::new(), scanned: after, end: false };
        let (mut count, mut passed_over) = (limit, 0);
        loop {
            let start = page.scanned;
            let from = match start {
                Position::START => StreamPosition::Start,
                start => StreamPosition::Position(at(start)),
            };
            // One for the event at the start, and one that tells whether the log goes on.
            let options = ReadAllOptions::default().position(from).forwards().max_count(count + 2);
            let events = match self.read("reading the log", || options.clone(), all).await {
                Ok(events) => events,
                // So far it went: the next page begins there, with less at a time.
                Err(_) if start > after => return Ok(page),
                Err(error) => return Err(error),
            };
            page.end = events.len() < count + 2;
            let mut looked_at = 0;
            for event in events {
                let Seen { position, event } = record::seen(event, &self.namespace)?;
                if position <= start {
                    continue;
                }
                if looked_at == limit {
                    page.end = false;
                    return Ok(page);
                }
                if event.is_some() && position <= page.scanned {
                    let reason = format!("the server gave the event at {position} behind {}", page.scanned);
                    return Err(StoreError::Corrupt { reason });
                }
                page.scanned = page.scanned.max(position);
                match event {
                    Some(event) => {
                        looked_at += 1;
                        page.events.extend(Some(event.recorded).filter(|event| filter.wants(event)));
                    }
                    None => passed_over += 1,
                }
            }
            if page.end || looked_at > 0 || passed_over >= PASSED_OVER_MAX {
                return Ok(page);
            }
            count = (count * 4).min(READ_EVENTS_MAX);
        }
    }

    /// Reads, and again when that failed on the way.
    async fn read<O, F>(
        &self,
        doing: &'static str,
        options: impl Fn() -> O,
        read: impl Fn(Client, O) -> F,
    ) -> Result<Vec<ResolvedEvent>, StoreError>
    where
        F: Future<Output = Result<Vec<ResolvedEvent>, Error>> + Send + 'static,
    {
        let mut tries = 1;
        loop {
            match self.session.call(self.timeout, |client| read(client, options())).await {
                Ok(events) => return Ok(events),
                Err(failure) if failure::blame(&failure) == Blame::Passing && tries < self.tries_max => {
                    tokio::time::sleep(PAUSE * tries).await;
                    tries += 1;
                }
                Err(failure) => return Err(failure::of_store(doing, &failure)),
            }
        }
    }
}

/// As the server counts. What was written here has the same place in both of its orders.
fn at(position: Position) -> LogPosition {
    LogPosition { commit: position.number(), prepare: position.number() }
}

async fn all(client: Client, options: ReadAllOptions) -> Result<Vec<ResolvedEvent>, Error> {
    drained(client.read_all(&options).await).await
}

async fn one_stream(
    client: Client,
    name: String,
    options: ReadStreamOptions,
) -> Result<Vec<ResolvedEvent>, Error> {
    drained(client.read_stream(name, &options).await).await
}

/// All that comes. A stream that does not exist has no events.
async fn drained(stream: Result<eventstore::ReadStream, Error>) -> Result<Vec<ResolvedEvent>, Error> {
    let mut events = Vec::new();
    let read = async {
        let mut stream = stream?;
        while let Some(event) = stream.next().await? {
            events.push(event);
        }
        Ok(())
    };
    match read.await {
        Ok(()) => Ok(events),
        Err(Error::ResourceNotFound) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn without_holes(
    stream: &StreamName,
    direction: Direction,
    from: Option<u64>,
    events: &[Stored],
) -> Result<(), StoreError> {
    let missing = |where_: String| {
        Err(StoreError::Corrupt { reason: format!("an event of {stream} {where_} is missing") })
    };
    for pair in events.windows(2) {
        if pair[0].recorded.revision.abs_diff(pair[1].recorded.revision) != 1 {
            return missing(format!("beside revision {}", pair[0].recorded.revision));
        }
    }
    match (direction, events.first()) {
        (Direction::Forwards, Some(first)) if first.recorded.revision != from.unwrap_or(0) => {
            missing(format!("before revision {}", first.recorded.revision))
        }
        _ => Ok(()),
    }
}
