//! What rows of the log say, as events, and what must hold of them: no position and no revision is missing.

use bytes::Bytes;
use events::{Metadata, StreamName};
use sqlx::{Row, postgres::PgRow, types::Json};

use super::super::{failure, number};
use crate::{Page, Position, RecordedEvent, StoreError};

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
pub(super) fn in_order(
    after: Position,
    rows: &[PgRow],
    read: impl Fn(&PgRow) -> Result<Option<RecordedEvent>, sqlx::Error>,
) -> Result<Page, StoreError> {
    page(after, rows, read).map_err(|error| match error {
        PageError::Row(error) => failure::of_read(super::READING_THE_LOG, &error),
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
pub(super) fn decoded(doing: &'static str, rows: &[PgRow]) -> Result<Vec<RecordedEvent>, StoreError> {
    let read = |row: &PgRow| event(row, 1, parsed(row.try_get(0)?)?);
    let events: Result<_, sqlx::Error> = rows.iter().map(read).collect();
    events.map_err(|error| failure::of_read(doing, &error))
}

pub(super) fn parsed(name: &str) -> Result<StreamName, sqlx::Error> {
    name.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// The event of which the columns begin at `first`.
pub(in crate::postgres) fn event(
    row: &PgRow,
    first: usize,
    stream: StreamName,
) -> Result<RecordedEvent, sqlx::Error> {
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
pub(in crate::postgres) fn without_holes(
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

pub(super) fn one_after_the_other(stream: &StreamName, events: &[RecordedEvent]) -> Result<(), StoreError> {
    let hole = events.windows(2).find(|pair| pair[0].revision.abs_diff(pair[1].revision) != 1);
    hole.map_or(Ok(()), |pair| {
        Err(missing(&format!("an event of {stream} beside revision {}", pair[0].revision)))
    })
}

fn missing(what: &str) -> StoreError {
    StoreError::Corrupt { reason: format!("{what} is missing") }
}
