//! Appending: to one stream, at a revision that is always named to the server, under the ids that the
//! caller chose. An append that was handed over is finished whether its caller still waits or not. **One
//! whose outcome is unknown is looked for in its stream before it is made again.**

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, SubsecRound, Utc};
use events::StreamName;
use eventstore::{AppendToStreamOptions, CurrentRevision, Error, EventData, ExpectedRevision as Expectation};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{
    Settings,
    failure::{self, Blame},
    known::{KnownStreams, UpTo},
    reading::Reader,
    record::{self, Stored},
    session::Failure,
};
use crate::{
    AppendError, Appended, Direction, ExpectedRevision, FoundEvent, NewEvent, RecordedEvent, StoreError,
    follow::Wakes, limits,
};

const DOING: &str = "appending";
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Cheap to clone; clones share everything.
#[derive(Clone)]
pub(super) struct Appender {
    shared: Arc<Shared>,
}

struct Shared {
    reader: Reader,
    known: KnownStreams,
    wakes: Arc<Wakes>,
    /// How far reaches what was appended here, for the hints to others.
    appended: Arc<Wakes>,
    turns: Semaphore,
    give_up_after: Duration,
    timeout: Duration,
    tasks: TaskTracker,
}

/// One append, through all its tries.
struct Append {
    id: Uuid,
    stream: StreamName,
    expected: ExpectedRevision,
    ids: Vec<Uuid>,
    events: Vec<EventData>,
    /// An earlier try ended without an answer.
    unsure: bool,
}

/// Why a try was not the last one.
enum Setback {
    /// It may pass; it is not known whether the events were written.
    Passing(StoreError),
    /// Somebody else appended, and the caller does not mind.
    Overtaken,
    /// That is the answer.
    Refused(AppendError),
}

impl Appender {
    pub(super) fn new(reader: Reader, wakes: Arc<Wakes>, appended: Arc<Wakes>, settings: Settings) -> Self {
        let shared = Shared {
            reader,
            known: KnownStreams::new(settings.known_ids_max),
            wakes,
            appended,
            turns: Semaphore::new(settings.appends_at_once_max),
            give_up_after: settings.give_up_after,
            timeout: settings.append_timeout,
            tasks: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    pub(super) async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        limits::check(stream, &events)?;
        if self.shared.tasks.is_closed() {
            return Err(closed().into());
        }
        let append = Append::new(stream.clone(), expected, events)?;
        let shared = Arc::clone(&self.shared);
        let task = self.shared.tasks.spawn(async move { shared.settle(append).await });
        task.await.unwrap_or_else(|error| {
            Err(StoreError::Unavailable { doing: DOING, reason: error.to_string() }.into())
        })
    }

    /// Looks for an event within one stream.
    pub(super) async fn find(
        &self,
        stream: &StreamName,
        event_id: Uuid,
    ) -> Result<Option<RecordedEvent>, StoreError> {
        let known = self.shared.known.of(&self.shared.reader, stream, UpTo::End).await?;
        let Some(revision) = known.revision_of(event_id) else { return Ok(None) };
        drop(known);
        let found = self.shared.reader.stream(stream, Direction::Forwards, Some(revision), 1).await?;
        Ok(found.into_iter().next().map(|stored| stored.recorded))
    }

    /// Takes no more, and returns when everything that was handed over is answered.
    pub(super) async fn close(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Append {
    fn new(
        stream: StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Self, AppendError> {
        let id = Uuid::new_v4();
        let recorded_at = now();
        let ids = events.iter().map(|event| event.id).collect();
        let encoded: Result<_, serde_json::Error> =
            events.into_iter().map(|event| record::encode(event, id, recorded_at)).collect();
        match encoded {
            Ok(events) => Ok(Self { id, stream, expected, ids, events, unsure: false }),
            Err(error) => Err(AppendError::Malformed { stream, reason: error.to_string() }),
        }
    }
}

impl Shared {
    /// Tries until there is an answer, or until the caller has waited too long.
    async fn settle(&self, mut append: Append) -> Result<Appended, AppendError> {
        let began = Instant::now();
        let Ok(_turn) = self.turns.acquire().await else { return Err(closed().into()) };
        let mut pause = PAUSE_MIN;
        loop {
            match self.attempt(&append).await {
                Ok(appended) => {
                    self.wakes.raise(appended.position);
                    self.appended.raise(appended.position);
                    return Ok(appended);
                }
                Err(Setback::Refused(error)) => return Err(error),
                Err(Setback::Overtaken) if began.elapsed() < self.give_up_after => {}
                Err(Setback::Passing(error)) if began.elapsed() + pause < self.give_up_after => {
                    tracing::warn!(%error, stream = %append.stream, "an append has no answer; looking for it");
                    append.unsure = true;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(Setback::Passing(error)) => return Err(error.into()),
                Err(Setback::Overtaken) => {
                    let reason = "others are always faster".to_owned();
                    return Err(StoreError::Unavailable { doing: DOING, reason }.into());
                }
            }
        }
    }

    async fn attempt(&self, append: &Append) -> Result<Appended, Setback> {
        let upto = match append.expected {
            _ if append.unsure => UpTo::End,
            ExpectedRevision::NoStream => UpTo::Revision(None),
            ExpectedRevision::Exact(revision) => UpTo::Revision(Some(revision)),
            ExpectedRevision::Any => UpTo::End,
        };
        let base = {
            let known = self.known.of(&self.reader, &append.stream, upto).await?;
            let found = found(append, |id| known.revision_of(id));
            if !found.is_empty() {
                drop(known);
                return self.answer_found(append, &found).await;
            }
            match append.expected {
                ExpectedRevision::NoStream => None,
                // It is not there, at this moment: the server need not be asked.
                ExpectedRevision::Exact(revision) if known.last() < Some(revision) => {
                    return Err(conflict(append, known.last()));
                }
                ExpectedRevision::Exact(revision) => Some(revision),
                ExpectedRevision::Any => known.last(),
            }
        };
        self.send(append, base).await
    }

    /// Sends it, to be written behind `base` and nowhere else.
    async fn send(&self, append: &Append, base: Option<u64>) -> Result<Appended, Setback> {
        let expectation = base.map_or(Expectation::NoStream, Expectation::Exact);
        let options = AppendToStreamOptions::default().expected_revision(expectation);
        let name = self.reader.namespace().name_of(&append.stream);
        let events = append.events.clone();
        let session = self.reader.session();
        let sent = session.call(self.timeout, |client| async move {
            client.append_to_stream(name, &options, events).await
        });
        let Err(failure) = sent.await else { return self.confirm(append, base).await };
        if let Failure::Client(Error::WrongExpectedVersion { current, .. }) = failure {
            return self.overtaken(append, current).await;
        }
        if let Some(limit) = failure::is_too_large(&failure) {
            let reason = format!(
                "{limit} The server must be started with a MaxAppendSize of 16 MiB, or as near to it as it lets itself be set"
            );
            return Err(Setback::Refused(AppendError::TooLarge { stream: append.stream.clone(), reason }));
        }
        let error = failure::of_store(DOING, &failure);
        Err(match failure::blame(&failure) {
            Blame::Passing => Setback::Passing(error),
            Blame::Lasting => Setback::Refused(error.into()),
        })
    }

    /// The server took it, or has taken it before: it answers the same. What it has written says which.
    async fn confirm(&self, append: &Append, base: Option<u64>) -> Result<Appended, Setback> {
        let revision = base.map_or(0, |base| base + 1) + append.ids.len() as u64 - 1;
        let last = self
            .reader
            .stream(&append.stream, Direction::Forwards, Some(revision), 1)
            .await?
            .into_iter()
            .next();
        let Some(last) = last else {
            let reason =
                format!("revision {revision} of {} was acknowledged and is not there", append.stream);
            return Err(Setback::Refused(StoreError::Corrupt { reason }.into()));
        };
        if last.append_id != append.id {
            return self.overtaken(append, CurrentRevision::Current(revision)).await;
        }
        let mut known = self.known.of(&self.reader, &append.stream, UpTo::Revision(base)).await?;
        if known.last() == base {
            known.learn(append.ids.iter().copied());
        }
        Ok(Appended { revision, position: last.recorded.position, replayed: false })
    }

    /// The stream was elsewhere: because of others, or because the events are in it already.
    async fn overtaken(&self, append: &Append, current: CurrentRevision) -> Result<Appended, Setback> {
        let known = self.known.of(&self.reader, &append.stream, UpTo::End).await?;
        let found = found(append, |id| known.revision_of(id));
        drop(known);
        if !found.is_empty() {
            return self.answer_found(append, &found).await;
        }
        let current = match current {
            CurrentRevision::Current(revision) => Some(revision),
            CurrentRevision::NoStream => None,
        };
        Err(match append.expected {
            ExpectedRevision::Any => Setback::Overtaken,
            ExpectedRevision::NoStream | ExpectedRevision::Exact(_) => conflict(append, current),
        })
    }

    /// Some of the events are in the stream: the answer of the first time when they are the same append
    /// again, and a refusal otherwise.
    async fn answer_found(&self, append: &Append, found: &HashMap<Uuid, u64>) -> Result<Appended, Setback> {
        let first = found.values().min().copied().unwrap_or_default();
        let last = found.values().max().copied().unwrap_or_default();
        let span = usize::try_from(last - first).unwrap_or(usize::MAX).saturating_add(1);
        let stored = self.reader.stream(&append.stream, Direction::Forwards, Some(first), span).await?;
        let by_id: HashMap<Uuid, &Stored> = stored.iter().map(|event| (event.recorded.id, event)).collect();
        let given: Vec<&Stored> = append.ids.iter().filter_map(|id| by_id.get(id).copied()).collect();
        let (Some(head), Some(tail)) = (given.first(), given.last()) else {
            let reason = format!("events of {} are not where they were", append.stream);
            return Err(Setback::Refused(StoreError::Corrupt { reason }.into()));
        };
        let in_one_run = (head.recorded.revision..).zip(&given).all(|(revision, event)| {
            event.recorded.revision == revision && event.append_id == head.append_id
        });
        let expected_then = match append.expected {
            ExpectedRevision::Any => true,
            ExpectedRevision::NoStream => head.recorded.revision == 0,
            ExpectedRevision::Exact(revision) => revision.checked_add(1) == Some(head.recorded.revision),
        };
        if given.len() == append.ids.len() && in_one_run && expected_then {
            let RecordedEvent { revision, position, .. } = tail.recorded;
            return Ok(Appended { revision, position, replayed: tail.append_id != append.id });
        }
        let found = given.iter().map(|Stored { recorded, .. }| FoundEvent {
            event_id: recorded.id,
            stream: recorded.stream.clone(),
            appended: Appended { revision: recorded.revision, position: recorded.position, replayed: true },
        });
        let found = found.collect();
        Err(Setback::Refused(AppendError::AlreadyAppended { stream: append.stream.clone(), found }))
    }
}

fn found(append: &Append, revision_of: impl Fn(Uuid) -> Option<u64>) -> HashMap<Uuid, u64> {
    append.ids.iter().filter_map(|id| Some((*id, revision_of(*id)?))).collect()
}

fn conflict(append: &Append, current: Option<u64>) -> Setback {
    let Append { stream, expected, .. } = append;
    Setback::Refused(AppendError::Conflict { stream: stream.clone(), expected: *expected, current })
}

fn closed() -> StoreError {
    StoreError::Unavailable { doing: DOING, reason: "the store was closed".to_owned() }
}

/// No store keeps more of a second than the least exact of them.
#[allow(clippy::disallowed_methods, reason = "the store's own time, as the other engines have theirs")]
fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

impl From<StoreError> for Setback {
    /// A read that failed. What was read wrongly stays wrong.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::Passing(error),
            StoreError::Corrupt { .. } => Self::Refused(error.into()),
        }
    }
}
