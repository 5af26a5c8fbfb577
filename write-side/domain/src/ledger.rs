//! The rules of an adjustment in the books: made once, not of nothing.

use events::{
    DomainEvent, Money,
    ids::LedgerAdjustmentId,
    ledger::{Adjusted, LedgerEvent},
};

use crate::{Corrupt, Decider};

/// What somebody wants done in the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make an adjustment that belongs to no order. An exact repeat is nothing.
    Adjust {
        /// The adjustment.
        adjustment_id: LedgerAdjustmentId,
        /// Its number where it was made.
        reference: String,
        /// How much, with its sign; not zero.
        amount: Money,
        /// Why.
        reason: String,
    },
}

/// The rule that was in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An adjustment changes something.
    #[error("adjustment {adjustment_id} is of nothing")]
    AmountIsZero {
        /// The adjustment.
        adjustment_id: LedgerAdjustmentId,
    },
    /// An adjustment of this id was made with other content.
    #[error("adjustment {adjustment_id} was made otherwise already")]
    AdjustedOtherwise {
        /// The adjustment.
        adjustment_id: LedgerAdjustmentId,
    },
}

/// What the next decision about an adjustment needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LedgerAdjustment {
    /// Never made.
    #[default]
    Unmade,
    /// Made, and never changed after.
    Made(Adjusted),
}

impl Decider for LedgerAdjustment {
    type Command = Command;
    type Event = LedgerEvent;
    type Refusal = Refusal;

    fn decide(&self, command: &Command) -> Result<Vec<LedgerEvent>, Refusal> {
        let Command::Adjust { adjustment_id, reference, amount, reason } = command;
        if amount.amount == 0 {
            return Err(Refusal::AmountIsZero { adjustment_id: *adjustment_id });
        }
        let adjusted = Adjusted {
            adjustment_id: *adjustment_id,
            reference: reference.clone(),
            amount: *amount,
            reason: reason.clone(),
        };
        match self {
            Self::Unmade => Ok(vec![LedgerEvent::Adjusted(adjusted)]),
            Self::Made(known) if *known == adjusted => Ok(vec![]),
            Self::Made(_) => Err(Refusal::AdjustedOtherwise { adjustment_id: *adjustment_id }),
        }
    }

    fn evolve(self, event: &LedgerEvent) -> Result<Self, Corrupt> {
        let LedgerEvent::Adjusted(adjusted) = event;
        match self {
            Self::Unmade => Ok(Self::Made(adjusted.clone())),
            Self::Made(_) => Err(Corrupt { event: event.wire_name(), state: "an adjustment that was made" }),
        }
    }
}
