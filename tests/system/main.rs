//! The whole system from outside: the real executable on real sockets, killed and started again, and the
//! history checked at the end of every scenario.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod harness;
mod import;
mod simulation;
