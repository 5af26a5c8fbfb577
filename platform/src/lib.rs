//! What any service needs, and nothing about commerce.

pub mod clock;
pub mod fault;
pub mod postgres;
pub mod problem;
