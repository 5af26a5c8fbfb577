//! The command side: commands come in over HTTP or from a saga, a decider judges them, and what it
//! decided is appended to the event store. **Nothing here changes anything but by an append**, and a
//! command that is repeated, by whomever and however often, is carried out once.

pub mod api;
mod commands;
mod context;
mod error;
mod handler;
pub mod snapshots;

pub use commands::Commands;
pub use context::{CommandContext, Handled, Recalled};
pub use error::{HandleError, HistoryError, LoadError, Unkeepable};
pub use handler::CommandHandler;
pub use snapshots::{SnapshotStore, Snapshots, StoredSnapshot};
