//! Captures and refunds of one payment, each asked for, then made or failed. Both move money in the same
//! way, so both are kept in the same way.

use std::collections::BTreeMap;

/// What is known of one capture or refund. Amounts are in minor units of the payment's currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Movement {
    /// The provider is to be called, or has been and its answer is not known.
    Asked { amount: i64, effort: Effort },
    /// The money moved.
    Made { amount: i64 },
    /// The provider refused for good.
    Failed { amount: i64 },
}

impl Movement {
    pub(super) const fn amount(self) -> i64 {
        match self {
            Self::Asked { amount, .. } | Self::Made { amount } | Self::Failed { amount } => amount,
        }
    }
}

/// How often a call was made without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// So many times, and it goes on.
    Trying { attempts: u32 },
    /// So many times, and a person has been told.
    PastLimit { attempts: u32 },
}

impl Effort {
    /// A call that was not made yet.
    pub(super) const NONE: Self = Self::Trying { attempts: 0 };

    pub(super) const fn attempts(self) -> u32 {
        match self {
            Self::Trying { attempts } | Self::PastLimit { attempts } => attempts,
        }
    }

    pub(super) const fn after(self, attempts: u32) -> Self {
        match self {
            Self::Trying { .. } => Self::Trying { attempts },
            Self::PastLimit { .. } => Self::PastLimit { attempts },
        }
    }
}

/// All captures, or all refunds, of one payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Movements<Id>(BTreeMap<Id, Movement>);

impl<Id> Default for Movements<Id> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<Id: Ord + Copy> Movements<Id> {
    pub(super) fn get(&self, id: Id) -> Option<Movement> {
        self.0.get(&id).copied()
    }

    pub(super) fn set(&mut self, id: Id, movement: Movement) {
        self.0.insert(id, movement);
    }

    /// Does nothing to one that waits for no answer.
    pub(super) fn set_effort(&mut self, id: Id, made: Effort) {
        if let Some(Movement::Asked { effort, .. }) = self.0.get_mut(&id) {
            *effort = made;
        }
    }

    /// What moved. Fits into 64 bits: nothing is recorded that would take it over.
    pub(super) fn made(&self) -> i64 {
        self.sum(|movement| matches!(movement, Movement::Made { .. }))
    }

    /// What moved or may yet move. Stops at the largest number rather than wrap, which no limit admits.
    pub(super) fn made_or_asked(&self) -> i64 {
        self.sum(|movement| !matches!(movement, Movement::Failed { .. }))
    }

    /// How many were refused for good.
    pub(super) fn failed(&self) -> usize {
        self.0.values().filter(|movement| matches!(movement, Movement::Failed { .. })).count()
    }

    /// Those that wait for an answer: id, amount, and how often the call was made.
    pub(super) fn asked(&self) -> impl Iterator<Item = (Id, i64, Effort)> {
        self.0.iter().filter_map(|(id, movement)| match movement {
            Movement::Asked { amount, effort } => Some((*id, *amount, *effort)),
            Movement::Made { .. } | Movement::Failed { .. } => None,
        })
    }

    fn sum(&self, counts: impl Fn(Movement) -> bool) -> i64 {
        let counted = self.0.values().filter(|movement| counts(**movement));
        counted.fold(0, |sum: i64, movement| sum.saturating_add(movement.amount()))
    }
}
