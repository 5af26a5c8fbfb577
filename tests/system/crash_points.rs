//! `kill -9` at every named crash point while two hundred customers shop: they come back with the same
//! keys, the process starts again on the same data, and in the end nothing that was acknowledged is
//! lost, nobody is charged twice, and a subscriber has seen every event once.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc, time::Duration};

use event_store::Filter;
use events::Category;
use sagas::coordinator::BOUNDARIES;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    customers::{MIX, each_got_what_was_due},
    harness::{Acknowledged, Books, Follower, Server, ServerOptions},
};

const CHECKOUTS: usize = 200;

/// Every crash point that the source code names, so that none can be forgotten here.
fn listed() -> BTreeSet<String> {
    let mut names: BTreeSet<String> = BOUNDARIES.iter().map(|name| (*name).to_owned()).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for room in ["src", "write-side/src", "sagas/src", "projections/src", "read-side/src"] {
        collect(&root.join(room), &mut names);
    }
    assert!(names.len() > BOUNDARIES.len(), "no crash point was found in the source code");
    names
}

fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let calls = text.split("crash_point(\"").skip(1);
            names.extend(calls.filter_map(|call| call.split_once('"')).map(|(name, _)| name.to_owned()));
        }
    }
}

/// Lets the next customers in and waits until the server dies at its crash point, or all of them have
/// been served without it; then it is killed all the same. Says whether it died by itself.
async fn serve_until_it_dies(server: &mut Server, doors: &Semaphore, customers: usize) -> bool {
    let mut let_in = 0;
    for tick in 0.. {
        if !server.runs() {
            return true;
        }
        if let_in < customers && tick % 4 == 0 {
            doors.add_permits(1);
            let_in += 1;
        }
        // Twelve seconds after the last one came in, whatever they cause has been caused.
        if let_in == customers && tick > customers * 4 + 240 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.kill();
    false
}

#[tokio::test]
async fn two_hundred_checkouts_survive_a_kill_at_every_crash_point() {
    let points = listed();
    let (rebuilding, serving): (Vec<_>, Vec<_>) =
        points.iter().partition(|name| name.starts_with("rebuild."));
    let mut server = Server::start().await;
    let client = server.client();
    client.stock("MUG", 1250, 100_000).await;
    client.stock("SPOON", 50, 100_000).await;
    let follower = Follower::start(&server, "/events");
    let acknowledged = Acknowledged::default();
    let doors = Arc::new(Semaphore::new(0));
    let mut customers = JoinSet::new();
    for n in 0..CHECKOUTS {
        let (client, acknowledged, doors) = (client.clone(), acknowledged.clone(), Arc::clone(&doors));
        let customer = MIX[n % MIX.len()];
        customers.spawn(async move {
            doors.acquire().await.unwrap().forget();
            (customer.shop(client, format!("customer-{n}"), acknowledged).await, customer)
        });
    }

    server.kill();
    let slice = CHECKOUTS / (serving.len() + 2);
    // Each at its first, second or third time: early steps of one order meet late ones of another. What a few
    // customers do not cause as often is tried once more, at its first time.
    let nth_times = (0..serving.len()).map(|n| n % 3 + 1);
    let again = serving.iter().map(|point| (*point, 1));
    for (point, time) in serving.iter().copied().zip(nth_times).chain(again) {
        if server.crashes().contains(point) {
            continue;
        }
        let options = ServerOptions { crash_at: Some(format!("{point}:{time}")), ..ServerOptions::default() };
        server.restart_with(options).await;
        let died = serve_until_it_dies(&mut server, &doors, slice).await;
        println!("{point}, time {time}: {}", if died { "killed" } else { "not reached" });
    }

    server.restart_with(ServerOptions::default()).await;
    doors.add_permits(CHECKOUTS);
    for point in rebuilding {
        // The rebuild dies beside a server that goes on; the last one, after all of them, comes through.
        server.run_until_crash("projections rebuild", &["orders"], point).await;
    }
    let rebuilt = server.run("projections rebuild", &["orders"]).await;
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    let served = customers.join_all().await;
    each_got_what_was_due(&served, &client, async || Books::fetch(&server.sandbox_url("/books")).await).await;
    every_event_was_seen_once(&server, &follower).await;
    server.stop_and_verify_told(&acknowledged).await;

    let hit: BTreeSet<String> = server.crashes().into_iter().collect();
    println!(
        "killed {} times at {} of {} crash points: {hit:?}",
        server.crashes().len(),
        hit.len(),
        points.len()
    );
    let never: Vec<_> = points.difference(&hit).collect();
    assert!(never.is_empty(), "never hit: {never:?}");
}

/// Holds what a subscriber to orders and payments was given against the log.
pub(crate) async fn every_event_was_seen_once(server: &Server, follower: &Follower) {
    let filter = Filter::categories([Category::Order, Category::Payment]);
    let log = server.log().all(&filter).await;
    let written: Vec<_> = log.iter().map(|event| event.position).collect();
    let seen = follower.until(*written.last().unwrap()).await;
    assert_eq!(seen, written, "the subscriber was given other positions than the log has");
}
