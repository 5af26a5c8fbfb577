//! The relay against a real NATS server: what is published, what becomes of it when either side fails, and
//! who may publish.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod world;

mod outages;
mod privacy;
mod published;
mod starting;
mod tapped;
mod twins;
mod waking;
