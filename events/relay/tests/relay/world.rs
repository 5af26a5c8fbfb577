//! A log, a NATS server, relays between them, and a look at what is in the stream that trusts no relay.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_nats::jetstream::{self, message::StreamMessage};
use event_store::{
    EventStore, ExpectedRevision, Filter, NewEvent, Position, RecordedEvent, memory::MemoryStore,
};
use events::{Actor, Metadata, StreamName};
use platform::{
    nats::NatsServer,
    postgres::{Databases, testing},
};
use relay::{Condition, Options, Progress, Relay, STREAM, State};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Streams of these take turns.
const STREAMS: [&str; 5] = ["order-1", "payment-1", "inventory-MUG, blue", "catalog-MUG", "order-2"];

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) databases: Databases,
    pub(crate) nats: NatsServer,
}

/// A relay at work.
pub(crate) struct Worker {
    pub(crate) condition: Condition,
    task: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl World {
    pub(crate) async fn new() -> Self {
        let databases = testing::fresh_database().await;
        relay::migrate(&databases.owner).await.unwrap();
        Self { store: Arc::new(MemoryStore::new()), databases, nats: NatsServer::start() }
    }

    /// Appends so many events, to several streams in turn.
    pub(crate) async fn write(&self, count: usize) {
        for n in 0..count {
            self.append(STREAMS[n % STREAMS.len()], "SomethingHappened", format!("{{\"n\": {n}}}")).await;
        }
    }

    pub(crate) async fn append(&self, stream: &str, name: &str, payload: String) -> NewEvent {
        let stream: StreamName = stream.parse().unwrap();
        let event = event(name, payload);
        self.store.append(&stream, ExpectedRevision::Any, vec![event.clone()]).await.unwrap();
        event
    }

    pub(crate) async fn log(&self) -> Vec<RecordedEvent> {
        self.store.read_all(Position::START, &Filter::all(), usize::MAX).await.unwrap().events
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress::new(&self.databases.service)
    }

    pub(crate) async fn state(&self) -> State {
        self.state_if_any().await.expect("a relay has run")
    }

    async fn state_if_any(&self) -> Option<State> {
        let pool = sqlx::PgPool::connect_with(self.databases.service.clone()).await.unwrap();
        let state = State::read(&pool).await.unwrap();
        pool.close().await;
        state
    }

    pub(crate) fn relay(&self, holder: &str, nats: SocketAddr) -> Relay {
        self.relay_to(holder, &format!("nats://{nats}"))
    }

    pub(crate) fn relay_to(&self, holder: &str, url: &str) -> Relay {
        let options = Options {
            lease: Duration::from_secs(2),
            patience: Duration::from_secs(3),
            ..Options::for_holder(holder.to_owned())
        };
        let store: Arc<dyn EventStore> = self.store.clone();
        Relay::new(store, self.progress(), url.parse().unwrap(), options)
    }

    /// Starts a relay to the server, or to a proxy before it.
    pub(crate) fn start(&self, holder: &str, nats: SocketAddr) -> Worker {
        let relay = self.relay(holder, nats);
        let (condition, shutdown) = (relay.condition(), CancellationToken::new());
        let token = shutdown.clone();
        Worker { condition, task: tokio::spawn(async move { relay.run(token).await }), shutdown }
    }

    pub(crate) async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(async_nats::connect(self.nats.url()).await.unwrap())
    }

    /// Every message in the stream, one by one; nothing when there is no stream.
    pub(crate) async fn messages(&self) -> Vec<StreamMessage> {
        let Ok(client) = async_nats::connect(self.nats.url()).await else { return Vec::new() };
        let Ok(stream) = jetstream::new(client).get_stream(STREAM).await else { return Vec::new() };
        let state = stream.cached_info().state.clone();
        let mut messages = Vec::new();
        for sequence in state.first_sequence.max(1)..=state.last_sequence {
            messages.push(stream.get_raw_message(sequence).await.unwrap());
        }
        messages
    }

    /// Waits until the checkpoint is at the end of the log.
    pub(crate) async fn caught_up(&self) {
        let head = self.store.head().await.unwrap();
        eventually("the relay has caught up", async || {
            self.state_if_any().await.is_some_and(|state| state.checkpoint == head)
        })
        .await;
    }

    /// Waits until the relay has caught up, and fails unless the stream holds the log from behind `after`:
    /// every event once, and in order.
    pub(crate) async fn holds_everything_once_behind(&self, after: Position) {
        self.caught_up().await;
        let log = self.log().await;
        let written: Vec<String> = log
            .iter()
            .filter(|event| event.position > after)
            .map(|event| event.position.to_string())
            .collect();
        let published: Vec<String> =
            self.messages().await.iter().map(|it| header(it, "Counterfoil-Position")).collect();
        assert_eq!(published, written, "published against written");
    }

    pub(crate) async fn holds_everything_once(&self) {
        self.holds_everything_once_behind(Position::START).await;
    }
}

impl Worker {
    /// The end of its process: nothing is finished, nothing is given back.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

pub(crate) fn event(name: &str, payload: String) -> NewEvent {
    let id = Uuid::new_v4();
    let metadata = Metadata {
        occurred_at: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        correlation_id: Uuid::new_v4(),
        causation_id: Uuid::new_v4(),
        command_id: id,
        request_digest: None,
        actor: Actor::Client,
        traceparent: None,
    };
    NewEvent { id, name: name.to_owned(), version: 3, payload: payload.into(), metadata }
}

pub(crate) fn header(message: &StreamMessage, name: &str) -> String {
    message.headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default()
}

/// Asks again until it holds; fails the test with `what` when it does not within a minute.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "after a minute still not: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
