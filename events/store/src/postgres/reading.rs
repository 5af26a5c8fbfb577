//! What is read from the log, and what must hold of it. Reading changes nothing, so that a read whose
//! connection broke is simply made again on another one, and a read whose reader went away or stopped
//! looking still runs to its end and gives its connection back. A reader that finds a hole in history
//! says so and stops: no one ever passes over a position that is missing.

use std::time::Duration;

use bytes::Bytes;
use events::{Metadata, StreamName};
use sqlx::{
    Connection, Postgres, Row,
    postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow},
    query::Query,
    types::Json,
};
use uuid::Uuid;

use super::{
    failure::{self, Blame},
    number,
};
use crate::{Direction, Filter, Page, Position, RecordedEvent, StoreError};

/// A connection that lay idle for longer is asked whether it still lives before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub(super) struct Reader {
    pool: PgPool,
    /// How long a statement may take, as seen from here.
    timeout: Duration,
    /// Enough to get past every connection of the pool when all have broken at once.
    attempts: u32,
}

impl Reader {
    /// Connects when it is first used.
    pub(super) fn new(
        options: PgConnectOptions,
        connections: u32,
        acquire_timeout: Duration,
        timeout: Duration,
    ) -> Self {
        let pool = PgPoolOptions::new()
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
        Self { pool, timeout, attempts: connections + 1 }
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
            sqlx::query(
                "select e.position, s.name as stream, e.revision, e.event_id, e.name, e.version, e.payload,
                     e.metadata, e.recorded_at
                 from event_store.events e join event_store.streams s on s.stream_no = e.stream_no
                 where e.event_id = $1",
            )
            .bind(event_id)
        };
        Ok(decoded(doing, &self.rows(doing, query).await?)?.pop())
    }

    pub(super) async fn stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        from: Option<u64>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let doing = "reading a stream";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let name = stream.as_str().to_owned();
        let query = move || {
            let (sql, from) = match direction {
                Direction::Forwards => (
                    "select e.position, s.name as stream, e.revision, e.event_id, e.name, e.version, e.payload,
                         e.metadata, e.recorded_at
                     from event_store.streams s join event_store.events e on e.stream_no = s.stream_no
                     where s.name = $1 and e.revision >= $2
                     order by e.revision limit $3",
                    from.unwrap_or(0),
                ),
                Direction::Backwards => (
                    "select e.position, s.name as stream, e.revision, e.event_id, e.name, e.version, e.payload,
                         e.metadata, e.recorded_at
                     from event_store.streams s join event_store.events e on e.stream_no = s.stream_no
                     where s.name = $1 and e.revision <= $2
                     order by e.revision desc limit $3",
                    from.unwrap_or(u64::MAX),
                ),
            };
            sqlx::query(sql).bind(name.clone()).bind(number::to_sql(from)).bind(limit)
        };
        let events = decoded(doing, &self.rows(doing, query).await?)?;
        for pair in events.windows(2) {
            if pair[0].revision.abs_diff(pair[1].revision) != 1 {
                return Err(missing(&format!("an event of {stream} beside revision {}", pair[0].revision)));
            }
        }
        if let (Direction::Forwards, Some(first)) = (direction, events.first())
            && first.revision != from.unwrap_or(0)
        {
            return Err(missing(&format!("an event of {stream} before revision {}", first.revision)));
        }
        Ok(events)
    }

    /// One snapshot of the head and of the events behind `after`. Events that the filter does not want
    /// come as bare positions, so that a hole shows through every filter.
    pub(super) async fn page(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let doing = "reading the log";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).max(1);
        let Filter { categories, names } = filter.clone();
        let query = move || {
            sqlx::query(
                "select h.position as head, e.position as scanned, w.*
                 from event_store.head h
                 left join lateral (
                     select * from event_store.events e where e.position > $1 order by e.position limit $2
                 ) e on true
                 left join lateral (
                     select e.position, s.name as stream, e.revision, e.event_id, e.name, e.version, e.payload,
                         e.metadata, e.recorded_at
                     from event_store.streams s
                     where s.stream_no = e.stream_no
                         and (cardinality($3::text[]) = 0 or s.category = any($3))
                         and (cardinality($4::text[]) = 0 or e.name = any($4))
                 ) w on true
                 order by e.position",
            )
            .bind(number::position_to_sql(after))
            .bind(limit)
            .bind(categories.clone())
            .bind(names.clone())
        };
        let rows = self.rows(doing, query).await?;
        page(after, &rows).map_err(|error| match error {
            PageError::Row(error) => failure::of_read(doing, &error),
            PageError::Missing { position } => missing(&format!("the event at position {position}")),
        })
    }

    /// Runs a query as a task of its own: a follower that nobody polls must not keep a connection.
    async fn rows(
        &self,
        doing: &'static str,
        query: impl Fn() -> Query<'static, Postgres, PgArguments> + Send + 'static,
    ) -> Result<Vec<PgRow>, StoreError> {
        let reader = self.clone();
        let task = tokio::spawn(async move { reader.fetch(doing, query).await });
        task.await.unwrap_or_else(|error| Err(failure::unavailable(doing, &error)))
    }

    /// Runs a query, and again when its connection turns out to be broken.
    async fn fetch(
        &self,
        doing: &'static str,
        query: impl Fn() -> Query<'static, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, StoreError> {
        let mut attempt = 1;
        loop {
            let mut connection =
                self.pool.acquire().await.map_err(|error| failure::unavailable(doing, &error))?;
            match tokio::time::timeout(self.timeout, query().fetch_all(&mut *connection)).await {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(error)) if failure::blame(&error) == Blame::Connection && attempt < self.attempts => {
                    attempt += 1;
                    connection.close_on_drop();
                }
                Ok(Err(error)) => return Err(failure::of_read(doing, &error)),
                Err(_) => {
                    connection.close_on_drop();
                    return Err(failure::timed_out(doing));
                }
            }
        }
    }
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

fn page(after: Position, rows: &[PgRow]) -> Result<Page, PageError> {
    let mut page = Page { events: Vec::with_capacity(rows.len()), scanned: after, end: false };
    let mut head = Position::START;
    for row in rows {
        head = number::position_from_sql(row.try_get("head")?)?;
        // The one row of a page that has no events.
        let Some(position) = row.try_get::<Option<i64>, _>("scanned")? else { break };
        let next = page.scanned.number().saturating_add(1);
        if number::position_from_sql(position)?.number() != next {
            return Err(PageError::Missing { position: next });
        }
        page.scanned = Position::of(next);
        if row.try_get::<Option<i64>, _>("position")?.is_some() {
            page.events.push(event(row)?);
        }
    }
    if page.scanned == after && head > after {
        return Err(PageError::Missing { position: after.number() + 1 });
    }
    page.end = page.scanned >= head;
    Ok(page)
}

fn decoded(doing: &'static str, rows: &[PgRow]) -> Result<Vec<RecordedEvent>, StoreError> {
    let events: Result<_, sqlx::Error> = rows.iter().map(event).collect();
    events.map_err(|error| failure::of_read(doing, &error))
}

fn event(row: &PgRow) -> Result<RecordedEvent, sqlx::Error> {
    let stream = row.try_get::<&str, _>("stream")?.parse();
    let version: i16 = row.try_get("version")?;
    let Json(metadata) = row.try_get::<Json<Metadata>, _>("metadata")?;
    Ok(RecordedEvent {
        position: number::position_from_sql(row.try_get("position")?)?,
        stream: stream.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        revision: number::from_sql(row.try_get("revision")?)?,
        id: row.try_get("event_id")?,
        name: row.try_get("name")?,
        version: version.try_into().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        payload: Bytes::from(row.try_get::<Vec<u8>, _>("payload")?),
        metadata,
        recorded_at: row.try_get("recorded_at")?,
    })
}

fn missing(what: &str) -> StoreError {
    StoreError::Corrupt { reason: format!("{what} is missing") }
}
