//! Group commit: one task takes what waits, commits it in one call, and answers each caller, while the
//! next appends gather. An append that was handed over is finished whether its caller still waits or
//! not. When an answer of the database is lost, the same call is made again on a new connection: under
//! the lock of the head it first looks up the ids, so that it finds its own first try and repeats
//! nothing. What it finds may as well be of somebody else, and is called a repeat.

#[cfg(feature = "fault-injection")]
mod planted;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use events::StreamName;
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::{
    batch::{self, BatchLimits, Verdict, Waiting},
    failure::{self, Blame},
    recent::Recent,
};
use crate::{AppendError, Appended, ExpectedRevision, NewEvent, Position, StoreError, follow::Wakes, limits};

const DOING: &str = "appending";
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How the sequencer deals with load and outages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How many appends may wait; a caller beyond that waits to be let in.
    pub(super) queue_appends_max: usize,
    pub(super) batch: BatchLimits,
    /// How long one try of a commit may take.
    pub(super) try_timeout: Duration,
    /// How long after it was handed over an append is given up, when the database is away.
    pub(super) give_up_after: Duration,
}

/// The way to the sequencing task.
#[derive(Debug)]
pub(super) struct Sequencer {
    /// Gone once the store is closed.
    queue: Mutex<Option<mpsc::Sender<Waiting>>>,
    task: TaskTracker,
}

impl Sequencer {
    /// Starts the task. `head` is where the log ended when nothing had been handed over yet.
    pub(super) fn start(
        options: PgConnectOptions,
        patience: Patience,
        wakes: Arc<Wakes>,
        recent: Arc<Recent>,
        head: Position,
    ) -> Self {
        let (sender, queue) = mpsc::channel(patience.queue_appends_max);
        let task = TaskTracker::new();
        let committer =
            Committer { options, connection: None, patience, wakes, recent, head, waiting: VecDeque::new() };
        task.spawn(committer.run(queue));
        task.close();
        Self { queue: Mutex::new(Some(sender)), task }
    }

    pub(super) async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        limits::check(stream, &events)?;
        let metadata: Result<_, serde_json::Error> =
            events.iter().map(|event| serde_json::to_string(&event.metadata)).collect();
        let metadata = metadata
            .map_err(|error| AppendError::Malformed { stream: stream.clone(), reason: error.to_string() })?;
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let closed = || StoreError::Unavailable { doing: DOING, reason: "the store was closed".to_owned() };
        let queue = queue.ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        let (stream, since) = (stream.clone(), Instant::now());
        let waiting = Waiting { stream, expected, events, metadata, since, answer };
        queue.send(waiting).await.map_err(|_| closed())?;
        drop(queue);
        answered.await.unwrap_or_else(|_| Err(closed().into()))
    }

    /// Takes no more, and returns when everything that was handed over is answered.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.task.wait().await;
    }
}

/// The task itself, with the one connection that it commits on.
struct Committer {
    options: PgConnectOptions,
    /// None before the first commit, and after anything that may have left it in the middle of something.
    connection: Option<PgConnection>,
    patience: Patience,
    wakes: Arc<Wakes>,
    recent: Arc<Recent>,
    /// The log ends here or later.
    head: Position,
    waiting: VecDeque<Waiting>,
}

/// Why a batch was not committed.
#[derive(Debug, Clone)]
enum Failure {
    /// It may pass; until then it is not known whether the batch was written.
    Engine(StoreError),
    /// The log refuses what an append may always write. Nothing was written.
    Refused(StoreError),
}

impl Committer {
    async fn run(mut self, mut queue: mpsc::Receiver<Waiting>) {
        loop {
            if self.waiting.is_empty() {
                let Some(next) = queue.recv().await else { break };
                self.waiting.push_back(next);
            }
            while self.waiting.len() < self.patience.queue_appends_max
                && let Ok(next) = queue.try_recv()
            {
                self.waiting.push_back(next);
            }
            let batch = batch::gather(&mut self.waiting, self.patience.batch);
            self.recent.commit_begins();
            self.settle(batch).await;
            self.recent.commit_ended();
        }
    }

    /// Commits a batch and answers everybody in it.
    async fn settle(&mut self, batch: Vec<Waiting>) {
        #[cfg(feature = "fault-injection")]
        if planted::acknowledges_before_commit() {
            return self.settle_before_commit(batch).await;
        }
        match self.commit(&batch).await {
            Ok(verdicts) => self.answer(batch, verdicts),
            Err(Failure::Refused(_)) if batch.len() > 1 => {
                // One of them may be to blame; the others must not suffer for it.
                for alone in batch {
                    Box::pin(self.settle(vec![alone])).await;
                }
            }
            Err(failure) => {
                for append in batch {
                    let (Failure::Engine(error) | Failure::Refused(error)) = failure.clone();
                    append.settle(Err(error.into()));
                }
            }
        }
    }

    fn answer(&mut self, batch: Vec<Waiting>, verdicts: Vec<Verdict>) {
        let mut committed = Vec::new();
        for (append, verdict) in batch.iter().zip(&verdicts) {
            match verdict {
                Verdict::Appended { appended, recorded_at } => {
                    self.head = self.head.max(appended.position);
                    committed.extend(batch::recorded(append, appended, *recorded_at));
                }
                Verdict::Replayed(appended) => self.head = self.head.max(appended.position),
                Verdict::Conflict { .. } | Verdict::Found(_) => {}
            }
        }
        self.recent.extend(committed);
        for (append, verdict) in batch.into_iter().zip(verdicts) {
            let Waiting { ref stream, expected, .. } = append;
            let answer = match verdict {
                Verdict::Appended { appended, .. } | Verdict::Replayed(appended) => Ok(appended),
                Verdict::Conflict { current } => {
                    Err(AppendError::Conflict { stream: stream.clone(), expected, current })
                }
                Verdict::Found(found) => Err(AppendError::AlreadyAppended { stream: stream.clone(), found }),
            };
            append.settle(answer);
        }
        // Those who appended come first: what they make known about it saves the followers a read.
        self.wakes.raise(self.head);
    }

    /// Tries until there is an answer, or until the oldest of the batch has waited too long.
    async fn commit(&mut self, batch: &[Waiting]) -> Result<Vec<Verdict>, Failure> {
        let oldest = batch.iter().map(|append| append.since).min().unwrap_or_else(Instant::now);
        let mut pause = PAUSE_MIN;
        let mut tries = 1;
        loop {
            match self.try_commit(batch).await {
                Ok(verdicts) => return Ok(verdicts),
                Err(Failure::Engine(error)) if oldest.elapsed() + pause < self.patience.give_up_after => {
                    tracing::warn!(%error, tries, appends = batch.len(), "a commit has no answer; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                    tries += 1;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn try_commit(&mut self, batch: &[Waiting]) -> Result<Vec<Verdict>, Failure> {
        // Taken out: a try that is given up or goes wrong leaves no connection in the middle of it.
        let connection = self.connection.take();
        let call = async {
            let mut connection = match connection {
                Some(connection) => connection,
                None => self.options.connect().await?,
            };
            let rows = batch::call(batch).fetch_all(&mut connection).await;
            Ok::<_, sqlx::Error>((connection, rows))
        };
        let (connection, rows) = match tokio::time::timeout(self.patience.try_timeout, call).await {
            Ok(Ok(called)) => called,
            Ok(Err(error)) => return Err(Failure::Engine(failure::unavailable(DOING, &error))),
            Err(_) => return Err(Failure::Engine(failure::timed_out(DOING))),
        };
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => match failure::blame(&error) {
                Blame::Engine | Blame::Connection => {
                    return Err(Failure::Engine(failure::unavailable(DOING, &error)));
                }
                Blame::Content => {
                    self.connection = Some(connection);
                    return Err(Failure::Refused(StoreError::Corrupt { reason: error.to_string() }));
                }
            },
        };
        self.connection = Some(connection);
        batch::verdicts(batch.len(), &rows).map_err(Failure::Refused)
    }
}
