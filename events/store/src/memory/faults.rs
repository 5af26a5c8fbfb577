//! Which calls of a memory store go wrong, and how. A plan has no randomness of its own: the same plan
//! and the same calls go wrong in the same places, so that a failing simulation can be run again.

use std::{collections::BTreeMap, time::Duration};

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails, and nothing was written.
    Before,
    /// It does what it should, and then fails: its answer was lost.
    After,
    /// It takes this long, and then does what it should.
    Delay(Duration),
}

/// The calls that a plan tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Appending.
    Append,
    /// Reading in any way; each page of a follower is one.
    Read,
}

impl Operation {
    pub(super) const fn doing(self) -> &'static str {
        match self {
            Self::Append => "appending",
            Self::Read => "reading",
        }
    }
}

/// Which calls go wrong. Appends and reads are counted apart, each from 1.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    appends: Schedule,
    reads: Schedule,
}

#[derive(Debug, Clone, Default)]
struct Schedule {
    calls: u64,
    at: BTreeMap<u64, Fault>,
    odds: Option<Odds>,
}

#[derive(Debug, Clone, Copy)]
struct Odds {
    seed: u64,
    per_mille: u64,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// Of every thousand calls about `per_mille` go wrong, in ways and places that follow from `seed`.
    pub fn seeded(seed: u64, per_mille: u16) -> Self {
        let odds =
            |seed| Schedule { odds: Some(Odds { seed, per_mille: per_mille.into() }), ..Schedule::default() };
        Self { appends: odds(seed), reads: odds(scrambled(seed)) }
    }

    /// The `nth` call of this kind goes wrong in this way, whatever else the plan says.
    #[must_use]
    pub fn at(mut self, operation: Operation, nth: u64, fault: Fault) -> Self {
        self.schedule(operation).at.insert(nth, fault);
        self
    }

    pub(super) fn next(&mut self, operation: Operation) -> Option<Fault> {
        let schedule = self.schedule(operation);
        schedule.calls += 1;
        let nth = schedule.calls;
        schedule.at.get(&nth).copied().or_else(|| schedule.odds?.fault(nth))
    }

    fn schedule(&mut self, operation: Operation) -> &mut Schedule {
        match operation {
            Operation::Append => &mut self.appends,
            Operation::Read => &mut self.reads,
        }
    }
}

impl Odds {
    fn fault(self, nth: u64) -> Option<Fault> {
        let drawn = scrambled(self.seed ^ scrambled(nth));
        if drawn % 1_000 >= self.per_mille {
            return None;
        }
        let drawn = scrambled(drawn);
        Some(match drawn % 3 {
            0 => Fault::Before,
            1 => Fault::After,
            _ => Fault::Delay(Duration::from_millis(1 + (drawn >> 32) % 500)),
        })
    }
}

/// One step of `SplitMix64` (Steele, Lea and Flood, 2014).
fn scrambled(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
