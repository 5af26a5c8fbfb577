//! Processes that share a log which tells nobody of an append wake each other up over NATS. They poll once an
//! hour here, so that whatever is heard of in time was heard of through a hint.

use std::{io::Write, time::Duration};

use event_store::{
    EventStore, ExpectedRevision, Filter, Position,
    eventstoredb::{EventStoreDbStore, Settings},
};
use eventstoredb_stand_in::{Setup, StandIn};
use futures::StreamExt;
use platform::nats::NatsServer;
use relay::{
    NatsError,
    wake::{check, wake_each_other},
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::world::{event, eventually};

/// What the hints go through, as everybody may listen to it.
const SUBJECT: &str = "counterfoil-wake";
const POLLED_EVERY: Duration = Duration::from_hours(1);

/// A process at work on the log.
struct Process {
    store: EventStoreDbStore,
    _wakes: DropGuard,
}

impl Process {
    async fn start(log: &StandIn, nats: &NatsServer) -> Self {
        let settings = Settings { poll_interval: POLLED_EVERY, ..Settings::default() };
        let store = EventStoreDbStore::connect_with(&log.url(), settings).await.unwrap();
        let shutdown = CancellationToken::new();
        let hints = store.hints().expect("nobody else tells");
        tokio::spawn(wake_each_other(nats.url().parse().unwrap(), hints, shutdown.clone()));
        Self { store, _wakes: shutdown.drop_guard() }
    }

    async fn append(&self) -> Position {
        let events = vec![event("SomethingHappened", "{}".to_owned())];
        let appended = self.store.append(&"order-1".parse().unwrap(), ExpectedRevision::Any, events).await;
        appended.unwrap().position
    }

    /// Follows the log, and has read what is there.
    async fn follow(&self) -> Follower {
        let (says, seen) = watch::channel(Position::START);
        let mut pages = self.store.follow(Position::START, Filter::all());
        let reading = tokio::spawn(async move {
            while let Some(page) = pages.next().await {
                says.send_replace(page.unwrap().scanned);
            }
        });
        let mut follower = Follower { seen, reading };
        let head = self.store.head().await.unwrap();
        assert!(follower.sees(head, Duration::from_mins(1)).await, "it reads what is there");
        follower
    }
}

struct Follower {
    seen: watch::Receiver<Position>,
    reading: JoinHandle<()>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Follower {
    /// Whether it comes that far within this time.
    async fn sees(&mut self, position: Position, within: Duration) -> bool {
        let seen = self.seen.wait_for(|seen| *seen >= position);
        tokio::time::timeout(within, seen).await.is_ok_and(|seen| seen.is_ok())
    }
}

/// Appends until one is heard of: the first ones may come before everybody listens.
async fn is_woken(follower: &mut Follower, other: &Process) {
    eventually("the follower is woken", async || {
        let position = other.append().await;
        follower.sees(position, Duration::from_secs(1)).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_is_woken_by_what_another_process_appends_also_after_nats_was_away() {
    let (log, mut nats) = (StandIn::start(Setup::default()).unwrap(), NatsServer::start_with(&[]));
    let (one, two) = (Process::start(&log, &nats).await, Process::start(&log, &nats).await);
    let mut follower = two.follow().await;
    is_woken(&mut follower, &one).await;

    nats.kill();
    let position = one.append().await;
    let woken = follower.sees(position, Duration::from_millis(300)).await;
    assert!(!woken, "somebody else woke it, and this test proves nothing");

    nats.restart();
    is_woken(&mut follower, &one).await;
    let mut back = one.follow().await;
    is_woken(&mut back, &two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_else_is_said_there_keeps_nobody_from_waking_up() {
    let (log, nats) = (StandIn::start(Setup::default()).unwrap(), NatsServer::start_with(&[]));
    let (one, two) = (Process::start(&log, &nats).await, Process::start(&log, &nats).await);
    let mut follower = two.follow().await;
    is_woken(&mut follower, &one).await;
    let stranger = async_nats::connect(nats.url()).await.unwrap();
    for said in ["9223372036854775807", "0", "-1", "the end is near", "", "\u{0}"] {
        stranger.publish(SUBJECT, said.into()).await.unwrap();
    }
    stranger.publish(SUBJECT, vec![0xff; 1000].into()).await.unwrap();
    stranger.flush().await.unwrap();
    for _ in 0..3 {
        is_woken(&mut follower, &one).await;
    }
}

#[tokio::test]
async fn a_user_that_may_not_speak_or_listen_there_is_told_so() {
    for may in [
        r#"{ publish: ["counterfoil.>", "$JS.API.>"], subscribe: ">" }"#,
        r#"{ publish: ">", subscribe: ["counterfoil.>", "_INBOX.>"] }"#,
    ] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "authorization {{ users: [{{ user: u, password: p, permissions: {may} }}] }}")
            .unwrap();
        let nats = NatsServer::start_with(&["-c", file.path().to_str().unwrap()]);
        let error = check(&format!("nats://u:p@{}", nats.address()).parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, NatsError::Objects { .. }), "{may}: {error}");
        assert!(error.to_string().contains(SUBJECT), "{may}: {error}");
    }
}
