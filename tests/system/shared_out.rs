//! Several processes that drive checkouts and keep read models: each has its share, anybody can see which, and
//! what one of them leaves when it is killed goes on in another. What no process does is said to need a person.

use std::{collections::BTreeMap, time::Duration};

use counterfoil::status;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    harness::{
        Acknowledged, Books, Client, PrivateDatabase, Sandbox, Server, ServerOptions, eventually, free_port,
        key,
    },
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

/// How many read models each process keeps, most first, once they are shared out like this.
pub(crate) async fn read_models_shared_out(server: &Server, expected: &[usize]) {
    eventually(&format!("the read models are shared out {expected:?}"), || async {
        let status = server.client().try_get("/status").await?.body;
        let mut shares = BTreeMap::<String, usize>::new();
        for read_model in status["projections"].as_array()? {
            *shares.entry(read_model["holder"].as_str()?.to_owned()).or_default() += 1;
        }
        let mut counts: Vec<usize> = shares.into_values().collect();
        counts.sort_unstable_by(|one, other| other.cmp(one));
        (counts == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_second_process_keeps_its_part_of_the_read_models_and_all_when_the_first_is_killed() {
    let database = PrivateDatabase::start().await;
    let (mut first, mut second) = twins(&database, None).await;
    read_models_shared_out(&second, &[4, 3]).await;
    let order_id = first.client().buy(&[("MUG", 1)], "tok_approve").await;

    first.kill();
    let killed = Instant::now();
    read_models_shared_out(&second, &[7]).await;
    assert!(killed.elapsed() < TAKEN_OVER_AFTER_MAX, "{:?}", killed.elapsed());
    println!("the read models of a killed process were taken over after {:?}", killed.elapsed());
    second.client().order_at(&order_id, "confirmed", "captured").await;
    second.client().buy(&[("MUG", 1)], "tok_approve").await;
    second.stop_and_verify().await;
}

/// How many partitions of the orders each process keeps, most first, once they are shared out like this.
async fn orders_shared_out(server: &Server, expected: &[usize]) {
    eventually(&format!("the orders are shared out {expected:?}"), || async {
        let status = server.client().try_get("/status").await?.body;
        let orders =
            status["projections"].as_array()?.iter().find(|model| model["name"] == "orders")?.clone();
        let mut shares = BTreeMap::<String, usize>::new();
        for partition in orders["partitions"].as_array()? {
            *shares.entry(partition["holder"].as_str()?.to_owned()).or_default() += 1;
        }
        let mut counts: Vec<usize> = shares.into_values().collect();
        counts.sort_unstable_by(|one, other| other.cmp(one));
        (counts == expected).then_some(())
    })
    .await;
}

/// Splits the orders, or makes one of them again, while they are served.
async fn split_orders(server: &Server, partitions: &str) {
    let output = server.run("projections rebuild", &["orders", "--partitions", partitions]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("rows compared at position"), "{output:?}");
}

#[tokio::test]
async fn two_processes_share_the_partitions_of_a_read_model_and_one_has_all_when_the_other_is_killed() {
    let database = PrivateDatabase::start().await;
    let (mut first, mut second) = twins(&database, None).await;
    split_orders(&second, "4").await;
    orders_shared_out(&second, &[2, 2]).await;
    let told = status::show(&status::ask(&second.url("")).await.unwrap());
    assert!(told.contains("partitions: 2 by") && told.contains("orders: partition 4 of 4"), "{told}");
    for _ in 0..10 {
        first.client().buy(&[("MUG", 1)], "tok_approve").await;
    }

    let order_id = second.client().place(&key("before"), &[("MUG", 1)], "tok_approve").await;
    first.kill();
    let killed = Instant::now();
    orders_shared_out(&second, &[4]).await;
    assert!(killed.elapsed() < TAKEN_OVER_AFTER_MAX, "{:?}", killed.elapsed());
    println!("the partitions of a killed process were taken over after {:?}", killed.elapsed());
    second.client().order_at(&order_id, "confirmed", "captured").await;
    for _ in 0..10 {
        second.client().buy(&[("MUG", 1)], "tok_approve").await;
    }

    let output = second.run("projections rebuild", &["feed", "--partitions", "2"]).await;
    let refused = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && refused.contains("in the order of the log"), "{refused}");
    split_orders(&second, "1").await;
    read_models_shared_out(&second, &[7]).await;
    second.client().buy(&[("MUG", 1)], "tok_approve").await;
    second.stop_and_verify().await;
}

#[tokio::test]
async fn a_process_that_is_paused_is_refused_its_partitions_while_the_others_go_on() {
    let database = PrivateDatabase::start().await;
    let (mut first, mut second) = twins(&database, None).await;
    split_orders(&second, "4").await;
    orders_shared_out(&second, &[2, 2]).await;
    first.signal(Signal::SIGSTOP);
    let paused = Instant::now();
    orders_shared_out(&second, &[4]).await;
    assert!(paused.elapsed() < TAKEN_OVER_AFTER_MAX, "{:?}", paused.elapsed());
    println!("the partitions of a paused process were taken over after {:?}", paused.elapsed());
    for _ in 0..10 {
        second.client().buy(&[("MUG", 1)], "tok_approve").await;
    }
    first.signal(Signal::SIGCONT);
    eventually("the one that was paused is refused", || async {
        let said = first.said();
        let refused = |line: &str| line.contains("refused: the lease is over") && line.contains("\"orders\"");
        said.lines().any(refused).then_some(())
    })
    .await;
    orders_shared_out(&second, &[2, 2]).await;
    for client in [first.client(), second.client()] {
        client.buy(&[("MUG", 1)], "tok_approve").await;
    }
    first.stop().await;
    second.stop_and_verify().await;
}

/// The processes that the status names, each by its roles.
fn named(status: &Value) -> Vec<String> {
    let roles = |process: &Value| {
        let roles = process["roles"].as_array().unwrap().iter().map(|role| role.as_str().unwrap());
        roles.collect::<Vec<_>>().join(",")
    };
    let mut named: Vec<String> = status["processes"].as_array().unwrap().iter().map(roles).collect();
    named.sort_unstable();
    named
}

#[tokio::test]
async fn the_status_names_every_process_and_says_what_is_left_lying() {
    let database = PrivateDatabase::start().await;
    let webhooks = free_port();
    let sandbox = Sandbox::start(webhooks).await;
    let options = |roles, port| ServerOptions {
        database_url: Some(database.url()),
        provider_url: Some(sandbox.url()),
        roles: Some(roles),
        port,
        ..ServerOptions::default()
    };
    let mut write = Server::start_with(options("write", None)).await;
    let mut read = write.start_beside(options("read", None)).await;
    let mut worker = write.start_beside(options("sagas,projections", Some(webhooks))).await;
    let client = Client::of_several(vec![write.url("")], vec![read.url("")], write.log());
    let status = || async { Some(read.client().try_get("/status").await?.body) };
    eventually("every process is named", || async {
        (named(&status().await?) == ["read", "sagas,projections", "write"]).then_some(())
    })
    .await;
    client.stock("MUG", 1250, 100).await;
    client.buy(&[("MUG", 1)], "tok_approve").await;
    eventually("nothing is left lying", || async {
        status().await.filter(|status| status["unattended"] == json!([]))
    })
    .await;

    worker.kill();
    let order_id = client.place(&key("left-lying"), &[("MUG", 1)], "tok_approve").await;
    let left = eventually("what no process does is said, and who is gone is not named", || async {
        let status = status().await?;
        let left: Vec<_> = status["unattended"].as_array()?.iter().map(|left| left["name"].clone()).collect();
        let is_said = left.contains(&json!("sagas")) && left.contains(&json!("orders"));
        (is_said && named(&status) == ["read", "write"]).then_some(status)
    })
    .await;
    assert_eq!(left["attention"], json!([]));
    let told = status::show(&status::ask(&read.url("")).await.unwrap());
    assert!(told.contains("no process drives the sagas") && !told.contains("nothing needs"), "{told}");

    worker.restart().await;
    client.order_at(&order_id, "confirmed", "captured").await;
    eventually("nothing is left lying any more", || async {
        status().await.filter(|status| status["unattended"] == json!([]))
    })
    .await;
    for process in [&mut write, &mut worker, &mut read] {
        process.stop().await;
    }
    write.verify_all_held(&Acknowledged::default()).await;
}
