//! The read models against a real Postgres: what they say, and that they go on saying it when
//! processes die, wake up late or meet events that nobody can read.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod all_at_once;
mod cut;
mod history;
mod live;
mod partitions;
mod rebuild;
mod rows;
mod sharing;
mod world;
