//! Counterfoil as a library: what the executable composes, for its tests and for those who embed it.

pub mod audit;
pub mod bench;
pub mod config;
pub mod database;
pub mod demo;
mod docs;
pub mod import;
pub mod invariants;
pub mod log;
mod processes;
pub mod run;
pub mod status;
pub mod table;
