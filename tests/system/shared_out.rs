//! Several processes that drive checkouts: each has its share, anybody can see which, and what one of them
//! leaves when it is killed goes on in another.

use std::time::Duration;

use counterfoil::status;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    harness::{Books, PrivateDatabase, Server, eventually, key},
    paused_twin::twins,
};

/// How long a lease lasts, a second for looking, and two for a machine that is busy with other things.
const TAKEN_OVER_AFTER_MAX: Duration = Duration::from_secs(5 + 1 + 2);

/// How many partitions each process has, once they are shared out like this.
async fn shared_out(server: &Server, expected: &[i64]) -> Value {
    eventually("the partitions are shared out", || async {
        let sagas = server.client().try_get("/status").await?.body["sagas"].clone();
        let shares = sagas["holders"].as_array()?.iter().map(|holder| holder["partitions"].as_i64());
        let is_so = shares.eq(expected.iter().copied().map(Some)) && sagas["free_partitions"] == 0;
        is_so.then_some(sagas)
    })
    .await
}

#[tokio::test]
async fn a_second_process_gets_half_of_the_work_and_all_of_it_when_the_first_is_killed() {
    let database = PrivateDatabase::start().await;
    let (mut first, mut second) = twins(&database, None).await;
    let shared = shared_out(&second, &[8, 8]).await;
    assert_ne!(shared["holders"][0]["holder"], shared["holders"][1]["holder"]);
    let told = status::show(&status::ask(&second.url("")).await.unwrap());
    for holder in shared["holders"].as_array().unwrap() {
        let expected = format!("8 by {}", holder["holder"].as_str().unwrap());
        assert!(told.contains(&expected), "{expected} is not in:\n{told}");
    }

    let client = second.client();
    let mut order_ids = Vec::new();
    for _ in 0..20 {
        order_ids.push(client.place(&key("before"), &[("MUG", 1)], "tok_approve").await);
    }
    first.signal(Signal::SIGKILL);
    let killed = Instant::now();
    for _ in 0..20 {
        order_ids.push(client.place(&key("after"), &[("MUG", 1)], "tok_approve").await);
    }
    let alone = shared_out(&second, &[16]).await;
    assert!(killed.elapsed() < TAKEN_OVER_AFTER_MAX, "{:?}", killed.elapsed());
    assert_eq!(alone["holders"].as_array().unwrap().len(), 1);
    for order_id in &order_ids {
        client.order_at(order_id, "confirmed", "captured").await;
    }
    assert!(!first.runs());
    let books = Books::fetch(&second.sandbox_url("/books")).await;
    for order_id in &order_ids {
        assert_eq!(json!(books.of(order_id).unwrap().captured), json!(1250), "{:#?}", books.of(order_id));
    }
    second.stop_and_verify().await;
}
