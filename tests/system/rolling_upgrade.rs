//! A rolling upgrade: two builds with different versions of an event and of a read model, at work on one database.
//! One process after the other is replaced by the next build while customers shop, the newer one first where
//! that is hardest on the others: what it writes the older ones cannot read.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use event_store::Filter;
use events::Category;
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    customers::{Customer, MIX, each_got_what_was_due},
    harness::{
        Acknowledged, Client, Faults, PrivateDatabase, Sandbox, Server, ServerOptions, eventually, free_port,
        next_release,
    },
};

const CUSTOMERS: usize = 120;

const ROLES: [&str; 4] = ["write", "sagas", "projections", "read"];

/// Two processes of each role, first all of this build.
struct Cluster {
    /// The first of each role, and then the second of each.
    processes: Vec<(&'static str, Server)>,
    next: PathBuf,
    sandbox: Sandbox,
    database: PrivateDatabase,
}

/// Customers who come in when they are let in, through the doors of all processes.
struct Customers {
    doors: Arc<Semaphore>,
    served: Arc<AtomicUsize>,
    shopping: JoinSet<(String, Customer)>,
    let_in: usize,
}

impl Cluster {
    async fn start(next: PathBuf) -> Self {
        let database = PrivateDatabase::start().await;
        let webhooks = free_port();
        let sandbox = Sandbox::start(webhooks).await;
        let options = |role, nth: usize| ServerOptions {
            database_url: Some(database.url()),
            provider_url: Some(sandbox.url()),
            roles: Some(role),
            port: (role == "sagas" && nth == 0).then_some(webhooks),
            ..ServerOptions::default()
        };
        let first = Server::start_with(options("write", 0)).await;
        let others = (0..2).flat_map(|nth| ROLES.map(|role| (role, nth))).skip(1);
        let others = others.map(async |(role, nth)| (role, first.start_beside(options(role, nth)).await));
        let others = join_all(others).await;
        let processes = std::iter::once(("write", first)).chain(others).collect();
        Self { processes, next, sandbox, database }
    }

    fn process(&self, role: &str, nth: usize) -> &Server {
        let of_role = self.processes.iter().filter(|(of, _)| *of == role);
        of_role.map(|(_, process)| process).nth(nth).unwrap()
    }

    /// A client who comes to the `nth` process of each role first.
    fn client(&self, nth: usize) -> Client {
        let doors = |role| [nth, nth + 1].map(|nth| self.process(role, nth % 2).url("")).to_vec();
        Client::of_several(doors("write"), doors("read"), self.process("write", 0).log())
    }

    /// Replaces a process by one of the next build, as an operator does.
    async fn upgrade(&mut self, nth: usize) {
        let next = self.next.clone();
        let (role, process) = &mut self.processes[nth];
        process.stop().await;
        let options = ServerOptions { executable: Some(next), ..process.options() };
        process.restart_with(options).await;
        println!("{role} {nth} is of the next build");
    }

    async fn status(&self) -> Option<Value> {
        Some(self.process("read", 1).client().try_get("/status").await?.body)
    }

    /// The name by which a process is known to others.
    fn name(&self, role: &str, nth: usize) -> String {
        format!("pid {}", self.process(role, nth).pid())
    }

    async fn database(&self) -> PgConnection {
        PgConnection::connect(&self.database.url()).await.unwrap()
    }
}

impl Customers {
    fn of(cluster: &Cluster, faults: &Faults, acknowledged: &Acknowledged) -> Self {
        let mut customers = Self {
            doors: Arc::new(Semaphore::new(0)),
            served: Arc::default(),
            shopping: JoinSet::new(),
            let_in: 0,
        };
        for n in 0..CUSTOMERS {
            let (client, acknowledged) = (cluster.client(n % 2).noting(faults), acknowledged.clone());
            let (doors, served) = (Arc::clone(&customers.doors), Arc::clone(&customers.served));
            let customer = MIX[n % MIX.len()];
            customers.shopping.spawn(async move {
                doors.acquire().await.unwrap().forget();
                let order_id = customer.shop(client, format!("customer-{n}"), acknowledged).await;
                served.fetch_add(1, Ordering::Relaxed);
                (order_id, customer)
            });
        }
        customers
    }

    fn let_in(&mut self, count: usize) {
        self.let_in += count;
        self.doors.add_permits(count);
    }

    /// Waits until everybody who was let in is served.
    async fn are_served(&self) {
        let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
        while self.served.load(Ordering::Relaxed) < self.let_in {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{:?} of {} are served",
                self.served,
                self.let_in
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// In which versions orders were placed, in the order of the log.
async fn versions_placed(cluster: &Cluster) -> Vec<u16> {
    let mut placed = Filter::categories([Category::Order]);
    placed.names = vec!["OrderPlaced".to_owned()];
    let log = cluster.process("write", 0).log();
    log.all(&placed).await.into_iter().map(|event| event.version).collect()
}

/// Both builds are at work: the next one does what only it can do, the older one the rest.
async fn each_does_what_it_can(cluster: &Cluster) {
    let new = cluster.name("projections", 0);
    let old = cluster.name("projections", 1);
    eventually("the next build has the orders and all sagas, and the older one its part", || async {
        let status = cluster.status().await?;
        let holder = |name: &str| {
            let read_models = status["projections"].as_array().unwrap();
            let read_model = read_models.iter().find(|read_model| read_model["name"] == name).unwrap();
            read_model["holder"].as_str().unwrap_or_default().to_owned()
        };
        let names = ["catalog", "orders", "stock", "payments", "sales", "attention", "feed"];
        let held_by = |process: &str| names.iter().filter(|name| holder(name).ends_with(process)).count();
        let sagas = status["sagas"]["holders"].as_array()?;
        let sagas_are_new = sagas.len() == 1
            && sagas[0]["partitions"] == 16
            && sagas[0]["holder"].as_str()?.ends_with(&cluster.name("sagas", 0));
        let is_so = holder("orders").ends_with(&new)
            && held_by(&new) + held_by(&old) == names.len()
            && held_by(&old) >= 2
            && sagas_are_new;
        is_so.then_some(())
    })
    .await;
    let status = cluster.status().await.unwrap();
    let releases: BTreeSet<_> = status["processes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|process| process["version"].to_string())
        .collect();
    assert_eq!(releases.len(), 2, "{:#}", status["processes"]);
    assert_eq!(status["unattended"], json!([]));
}

/// An order that the next build has taken is nothing that the older one can decide on: it says when to come again,
/// and who comes again is served by the other.
async fn what_the_older_build_cannot_decide_goes_to_the_next_one(cluster: &Cluster, faults: &Faults) {
    let order_id = cluster.client(0).buy(&[("MUG", 1)], "tok_approve").await;
    let (path, reason) = (format!("/orders/{order_id}/cancellation"), json!({"reason": "customer_request"}));
    let client = cluster.client(1).noting(faults);
    let refused = client.post(&path, "call-it-off", &reason).await.expect(503);
    assert_eq!((refused.problem(), refused.header("retry-after")), ("newer-release", "1"));
    client.insist(&path, "call-it-off", &reason).await.expect(200);
    client.order_at(&order_id, "cancelled", "refunded").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn customers_do_not_notice_that_one_build_replaces_the_other() {
    let Some(next) = next_release() else {
        eprintln!(
            "SKIPPED: nothing is known about a rolling upgrade. The executable of the next release is not there: \
             run `make test`, or `make next-release` before"
        );
        return;
    };
    let mut cluster = Cluster::start(next).await;
    let (faults, acknowledged) = (Faults::default(), Acknowledged::default());
    cluster.client(0).stock("MUG", 1250, 100_000).await;
    cluster.client(0).stock("SPOON", 50, 100_000).await;
    let mut customers = Customers::of(&cluster, &faults, &acknowledged);
    customers.let_in(CUSTOMERS / 4);
    customers.are_served().await;

    // The first of each role is replaced, that which writes before those that have to read it.
    for nth in 0..ROLES.len() {
        customers.let_in(CUSTOMERS / 24);
        cluster.upgrade(nth).await;
    }
    // Both are at work, and one of the older build is killed and comes back as it was.
    customers.let_in(CUSTOMERS / 6);
    customers.are_served().await;
    let (_, old) =
        cluster.processes.iter_mut().skip(ROLES.len()).find(|(role, _)| *role == "projections").unwrap();
    old.kill();
    old.restart().await;
    customers.let_in(CUSTOMERS / 6);
    customers.are_served().await;
    each_does_what_it_can(&cluster).await;
    let placed = versions_placed(&cluster).await;
    let first_of_next = placed.iter().position(|version| *version == 3).expect("the next build has written");
    assert!(placed[first_of_next..].contains(&2), "the older build has written nothing since");

    // Readers of the older build go on answering from what the next one keeps.
    let mut db = cluster.database().await;
    let order_id: uuid::Uuid =
        sqlx::query_scalar("select order_id from read.orders limit 1").fetch_one(&mut db).await.unwrap();
    let shown = cluster.process("read", 1).client().get(&format!("/orders/{order_id}")).await;
    assert_eq!(shown.expect(200).body["order_id"], json!(order_id));

    what_the_older_build_cannot_decide_goes_to_the_next_one(&cluster, &faults).await;

    for nth in ROLES.len()..2 * ROLES.len() {
        customers.let_in(CUSTOMERS / 24);
        cluster.upgrade(nth).await;
    }
    customers.let_in(CUSTOMERS);
    let served = customers.shopping.join_all().await;
    each_got_what_was_due(&served, &cluster.client(0), async || cluster.sandbox.books().await).await;

    let counts = faults.counts();
    println!("answers that told customers to come again: {counts:?}");
    assert!(counts.keys().all(|(status, _, says_when)| *status == 503 && *says_when), "{counts:?}");
    assert!(!counts.is_empty(), "nobody was told to come again, where the older build could not know better");
    let without: i64 = sqlx::query_scalar("select count(*) from read.orders where payment_method is null")
        .fetch_one(&mut db)
        .await
        .unwrap();
    assert_eq!(without, 0, "the new column is not filled from history");
    assert_eq!(acknowledged.len(), CUSTOMERS + CUSTOMERS / MIX.len() * 3);
    assert!(cluster.process("read", 0).come_to_rest().await.is_empty(), "a stream is kept back");
    for (role, process) in &mut cluster.processes {
        let said = process.said();
        assert!(!said.contains("parked a stream"), "{role} has parked a stream meanwhile");
        // Standing back is said once for each thing that is left, and not again and again.
        let errors = said.matches("\"ERROR\"").count();
        println!("{role} has said {errors} errors");
        assert!(errors <= 16, "{role} has said {errors} errors");
        process.stop().await;
    }
    cluster.process("write", 0).verify_all_held(&acknowledged).await;
}
