//! What is read from the log. A reader that finds a hole in history says so and stops: no one ever passes over a position
//! that is missing.

mod connection;
mod whole;

use std::{collections::HashSet, time::Duration};

use events::StreamName;
use sqlx::{Row, postgres::PgPool};
use uuid::Uuid;

use self::whole::{decoded, in_order, one_after_the_other, parsed};
pub(super) use self::{
    connection::{Failed, TRUSTED_IDLE},
    whole::{event, without_holes},
};
use super::{copying, failure, names::Names, number};
use crate::{Filter, Page, Position, RecordedEvent, StoreError};

const READING_THE_LOG: &str = "reading the log";

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
}

/// How many rows a page may have: one at least.
fn row_count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).max(1)
}
