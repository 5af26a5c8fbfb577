//! Several coordinators on one database share the work out, and go on with what one of them leaves, however it
//! leaves.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use events::{ids::PaymentId, payment::Operation};
use sagas::{
    coordinator::{Changes, Claim, CoordinatorState, Kept, Key, Lease, PARTITIONS, Partition, StateError},
    gateway::{Answer, Call, Notification, PaymentGateway, VerifyError},
};
use serde_json::Value;
use tokio::{
    runtime,
    sync::{Semaphore, oneshot},
    time::Instant,
};

use crate::{
    place::Place,
    shop::{LEASE_TTL, Shop, order_id},
};

/// How long it takes at most to hand a partition over, on a machine that is busy with other things.
const SECONDS: Duration = Duration::from_secs(8);

/// Remembers which payments were worked on through it.
#[derive(Debug)]
struct Overheard {
    inner: Arc<dyn PaymentGateway>,
    calls: Mutex<Vec<PaymentId>>,
}

impl Overheard {
    fn new(inner: Arc<dyn PaymentGateway>) -> Arc<Self> {
        Arc::new(Self { inner, calls: Mutex::default() })
    }

    fn payments(&self) -> BTreeSet<PaymentId> {
        self.calls.lock().unwrap().iter().copied().collect()
    }
}

#[async_trait]
impl PaymentGateway for Overheard {
    fn provider(&self) -> &'static str {
        self.inner.provider()
    }

    async fn perform(&self, call: &Call) -> Answer {
        self.calls.lock().unwrap().push(call.payment_id);
        self.inner.perform(call).await
    }

    async fn look_up(&self, call: &Call) -> Option<Answer> {
        self.inner.look_up(call).await
    }

    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Notification, VerifyError> {
        self.inner.verify(headers, body, now)
    }

    fn interpret(&self, notification: &Value) -> Option<(Operation, Answer)> {
        self.inner.interpret(notification)
    }
}

/// Remembers for which partitions somebody was refused.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn CoordinatorState>,
    refused: Arc<Mutex<BTreeSet<Partition>>>,
    /// Held while the database is asked.
    asking: Arc<tokio::sync::Mutex<()>>,
}

#[async_trait]
impl CoordinatorState for Watched {
    async fn claim(&self, holder: &str, ttl: Duration, holds: &[Partition]) -> Result<Claim, StateError> {
        let _asking = self.asking.lock().await;
        self.inner.claim(holder, ttl, holds).await
    }

    async fn load(&self, partitions: &[Partition]) -> Result<Vec<Kept>, StateError> {
        self.inner.load(partitions).await
    }

    async fn save(&self, ttl: Duration, changes: &[Changes]) -> Result<Vec<Partition>, StateError> {
        let _asking = self.asking.lock().await;
        let lost = self.inner.save(ttl, changes).await?;
        self.refused.lock().unwrap().extend(&lost);
        Ok(lost)
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StateError> {
        self.inner.release(leases).await
    }

    async fn leave(&self, holder: &str) -> Result<(), StateError> {
        self.inner.leave(holder).await
    }
}

async fn stocked() -> (Place, Shop) {
    let place = Place::new().await;
    let shop = place.shop().await;
    shop.receive("CUP", 1000).await;
    shop.receive("TEAPOT", 1000).await;
    (place, shop)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_share_the_work_out_and_nothing_is_done_by_both() {
    let (place, shop) = stocked().await;
    let overheard = [Overheard::new(shop.gateway.clone()), Overheard::new(shop.gateway.clone())];
    let [first, second] = overheard.clone().map(|gateway| Shop { gateway, ..shop.clone() });
    let (first, second) = (first.run("first"), second.run("second"));
    place.wait_for_holders(&[("first", 8), ("second", 8)]).await;

    shop.place_all(0..120).await;
    shop.wait_for(120).await;

    let [by_first, by_second] = overheard.map(|gateway| gateway.payments());
    assert!(by_first.is_disjoint(&by_second), "{:?}", by_first.intersection(&by_second));
    assert!(by_first.len() > 20 && by_second.len() > 20, "{} and {}", by_first.len(), by_second.len());
    let partitions = |payments: &BTreeSet<PaymentId>| -> BTreeSet<Partition> {
        payments.iter().map(|id| Partition::of(&Key::Payment(*id))).collect()
    };
    assert!(partitions(&by_first).is_disjoint(&partitions(&by_second)));
    first.shut_down().await;
    second.shut_down().await;
    shop.assert_all_is_right(120, &place.books().await).await;
    shop.assert_each_checkout_is_told_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_leaves_that_is_killed_the_other_goes_on_with_in_the_time_of_a_lease() {
    let (place, shop) = stocked().await;
    let (first, second) = (shop.run("first"), shop.run("second"));
    place.wait_for_holders(&[("first", 8), ("second", 8)]).await;
    shop.place_all(0..60).await;
    shop.wait_for(20).await;
    first.kill().await;
    let killed = Instant::now();
    shop.place_all(60..90).await;
    place.wait_for_holders(&[("second", PARTITIONS.into())]).await;
    // A second for looking, and as much again for a machine that is busy with other things.
    let taken_over = killed.elapsed();
    assert!(taken_over < LEASE_TTL + Duration::from_secs(2), "{taken_over:?}");
    shop.wait_for(90).await;
    second.shut_down().await;
    shop.assert_all_is_right(90, &place.books().await).await;
    shop.assert_each_checkout_is_told_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_gets_a_share_and_who_leaves_gives_it_back_while_work_goes_on() {
    let (place, shop) = stocked().await;
    let first = shop.run_with_long_leases("a");
    shop.place_all(0..30).await;
    let second = shop.run_with_long_leases("b");
    place.wait_for_holders(&[("a", 8), ("b", 8)]).await;
    shop.place_all(30..60).await;
    let third = shop.run_with_long_leases("c");
    let began = Instant::now();
    place.wait_for_holders(&[("a", 6), ("b", 5), ("c", 5)]).await;
    let joined = began.elapsed();
    assert!(joined < SECONDS, "{joined:?}");
    shop.place_all(60..90).await;
    second.shut_down().await;
    place.wait_for_holders(&[("a", 8), ("c", 8)]).await;
    shop.wait_for(90).await;
    first.shut_down().await;
    third.shut_down().await;
    shop.assert_all_is_right(90, &place.books().await).await;
    shop.assert_each_checkout_is_told_once().await;
}

/// A provider that does not answer before it is told to.
#[derive(Debug)]
struct Silent {
    inner: Arc<dyn PaymentGateway>,
    asked: AtomicUsize,
    may_answer: Semaphore,
}

#[async_trait]
impl PaymentGateway for Silent {
    fn provider(&self) -> &'static str {
        self.inner.provider()
    }

    async fn perform(&self, call: &Call) -> Answer {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _may_answer = self.may_answer.acquire().await.unwrap();
        self.inner.perform(call).await
    }

    async fn look_up(&self, call: &Call) -> Option<Answer> {
        self.inner.look_up(call).await
    }

    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Notification, VerifyError> {
        self.inner.verify(headers, body, now)
    }

    fn interpret(&self, notification: &Value) -> Option<(Operation, Answer)> {
        self.inner.interpret(notification)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_take_too_long_keep_no_partition_from_who_is_to_have_it() {
    let (place, shop) = stocked().await;
    let silent = Arc::new(Silent {
        inner: shop.gateway.clone(),
        asked: AtomicUsize::new(0),
        may_answer: Semaphore::new(0),
    });
    let first = Shop { gateway: silent.clone(), ..shop.clone() }.run_with_long_leases("a");
    shop.place_all(0..30).await;
    while silent.asked.load(Ordering::SeqCst) < 30 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let second = shop.run_with_long_leases("b");
    let began = Instant::now();
    place.wait_for_holders(&[("a", 8), ("b", 8)]).await;
    let joined = began.elapsed();
    assert!(joined < SECONDS, "{joined:?}");

    let given: BTreeSet<Partition> = Partition::all().skip(8).collect();
    let is_given = |number: &usize| given.contains(&Partition::of(&Key::Checkout(order_id(*number))));
    let moved: Vec<usize> = (0..30).filter(is_given).collect();
    shop.wait_for(moved.len()).await;
    let ended = shop.checkouts().await;
    assert!(moved.iter().all(|number| ended[&order_id(*number).to_string()] != "CheckoutStockReserved"));
    silent.may_answer.add_permits(100);
    shop.wait_for(30).await;
    first.shut_down().await;
    second.shut_down().await;
    shop.assert_all_is_right(30, &place.books().await).await;
    shop.assert_each_checkout_is_told_once().await;
}

/// A coordinator in a process of its own, as far as threads and connections go.
struct Apart {
    runtime: runtime::Handle,
    refused: Arc<Mutex<BTreeSet<Partition>>>,
    asking: Arc<tokio::sync::Mutex<()>>,
    shut_down: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Apart {
    fn run(place: &Arc<Place>, holder: &'static str) -> Self {
        let refused = Arc::new(Mutex::default());
        let asking = Arc::new(tokio::sync::Mutex::default());
        let (shut_down, stop) = oneshot::channel();
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let (place, watched, quiet) = (place.clone(), Arc::clone(&refused), Arc::clone(&asking));
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let mut shop = place.shop().await;
                shop.state = Arc::new(Watched { inner: shop.state, refused: watched, asking: quiet });
                let running = shop.run(holder);
                stop.await.unwrap();
                running.shut_down().await;
            });
        });
        Self { runtime: handle, refused, asking, shut_down, thread }
    }

    /// Nothing in it goes on for so long. Not in the middle of a transaction: what then becomes of it only its
    /// own clock would tell, and no refusal.
    async fn pause(&self, length: Duration) {
        let asking = Arc::clone(&self.asking);
        let pausing = async move {
            let _quiet = asking.lock().await;
            std::thread::sleep(length);
        };
        self.runtime.spawn(pausing).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_paused_for_longer_than_its_leases_is_refused_and_joins_again() {
    let (place, shop) = stocked().await;
    let place = Arc::new(place);
    let first = Apart::run(&place, "first");
    place.wait_for_holders(&[("first", PARTITIONS.into())]).await;
    let second = shop.run("second");
    place.wait_for_holders(&[("first", 8), ("second", 8)]).await;
    shop.place_all(0..60).await;
    assert_eq!(*first.refused.lock().unwrap(), BTreeSet::new());

    first.pause(LEASE_TTL * 3).await;
    assert_eq!(place.holders().await, [("second".to_owned(), i64::from(PARTITIONS))]);
    shop.place_all(60..90).await;
    place.wait_for_holders(&[("first", 8), ("second", 8)]).await;

    assert_eq!(first.refused.lock().unwrap().len(), 8);
    shop.wait_for(90).await;
    first.shut_down.send(()).unwrap();
    first.thread.join().unwrap();
    place.wait_for_holders(&[("second", PARTITIONS.into())]).await;
    second.shut_down().await;
    shop.assert_all_is_right(90, &place.books().await).await;
    shop.assert_each_checkout_is_told_once().await;
    assert!(shop.checkouts().await.contains_key(&order_id(89).to_string()));
}
