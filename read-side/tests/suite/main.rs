//! The query API over a real socket and a real Postgres.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub, dead_code)]

#[path = "../../../projections/tests/suite/history.rs"]
mod history;
#[path = "../../../projections/tests/suite/world.rs"]
mod world;

mod freshness;
mod live;
mod lookups;
mod queries;
mod refusals;
mod served;
