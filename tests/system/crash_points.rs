//! `kill -9` at every named crash point while two hundred customers shop: they come back with the same
//! keys, the process starts again on the same data, and in the end nothing that was acknowledged is
//! lost, nobody is charged twice, and a subscriber has seen every event once.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc, time::Duration};

use event_store::Filter;
use events::Category;
use sagas::coordinator::BOUNDARIES;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::harness::{Acknowledged, Books, Client, Follower, Server, ServerOptions, checkout};

const CHECKOUTS: usize = 200;

/// What a customer does.
#[derive(Debug, Clone, Copy)]
enum Customer {
    /// Pays in this way, and that is all.
    Pays(&'static str),
    /// Pays, and gets the goods.
    GetsTheGoods,
    /// Pays, and calls it off.
    CallsItOff,
    /// Pays, and gets a part of the money back.
    GetsMoneyBack,
    /// Wants more than there is.
    WantsTooMuch,
}

/// One of each, so that any few in a row pass through all of the code.
const MIX: [Customer; 12] = [
    Customer::Pays("tok_approve"),
    Customer::GetsTheGoods,
    Customer::Pays("tok_webhook_only"),
    Customer::CallsItOff,
    Customer::Pays("tok_decline"),
    Customer::GetsMoneyBack,
    Customer::Pays("tok_error_then_approve"),
    Customer::WantsTooMuch,
    Customer::Pays("tok_webhook_first"),
    Customer::Pays("tok_capture_fails"),
    Customer::Pays("tok_timeout_then_approve"),
    Customer::Pays("tok_undo_down"),
];

impl Customer {
    /// Shops, however often the server goes away meanwhile. Gives the order's id.
    async fn shop(self, client: Client, key: String, acknowledged: Acknowledged) -> String {
        let (units, payment_method) = match self {
            Self::Pays(payment_method) => (1, payment_method),
            Self::WantsTooMuch => (900_000, "tok_approve"),
            Self::GetsTheGoods | Self::CallsItOff | Self::GetsMoneyBack => (2, "tok_approve"),
        };
        let body = checkout(&[("MUG", units), ("SPOON", units)], payment_method);
        let answer = client.insist("/checkouts", &key, &body).await.expect(202);
        let order_id = acknowledged.keep_checkout(&key, &answer);
        at_rest(&client, &order_id).await;
        let then = match self {
            Self::GetsTheGoods => Some((format!("/orders/{order_id}/dispatch"), json!({}), "order")),
            Self::CallsItOff => {
                let reason = json!({"reason": "customer_request"});
                Some((format!("/orders/{order_id}/cancellation"), reason, "order"))
            }
            Self::GetsMoneyBack => {
                let refund = json!({"amount": {"amount": 100, "currency": "GBP"}, "reason": "chipped"});
                Some((format!("/payments/{order_id}/refunds"), refund, "payment"))
            }
            Self::Pays(_) | Self::WantsTooMuch => None,
        };
        if let Some((path, body, category)) = then {
            let key = format!("{key}-then");
            let answer = client.insist(&path, &key, &body).await;
            assert!(answer.status.is_success(), "{path}: {} {:#}", answer.status, answer.body);
            acknowledged.keep(&format!("{category}-{order_id}"), &key, &answer);
        }
        order_id
    }

    /// Where the order must be in the end.
    fn expects(self) -> (&'static str, &'static str) {
        match self {
            Self::Pays("tok_decline") => ("rejected", "declined"),
            Self::Pays("tok_capture_fails") => ("rejected", "voided"),
            Self::Pays(_) => ("confirmed", "captured"),
            Self::GetsTheGoods => ("completed", "captured"),
            Self::CallsItOff => ("cancelled", "refunded"),
            Self::GetsMoneyBack => ("confirmed", "partially_refunded"),
            Self::WantsTooMuch => ("rejected", "none"),
        }
    }
}

impl Customer {
    /// What the provider has taken and given back in the end. A mug and a spoon are thirteen pounds.
    fn pays(self) -> (i64, i64) {
        match self {
            Self::Pays("tok_decline" | "tok_capture_fails") | Self::WantsTooMuch => (0, 0),
            Self::Pays(_) => (1300, 0),
            Self::GetsTheGoods => (2600, 0),
            Self::CallsItOff => (2600, 2600),
            Self::GetsMoneyBack => (2600, 100),
        }
    }
}

/// Waits until an order is neither on its way to being paid nor on its way back.
async fn at_rest(client: &Client, order_id: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(3);
    loop {
        let order = client.try_get(&format!("/orders/{order_id}")).await.map(|answer| answer.body);
        let is = |order: &Value, status: &str, payment: &str| {
            order["status"] == status && order["payment_status"] == payment
        };
        let ends = MIX.map(Customer::expects);
        if order.as_ref().is_some_and(|order| ends.iter().any(|(status, payment)| is(order, status, payment)))
        {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "order {order_id} does not come to rest: {order:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

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
    for (n, point) in serving.iter().enumerate() {
        // Each at its first, second or third time: early steps of one order meet late ones of another.
        let options =
            ServerOptions { crash_at: Some(format!("{point}:{}", n % 3 + 1)), ..ServerOptions::default() };
        server.restart_with(options).await;
        let died = serve_until_it_dies(&mut server, &doors, slice).await;
        println!("{point}: {}", if died { "killed" } else { "not reached" });
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
    for (order_id, customer) in &served {
        let (status, payment_status) = customer.expects();
        client.order_at(order_id, status, payment_status).await;
    }
    let books = Books::fetch(&server.sandbox_url("/books")).await;
    for (order_id, customer) in &served {
        let book = books.of(order_id);
        let found = book.map_or((0, 0), |book| (book.captured, book.refunded));
        assert_eq!(found, customer.pays(), "{customer:?} {book:#?}");
    }
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
