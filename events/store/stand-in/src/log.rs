//! The log of the server: records in the order in which they were written, each at a place that says only
//! what comes before what.

use std::collections::HashMap;

use bytes::Bytes;
use uuid::Uuid;

/// Every log has something of the server's own before its first event.
const FIRST_POSITION: u64 = 1_733;

/// A written event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its stream.
    pub stream: String,
    /// Its place in the stream.
    pub revision: u64,
    /// Its id.
    pub id: Uuid,
    /// Type, content type and time.
    pub metadata: HashMap<String, String>,
    /// Whatever the client wrote beside it.
    pub custom_metadata: Bytes,
    /// Whatever the client wrote.
    pub data: Bytes,
    /// Where it was committed.
    pub commit: u64,
    /// Where it was prepared.
    pub prepare: u64,
}

/// An event that a client proposes.
#[derive(Debug, Clone)]
pub(crate) struct Proposed {
    pub(crate) id: Uuid,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) custom_metadata: Bytes,
    pub(crate) data: Bytes,
}

/// What a client expects of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    NoStream,
    Revision(u64),
    Any,
    StreamExists,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Written { revision: u64, position: u64 },
    WrittenBefore { revision: u64 },
    WrongRevision { current: Option<u64> },
}

/// Everything that was written.
#[derive(Debug, Default)]
pub struct Log {
    records: Vec<Record>,
    /// For each stream, where its records are.
    streams: HashMap<String, Vec<usize>>,
}

impl Log {
    /// Every record.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Every record, to tamper with.
    pub fn records_mut(&mut self) -> &mut [Record] {
        &mut self.records
    }

    /// Writes an event that no client proposed.
    pub fn write(&mut self, stream: &str, kind: &str, custom_metadata: &'static str) {
        let metadata = HashMap::from([("type".to_owned(), kind.to_owned())]);
        let custom_metadata = Bytes::from_static(custom_metadata.as_bytes());
        let proposed = Proposed { id: Uuid::new_v4(), metadata, custom_metadata, data: Bytes::new() };
        self.put(stream, proposed);
    }

    /// The records of a stream; `None` when there is no such stream.
    pub(crate) fn stream(&self, name: &str) -> Option<impl DoubleEndedIterator<Item = &Record> + use<'_>> {
        Some(self.streams.get(name)?.iter().map(|&at| &self.records[at]))
    }

    pub(crate) fn append(&mut self, stream: &str, expected: Expected, events: Vec<Proposed>) -> Outcome {
        let written = self.streams.get(stream).map_or(0, Vec::len) as u64;
        let current = written.checked_sub(1);
        let wrong = Outcome::WrongRevision { current };
        let begins_at = match expected {
            Expected::Revision(revision) if revision >= written => return wrong,
            Expected::StreamExists if written == 0 => return wrong,
            Expected::Revision(revision) => revision + 1,
            Expected::NoStream => 0,
            Expected::Any | Expected::StreamExists => written,
        };
        if begins_at < written {
            return if self.holds(stream, begins_at, &events) {
                Outcome::WrittenBefore { revision: begins_at + events.len() as u64 - 1 }
            } else {
                wrong
            };
        }
        let mut outcome = wrong;
        for event in events {
            let Record { revision, commit: position, .. } = *self.put(stream, event);
            outcome = Outcome::Written { revision, position };
        }
        outcome
    }

    /// Whether exactly these events are in the stream from a revision on.
    fn holds(&self, stream: &str, from: u64, events: &[Proposed]) -> bool {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let there = self.stream(stream).into_iter().flatten().skip(from).map(|record| record.id);
        let wanted: Vec<Uuid> = events.iter().map(|event| event.id).collect();
        there.take(wanted.len()).eq(wanted)
    }

    fn put(&mut self, stream: &str, event: Proposed) -> &Record {
        let at = self.records.len();
        let before = self.records.last().map(|last| last.commit + size(last));
        let position = before.unwrap_or(FIRST_POSITION);
        let indexes = self.streams.entry(stream.to_owned()).or_default();
        let Proposed { id, metadata, custom_metadata, data } = event;
        let (revision, stream) = (indexes.len() as u64, stream.to_owned());
        indexes.push(at);
        self.records.push(Record {
            stream,
            revision,
            id,
            metadata,
            custom_metadata,
            data,
            commit: position,
            prepare: position,
        });
        &self.records[at]
    }
}

/// How much room a record takes in the log.
fn size(record: &Record) -> u64 {
    (101 + record.stream.len() + record.data.len() + record.custom_metadata.len()) as u64
}
