//! What may happen: pure deciders, one for each context.
//!
//! **No clock, no randomness, no I/O, no async.** Time, ids and limits arrive inside the command, so
//! that the same history and the same command give the same answer on every machine, for ever.

pub mod catalog;
pub mod credit;
pub mod inventory;
pub mod ledger;
pub mod lines;
pub mod order;
pub mod payment;

use events::DomainEvent;
use serde::{Serialize, de::DeserializeOwned};

/// The rules of one context over the state of one stream.
pub trait Decider: Default + Clone + Send + Sync + 'static {
    /// What somebody wants done.
    type Command: Clone + Send + Sync + std::fmt::Debug + 'static;
    /// What happened.
    type Event: DomainEvent + Clone + std::fmt::Debug;
    /// The rule that was in the way, with its numbers.
    type Refusal: std::error::Error + Clone + PartialEq + Send + Sync + 'static;

    /// Decides a command: events; nothing, when it is an exact repeat of what was done before; or a
    /// refusal, also when it repeats an id with other content.
    fn decide(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// Takes a recorded event into the state. Never judges: it happened.
    fn evolve(self, event: &Self::Event) -> Result<Self, Corrupt>;

    /// The state after a whole history.
    fn replay<'a>(events: impl IntoIterator<Item = &'a Self::Event>) -> Result<Self, Corrupt>
    where
        Self::Event: 'a,
    {
        events.into_iter().try_fold(Self::default(), Self::evolve)
    }
}

/// A state that can be written down and read again, for streams whose histories are long. It holds no personal data
/// in the clear, and reading refuses what contradicts itself.
pub trait Snapshotted: Decider + Serialize + DeserializeOwned {
    /// Of the rules by which a history is folded into this state, and of the form in which it is written. **Raised
    /// with every change of either, of an upcaster, and with every new kind of event in its streams**, so that no
    /// release decides on what another one's rules have made, or passes over what it cannot read.
    const VERSION: i32;
}

/// A history that no decider can have written: an event that its state rules out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("corrupt history: {event} cannot follow {state}")]
pub struct Corrupt {
    /// The wire name of the event.
    pub event: &'static str,
    /// The state that it met, in words.
    pub state: &'static str,
}
