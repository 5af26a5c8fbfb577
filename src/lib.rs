//! Counterfoil as a library: what the executable composes, for its tests and for those who embed it.

pub mod config;
pub mod import;
pub mod invariants;
pub mod status;
