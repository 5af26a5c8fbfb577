//! The event store: what every part of Counterfoil appends to and reads from, and the adapters that
//! keep it.
//!
//! **No event is updated or deleted. No reader sees position n+1 before n, and no reader skips one.**
//! Every adapter passes the same contract suite, so that a caller never needs to know which one it has.

mod error;
#[cfg(feature = "eventstoredb")]
pub mod eventstoredb;
mod follow;
mod hints;
pub mod limits;
pub mod memory;
mod open;
mod port;
mod position;
pub mod postgres;
mod to_end;

pub use error::{AppendError, FoundEvent, StoreError};
pub use hints::Hints;
pub use open::{OpenError, open};
pub use port::{
    Appended, Direction, EventStore, ExpectedRevision, Filter, IdScope, NewEvent, Page, RecordedEvent,
};
pub use position::{ColumnError, NotAPosition, Numbering, Position};
pub use to_end::read_to_end;
