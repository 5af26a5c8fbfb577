//! Two processes on one database that share the work. One that was paused for longer than its leases and
//! wakes up believes that it is still in charge of its share, and is refused.

use nix::sys::signal::Signal;

use crate::{
    harness::{Books, Client, PrivateDatabase, Server, ServerOptions, eventually, key},
    shared_out::read_models_shared_out,
};

/// Two servers on one database; the first one has had all leases before the second came.
pub(crate) async fn twins(
    database: &PrivateDatabase,
    planted_bugs: Option<&'static str>,
) -> (Server, Server) {
    let options =
        ServerOptions { database_url: Some(database.url()), planted_bugs, ..ServerOptions::default() };
    let first = Server::start_with(options).await;
    // Whatever it has sold, it has taken the leases for.
    first.client().stock("MUG", 1250, 1000).await;
    first.client().buy(&[("MUG", 1)], "tok_approve").await;
    let second = first.start_twin().await;
    (first, second)
}

/// When the first is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paused {
    /// In the middle of its work, perhaps of transactions.
    Busy,
    /// With nothing to do, so that all it had is still there when it wakes up.
    Idle,
}

/// Pauses the first, lets the second take over, and wakes the first. Gives the orders that were placed.
pub(crate) async fn pause_and_wake(first: &Server, second: &Server, paused: Paused) -> Vec<String> {
    let (one, two) = (first.client(), second.client());
    let mut order_ids = Vec::new();
    for _ in 0..20 {
        order_ids.push(one.place(&key("before"), &[("MUG", 1)], "tok_approve").await);
    }
    if paused == Paused::Idle {
        one.stock_at("MUG", 979, 0, 21).await;
        for order_id in &order_ids {
            one.order_at(order_id, "confirmed", "captured").await;
        }
    }
    first.signal(Signal::SIGSTOP);
    for _ in 0..20 {
        order_ids.push(two.place(&key("meanwhile"), &[("MUG", 1)], "tok_approve").await);
    }
    // The second has taken over when it completes what it was asked for, and what the first left, and keeps the
    // read models that these do not show in, too.
    for order_id in &order_ids {
        two.order_at(order_id, "confirmed", "captured").await;
    }
    read_models_shared_out(second, &[7]).await;
    first.signal(Signal::SIGCONT);
    for n in 0..20 {
        let client: &Client = if n % 2 == 0 { &one } else { &two };
        order_ids.push(client.place(&key("after"), &[("MUG", 1)], "tok_approve").await);
    }
    order_ids
}

async fn nothing_is_done_twice(paused: Paused) {
    let database = PrivateDatabase::start().await;
    let (mut first, mut second) = twins(&database, None).await;

    let order_ids = pause_and_wake(&first, &second, paused).await;

    for order_id in &order_ids {
        second.client().order_at(order_id, "confirmed", "captured").await;
        first.client().order_at(order_id, "confirmed", "captured").await;
    }
    eventually("the coordinator that was paused has stood down", || async {
        first.said().contains("the coordinator has lost its lease").then_some(())
    })
    .await;
    if paused == Paused::Idle {
        eventually("a projector that was paused was refused", || async {
            first.said().contains("refused: the lease is over").then_some(())
        })
        .await;
    }
    let books = Books::fetch(&second.sandbox_url("/books")).await;
    for order_id in &order_ids {
        assert_eq!(books.of(order_id).unwrap().captured, 1250, "{:#?}", books.of(order_id));
    }
    first.stop().await;
    second.stop_and_verify().await;
}

#[tokio::test]
async fn a_process_that_was_paused_at_work_is_refused_when_it_wakes_up_and_nothing_is_done_twice() {
    nothing_is_done_twice(Paused::Busy).await;
}

#[tokio::test]
async fn a_process_that_was_paused_at_rest_is_refused_when_it_wakes_up_and_nothing_is_done_twice() {
    nothing_is_done_twice(Paused::Idle).await;
}
