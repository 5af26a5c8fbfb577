//! What is read from the log, and what must hold of it. Reading changes nothing, so that a read whose
//! connection broke is simply made again on another one, and a read whose reader went away or stopped
//! looking still runs to its end and gives its connection back. A reader that finds a hole in history
//! says so and stops: no one ever passes over a position that is missing.

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use events::{Metadata, StreamName};
use futures::future::BoxFuture;
use sqlx::{
    Connection, PgConnection, Postgres, Row,
    pool::PoolConnection,
    postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow},
    query::Query,
    types::Json,
};
use uuid::Uuid;

use super::{
    copying,
    failure::{self, Blame},
    names::Names,
    number,
};
use crate::{Filter, Page, Position, RecordedEvent, StoreError};

/// A connection that lay idle for longer is asked whether it still lives before it is used.
pub(super) const TRUSTED_IDLE: Duration = Duration::from_secs(1);
const READING_THE_LOG: &str = "reading the log";
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub(super) struct Reader {
    pool: PgPool,
    /// How long a statement may take, as seen from here.
    timeout: Duration,
    /// Enough to get past every connection of the pool when all have broken at once.
    attempts: u32,
    names: Names,
}

/// A full page of so many events is copied. For a smaller one it would take longer to plan the copy than to make it.
const COPIED_MIN: usize = 200;

/// The columns of an event, in the order in which [`event`] reads them.
macro_rules! columns {
    () => {
        "e.position, e.revision, e.event_id, e.name, e.version, e.payload, e.metadata, e.recorded_at"
    };
}
pub(super) use columns;

impl Reader {
    /// Connects when it is first used.
    pub(super) fn new(
        options: PgConnectOptions,
        connections: u32,
        acquire_timeout: Duration,
        timeout: Duration,
    ) -> Self {
        let names = Names::new();
        let known = names.clone();
        let pool = PgPoolOptions::new()
            // A database that was restored from a copy goes on numbering from there.
            .after_connect(move |_, _| {
                known.forget();
                Box::pin(async { Ok(()) })
            })
            .max_connections(connections)
            .acquire_timeout(acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TRUSTED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Self { pool, timeout, attempts: connections + 1, names }
    }

    /// Takes no more reads, and waits a little for those that run.
    pub(super) async fn close(&self) {
        let _ = tokio::time::timeout(CLOSE_PATIENCE, self.pool.close()).await;
    }

    pub(super) async fn head(&self) -> Result<Position, StoreError> {
        let rows =
            self.rows("reading the head", || sqlx::query("select position from event_store.head")).await?;
        let head = rows.first().map(|row| number::position_from_sql(row.try_get("position")?)).transpose();
        let head = head.map_err(|error| failure::of_read("reading the head", &error))?;
        head.ok_or_else(|| StoreError::Corrupt { reason: "the log has no head".to_owned() })
    }

    pub(super) async fn find(&self, event_id: Uuid) -> Result<Option<RecordedEvent>, StoreError> {
        let doing = "looking for an event";
        let query = move || {
            sqlx::query(concat!(
                "select s.name, ",
                columns!(),
                " from event_store.events e join event_store.streams s on s.stream_no = e.stream_no
                 where e.event_id = $1",
            ))
            .bind(event_id)
        };
        Ok(decoded(doing, &self.rows(doing, query).await?)?.pop())
    }

    /// Reads a stream backwards. For the other direction see [`super::gathering`].
    pub(super) async fn stream_backwards(
        &self,
        stream: &StreamName,
        from: Option<u64>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let doing = "reading a stream";
        let (from, limit) = (from.unwrap_or(u64::MAX), i64::try_from(limit).unwrap_or(i64::MAX));
        let name = stream.as_str().to_owned();
        let query = move || {
            sqlx::query(concat!(
                "select s.name, ",
                columns!(),
                " from event_store.streams s join event_store.events e on e.stream_no = s.stream_no
                 where s.name = $1 and e.revision <= $2
                 order by e.revision desc limit $3",
            ))
            .bind(name.clone())
            .bind(number::to_sql(from))
            .bind(limit)
        };
        let events = decoded(doing, &self.rows(doing, query).await?)?;
        one_after_the_other(stream, &events)?;
        Ok(events)
    }

    /// The events behind `after`, and whether they go to the end of the log. That it goes to `heard_of` is a hint. A hole
    /// shows through every filter.
    pub(super) async fn page(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
        heard_of: Position,
    ) -> Result<Page, StoreError> {
        if *filter == Filter::all() {
            if limit >= COPIED_MIN
                && heard_of.distance_from(after) > limit as u64
                && let Some(page) = copying::full_page(self, &self.names, after, limit).await?
            {
                return Ok(page);
            }
            return self.whole_page(after, row_count(limit)).await;
        }
        let limit = row_count(limit);
        let Filter { categories, names } = filter.clone();
        // What is not wanted comes as a bare position.
        let query = move || {
            sqlx::query(concat!(
                "select h.position, scanned.position, w.* from event_store.head h
                 left join lateral (
                     select * from event_store.events e where e.position > $1 order by e.position limit $2
                 ) scanned on true
                 left join lateral (
                     select s.name as stream, ",
                columns!(),
                "    from event_store.streams s cross join lateral (select scanned.*) e
                     where s.stream_no = scanned.stream_no
                         and (cardinality($3::text[]) = 0 or s.category = any($3))
                         and (cardinality($4::text[]) = 0 or scanned.name = any($4))
                 ) w on true",
            ))
            .bind(number::position_to_sql(after))
            .bind(limit)
            .bind(categories.clone())
            .bind(names.clone())
        };
        let rows = self.rows(READING_THE_LOG, query).await?;
        in_order(after, &rows, |row| match row.try_get::<Option<&str>, _>(2)? {
            Some(name) => event(row, 3, parsed(name)?).map(Some),
            None => Ok(None),
        })
    }

    /// A page of which everything is wanted.
    async fn whole_page(&self, after: Position, limit: i64) -> Result<Page, StoreError> {
        let query = move || {
            sqlx::query(concat!(
                "select h.position, e.position, e.stream_no, ",
                columns!(),
                " from event_store.head h
                 left join lateral (
                     select * from event_store.events e where e.position > $1 order by e.position limit $2
                 ) e on true",
            ))
            .bind(number::position_to_sql(after))
            .bind(limit)
        };
        let rows = self.rows(READING_THE_LOG, query).await?;
        let numbers = rows.iter().map(|row| row.try_get::<Option<i64>, _>(2));
        let numbers: HashSet<i64> = numbers
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()
            .map_err(|error| failure::of_read(READING_THE_LOG, &error))?;
        let names = self.names.of(numbers, self).await?;
        in_order(after, &rows, |row| {
            let name = names.get(&row.try_get(2)?);
            let name =
                name.ok_or_else(|| sqlx::Error::Decode("an event is of a stream without a name".into()))?;
            event(row, 3, name.clone()).map(Some)
        })
    }

    /// The rows of a query, which runs as a task of its own.
    pub(super) async fn rows(
        &self,
        doing: &'static str,
        query: impl Fn() -> Query<'static, Postgres, PgArguments> + Send + Sync + 'static,
    ) -> Result<Vec<PgRow>, StoreError> {
        self.run(doing, move |connection| Box::pin(query().fetch_all(connection))).await
    }

    /// Reads as a task of its own: a follower that nobody polls must not keep a connection.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        read: impl for<'c> Fn(&'c mut PgConnection) -> Reading<'c, T> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let reader = self.clone();
        let task = tokio::spawn(async move { reader.run_here(doing, read).await });
        let read = task.await.unwrap_or_else(|error| Err(failure::unavailable(doing, &error).into()));
        read.map_err(|failed| failed.error)
    }

    /// Reads, and again when the connection turns out to be broken.
    pub(super) async fn run_here<T>(
        &self,
        doing: &'static str,
        read: impl for<'c> Fn(&'c mut PgConnection) -> Reading<'c, T>,
    ) -> Result<T, Failed> {
        self.run_over(&mut None, doing, read).await
    }

    /// Reads over the connection that is held, if one is, and holds the one that it took.
    pub(super) async fn run_over<T>(
        &self,
        held: &mut Option<PoolConnection<Postgres>>,
        doing: &'static str,
        read: impl for<'c> Fn(&'c mut PgConnection) -> Reading<'c, T>,
    ) -> Result<T, Failed> {
        let mut attempt = 1;
        loop {
            let mut connection = match held.take() {
                Some(held) => held,
                None => self.pool.acquire().await.map_err(|error| failure::unavailable(doing, &error))?,
            };
            match tokio::time::timeout(self.timeout, read(&mut connection)).await {
                Ok(Ok(read)) => {
                    *held = Some(connection);
                    return Ok(read);
                }
                Ok(Err(error)) if failure::blame(&error) == Blame::Connection && attempt < self.attempts => {
                    attempt += 1;
                    connection.close_on_drop();
                }
                Ok(Err(error)) => {
                    // It may be in the middle of something: of a copy that is refused, the library leaves an answer
                    // unread, which the next query would take for its own.
                    connection.close_on_drop();
                    let refused = error.as_database_error().is_some();
                    return Err(Failed { error: failure::of_read(doing, &error), refused });
                }
                Err(_) => {
                    connection.close_on_drop();
                    return Err(failure::timed_out(doing).into());
                }
            }
        }
    }
}

/// What is read over a connection.
pub(super) type Reading<'c, T> = BoxFuture<'c, Result<T, sqlx::Error>>;

/// Why a query has no answer.
pub(super) struct Failed {
    pub(super) error: StoreError,
    /// The server has answered, and refused it: something of what was asked for may be to blame.
    pub(super) refused: bool,
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self { error, refused: false }
    }
}

/// How many rows a page may have: one at least.
fn row_count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).max(1)
}

enum PageError {
    Row(sqlx::Error),
    Missing { position: u64 },
}

impl From<sqlx::Error> for PageError {
    fn from(error: sqlx::Error) -> Self {
        Self::Row(error)
    }
}

/// A page of rows of the head, the position of an event, and what `read` makes of the rest. No position may be
/// missing. The rows are most likely in order already; the database was not made to sort them for that.
fn in_order(
    after: Position,
    rows: &[PgRow],
    read: impl Fn(&PgRow) -> Result<Option<RecordedEvent>, sqlx::Error>,
) -> Result<Page, StoreError> {
    page(after, rows, read).map_err(|error| match error {
        PageError::Row(error) => failure::of_read(READING_THE_LOG, &error),
        PageError::Missing { position } => missing(&format!("the event at position {position}")),
    })
}

fn page(
    after: Position,
    rows: &[PgRow],
    read: impl Fn(&PgRow) -> Result<Option<RecordedEvent>, sqlx::Error>,
) -> Result<Page, PageError> {
    let mut head = Position::START;
    let mut scanned = Vec::with_capacity(rows.len());
    for row in rows {
        head = number::position_from_sql(row.try_get(0)?)?;
        // There is none in the one row of a page that has no events.
        if let Some(position) = row.try_get::<Option<i64>, _>(1)? {
            scanned.push((number::position_from_sql(position)?, row));
        }
    }
    scanned.sort_by_key(|(position, _)| *position);
    let mut page = Page { events: Vec::with_capacity(scanned.len()), scanned: after, end: false };
    for (position, row) in scanned {
        let next = page.scanned.number().saturating_add(1);
        if position.number() != next {
            return Err(PageError::Missing { position: next });
        }
        page.scanned = position;
        page.events.extend(read(row)?);
    }
    if page.scanned == after && head > after {
        return Err(PageError::Missing { position: after.number() + 1 });
    }
    page.end = page.scanned >= head;
    Ok(page)
}

/// The events that rows of a stream's name and an event's columns say.
fn decoded(doing: &'static str, rows: &[PgRow]) -> Result<Vec<RecordedEvent>, StoreError> {
    let read = |row: &PgRow| event(row, 1, parsed(row.try_get(0)?)?);
    let events: Result<_, sqlx::Error> = rows.iter().map(read).collect();
    events.map_err(|error| failure::of_read(doing, &error))
}

fn parsed(name: &str) -> Result<StreamName, sqlx::Error> {
    name.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// The event of which the columns begin at `first`.
pub(super) fn event(row: &PgRow, first: usize, stream: StreamName) -> Result<RecordedEvent, sqlx::Error> {
    let version: i16 = row.try_get(first + 4)?;
    let Json(metadata) = row.try_get::<Json<Metadata>, _>(first + 6)?;
    Ok(RecordedEvent {
        position: number::position_from_sql(row.try_get(first)?)?,
        stream,
        revision: number::from_sql(row.try_get(first + 1)?)?,
        id: row.try_get(first + 2)?,
        name: row.try_get(first + 3)?,
        version: version.try_into().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        payload: Bytes::from(row.try_get::<Vec<u8>, _>(first + 5)?),
        metadata,
        recorded_at: row.try_get(first + 7)?,
    })
}

/// The events of a stream from a revision on, if none is missing.
pub(super) fn without_holes(
    stream: &StreamName,
    from: u64,
    events: Vec<RecordedEvent>,
) -> Result<Vec<RecordedEvent>, StoreError> {
    one_after_the_other(stream, &events)?;
    match events.first() {
        Some(first) if first.revision != from => {
            Err(missing(&format!("an event of {stream} before revision {}", first.revision)))
        }
        _ => Ok(events),
    }
}

fn one_after_the_other(stream: &StreamName, events: &[RecordedEvent]) -> Result<(), StoreError> {
    let hole = events.windows(2).find(|pair| pair[0].revision.abs_diff(pair[1].revision) != 1);
    hole.map_or(Ok(()), |pair| {
        Err(missing(&format!("an event of {stream} beside revision {}", pair[0].revision)))
    })
}

fn missing(what: &str) -> StoreError {
    StoreError::Corrupt { reason: format!("{what} is missing") }
}
