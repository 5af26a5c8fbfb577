//! What any service needs, and nothing about commerce.

pub mod clock;
pub mod fault;
pub mod health;
pub mod keys;
#[cfg(any(test, feature = "testing"))]
pub mod nats;
pub mod postgres;
pub mod problem;
#[cfg(any(test, feature = "testing"))]
pub mod proxy;
pub mod releases;
pub mod shutdown;
pub mod telemetry;
