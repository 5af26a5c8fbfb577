//! Snapshots of one context: which one to begin with where nothing is in memory, and when to store one.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use domain::{Decider, Snapshotted};
use event_store::{Direction, EventStore};
use events::StreamName;
use tokio::time::{Instant, timeout};

use super::history::{Folded, LastEvent, PAGE_EVENTS};
use crate::{LoadError, Snapshots, StoredSnapshot, snapshots::SnapshotError};

/// For how long nobody asks a store again that has failed.
const LEFT_ALONE: Duration = Duration::from_secs(5);

/// How many bytes of snapshots are written for each event at most: a large state is stored less often.
const BYTES_PER_EVENT: u64 = 256;

/// Stores the states of one context, and finds them again.
pub(super) struct Storing<D> {
    snapshots: Snapshots,
    version: i32,
    encode: fn(&D) -> serde_json::Result<String>,
    decode: fn(&str) -> serde_json::Result<D>,
    /// Since the store has failed.
    left_alone_until: Mutex<Option<Instant>>,
}

impl<D: Snapshotted> Storing<D> {
    pub(super) fn to(snapshots: Snapshots) -> Self {
        Self {
            snapshots,
            version: D::VERSION,
            encode: |state| serde_json::to_string(state),
            decode: |text| serde_json::from_str(text),
            left_alone_until: Mutex::default(),
        }
    }
}

impl<D: Decider> Storing<D> {
    /// What is stored of a stream, to be held against the log; `None` where there is nothing that this release can
    /// use.
    pub(super) async fn find(&self, stream: &StreamName) -> Option<Folded<D>> {
        if self.left_alone_until().is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let snapshot =
            match in_time(self.snapshots.patience, self.snapshots.store.get(stream, self.version)).await {
                Ok(found) => found?,
                Err(reason) => {
                    tracing::warn!(reason, "snapshots cannot be read; histories are read instead");
                    self.leave_alone();
                    return None;
                }
            };
        let next = self.next_after(snapshot.revision + 1, &snapshot.state);
        let StoredSnapshot { revision, position, event_id: id, state, .. } = snapshot;
        match (self.decode)(&state) {
            Ok(state) => Some(Folded::stored(state, LastEvent { revision, position, id }, next)),
            Err(error) => {
                tracing::warn!(%stream, %error, "a snapshot cannot be understood; the history is read instead");
                None
            }
        }
    }

    /// Whether it is time to store a state.
    pub(super) fn is_due(&self, folded: &Folded<D>) -> bool {
        folded.events() >= folded.store_from().max(self.snapshots.every_events)
    }

    /// What is to be stored of it. It is not due again for some events then.
    pub(super) fn snapshot(&self, stream: &StreamName, folded: &mut Folded<D>) -> Option<StoredSnapshot> {
        let LastEvent { revision, position, id: event_id } = folded.last_event()?;
        let state = (self.encode)(folded.state())
            .inspect_err(|error| tracing::error!(%stream, %error, "a state cannot be written down"))
            .ok()?;
        folded.store_next(self.next_after(folded.events(), &state));
        Some(StoredSnapshot { version: self.version, revision, position, event_id, state })
    }

    /// Stores it. Nobody waits for that, and when it fails the next one comes all the same.
    pub(super) fn store(
        &self,
        stream: StreamName,
        snapshot: StoredSnapshot,
    ) -> impl Future<Output = ()> + use<D> {
        let Snapshots { store, patience, .. } = self.snapshots.clone();
        async move {
            if let Err(reason) = in_time(patience, store.put(&stream, snapshot)).await {
                tracing::warn!(%stream, reason, "a snapshot was not stored");
            }
        }
    }

    /// How many events the stream has when it is to be stored again, after it was with so many.
    fn next_after(&self, events: u64, state: &str) -> u64 {
        let worth_events = state.len() as u64 / BYTES_PER_EVENT;
        events.saturating_add(self.snapshots.every_events.max(worth_events))
    }

    fn left_alone_until(&self) -> Option<Instant> {
        *self.left_alone_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave_alone(&self) {
        let mut until = self.left_alone_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + LEFT_ALONE);
    }
}

/// Whether a snapshot is what the history of its stream comes to, all of which is read for that.
pub async fn is_borne_out<D: Snapshotted + PartialEq>(
    snapshot: &StoredSnapshot,
    stream: &StreamName,
    log: &dyn EventStore,
) -> Result<bool, LoadError> {
    let StoredSnapshot { revision, position, event_id: id, .. } = *snapshot;
    let mut folded = Folded::<D>::default();
    while folded.events() <= revision {
        let page = log.read_stream(stream, Direction::Forwards, Some(folded.events()), PAGE_EVENTS).await?;
        if page.is_empty() {
            return Ok(false);
        }
        for event in page.iter().take_while(|event| event.revision <= revision) {
            folded.apply(stream, event)?;
        }
    }
    let state = serde_json::from_str::<D>(&snapshot.state);
    let ends_alike = folded.last_event() == Some(LastEvent { revision, position, id });
    Ok(ends_alike && state.is_ok_and(|state| state == *folded.state()))
}

/// What the store answers, or why it does not.
async fn in_time<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, SnapshotError>>,
) -> Result<T, String> {
    match timeout(patience, asked).await {
        Ok(answered) => answered.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {patience:?}")),
    }
}
