//! The deciders, the sagas and the coordinator on the store in memory, with a clock that stands still and
//! a provider that keeps its books: whole shops from one seed each, killed at step boundaries, with lost
//! answers, failing stores, late, doubled and reordered webhooks, and twins that wake up.
//!
//! **The same seed gives the same trace**, so that a seed that fails can be run alone:
//! `COUNTERFOIL_SIMULATION_SEED=42 cargo test --test system simulation`. The number of seeds is
//! `COUNTERFOIL_SIMULATION_SEEDS`.

mod plan;
mod read_models;
mod recorder;
mod shop;
mod story;
mod transcript;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use plan::Plan;
use read_models::ReadModels;
use story::{Story, tell};

const SEEDS: u64 = 2_000;

#[test]
fn every_seed_keeps_every_invariant_and_tells_the_same_story_twice() {
    if let Some(seed) = number("COUNTERFOIL_SIMULATION_SEED") {
        let plan = Plan::from_seed(seed);
        println!("{plan:#?}");
        match catch(&plan) {
            Ok(story) => {
                println!("{}", story.trace.join("\n"));
                Database::new().check(seed, story).unwrap();
            }
            Err(reason) => panic!("seed {seed}: {reason}"),
        }
        return;
    }
    let seeds = number("COUNTERFOIL_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let summary = Mutex::new(Summary::default());
    let next = AtomicU64::new(0);
    let workers = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut database = Database::new();
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds {
                        return;
                    }
                    let outcome = run(seed).and_then(|story| database.check(seed, story));
                    summary.lock().unwrap().add(seed, outcome);
                }
            });
        }
    });
    let summary = summary.into_inner().unwrap();
    println!("{seeds} seeds: {summary}");
    assert!(
        summary.failed.is_empty(),
        "run one alone with COUNTERFOIL_SIMULATION_SEED: {:#?}",
        summary.failed
    );
    if seeds >= SEEDS {
        summary.assert_that_everything_was_tried();
    }
}

/// Where a worker looks at the read models of its seeds, in time as it passes for everybody.
struct Database {
    runtime: tokio::runtime::Runtime,
    read_models: ReadModels,
}

impl Database {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let read_models = runtime.block_on(ReadModels::empty());
        Self { runtime, read_models }
    }

    fn check(&mut self, seed: u64, story: Story) -> Result<Story, String> {
        self.runtime.block_on(self.read_models.check(seed, &story.log))?;
        Ok(story)
    }
}

/// Runs one seed twice, and compares the traces.
fn run(seed: u64) -> Result<Story, String> {
    let plan = Plan::from_seed(seed);
    let story = catch(&plan)?;
    let again = catch(&plan)?;
    let differing = story.trace.iter().zip(&again.trace).position(|(first, second)| first != second);
    match differing {
        Some(line) => {
            Err(format!("the trace says {:?}, and then {:?}", story.trace[line], again.trace[line]))
        }
        None if story.trace.len() != again.trace.len() => {
            Err("one trace is longer than the other".to_owned())
        }
        None => Ok(story),
    }
}

/// Tells the story of a plan; whatever breaks on the way is the reason of its failure.
fn catch(plan: &Plan) -> Result<Story, String> {
    let told = catch_unwind(AssertUnwindSafe(|| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(tell(plan))
    }));
    told.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
    })
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("the variable is a number"))
}

/// What all seeds came to together.
#[derive(Debug, Default)]
struct Summary {
    events: u64,
    crashes: BTreeMap<&'static str, u64>,
    twins: u64,
    snapshots: u64,
    deliveries: u64,
    /// Orders by means of payment and the state that they ended in.
    orders: BTreeMap<(&'static str, &'static str), u64>,
    failed: BTreeMap<u64, String>,
    reached: BTreeSet<&'static str>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} events, {} twins, {} snapshots found, {} deliveries",
            self.events, self.twins, self.snapshots, self.deliveries
        )?;
        for (boundary, crashes) in &self.crashes {
            writeln!(f, "{crashes:>8} killed at {boundary}")?;
        }
        for ((method, state), orders) in &self.orders {
            writeln!(f, "{orders:>8} {method} {state}")?;
        }
        Ok(())
    }
}

impl Summary {
    fn add(&mut self, seed: u64, outcome: Result<Story, String>) {
        let story = match outcome {
            Ok(story) => story,
            Err(reason) => {
                println!("seed {seed} failed: {reason}");
                self.failed.insert(seed, reason);
                return;
            }
        };
        self.events += story.events;
        self.twins += story.twins;
        self.snapshots += story.snapshots;
        self.deliveries += story.deliveries;
        for boundary in story.crashes {
            *self.crashes.entry(boundary).or_default() += 1;
        }
        for ending in story.endings {
            *self.orders.entry(ending).or_default() += 1;
        }
        self.reached.extend(story.reached);
    }

    /// A simulation that tries nothing finds nothing.
    fn assert_that_everything_was_tried(&self) {
        for boundary in &self.reached {
            assert!(self.crashes.contains_key(boundary), "no seed was killed at {boundary}");
        }
        assert!(self.twins > 0, "no seed had twins");
        assert!(self.snapshots > 0, "no process found a snapshot");
        for token in sagas::gateway::sandbox::tokens::ALL {
            assert!(self.orders.keys().any(|(method, _)| *method == token), "no seed paid with {token}");
        }
        for state in ["confirmed", "completed", "rejected", "cancelled"] {
            assert!(self.orders.keys().any(|(_, ended)| *ended == state), "no order ended {state}");
        }
    }
}
