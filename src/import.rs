//! Taking history in: orders from elsewhere go through the same command handlers and the same saga as
//! a live checkout, under ids that derive from the source, so that importing twice is importing once.

mod account;
mod perform;
pub mod retail;

pub use account::{Account, Refused};
pub use perform::{Error, Importer, Progress};
