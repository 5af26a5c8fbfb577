//! Checkouts against stores that commit in groups, by the clock of the simulation. The same seed gives the
//! same run.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use events::Category;

/// How many checkouts are simulated at each rate.
const CHECKOUTS: usize = 50_000;

/// The longest that 99 of 100 checkouts may take, in seconds.
const P99_MAX: f64 = 0.25;

/// How many events a store commits at once.
const BATCH_EVENTS_MAX: u64 = 2_000;

/// One append of a checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Append {
    pub(super) category: Category,
    pub(super) events: u64,
}

/// How long a commit takes, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) commit_s: f64,
    pub(super) event_s: f64,
}

impl Cost {
    /// The line through two measurements of events and seconds.
    pub(super) fn through(small: (f64, f64), large: (f64, f64)) -> Self {
        let event_s = (large.1 - small.1) / (large.0 - small.0);
        Self { commit_s: small.1 - small.0 * event_s, event_s }
    }

    #[allow(clippy::cast_precision_loss, reason = "a few thousand events")]
    fn of(self, events: u64) -> f64 {
        self.commit_s + events as f64 * self.event_s
    }
}

/// How streams are shared out among stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// All in one.
    One,
    /// Orders and checkouts, payments, and stock.
    ByCategory,
    /// Each checkout with all of its streams in one of four, stock by its own hash.
    ByHash,
}

impl Layout {
    pub(super) const ALL: [Self; 3] = [Self::One, Self::ByCategory, Self::ByHash];

    pub(super) fn what(self) -> &'static str {
        match self {
            Self::One => "one store",
            Self::ByCategory => "three stores: orders and checkouts, payments, stock",
            Self::ByHash => "four stores, streams by hash",
        }
    }

    fn stores(self) -> usize {
        match self {
            Self::One => 1,
            Self::ByCategory => 3,
            Self::ByHash => 4,
        }
    }

    fn store_of(self, append: Append, checkout: usize, place: usize) -> usize {
        match self {
            Self::One => 0,
            Self::ByCategory => match append.category {
                Category::Payment | Category::Webhook => 1,
                Category::Inventory | Category::Catalog => 2,
                Category::Order | Category::Checkout | Category::Credit | Category::Ledger => 0,
            },
            Self::ByHash => {
                let stock = if append.category == Category::Inventory { place * 7_919 } else { 0 };
                (checkout * 31 + stock) % self.stores()
            }
        }
    }
}

/// The highest rate of checkouts at which 99 of 100 take no longer than they may.
pub(super) fn most_checkouts(checkout: &[Append], cost: Cost, layout: Layout) -> f64 {
    let bears = |rate: f64| p99(checkout, cost, layout, rate) <= P99_MAX;
    let (mut least, mut most) = (1.0, 2.0);
    while bears(most) && most < 1e6 {
        (least, most) = (most, most * 2.0);
    }
    while most / least > 1.01 {
        let middle = f64::midpoint(least, most);
        if bears(middle) { least = middle } else { most = middle }
    }
    least
}

/// A moment at which something happens, in nanoseconds.
type Moment = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// A checkout is ready for its append at this place.
    Ready { checkout: usize, place: usize },
    /// A store has committed.
    Committed { store: usize },
}

#[derive(Debug, Default)]
struct Store {
    /// Checkouts that wait, with the place of their append.
    waiting: VecDeque<(usize, usize)>,
    committing: Vec<(usize, usize)>,
}

/// How long 99 of 100 checkouts take at most, in seconds, when so many begin in a second.
fn p99(checkout: &[Append], cost: Cost, layout: Layout, rate: f64) -> f64 {
    let mut stores: Vec<Store> = std::iter::repeat_with(Store::default).take(layout.stores()).collect();
    let (mut moments, mut took) = (BinaryHeap::new(), Vec::with_capacity(CHECKOUTS));
    let arrivals = arrivals(rate);
    for (checkout, at) in arrivals.iter().enumerate() {
        moments.push(Reverse((*at, Happening::Ready { checkout, place: 0 })));
    }
    while let Some(Reverse((now, happening))) = moments.pop() {
        let store = match happening {
            Happening::Ready { checkout: nth, place } => {
                let Some(append) = checkout.get(place) else {
                    took.push(now - arrivals[nth]);
                    continue;
                };
                let store = layout.store_of(*append, nth, place);
                stores[store].waiting.push_back((nth, place));
                store
            }
            Happening::Committed { store } => {
                for (checkout, place) in std::mem::take(&mut stores[store].committing) {
                    moments.push(Reverse((now, Happening::Ready { checkout, place: place + 1 })));
                }
                store
            }
        };
        if let Some(events) = begin(&mut stores[store], checkout) {
            moments.push(Reverse((now + nanoseconds(cost.of(events)), Happening::Committed { store })));
        }
    }
    took.sort_unstable();
    #[allow(clippy::cast_precision_loss, reason = "seconds")]
    let seconds = took[took.len() * 99 / 100] as f64 / 1e9;
    seconds
}

/// Begins a commit of what waits, if the store is idle; answers how many events that is.
fn begin(store: &mut Store, checkout: &[Append]) -> Option<u64> {
    if !store.committing.is_empty() || store.waiting.is_empty() {
        return None;
    }
    let mut events = 0;
    while let Some((_, place)) = store.waiting.front() {
        if events >= BATCH_EVENTS_MAX {
            break;
        }
        events += checkout[*place].events;
        store.committing.extend(store.waiting.pop_front());
    }
    Some(events)
}

/// When checkouts begin: at random, with this many a second on average.
fn arrivals(rate: f64) -> Vec<Moment> {
    let (mut at, mut dice) = (0.0, 0x9e37_79b9_7f4a_7c15_u64);
    let mut next = || {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        #[allow(clippy::cast_precision_loss, reason = "between nought and one")]
        let between = (dice >> 11) as f64 / (1_u64 << 53) as f64;
        at -= (1.0 - between).ln() / rate;
        nanoseconds(at)
    };
    std::iter::repeat_with(&mut next).take(CHECKOUTS).collect()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "centuries fit")]
fn nanoseconds(seconds: f64) -> Moment {
    (seconds * 1e9) as Moment
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKOUT: [Append; 4] = [
        Append { category: Category::Order, events: 1 },
        Append { category: Category::Inventory, events: 1 },
        Append { category: Category::Payment, events: 1 },
        Append { category: Category::Checkout, events: 1 },
    ];

    #[test]
    fn a_store_bears_what_its_events_cost_and_commits_are_shared() {
        let cost = Cost { commit_s: 0.001, event_s: 0.000_1 };
        let most = most_checkouts(&CHECKOUT, cost, Layout::One);
        // Four events of 0.1 ms each: 2,500 a second at the very most, and near to it because commits are shared.
        assert!((1_800.0..2_600.0).contains(&most), "{most}");
    }

    #[test]
    fn stores_by_category_bear_what_the_busiest_of_them_does() {
        let cost = Cost { commit_s: 0.001, event_s: 0.000_1 };
        let (one, three) = (
            most_checkouts(&CHECKOUT, cost, Layout::One),
            most_checkouts(&CHECKOUT, cost, Layout::ByCategory),
        );
        // Orders and checkouts are half of the events.
        assert!((1.8..2.2).contains(&(three / one)), "{one} {three}");
    }

    #[test]
    fn the_same_rate_gives_the_same_run() {
        let cost = Cost { commit_s: 0.001, event_s: 0.000_1 };
        let run = || p99(&CHECKOUT, cost, Layout::ByHash, 3_000.0);
        assert!((run() - run()).abs() < f64::EPSILON);
    }
}
