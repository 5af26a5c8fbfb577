//! The event ids of the streams that were lately appended to, as far as each was read. Streams only grow,
//! so what is known of one stays right and is brought up to date by reading on from there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use events::StreamName;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use uuid::Uuid;

use super::{reading::Reader, record::Stored};
use crate::{Direction, StoreError};

/// How much is read at once.
const PAGE_EVENTS: usize = 1_000;

/// How far a stream has to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UpTo {
    /// To this revision; `None` for nothing at all.
    Revision(Option<u64>),
    /// To its end at some moment from now on.
    End,
}

/// What is known of one stream: each id with its revision, from the first event on.
#[derive(Debug, Default)]
pub(super) struct Known {
    revisions: HashMap<Uuid, u64>,
}

impl Known {
    pub(super) fn revision_of(&self, event_id: Uuid) -> Option<u64> {
        self.revisions.get(&event_id).copied()
    }

    /// The last revision that is known.
    pub(super) fn last(&self) -> Option<u64> {
        (self.revisions.len() as u64).checked_sub(1)
    }

    /// Takes in what comes next.
    pub(super) fn learn(&mut self, ids: impl IntoIterator<Item = Uuid>) {
        for id in ids {
            let revision = self.revisions.len() as u64;
            self.revisions.insert(id, revision);
        }
    }

    async fn read_on(&mut self, reader: &Reader, stream: &StreamName, upto: UpTo) -> Result<(), StoreError> {
        loop {
            let next = self.revisions.len() as u64;
            let wanted = match upto {
                UpTo::Revision(None) => return Ok(()),
                UpTo::Revision(Some(last)) if last < next => return Ok(()),
                UpTo::Revision(Some(_)) | UpTo::End => PAGE_EVENTS,
            };
            let page = reader.stream(stream, Direction::Forwards, Some(next), wanted).await?;
            let ended = page.len() < wanted;
            for Stored { recorded, .. } in page {
                let (id, revision) = (recorded.id, recorded.revision);
                if self.revisions.insert(id, revision).is_some() {
                    let reason = format!("event {id} is in {stream} twice, the second time at {revision}");
                    return Err(StoreError::Corrupt { reason });
                }
            }
            if ended {
                return Ok(());
            }
        }
    }
}

/// What is known of many streams, the ones used last.
pub(super) struct KnownStreams {
    ids_max: usize,
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Streams {
    by_name: HashMap<StreamName, Entry>,
    /// Counts the uses.
    now: u64,
}

struct Entry {
    known: Arc<Turn<Known>>,
    used: u64,
}

impl KnownStreams {
    pub(super) fn new(ids_max: usize) -> Self {
        Self { ids_max, streams: Mutex::default() }
    }

    /// What is known of a stream, brought up to date; whoever else wants it waits until this is dropped.
    pub(super) async fn of(
        &self,
        reader: &Reader,
        stream: &StreamName,
        upto: UpTo,
    ) -> Result<OwnedMutexGuard<Known>, StoreError> {
        let known = self.entry(stream);
        let mut known = known.lock_owned().await;
        known.read_on(reader, stream, upto).await?;
        Ok(known)
    }

    fn entry(&self, stream: &StreamName) -> Arc<Turn<Known>> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.now += 1;
        let now = streams.now;
        if !streams.by_name.contains_key(stream) {
            streams.make_room(self.ids_max);
        }
        let entry = streams
            .by_name
            .entry(stream.clone())
            .or_insert_with(|| Entry { known: Arc::default(), used: now });
        entry.used = now;
        Arc::clone(&entry.known)
    }
}

impl Streams {
    /// Forgets the streams that were used longest ago, until half of the room is free, when there is none.
    fn make_room(&mut self, ids_max: usize) {
        // One that somebody uses just now counts as one id and stays.
        let ids = |entry: &Entry| entry.known.try_lock().map_or(1, |known| known.revisions.len() + 1);
        // Counting takes a while, and a little over is no harm.
        if !self.now.is_multiple_of(1_024) {
            return;
        }
        let mut by_use: Vec<_> =
            self.by_name.iter().map(|(name, entry)| (entry.used, ids(entry), name.clone())).collect();
        let mut all: usize = by_use.iter().map(|(_, ids, _)| ids).sum();
        if all <= ids_max {
            return;
        }
        by_use.sort_unstable();
        for (_, ids, name) in by_use {
            if all <= ids_max / 2 {
                break;
            }
            all -= ids;
            self.by_name.remove(&name);
        }
    }
}
