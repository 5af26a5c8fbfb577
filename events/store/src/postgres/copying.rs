//! A full page of the log, copied out. Where much is to be read, what a row costs on its way counts: in the binary
//! format of `copy` (PostgreSQL manual, `COPY`, "Binary Format") it comes as it is stored, and what is read from it
//! here is read once, while the server sends the next.

use std::collections::HashSet;

use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use events::StreamName;
use futures::TryStreamExt;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{names::Names, number, reading::Reader};
use crate::{Page, Position, RecordedEvent, StoreError};

const DOING: &str = "copying the log";

/// What a copy begins with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Where the time of the server begins, 2000-01-01, in microseconds of the Unix epoch.
const SERVER_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The columns of an event, in the order in which [`Copied::read`] reads them.
const COLUMNS: &str =
    "position, stream_no, revision, event_id, name, version, payload, metadata, recorded_at";
const COLUMNS_COUNT: i16 = 9;

/// The next `limit` events behind `after`, of which somebody has heard that they are there, and more behind them;
/// nothing if that is not so.
pub(super) async fn full_page(
    reader: &Reader,
    names: &Names,
    after: Position,
    limit: usize,
) -> Result<Option<Page>, StoreError> {
    let copied = reader.run(DOING, move |connection| Box::pin(copy(connection, after, limit))).await?;
    if copied.len() < limit {
        return Ok(None);
    }
    let names =
        names.of(copied.iter().map(|copied| copied.stream_no).collect::<HashSet<_>>(), reader).await?;
    let mut page = Page { events: Vec::with_capacity(copied.len()), scanned: after, end: false };
    for copied in copied {
        let next = page.scanned.number() + 1;
        if copied.position.number() != next {
            return Err(StoreError::Corrupt { reason: format!("the event at position {next} is missing") });
        }
        page.scanned = copied.position;
        let stream = names.get(&copied.stream_no).ok_or_else(|| StoreError::Corrupt {
            reason: format!("the event at position {next} is of a stream without a name"),
        })?;
        page.events.push(copied.of(stream.clone()));
    }
    Ok(Some(page))
}

async fn copy(
    connection: &mut PgConnection,
    after: Position,
    limit: usize,
) -> Result<Vec<Copied>, sqlx::Error> {
    let after = number::position_to_sql(after);
    let statement = format!(
        "copy (select {COLUMNS} from event_store.events where position > {after} order by position limit {limit})
         to stdout (format binary)"
    );
    let mut copied = Vec::with_capacity(limit);
    let mut begun = false;
    let mut chunks = connection.copy_out_raw(&statement).await?;
    while let Some(chunk) = chunks.try_next().await? {
        let mut fields = Fields(&chunk);
        if !begun {
            fields.header()?;
            begun = true;
        }
        while let Some(next) = Copied::read(&mut fields)? {
            copied.push(next);
        }
    }
    Ok(copied)
}

/// An event as it comes, of a stream of which only the number is known.
struct Copied {
    position: Position,
    stream_no: i64,
    revision: u64,
    id: Uuid,
    name: String,
    version: u16,
    payload: Bytes,
    metadata: events::Metadata,
    recorded_at: DateTime<Utc>,
}

impl Copied {
    /// The next row of what has come; nothing at the end of it.
    fn read(fields: &mut Fields<'_>) -> Result<Option<Self>, sqlx::Error> {
        if fields.0.is_empty() {
            return Ok(None);
        }
        match fields.take::<2>().map(i16::from_be_bytes)? {
            -1 => return Ok(None),
            COLUMNS_COUNT => {}
            other => return Err(not_understood(&format!("a row has {other} columns"))),
        }
        Ok(Some(Self {
            position: number::position_from_sql(fields.number()?)?,
            stream_no: fields.number()?,
            revision: number::from_sql(fields.number()?)?,
            id: Uuid::from_bytes(fields.of_size()?),
            name: std::str::from_utf8(fields.bytes()?).map_err(decode)?.to_owned(),
            version: i16::from_be_bytes(fields.of_size()?).try_into().map_err(decode)?,
            // A copy, so that the event does not keep what came with it.
            payload: Bytes::copy_from_slice(fields.bytes()?),
            metadata: serde_json::from_slice(fields.bytes()?).map_err(decode)?,
            recorded_at: fields.number().and_then(time)?,
        }))
    }

    fn of(self, stream: StreamName) -> RecordedEvent {
        RecordedEvent {
            position: self.position,
            stream,
            revision: self.revision,
            id: self.id,
            name: self.name,
            version: self.version,
            payload: self.payload,
            metadata: self.metadata,
            recorded_at: self.recorded_at,
        }
    }
}

/// From microseconds since 2000.
fn time(micros: i64) -> Result<DateTime<Utc>, sqlx::Error> {
    let since_epoch = micros.checked_add(SERVER_EPOCH_MICROS).map(Duration::microseconds);
    let time = since_epoch.and_then(|since| DateTime::UNIX_EPOCH.checked_add_signed(since));
    time.ok_or_else(|| not_understood("a time is out of range"))
}

/// What has come of a copy and was not read yet. A row never comes in pieces (PostgreSQL manual, "Message Formats",
/// `CopyData`).
struct Fields<'c>(&'c [u8]);

impl<'c> Fields<'c> {
    fn header(&mut self) -> Result<(), sqlx::Error> {
        if self.split(SIGNATURE.len())? != SIGNATURE {
            return Err(not_understood("it does not begin like one"));
        }
        let _flags = self.take::<4>()?;
        let extension = self.length()?;
        self.split(extension)?;
        Ok(())
    }

    fn number(&mut self) -> Result<i64, sqlx::Error> {
        Ok(i64::from_be_bytes(self.of_size()?))
    }

    /// A value that has this size.
    fn of_size<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], sqlx::Error> {
        match self.length()? {
            size if size == SIZE => self.take(),
            size => Err(not_understood(&format!("a value of {SIZE} bytes has {size}"))),
        }
    }

    /// A value of any size. None is null in the log.
    fn bytes(&mut self) -> Result<&'c [u8], sqlx::Error> {
        let length = self.length()?;
        self.split(length)
    }

    fn length(&mut self) -> Result<usize, sqlx::Error> {
        i32::from_be_bytes(self.take()?).try_into().map_err(decode)
    }

    fn take<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], sqlx::Error> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn split(&mut self, length: usize) -> Result<&'c [u8], sqlx::Error> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn cut_off() -> sqlx::Error {
    not_understood("it ends in the middle")
}

fn not_understood(what: &str) -> sqlx::Error {
    decode(format!("a copy of the log is not understood: {what}"))
}

fn decode(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
