//! What any service needs, and nothing about commerce.

pub mod clock;
pub mod fault;
pub mod health;
pub mod keys;
pub mod postgres;
pub mod problem;
pub mod shutdown;
pub mod telemetry;
