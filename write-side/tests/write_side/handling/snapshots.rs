//! Processes that begin with snapshots decide like those that read the whole history, whatever the snapshots say.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    Snapshotted,
    inventory::{Command, Refusal, Stock},
};
use event_store::{
    Direction, EventStore, Position,
    memory::{Fault, FaultPlan, MemoryStore, Operation},
};
use events::{Category, StreamName, ids::ReservationId};
use futures::{FutureExt, future::join_all};
use proptest::prelude::*;
use write_side::{
    Commands, HandleError, Handled, SnapshotStore, Snapshots, StoredSnapshot,
    snapshots::{MemorySnapshots, PostgresSnapshots, SnapshotError, migrate},
};

use super::{Answer, SKU, command_id, history, process, receive, reserve, send};
use crate::rival::Rivalled;

/// A process that begins with what the ones before it have stored.
fn resumed(store: &MemoryStore, snapshots: &Arc<MemorySnapshots>, every: u64) -> Commands {
    Commands::with_snapshots(Arc::new(store.clone()), Snapshots::new(snapshots.clone()).every(every))
}

/// What a process that begins like this has read of streams after one command, and what that came to.
async fn read_for(
    store: &MemoryStore,
    snapshots: Arc<dyn SnapshotStore>,
    command: Command,
) -> (usize, Answer) {
    let counting = Rivalled::new(store.clone(), |_| async {}.boxed());
    let events_read = counting.events_read();
    let commands = Commands::with_snapshots(Arc::new(counting), Snapshots::new(snapshots).every(10));
    let answer = send(&commands, "counted", command).await;
    commands.finish().await;
    (events_read.load(Ordering::SeqCst), answer)
}

/// 31 events: a receipt of 30 units, and as many holds of one.
async fn sold_out() -> (MemoryStore, Arc<MemorySnapshots>) {
    let (store, snapshots) = (MemoryStore::new(), Arc::new(MemorySnapshots::default()));
    let commands = resumed(&store, &snapshots, 10);
    send(&commands, "receive", receive(30)).await.unwrap();
    for n in 0..30 {
        send(&commands, &format!("buyer-{n}"), reserve(&format!("buyer-{n}"), 1)).await.unwrap();
    }
    commands.finish().await;
    (store, snapshots)
}

fn stream() -> StreamName {
    Category::Inventory.stream(SKU)
}

fn is_sold_out(answer: &Answer) -> bool {
    matches!(answer, Err(HandleError::Refused(Refusal::InsufficientStock { requested: 1, available: 0, .. })))
}

#[tokio::test]
async fn only_what_came_after_the_snapshot_is_read() {
    let (store, snapshots) = sold_out().await;
    let stored = snapshots.get(&stream(), Stock::VERSION).await.unwrap().unwrap();
    assert_eq!(stored.revision, 29);

    let (read, answer) = read_for(&store, snapshots, reserve("one more", 1)).await;

    assert!(is_sold_out(&answer), "{answer:?}");
    // The event that it ends with, and the one behind.
    assert_eq!(read, 2);
    let (read, answer) = read_for(&store, Arc::new(MemorySnapshots::default()), reserve("one more", 1)).await;
    assert!(is_sold_out(&answer), "{answer:?}");
    assert_eq!(read, 31);
}

#[tokio::test]
async fn what_is_wrong_with_a_snapshot_changes_no_decision() {
    let (store, snapshots) = sold_out().await;
    let right = snapshots.get(&stream(), Stock::VERSION).await.unwrap().unwrap();
    let full =
        StoredSnapshot { state: right.state.replace(r#""on_hand":30"#, r#""on_hand":60"#), ..right.clone() };
    assert_ne!(full, right);
    let wrong = [
        ("of another log", StoredSnapshot { event_id: command_id("elsewhere"), ..full.clone() }),
        ("elsewhere in the log", StoredSnapshot { position: Position::START, ..full.clone() }),
        ("ahead of the log", StoredSnapshot { revision: 31, ..full.clone() }),
        ("at another revision", StoredSnapshot { revision: 28, ..full.clone() }),
        ("of another release", StoredSnapshot { version: right.version + 1, ..full.clone() }),
        ("contradicting itself", StoredSnapshot { state: full.state.replace("60", "20"), ..full.clone() }),
        ("no state", StoredSnapshot { state: r#"{"kept":{}}"#.to_owned(), ..right.clone() }),
        ("no JSON", StoredSnapshot { state: "{".to_owned(), ..right.clone() }),
        // What follows cannot follow on it.
        ("of nothing", StoredSnapshot { state: r#""unknown""#.to_owned(), ..right.clone() }),
    ];
    for (what, snapshot) in wrong {
        let snapshots = Arc::new(MemorySnapshots::default());
        snapshots.put(&stream(), snapshot).await.unwrap();

        let (read, answer) = read_for(&store, snapshots.clone(), reserve("one more", 1)).await;

        assert!(is_sold_out(&answer), "{what}: {answer:?}");
        assert!(read >= 31, "{what}: {read}");
        // Whoever read all of it has stored it again.
        let again = snapshots.get(&stream(), Stock::VERSION).await.unwrap().unwrap();
        assert_eq!(again.revision, 30, "{what}");
    }
}

#[tokio::test]
async fn a_snapshot_is_not_believed_because_the_log_could_not_be_asked() {
    let (store, snapshots) = sold_out().await;
    let right = snapshots.get(&stream(), Stock::VERSION).await.unwrap().unwrap();
    let state = right.state.replace(r#""on_hand":30"#, r#""on_hand":60"#);
    let of_another_log = StoredSnapshot { event_id: command_id("elsewhere"), state, ..right };
    snapshots.put(&stream(), of_another_log).await.unwrap();
    let commands = resumed(&store, &snapshots, 10);
    let failing = |times| {
        store.set_faults(
            (1..=times).fold(FaultPlan::none(), |plan, nth| plan.at(Operation::Read, nth, Fault::Before)),
        );
    };
    failing(2);
    assert!(is_sold_out(&send(&commands, "after two outages", reserve("one more", 1)).await));

    let commands = resumed(&store, &snapshots, 10);
    failing(10);
    let answer = send(&commands, "given up", reserve("one more", 1)).await;
    assert!(matches!(answer, Err(HandleError::Store(_))), "{answer:?}");
    failing(0);
    assert!(is_sold_out(&send(&commands, "and again", reserve("one more", 1)).await));
}

#[tokio::test]
async fn what_came_after_the_snapshot_may_be_many_pages() {
    let (store, snapshots) = sold_out().await;
    let others = process(&store);
    for n in 0..1_100 {
        send(&others, &format!("delivery-{n}"), receive(1)).await.unwrap();
    }

    let (read, answer) = read_for(&store, snapshots, reserve("one more", 1_100)).await;

    assert_eq!(answer.unwrap().revision, Some(1_131));
    assert_eq!(read, 2 + 1_100);
}

#[tokio::test]
async fn processes_that_share_snapshots_sell_what_there_is() {
    let (store, snapshots) = (MemoryStore::new(), Arc::new(MemorySnapshots::default()));
    send(&process(&store), "receive", receive(40)).await.unwrap();
    let mut sold = 0;
    for round in 0..10 {
        let processes = [resumed(&store, &snapshots, 3), resumed(&store, &snapshots, 3)];
        let buyers = (0..10).map(|n| {
            let (commands, name) = (&processes[n % 2], format!("buyer-{round}-{n}"));
            async move { send(commands, &name, reserve(&name, 1)).await }
        });
        sold += join_all(buyers).await.iter().filter(|answer| answer.is_ok()).count();
        for process in processes {
            process.finish().await;
        }
    }
    assert_eq!(sold, 40);
    assert!(snapshots.found() > 10, "{}", snapshots.found());
}

/// Of no use to anybody.
struct Broken {
    answers: bool,
}

impl Broken {
    async fn answer<T>(&self) -> Result<T, SnapshotError> {
        if self.answers { Err(SnapshotError::Revision(-1)) } else { std::future::pending().await }
    }
}

#[async_trait]
impl SnapshotStore for Broken {
    async fn get(&self, _: &StreamName, _: i32) -> Result<Option<StoredSnapshot>, SnapshotError> {
        self.answer().await
    }

    async fn put(&self, _: &StreamName, _: StoredSnapshot) -> Result<(), SnapshotError> {
        self.answer().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_of_snapshots_that_fails_or_hangs_stops_nobody() {
    for answers in [true, false] {
        let (store, _) = sold_out().await;
        let began = tokio::time::Instant::now();

        let (read, answer) = read_for(&store, Arc::new(Broken { answers }), receive(1)).await;

        assert_eq!(answer.unwrap().revision, Some(31));
        assert_eq!(read, 31);
        // To find one, and to store one.
        assert!(began.elapsed() <= Duration::from_millis(2_100), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_of_snapshots_that_has_failed_is_left_alone_for_a_while() {
    let store = MemoryStore::new();
    let snapshots = Snapshots::new(Arc::new(Broken { answers: false }));
    let commands = Commands::with_snapshots(Arc::new(store.clone()), snapshots);
    let began = tokio::time::Instant::now();
    for sku in 0..50 {
        let id = format!("SKU-{sku}");
        let command = Command::Receive { sku: id.parse().unwrap(), quantity: 1, reference: String::new() };
        commands.inventory.handle(&id, command, super::context(&id)).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_millis(1_100), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_repeat_is_known_although_the_snapshot_remembers_no_commands() {
    let (store, snapshots) = sold_out().await;
    let release = Command::Release { reservation_id: ReservationId(command_id("buyer-3")) };
    send(&process(&store), "release", release).await.unwrap();
    // Sold out again: by its state alone the process would refuse the repeat.
    send(&process(&store), "late", reserve("late", 1)).await.unwrap();
    let events = history(&store).await.len();
    for (name, command) in [("buyer-3", reserve("buyer-3", 1)), ("receive", receive(30))] {
        let first = send(&process(&store), name, command.clone()).await.unwrap();

        let repeated = send(&resumed(&store, &snapshots, 10), name, command).await.unwrap();

        assert_eq!(repeated, Handled { replayed: true, ..first });
    }
    assert_eq!(history(&store).await.len(), events);
}

#[tokio::test]
async fn a_large_state_is_stored_less_often() {
    let (store, snapshots) = (MemoryStore::new(), Arc::new(MemorySnapshots::default()));
    let commands = resumed(&store, &snapshots, 1);
    send(&commands, "receive", receive(1_000)).await.unwrap();
    let (mut revisions, mut bytes) = (Vec::new(), 0);
    for n in 0..300 {
        send(&commands, &format!("buyer-{n}"), reserve(&format!("buyer-{n}"), 1)).await.unwrap();
        // Until what was spawned is stored.
        tokio::task::yield_now().await;
        let stored = snapshots.get(&stream(), Stock::VERSION).await.unwrap().unwrap();
        if revisions.last() != Some(&stored.revision) {
            revisions.push(stored.revision);
            bytes += stored.state.len();
        }
    }
    let last = snapshots.get(&stream(), Stock::VERSION).await.unwrap().unwrap();
    assert!(last.state.len() > 20_000, "{}", last.state.len());
    assert!(bytes < 300 * 512, "{bytes} bytes in {revisions:?}");
}

/// What somebody does to stock, and whether the process is started anew before.
fn acts() -> impl Strategy<Value = Vec<(u8, i64, bool)>> {
    proptest::collection::vec((0..6_u8, 0..5_i64, any::<bool>()), 1..40)
}

fn act(kind: u8, number: i64) -> Command {
    let reservation_id = ReservationId(command_id(&format!("hold-{number}")));
    match kind {
        0 => receive(number + 1),
        1 | 2 => reserve(&format!("hold-{number}"), number + 1),
        3 => Command::Release { reservation_id },
        4 => Command::Commit { reservation_id },
        _ => Command::Dispatch { reservation_id },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_starts_anew_at_any_time_decides_as_if_he_had_not(acts in acts(), every in 1..7_u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, snapshots) = (MemoryStore::new(), Arc::new(MemorySnapshots::default()));
            let steady = MemoryStore::new();
            let whole = process(&steady);
            let mut commands = resumed(&store, &snapshots, every);
            for (nth, (kind, number, anew)) in acts.into_iter().enumerate() {
                if anew {
                    commands.finish().await;
                    commands = resumed(&store, &snapshots, every);
                }
                let name = format!("command-{nth}");
                let told = send(&commands, &name, act(kind, number)).await;
                let expected = send(&whole, &name, act(kind, number)).await;
                assert_eq!(format!("{told:?}"), format!("{expected:?}"), "{nth}");
            }
            let events = |history: Vec<event_store::RecordedEvent>| -> Vec<_> {
                history.into_iter().map(|event| (event.revision, event.id, event.name, event.payload)).collect()
            };
            assert_eq!(events(history(&store).await), events(history(&steady).await));
        });
    }
}

#[tokio::test]
async fn in_postgres_the_last_one_of_each_version_counts_and_only_the_service_can_read_it() {
    let databases = platform::postgres::testing::fresh_database().await;
    migrate(&databases.owner).await.unwrap();
    migrate(&databases.owner).await.unwrap();
    let snapshots = PostgresSnapshots::new(&databases.service);
    assert_eq!(snapshots.get(&stream(), 1).await.unwrap(), None);
    let of_version = |version, revision| StoredSnapshot {
        version,
        revision,
        position: "9223372036854775807".parse().unwrap(),
        event_id: command_id("last"),
        state: r#"{"kept": {"on_hand":  9223372036854775807}}"#.to_owned(),
    };
    snapshots.put(&stream(), of_version(2, 7)).await.unwrap();
    for revision in [29, 39, 10] {
        snapshots.put(&stream(), of_version(1, revision)).await.unwrap();
        assert_eq!(snapshots.get(&stream(), 1).await.unwrap(), Some(of_version(1, revision)));
    }
    assert_eq!(snapshots.get(&stream(), 2).await.unwrap(), Some(of_version(2, 7)));
    for role in [&databases.reader, &databases.projector] {
        let refused = PostgresSnapshots::new(role).get(&stream(), 1).await.unwrap_err().to_string();
        assert!(refused.contains("permission denied"), "{refused}");
    }
}

#[tokio::test]
async fn over_postgres_a_process_begins_where_another_one_was() {
    let databases = platform::postgres::testing::fresh_database().await;
    migrate(&databases.owner).await.unwrap();
    event_store::postgres::migrate(&databases.owner).await.unwrap();
    let store = event_store::postgres::PostgresStore::connect(databases.service.clone()).await.unwrap();
    let snapshots = Arc::new(PostgresSnapshots::new(&databases.service));
    let begin = || {
        Commands::with_snapshots(
            Arc::new(store.clone()),
            Snapshots::new(snapshots.clone()).every(2).patient(Duration::from_mins(1)),
        )
    };
    let first = begin();
    send(&first, "receive", receive(2)).await.unwrap();
    for buyer in ["one", "two"] {
        send(&first, buyer, reserve(buyer, 1)).await.unwrap();
    }
    first.finish().await;
    let stored = snapshots.get(&stream(), Stock::VERSION).await.unwrap().unwrap();
    assert_eq!(stored.revision, 1);
    let events = store.read_stream(&stream(), Direction::Forwards, None, 10).await.unwrap();
    assert_eq!((events.len(), events[1].position), (3, stored.position));
    assert!(is_sold_out(&send(&begin(), "three", reserve("three", 1)).await));

    // It did: with one unit more in the snapshot, it sells one more.
    let more = StoredSnapshot { state: stored.state.replace(r#""on_hand":2"#, r#""on_hand":3"#), ..stored };
    snapshots.put(&stream(), more).await.unwrap();
    send(&begin(), "three", reserve("three", 1)).await.unwrap();
}
