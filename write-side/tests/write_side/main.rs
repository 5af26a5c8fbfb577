//! The write side from outside: command handling and the HTTP API, over the store in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod handling;
mod http;
mod rival;
