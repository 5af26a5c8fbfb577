//! The relay hands every event of the log on to NATS JetStream, in order, for systems outside of Counterfoil:
//! mail, warehouse, search. The tap is an example of what such a system does with them. Processes of Counterfoil
//! use NATS only to wake each other up.
//!
//! **NATS is never trusted with the truth.** The checkpoint is ours, and it only passes events that JetStream
//! has acknowledged; whatever NATS loses, doubles or delays, the log is where it is put right.

mod address;
mod condition;
mod error;
mod message;
mod progress;
mod publish;
mod run;
mod server;
mod strangers;
mod stream;
pub mod tap;
pub mod wake;

pub use address::{Address, InvalidAddress};
pub use condition::{Condition, NotReady};
pub use error::{Error, NatsError};
pub use message::{ANYTHING, STREAM};
pub use progress::{Progress, RewindError, State, migrate};
pub use run::{Options, Relay};
pub use server::check;
