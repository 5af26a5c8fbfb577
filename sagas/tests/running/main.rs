//! The coordinator at work as it is when it serves: many tasks, real time, and below in Postgres with the
//! provider behind HTTP. It is stopped in the middle of what it does, and started again.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod apart;
mod killed;
mod lease;
mod memory;
mod place;
mod providers;
mod shared;
mod shop;
mod upgrade;
