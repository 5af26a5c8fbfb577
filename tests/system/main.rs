//! The whole system from outside: the real executable on real sockets, killed and started again, and the
//! history checked at the end of every scenario.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod harness;

mod bad_input;
mod benches;
mod changed_cart;
mod crash_points;
mod customers;
mod database_outages;
mod double_click;
mod event_store_elsewhere;
mod following;
mod giving_back;
mod import;
mod oversell;
mod paused_twin;
mod planted_bugs;
mod poison;
mod rebuilding;
mod relayed;
mod roles;
mod rolling_back;
mod rolling_upgrade;
mod shared_out;
mod simulation;
mod stopping;
mod unknown_outcomes;
mod waking;
mod webhooks;
