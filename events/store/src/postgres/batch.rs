//! What is committed together: which of the appends that wait go into the next batch, how they are
//! laid out for the append function, and which answer belongs to whom. Nothing here waits or fails on
//! its own; the sequencer does both.

use std::{
    collections::{HashSet, VecDeque},
    time::Instant,
};

use chrono::{DateTime, Utc};
use events::StreamName;
use sqlx::{Postgres, Row, postgres::PgRow, query::Query};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{failure, number};
use crate::{
    AppendError, Appended, ExpectedRevision, FoundEvent, NewEvent, Position, RecordedEvent, StoreError,
    limits,
};

/// An append whose caller waits, or has gone away.
pub(super) struct Waiting {
    pub(super) stream: StreamName,
    pub(super) expected: ExpectedRevision,
    pub(super) events: Vec<NewEvent>,
    /// The envelopes as they are written.
    pub(super) metadata: Vec<String>,
    pub(super) since: Instant,
    pub(super) answer: oneshot::Sender<Result<Appended, AppendError>>,
}

impl Waiting {
    pub(super) fn settle(self, answer: Result<Appended, AppendError>) {
        // A caller that went away does not want to know.
        let _ = self.answer.send(answer);
    }
}

/// How much is committed at once. An append that is larger alone still goes, alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchLimits {
    pub(super) events_max: usize,
    pub(super) bytes_max: usize,
}

/// Takes from the front of `waiting` what can be committed together. Within a batch each stream and
/// each event id occurs once; what would be second stays, and so does all that must stay behind it.
pub(super) fn gather(waiting: &mut VecDeque<Waiting>, limits: BatchLimits) -> Vec<Waiting> {
    let mut batch: Vec<Waiting> = Vec::new();
    let mut later = VecDeque::new();
    let mut streams: HashSet<StreamName> = HashSet::new();
    let mut ids: HashSet<Uuid> = HashSet::new();
    let (mut events, mut bytes) = (0, 0);
    while let Some(next) = waiting.pop_front() {
        let (size, size_bytes) = (next.events.len(), limits::size_bytes(&next.events));
        if !batch.is_empty() && (events + size > limits.events_max || bytes + size_bytes > limits.bytes_max) {
            waiting.push_front(next);
            break;
        }
        let new_stream = streams.insert(next.stream.clone());
        let new_ids = next.events.iter().filter(|event| ids.insert(event.id)).count();
        if new_stream && new_ids == size {
            events += size;
            bytes += size_bytes;
            batch.push(next);
        } else {
            later.push_back(next);
        }
    }
    later.append(waiting);
    *waiting = later;
    batch
}

/// The call of the append function for these appends.
pub(super) fn call(batch: &[Waiting]) -> Query<'_, Postgres, sqlx::postgres::PgArguments> {
    let each = || batch.iter().flat_map(|append| &append.events);
    let sizes = || batch.iter().map(|append| append.events.len());
    sqlx::query(
        "select append_number, outcome, revision, position, event_id, in_stream, recorded_at
         from event_store.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(batch.iter().map(|append| append.stream.as_str()).collect::<Vec<_>>())
    .bind(batch.iter().map(|append| append.stream.category()).collect::<Vec<_>>())
    .bind(batch.iter().map(|append| expectation(append.expected)).collect::<Vec<_>>())
    .bind(sizes().map(|size| size.try_into().unwrap_or(i32::MAX)).collect::<Vec<i32>>())
    .bind((1..).zip(sizes()).flat_map(|(append, size)| vec![append; size]).collect::<Vec<i32>>())
    .bind(sizes().flat_map(|size| (0..).take(size)).collect::<Vec<i32>>())
    .bind(each().map(|event| event.id).collect::<Vec<_>>())
    .bind(each().map(|event| event.name.as_str()).collect::<Vec<_>>())
    // Checked against the limits before it was queued.
    .bind(each().map(|event| event.version.try_into().unwrap_or(i16::MAX)).collect::<Vec<i16>>())
    .bind(each().map(|event| &event.payload[..]).collect::<Vec<_>>())
    .bind(batch.iter().flat_map(|append| append.metadata.iter().map(String::as_str)).collect::<Vec<_>>())
}

fn expectation(expected: ExpectedRevision) -> i64 {
    match expected {
        ExpectedRevision::Any => -2,
        ExpectedRevision::NoStream => -1,
        ExpectedRevision::Exact(revision) => number::to_sql(revision),
    }
}

/// What the append function said about one append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Appended { appended: Appended, recorded_at: DateTime<Utc> },
    Replayed(Appended),
    Conflict { current: Option<u64> },
    Found(Vec<FoundEvent>),
}

/// The verdict on each append of a batch of `size`, in order.
pub(super) fn verdicts(size: usize, rows: &[PgRow]) -> Result<Vec<Verdict>, StoreError> {
    let mut verdicts: Vec<Option<Verdict>> = vec![None; size];
    for row in rows {
        let (number, next) = verdict(row).map_err(|error| failure::of_read("appending", &error))?;
        let slot = usize::try_from(number).ok().and_then(|number| verdicts.get_mut(number.checked_sub(1)?));
        let slot = slot.ok_or_else(|| unheard_of(&format!("an answer to append {number} of {size}")))?;
        match (slot, next) {
            (Some(Verdict::Found(found)), Verdict::Found(more)) => found.extend(more),
            (slot @ None, next) => *slot = Some(next),
            (Some(_), _) => return Err(unheard_of(&format!("two answers to append {number}"))),
        }
    }
    let all: Option<Vec<Verdict>> = verdicts.into_iter().collect();
    all.ok_or_else(|| unheard_of("an append without an answer"))
}

fn verdict(row: &PgRow) -> Result<(i32, Verdict), sqlx::Error> {
    let place = |replayed| {
        let revision = number::from_sql(row.try_get("revision")?)?;
        let position = number::position_from_sql(row.try_get("position")?)?;
        Ok::<_, sqlx::Error>(Appended { revision, position, replayed })
    };
    let verdict = match row.try_get("outcome")? {
        "appended" => Verdict::Appended { appended: place(false)?, recorded_at: row.try_get("recorded_at")? },
        "replayed" => Verdict::Replayed(place(true)?),
        "conflict" => {
            let current: Option<i64> = row.try_get("revision")?;
            Verdict::Conflict { current: current.map(number::from_sql).transpose()? }
        }
        "found" => {
            let stream = row.try_get::<&str, _>("in_stream")?.parse();
            Verdict::Found(vec![FoundEvent {
                event_id: row.try_get("event_id")?,
                stream: stream.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
                appended: place(true)?,
            }])
        }
        other => return Err(sqlx::Error::Decode(format!("the outcome {other:?} is unknown").into())),
    };
    Ok((row.try_get("append_number")?, verdict))
}

/// The events of an append, as whoever reads the log gets them.
pub(super) fn recorded<'a>(
    append: &'a Waiting,
    appended: &'a Appended,
    recorded_at: DateTime<Utc>,
) -> impl Iterator<Item = RecordedEvent> + 'a {
    let count = append.events.len() as u64;
    let (position, revision) = (appended.position.number() + 1 - count, appended.revision + 1 - count);
    append.events.iter().zip(0..).map(move |(event, place)| RecordedEvent {
        position: Position::of(position + place),
        stream: append.stream.clone(),
        revision: revision + place,
        id: event.id,
        name: event.name.clone(),
        version: event.version,
        payload: event.payload.clone(),
        metadata: event.metadata.clone(),
        recorded_at,
    })
}

fn unheard_of(what: &str) -> StoreError {
    StoreError::Corrupt { reason: format!("the append function gave {what}") }
}

#[cfg(test)]
mod tests;
