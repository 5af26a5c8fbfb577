//! The roles as processes of their own, each of them twice, on one database and one provider. Each process is
//! killed, and each is stopped for longer than any lease and woken, while five hundred customers shop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use nix::sys::signal::Signal;
use platform::nats::NatsServer;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    crash_points::every_event_was_seen_once,
    customers::{MIX, each_got_what_was_due},
    harness::{
        Acknowledged, Client, Follower, PrivateDatabase, Sandbox, Server, ServerOptions, eventually,
        free_port,
    },
    relayed::{outside_has_the_whole_log, relay_is_done},
};

const CUSTOMERS: usize = 500;

/// Longer than the longest lease.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(12);

const ROLES: [&str; 5] = ["write", "read", "sagas", "projections", "relay"];

/// Two processes of each role.
struct Fleet {
    processes: Vec<(&'static str, Server)>,
    sandbox: Sandbox,
    nats: NatsServer,
    _database: PrivateDatabase,
}

impl Fleet {
    async fn start() -> Self {
        let database = PrivateDatabase::start().await;
        let nats = NatsServer::start();
        let webhooks = free_port();
        let sandbox = Sandbox::start(webhooks).await;
        let options = |roles, port| ServerOptions {
            database_url: Some(database.url()),
            provider_url: Some(sandbox.url()),
            nats_url: Some(nats.url()),
            roles: Some(roles),
            port,
            ..ServerOptions::default()
        };
        // The first makes the database, and all others come at once.
        let first = Server::start_with(options("write", None)).await;
        let others = ROLES.into_iter().flat_map(|role| [(role, 0), (role, 1)]).skip(1);
        let others = others.map(async |(role, nth)| {
            let port = (role == "sagas" && nth == 0).then_some(webhooks);
            (role, first.start_beside(options(role, port)).await)
        });
        let others = join_all(others).await;
        let processes = std::iter::once(("write", first)).chain(others).collect();
        Self { processes, sandbox, nats, _database: database }
    }

    fn of(&self, role: &str) -> impl Iterator<Item = &Server> {
        self.processes.iter().filter(move |(of, _)| *of == role).map(|(_, process)| process)
    }

    fn first_of(&self, role: &str) -> &Server {
        self.of(role).next().unwrap()
    }

    fn client(&self) -> Client {
        let doors = |role| self.of(role).map(|process| process.url("")).collect();
        Client::of_several(doors("write"), doors("read"), self.first_of("write").log())
    }

    async fn stop(&mut self) {
        for (_, process) in &mut self.processes {
            process.stop().await;
        }
    }
}

/// Waits until so many customers were served.
async fn until_served(served: &AtomicUsize, wanted: usize) {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(3);
    while served.load(Ordering::Relaxed) < wanted {
        assert!(tokio::time::Instant::now() < deadline, "{served:?} of {wanted} customers were served");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_checkouts_survive_kills_and_pauses_of_each_process_of_each_role() {
    let mut fleet = Fleet::start().await;
    let client = fleet.client();
    client.stock("MUG", 1250, 100_000).await;
    client.stock("SPOON", 50, 100_000).await;
    let followers: Vec<_> = fleet.of("read").map(|process| Follower::start(process, "/events")).collect();
    let acknowledged = Acknowledged::default();
    let (doors, served) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut customers = JoinSet::new();
    for n in 0..CUSTOMERS {
        let (client, acknowledged) = (client.clone(), acknowledged.clone());
        let (doors, served) = (Arc::clone(&doors), Arc::clone(&served));
        let customer = MIX[n % MIX.len()];
        customers.spawn(async move {
            doors.acquire().await.unwrap().forget();
            let order_id = customer.shop(client, format!("customer-{n}"), acknowledged).await;
            served.fetch_add(1, Ordering::Relaxed);
            (order_id, customer)
        });
    }

    // The same number of customers comes in each time that something is done to a process.
    let group = CUSTOMERS / (fleet.processes.len() + 2);
    for nth in 0..fleet.processes.len() {
        let (role, process) = &mut fleet.processes[nth];
        doors.add_permits(group);
        process.kill();
        println!("{role} was killed after {} customers", served.load(Ordering::Relaxed));
        // The others can do without it.
        until_served(&served, group * (nth + 1)).await;
        process.restart().await;
    }
    for nth in 0..2 {
        let paused: Vec<_> = ROLES.iter().filter_map(|role| fleet.of(role).nth(nth)).collect();
        doors.add_permits(group);
        for process in &paused {
            process.signal(Signal::SIGSTOP);
        }
        println!("one of each role was paused after {} customers", served.load(Ordering::Relaxed));
        tokio::time::sleep(LONGER_THAN_A_LEASE).await;
        for process in &paused {
            process.signal(Signal::SIGCONT);
        }
    }
    doors.add_permits(CUSTOMERS);
    let served = customers.join_all().await;
    each_got_what_was_due(&served, &client, async || fleet.sandbox.books().await).await;
    for follower in &followers {
        every_event_was_seen_once(fleet.first_of("read"), follower).await;
    }
    relay_is_done(fleet.first_of("read")).await;
    outside_has_the_whole_log(fleet.first_of("relay"), &fleet.nats).await;
    assert!(fleet.first_of("read").come_to_rest().await.is_empty(), "a stream is kept back");
    fleet.stop().await;
    fleet.first_of("write").verify_all_held(&acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_sku_is_sold_once_by_two_write_processes() {
    const UNITS: i64 = 10;
    let mut fleet = Fleet::start().await;
    let client = fleet.client();
    client.stock("LAST", 1250, UNITS).await;
    let mut buyers = JoinSet::new();
    for n in 0..100_usize {
        // Each process is sent every other buyer, so that both want the same stream at once.
        let door = fleet.of("write").nth(n % 2).unwrap().client();
        buyers.spawn(async move { door.place_unless_sold_out(&format!("buyer-{n}"), &[("LAST", 1)]).await });
    }
    let orders = buyers.join_all().await;
    let mut sold = 0;
    for order_id in orders.iter().flatten() {
        let order = eventually(&format!("order {order_id} is at rest"), || async {
            let order = client.try_get(&format!("/orders/{order_id}")).await?.body;
            let end = (order["status"].as_str()?.to_owned(), order["payment_status"].as_str()?.to_owned());
            [("confirmed", "captured"), ("rejected", "none")]
                .contains(&(end.0.as_str(), end.1.as_str()))
                .then_some(end.0)
        })
        .await;
        sold += i64::from(order == "confirmed");
    }
    assert_eq!(sold, UNITS);
    assert!(fleet.first_of("read").come_to_rest().await.is_empty(), "a stream is kept back");
    fleet.stop().await;
    fleet.first_of("write").verify_all_held(&Acknowledged::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_in_processes_of_their_own_share_an_embedded_postgres() {
    let roles = |roles| ServerOptions { roles: Some(roles), ..ServerOptions::default() };
    let mut write = Server::start_with(roles("write")).await;
    let mut others = Vec::new();
    for name in ["read", "sagas", "projections"] {
        others.push(write.start_beside(roles(name)).await);
    }
    for process in others.iter().chain([&write]) {
        let healthy = process.run_outside("healthy", &["--url", &process.url("")]).await;
        assert!(healthy.status.success(), "{}", String::from_utf8_lossy(&healthy.stdout));
        let described = process.client().get("/openapi.json").await.expect(200).body;
        for path in ["/checkouts", "/orders/{id}", "/webhooks/payments/{provider}"] {
            assert!(described["paths"][path].is_object(), "{path} is not described");
        }
    }
    let read = others[0].url("");
    let client = Client::of_several(vec![write.url("")], vec![read], write.log());
    client.stock("MUG", 1250, 10).await;
    client.buy(&[("MUG", 1)], "tok_approve").await;
    assert!(others[0].come_to_rest().await.is_empty(), "a stream is kept back");
    // Whoever joined the database of another process ends with that one, and does not look alive without it.
    write.kill();
    for process in &mut others {
        let status = process.ended().await;
        assert!(!status.success(), "{status}");
        assert!(process.said().contains("the embedded Postgres of another process"));
    }
    write.verify_all_held(&Acknowledged::default()).await;
}
