//! Command handling over one context: load, decide, append. Commands that wait for the same stream are
//! decided together on one state and appended at once, each with its own answer.
//!
//! **A cached state is never trusted**: an append is checked by the revision that it expects, and an
//! answer that needs no append (a refusal, nothing to do) is given only on a state that was read after
//! the command came in.

mod history;
mod lane;
mod plan;
mod recall;
mod settle;
mod storing;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

pub use storing::is_borne_out;

use domain::{Decider, Snapshotted};
use event_store::{EventStore, StoreError};
use events::{DomainEvent, StreamName};
use quick_cache::{Weighter, sync::Cache};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use self::{
    history::Folded,
    lane::{Lane, Pending},
    storing::Storing,
};
use crate::{CommandContext, HandleError, Handled, LoadError, Recalled, Snapshots};

/// How many commands may wait for one stream; further senders wait to be let in.
const QUEUE_COMMANDS_MAX: usize = 1024;
/// How many cached states there are, about, each weighed with the commands that it remembers.
const CACHED_STATES: usize = 20_000;
/// The most that all cached states weigh.
const CACHED_WEIGHT_MAX: u64 = 400_000;

/// Handles the commands of one context. Cheap to clone; clones share their queues and cache.
pub struct CommandHandler<D: Decider>(Arc<Shared<D>>);

/// What the lanes of one context share.
struct Shared<D: Decider> {
    store: Arc<dyn EventStore>,
    lanes: Mutex<HashMap<StreamName, mpsc::Sender<Pending<D>>>>,
    /// Of a stream on which a lane works, a glimpse.
    cache: Cache<StreamName, Arc<Folded<D>>, RememberedCommands>,
    /// Of contexts whose histories grow long.
    storing: Option<Storing<D>>,
    running: TaskTracker,
}

impl<D: Snapshotted> CommandHandler<D> {
    /// A handler that writes to `store`, and need not read a history whole of which there is a snapshot.
    pub fn with_snapshots(store: Arc<dyn EventStore>, snapshots: Snapshots) -> Self {
        Self::over(store, Some(Storing::to(snapshots)))
    }
}

impl<D: Decider> CommandHandler<D> {
    /// A handler that writes to `store`.
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self::over(store, None)
    }

    fn over(store: Arc<dyn EventStore>, storing: Option<Storing<D>>) -> Self {
        let cache = Cache::with_weighter(CACHED_STATES, CACHED_WEIGHT_MAX, RememberedCommands);
        let running = TaskTracker::new();
        Self(Arc::new(Shared { store, lanes: Mutex::default(), cache, storing, running }))
    }

    /// Carries out `command` on the stream of `id`, once for each command id.
    ///
    /// When the returned future is dropped, the command is carried out or not, but not in part, and
    /// commands of others do not notice. Waits to be let in while the stream has a full queue.
    pub async fn handle(
        &self,
        id: &str,
        command: D::Command,
        context: CommandContext,
    ) -> Result<Handled, HandleError<D::Refusal>> {
        let stream = D::Event::CATEGORY.stream(id);
        let CommandContext { command_id, correlation_id, .. } = context;
        let (answer, answered) = oneshot::channel();
        self.0.clone().enqueue(&stream, Pending::new(command, context, answer)).await;
        let answer = answered.await.unwrap_or_else(|_| Err(abandoned()));
        match &answer {
            Ok(Handled { position, replayed, .. }) => {
                tracing::debug!(%stream, %correlation_id, %command_id, %position, replayed, "command carried out");
            }
            Err(error) => {
                tracing::debug!(%stream, %correlation_id, %command_id, %error, "command not carried out");
            }
        }
        answer
    }

    /// The state of the stream of `id` with its revision, which is `revision` or a later one: what this process knows
    /// of it, if that is enough, and else what is in the store now. For whoever acts on an event at that revision and
    /// whose action is checked again, or does no harm, when more has happened since.
    pub async fn load_from(&self, id: &str, revision: u64) -> Result<(D, Option<u64>), LoadError> {
        let known = self.0.cache.get(&D::Event::CATEGORY.stream(id));
        match known.filter(|folded| folded.revision() >= Some(revision)) {
            Some(folded) => Ok((folded.state().clone(), folded.revision())),
            None => self.load(id).await,
        }
    }

    /// The state of the stream of `id` with its revision, as it is in the store now.
    pub async fn load(&self, id: &str) -> Result<(D, Option<u64>), LoadError> {
        let folded = self.0.fold(&D::Event::CATEGORY.stream(id)).await?;
        Ok((folded.state().clone(), folded.revision()))
    }

    /// What `look` finds in the state of the stream of `id`, as it is in the store now.
    pub async fn look<T>(&self, id: &str, look: impl FnOnce(&D) -> T) -> Result<T, LoadError> {
        Ok(look(self.0.fold(&D::Event::CATEGORY.stream(id)).await?.state()))
    }

    /// What the command of this context did, if it was carried out on the stream of `id` before;
    /// `RequestDiffers` when its id was used for something else.
    pub async fn recall(
        &self,
        id: &str,
        context: &CommandContext,
    ) -> Result<Option<Recalled<D::Event>>, HandleError<D::Refusal>> {
        let stream = D::Event::CATEGORY.stream(id);
        match recall::events_of(self.0.store.as_ref(), &stream, context).await? {
            None => Ok(None),
            Some(Err(recall::Differs)) => Err(HandleError::RequestDiffers),
            Some(Ok(recorded)) => {
                let events = recorded.iter().map(|event| history::decode(&stream, event));
                let events = events.collect::<Result<_, _>>().map_err(HandleError::Corrupt)?;
                Ok(Some(Recalled { handled: recall::answer(&recorded), events }))
            }
        }
    }

    /// Waits until every command that was taken in is answered, and what was to be stored is, or was given up.
    pub async fn finish(&self) {
        self.0.running.close();
        self.0.running.wait().await;
    }
}

impl<D: Decider> Shared<D> {
    /// A stream as it is in the store now.
    async fn fold(&self, stream: &StreamName) -> Result<Arc<Folded<D>>, LoadError> {
        let cached = self.cache.get(stream);
        let is_news = cached.is_none();
        let mut folded = match cached {
            Some(folded) => folded,
            None => self.find(stream).await,
        };
        let moved = self.catch_up(stream, &mut folded).await?;
        if (moved || is_news) && !folded.is_glimpse() {
            self.remember(stream, Arc::clone(&folded));
        }
        Ok(folded)
    }

    /// What is known of a stream that is not in memory: what is stored of it, if anything is.
    async fn find(&self, stream: &StreamName) -> Arc<Folded<D>> {
        match &self.storing {
            Some(storing) => storing.find(stream).await.unwrap_or_default().into(),
            None => Arc::default(),
        }
    }

    /// Reads what was appended since, and says whether there was anything. Where what was read cannot follow on what
    /// began with a snapshot, it may be the snapshot that is wrong, and the history is read whole.
    async fn catch_up(&self, stream: &StreamName, folded: &mut Arc<Folded<D>>) -> Result<bool, LoadError> {
        match folded.catch_up(self.store.as_ref(), stream).await {
            Err(LoadError::History(error)) if folded.may_be_wrong(&error) => {
                tracing::warn!(%stream, %error, "a snapshot is left aside, and the history is read whole");
                *folded = Arc::default();
                folded.catch_up(self.store.as_ref(), stream).await
            }
            caught_up => caught_up,
        }
    }

    /// Takes what is kept of a stream, to work on it, and leaves a glimpse of it to others.
    fn take(&self, stream: &StreamName) -> Option<Arc<Folded<D>>> {
        let folded = self.cache.get(stream).filter(|folded| !folded.is_glimpse())?;
        self.cache.insert(stream.clone(), Arc::new(folded.glimpse()));
        Some(folded)
    }

    /// Keeps a state for the next command, and stores it when it is time to.
    fn remember(&self, stream: &StreamName, mut folded: Arc<Folded<D>>) {
        if folded.events() == 0 || !folded.is_proved() {
            self.cache.remove(stream);
            return;
        }
        if let Some(storing) = &self.storing
            && storing.is_due(&folded)
            && let Some(snapshot) = storing.snapshot(stream, Arc::make_mut(&mut folded))
        {
            self.running.spawn(storing.store(stream.clone(), snapshot));
        }
        self.cache.insert(stream.clone(), folded);
    }

    /// Puts a command into the queue of its stream, and sees to it that somebody works there.
    async fn enqueue(self: Arc<Self>, stream: &StreamName, mut pending: Pending<D>) {
        loop {
            let queue = self.clone().queue_of(stream);
            match queue.send(pending).await {
                Ok(()) => return,
                Err(mpsc::error::SendError(returned)) => pending = returned,
            }
        }
    }

    fn queue_of(self: Arc<Self>, stream: &StreamName) -> mpsc::Sender<Pending<D>> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = lanes.get(stream).filter(|queue| !queue.is_closed()) {
            return queue.clone();
        }
        let (queue, waiting) = mpsc::channel(QUEUE_COMMANDS_MAX);
        lanes.insert(stream.clone(), queue.clone());
        self.running.spawn(Lane::new(self.clone(), stream.clone(), waiting).run());
        queue
    }

    /// Takes the lane of `stream` out of service, unless somebody is waiting in its queue.
    fn retire_idle(&self, stream: &StreamName, waiting: &mut mpsc::Receiver<Pending<D>>) -> bool {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.is_empty() {
            return false;
        }
        lanes.remove(stream);
        waiting.close();
        true
    }
}

/// The lane ended without an answer: it panicked, or the runtime is shutting down.
fn abandoned<R: std::error::Error>() -> HandleError<R> {
    HandleError::Store(StoreError::Unavailable {
        doing: "handling a command",
        reason: "the handler ended before it answered".to_owned(),
    })
}

/// Weighs a cached state by the commands that it remembers, so that few long histories cannot take all
/// the memory.
#[derive(Debug, Clone)]
struct RememberedCommands;

impl<D: Decider> Weighter<StreamName, Arc<Folded<D>>> for RememberedCommands {
    fn weight(&self, _: &StreamName, folded: &Arc<Folded<D>>) -> u64 {
        1 + folded.remembered() as u64
    }
}

impl<D: Decider> Clone for CommandHandler<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: Decider> fmt::Debug for CommandHandler<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandHandler({})", D::Event::CATEGORY)
    }
}
