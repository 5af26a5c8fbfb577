//! The coordinator with everything around it in memory: the store, the commands, the provider's books and the
//! clock. What a customer, the provider and an auditor see at the end is compared, whatever happened on the
//! way.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod disturbed;
mod outcomes;
mod overtaken;
mod put_aside;
mod shared;
mod webhooks;
mod world;
