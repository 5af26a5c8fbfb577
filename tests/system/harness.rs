//! What the tests of the whole system stand on: the real executable on real sockets and a Postgres of
//! its own, a client that remembers what it was told, and the check of the history at the end.

mod acknowledged;
mod books;
mod client;
mod database;
mod end;
mod event_store;
mod faults;
mod follower;
mod launch;
mod sandbox;
mod server;
pub(crate) mod webhook;

pub(crate) use acknowledged::Acknowledged;
pub(crate) use books::Books;
pub(crate) use client::{Answer, Client, checkout, key, order_of};
pub(crate) use database::{Log, PrivateDatabase};
pub(crate) use end::verdict;
pub(crate) use event_store::EventStoreServer;
pub(crate) use faults::Faults;
pub(crate) use follower::Follower;
pub(crate) use launch::{
    ServerOptions, executable, fail_to_serve, fail_to_serve_in, free_port, next_release,
};
pub(crate) use sandbox::Sandbox;
pub(crate) use server::Server;

use std::{future::Future, time::Duration};

/// Asks again until `probe` has an answer; fails the test with `what` when it has none after a minute.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "after a minute still not: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
