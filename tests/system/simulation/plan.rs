//! What happens in a shop, drawn from a seed before anything runs: who orders what and pays how, what
//! they do next, and what goes wrong where.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use event_store::memory::{Fault, Operation};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use sagas::gateway::sandbox::tokens;

/// What the shop sells, at a pound each.
pub(super) const SKUS: [&str; 3] = ["CUP", "SAUCER", "TEAPOT"];

/// More boundaries than a checkout that is not disturbed has.
const BOUNDARIES_OF_ONE: u64 = 80;

/// How long an append of a twin that sleeps takes. Longer than anything else waits.
pub(super) const SLEEP: std::time::Duration = std::time::Duration::from_hours(1);

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// Units of each SKU.
    pub(super) stock: [i64; 3],
    pub(super) orders: Vec<OrderPlan>,
    /// What customers and the shop do, after a time.
    pub(super) actions: Vec<(TimeDelta, Action)>,
    /// At which boundaries, counted over all coordinators, the coordinator is killed; and what somebody
    /// does before the next one starts.
    pub(super) crashes: BTreeMap<u64, Option<Action>>,
    pub(super) store_faults: Vec<(Operation, u64, Fault)>,
    /// Calls to the provider that do not arrive, and calls whose answer does not.
    pub(super) calls_lost: BTreeSet<u64>,
    pub(super) answers_lost: BTreeSet<u64>,
    /// How webhooks come: up to how late, and how many of ten come more than once.
    pub(super) webhook_delay_max: TimeDelta,
    pub(super) doubled_of_ten: u32,
}

#[derive(Debug, Clone)]
pub(super) struct OrderPlan {
    /// SKU and units. A SKU may come twice.
    pub(super) lines: Vec<(&'static str, i64)>,
    pub(super) method: &'static str,
    pub(super) imported: bool,
}

/// Somebody does something about an order, by its number in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Place(usize),
    Cancel(usize),
    Dispatch(usize),
    /// So many pence of it.
    Capture(usize, i64),
    Refund(usize, i64),
    /// More units of each SKU come in.
    Receive(i64),
    /// What the coordinator keeps beside the log is dropped.
    ForgetState,
}

impl Plan {
    /// Even seeds go through every means of payment × every boundary, one order each; odd ones are drawn.
    pub(super) fn from_seed(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        if seed.is_multiple_of(2) { Self::systematic(seed, &mut dice) } else { Self::drawn(seed, &mut dice) }
    }

    fn systematic(seed: u64, dice: &mut StdRng) -> Self {
        let turn = seed / 2;
        let all = tokens::ALL.len() as u64;
        let method = tokens::ALL[usize::try_from(turn % all).unwrap()];
        let boundary = 1 + turn / all % BOUNDARIES_OF_ONE;
        let order =
            OrderPlan { lines: vec![("CUP", 1), ("TEAPOT", 2)], method, imported: dice.random_ratio(1, 6) };
        let after = [
            None,
            Some(Action::Cancel(0)),
            Some(Action::Place(0)),
            Some(Action::Dispatch(0)),
            Some(Action::ForgetState),
        ];
        Self {
            seed,
            stock: [5; 3],
            orders: vec![order],
            actions: vec![(TimeDelta::zero(), Action::Place(0))],
            crashes: BTreeMap::from([(boundary, *after.choose(dice).unwrap())]),
            store_faults: vec![],
            calls_lost: BTreeSet::new(),
            answers_lost: BTreeSet::new(),
            webhook_delay_max: *[0, 2, 3_600].map(TimeDelta::seconds).choose(dice).unwrap(),
            doubled_of_ten: dice.random_range(0..10),
        }
    }

    fn drawn(seed: u64, dice: &mut StdRng) -> Self {
        let orders: Vec<_> = (0..dice.random_range(1..=5)).map(|_| OrderPlan::drawn(dice)).collect();
        let mut actions = Vec::new();
        for number in 0..orders.len() {
            let placed = dice.random_range(0..2_000);
            actions.push((TimeDelta::milliseconds(placed), Action::Place(number)));
            for _ in 0..dice.random_range(0..3) {
                let later = placed + dice.random_range(0..4_000);
                actions.push((TimeDelta::milliseconds(later), Action::drawn(dice, number)));
            }
        }
        actions.sort_by_key(|(after, _)| *after);
        let mut crashes = BTreeMap::new();
        for _ in 0..dice.random_range(0..6) {
            let action = dice.random_bool(0.4).then(|| {
                let number = dice.random_range(0..orders.len());
                Action::drawn(dice, number)
            });
            crashes.insert(dice.random_range(1..300), action);
        }
        Self {
            seed,
            stock: std::array::from_fn(|_| dice.random_range(0..12)),
            crashes,
            store_faults: store_faults(dice),
            calls_lost: (0..dice.random_range(0..4)).map(|_| dice.random_range(1..20)).collect(),
            answers_lost: (0..dice.random_range(0..4)).map(|_| dice.random_range(1..20)).collect(),
            webhook_delay_max: *[0, 5, 1_200, 3 * 86_400].map(TimeDelta::seconds).choose(dice).unwrap(),
            doubled_of_ten: dice.random_range(0..10),
            orders,
            actions,
        }
    }

    /// Whether there is enough of everything for everybody, whatever becomes of the others.
    pub(super) fn stock_suffices(&self) -> bool {
        SKUS.iter().zip(self.stock).all(|(sku, stock)| {
            let lines = self.orders.iter().flat_map(|order| &order.lines);
            let wanted: i64 = lines.filter(|(wanted, _)| wanted == sku).map(|(_, quantity)| quantity).sum();
            wanted <= stock
        })
    }

    /// Whether somebody interferes with an order, beyond placing it.
    pub(super) fn interferes_with(&self, number: usize) -> bool {
        let planned = self.actions.iter().map(|(_, action)| action);
        planned.chain(self.crashes.values().flatten()).any(|action| match *action {
            Action::Cancel(order)
            | Action::Dispatch(order)
            | Action::Capture(order, _)
            | Action::Refund(order, _) => order == number,
            Action::Place(_) | Action::Receive(_) | Action::ForgetState => false,
        })
    }
}

impl OrderPlan {
    fn drawn(dice: &mut StdRng) -> Self {
        let lines = (0..dice.random_range(1..=3))
            .map(|_| (*SKUS.choose(dice).unwrap(), dice.random_range(1..=3)))
            .collect();
        let method = *tokens::ALL.choose(dice).unwrap();
        Self { lines, method, imported: dice.random_ratio(1, 8) }
    }
}

impl Action {
    fn drawn(dice: &mut StdRng, number: usize) -> Self {
        match dice.random_range(0..8) {
            0 | 1 => Self::Cancel(number),
            2 => Self::Dispatch(number),
            3 => Self::Capture(number, dice.random_range(1..400)),
            4 => Self::Refund(number, dice.random_range(1..400)),
            5 => Self::Place(number),
            6 => Self::Receive(dice.random_range(1..4)),
            _ => Self::ForgetState,
        }
    }
}

/// Appends and reads that fail before or after their effect; and, in some seeds, one append that takes so
/// long that whoever made it is given up for dead.
fn store_faults(dice: &mut StdRng) -> Vec<(Operation, u64, Fault)> {
    let mut faults = Vec::new();
    for _ in 0..dice.random_range(0..5) {
        let fault = if dice.random_bool(0.5) { Fault::Before } else { Fault::After };
        faults.push((Operation::Append, dice.random_range(1..150), fault));
    }
    for _ in 0..dice.random_range(0..3) {
        faults.push((Operation::Read, dice.random_range(1..400), Fault::Before));
    }
    if dice.random_bool(0.3) {
        faults.push((Operation::Append, dice.random_range(3..80), Fault::Delay(SLEEP)));
    }
    faults
}
