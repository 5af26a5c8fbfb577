//! At which sizes of the log it is measured, how often, and how long that takes in all.

use std::time::Duration;

/// A log that is smaller than this shows only that the bench works.
const SMALL: u64 = 100_000;

/// What is measured.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// How many events the log is to have, one size after the other. At 0 it has what is there to begin with,
    /// and says how far two stores differ that do not.
    pub(super) sizes: Vec<u64>,
    /// How often each thing is measured in each way.
    pub(super) rounds: usize,
}

impl Extent {
    /// Up to so many events.
    pub(super) fn of(events: u64) -> Self {
        if events < SMALL {
            return Self { sizes: vec![events], rounds: 1 };
        }
        Self { sizes: vec![0, events / 10, events / 10 * 3, events], rounds: 5 }
    }
}

/// How long it still takes: by what it has taken so far, and by guesses before that.
#[derive(Debug)]
pub(super) struct Left {
    sizes: Vec<u64>,
    /// Of one size, apart from filling and rebuilding.
    rounds_s: f64,
    fill_s_each: f64,
    rebuild_s_each: f64,
    /// Which of filling and rebuilding is done at the present size.
    filled: bool,
    rebuilt: bool,
}

impl Left {
    /// Nothing is done yet.
    pub(super) fn new(extent: &Extent, each: Duration) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "a few rounds")]
        let rounds = extent.rounds as f64;
        // Two ways each of four loads with a warm-up and a little to make ready, and of starting.
        let rounds_s = rounds * 2.0 * (4.0 * (each.as_secs_f64() + 1.5) + 2.0);
        let sizes = extent.sizes.clone();
        Self { sizes, rounds_s, fill_s_each: 15e-6, rebuild_s_each: 40e-6, filled: false, rebuilt: false }
    }

    /// So long did it take to fill the log from the size before to this one.
    pub(super) fn filled(&mut self, place: usize, took: Duration) {
        self.filled = true;
        if self.added(place) > 0.0 {
            self.fill_s_each = took.as_secs_f64() / self.added(place);
        }
    }

    /// So long did it take to rebuild everything from this size.
    pub(super) fn rebuilt(&mut self, place: usize, took: Duration) {
        self.rebuilt = true;
        if self.size(place) > 0.0 {
            self.rebuild_s_each = took.as_secs_f64() / self.size(place);
        }
    }

    /// How long it still takes, for people.
    pub(super) fn text(&mut self, place: usize) -> String {
        let left = self.seconds(place);
        if self.rebuilt {
            (self.filled, self.rebuilt) = (false, false);
        }
        let (number, of) = (place + 1, self.sizes.len());
        format!("size {number} of {of}; {:.0} minutes left in all", (left / 60.0).ceil())
    }

    fn seconds(&self, place: usize) -> f64 {
        (place..self.sizes.len())
            .map(|of| {
                let is_now = of == place;
                let fill = if is_now && self.filled { 0.0 } else { self.added(of) * self.fill_s_each };
                let rebuild = if is_now && self.rebuilt { 0.0 } else { self.size(of) * self.rebuild_s_each };
                fill + rebuild + self.rounds_s
            })
            .sum()
    }

    fn size(&self, place: usize) -> f64 {
        self.sizes.get(place).copied().map_or(0.0, super::as_number)
    }

    fn added(&self, place: usize) -> f64 {
        self.size(place) - place.checked_sub(1).map_or(0.0, |before| self.size(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_log_is_measured_on_its_way_there_and_a_small_one_once() {
        assert_eq!(Extent::of(10_000_000).sizes, [0, 1_000_000, 3_000_000, 10_000_000]);
        assert_eq!(Extent::of(2_000), Extent { sizes: vec![2_000], rounds: 1 });
    }

    #[test]
    fn what_is_left_follows_what_it_has_taken_so_far() {
        let extent = Extent { sizes: vec![100, 300], rounds: 1 };
        let mut left = Left::new(&extent, Duration::from_millis(500));
        left.filled(0, Duration::from_secs(100));
        left.rebuilt(0, Duration::from_secs(200));
        // Twice ten seconds of rounds at each size; then 200 events to write and 300 to rebuild.
        assert!((left.seconds(0) - (2.0 * 20.0 + 200.0 + 600.0)).abs() < 1e-9, "{left:?}");
        assert_eq!(left.text(0), "size 1 of 2; 14 minutes left in all");
        assert!((left.seconds(1) - (20.0 + 200.0 + 600.0)).abs() < 1e-9, "{left:?}");
    }
}
