//! The stores, from outside: one contract for all of them, and what each adapter promises beyond it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod adapters;
mod contract;
#[cfg(feature = "eventstoredb")]
mod eventstoredb;
mod history;
mod memory_faults;
mod opening;
#[cfg(feature = "fault-injection")]
mod planted_bugs;
mod postgres;
