//! The vocabulary of Counterfoil: what happened, in which words, and how it is written down.
//!
//! Every other crate speaks in these types. Nothing here decides anything: an event is a fact, and
//! a fact has a wire name, a schema version and a payload that is kept byte for byte.

pub mod catalog;
pub mod checkout;
pub mod codec;
pub mod credit;
pub mod envelope;
pub mod ids;
pub mod inventory;
pub mod ledger;
pub mod money;
#[cfg(feature = "next-release")]
mod next_release;
pub mod order;
pub mod payment;
pub mod sealed;
pub mod stream;
mod upcast;
pub mod webhook;

pub use codec::{DecodeError, DomainEvent, vocabulary};
pub use envelope::{Actor, Metadata};
pub use money::{Currency, Money, UnitPrice};
pub use stream::{Category, StreamName};
