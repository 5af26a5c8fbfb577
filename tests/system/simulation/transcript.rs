//! The appends of simulated shops, made again call by call in EventStoreDB: in the server that
//! `EVENTSTOREDB_URL` names, and otherwise in what stands in for one. **Whatever the store in memory answered is
//! answered there too**, and the same history comes of it, byte for byte.
//!
//! Each shop has a namespace of its own, which no run has used before: a server can be used again, and the shops
//! lie there among each other.

use std::collections::BTreeMap;

use event_store::{Direction, EventStore, Filter, IdScope, Position, RecordedEvent};
use events::StreamName;
use tokio::task::JoinSet;

use super::{
    catch,
    plan::Plan,
    recorder::{Answer, Call},
};
use crate::harness::EventStoreServer;

/// Drawn plans, which are the odd ones: several orders, failing stores, lost answers, twins.
const SEEDS: [u64; 20] = [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31, 33, 35, 37, 39];

/// How much of the log is read at once.
const PAGE_EVENTS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eventstoredb_answers_every_append_of_a_simulated_shop_as_the_store_in_memory_did() {
    let server = EventStoreServer::given_or_stand_in();
    let mut shops = JoinSet::new();
    for seed in SEEDS {
        let url = server.corner();
        shops.spawn(async move {
            // A simulation has a runtime of its own, with a time of its own.
            let story = tokio::task::spawn_blocking(move || catch(&Plan::from_seed(seed))).await.unwrap();
            let story = story.unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
            let store = event_store::open(&url).await.unwrap();
            for (nth, call) in story.transcript.iter().enumerate() {
                repeat(&*store, call)
                    .await
                    .unwrap_or_else(|reason| panic!("seed {seed}, call {nth}: {reason}"));
            }
            assert_same_history(seed, &*store, &story.log).await;
            store.close().await;
            story.transcript
        });
    }
    let mut answers: BTreeMap<&str, u32> = BTreeMap::new();
    for call in shops.join_all().await.iter().flatten() {
        *answers.entry(in_a_word(&call.answer)).or_default() += 1;
    }
    println!("{answers:?}");
    // Shops in which nobody is ever too late say nothing about it.
    for kind in ["appended", "replayed", "unheard", "conflict"] {
        assert!(answers.contains_key(kind), "no append of any seed was {kind}: {answers:?}");
    }
}

/// Makes an append again, and says what is answered otherwise.
async fn repeat(store: &dyn EventStore, call: &Call) -> Result<(), String> {
    let Call { stream, expected, events, answer } = call;
    if let Answer::AlreadyAppended(found) = answer
        && found.iter().any(|(_, there, _)| there != stream)
    {
        // In memory an id that another stream has is refused. Here it is another event, and would be written.
        assert_eq!(store.ids_are_unique_in(), IdScope::Stream);
        return Ok(());
    }
    let outcome = store.append(stream, *expected, events.clone()).await;
    let given = Answer::given(&outcome);
    let same = match (answer, &given) {
        // It was written then. At which revision, the history at the end says.
        (Answer::Unheard, Some(Answer::Appended { replayed, .. })) => !replayed,
        (answer, given) => Some(answer) == given.as_ref(),
    };
    let in_memory = format!("{} events to {stream} at {expected}: in memory {answer:?}", events.len());
    if same { Ok(()) } else { Err(format!("{in_memory}, and here {outcome:?}")) }
}

/// The whole log in its order, and each stream in its own.
async fn assert_same_history(seed: u64, store: &dyn EventStore, log: &[RecordedEvent]) {
    let (mut there, mut after) = (Vec::new(), Position::START);
    loop {
        let page = store.read_all(after, &Filter::all(), PAGE_EVENTS).await.unwrap();
        there.extend(page.events);
        after = page.scanned;
        if page.end {
            break;
        }
    }
    assert_same_events(seed, &there, &log.iter().collect::<Vec<_>>());
    let mut streams: BTreeMap<&StreamName, Vec<&RecordedEvent>> = BTreeMap::new();
    for event in log {
        streams.entry(&event.stream).or_default().push(event);
    }
    for (stream, events) in streams {
        let there = store.read_stream(stream, Direction::Forwards, None, usize::MAX).await.unwrap();
        assert_same_events(seed, &there, &events);
    }
}

/// All of them, in all that they consist of but for where and when this engine wrote them.
fn assert_same_events(seed: u64, there: &[RecordedEvent], in_memory: &[&RecordedEvent]) {
    for (there, in_memory) in there.iter().zip(in_memory) {
        let RecordedEvent { position, recorded_at, .. } = *there;
        assert_eq!(*there, RecordedEvent { position, recorded_at, ..(*in_memory).clone() }, "seed {seed}");
    }
    assert_eq!(there.len(), in_memory.len(), "seed {seed}");
}

fn in_a_word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Appended { replayed: false, .. } => "appended",
        Answer::Appended { replayed: true, .. } => "replayed",
        Answer::Unheard => "unheard",
        Answer::Conflict { .. } => "conflict",
        Answer::AlreadyAppended(_) => "already appended",
        Answer::Unkeepable => "unkeepable",
    }
}
