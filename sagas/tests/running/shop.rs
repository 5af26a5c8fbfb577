//! A shop with a store, a provider and a running coordinator, whatever they are made of.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use domain::{inventory, order};
use event_store::{EventStore, Filter, Position, RecordedEvent};
use events::{
    Actor, Money, UnitPrice,
    ids::{OrderId, PaymentId},
    order::{Line, Origin},
};
use futures::{StreamExt, stream};
use platform::clock::Clock;
use sagas::{
    coordinator::{Config, Coordinator, CoordinatorState, Error, Kept, Partition},
    gateway::{
        PaymentGateway,
        sandbox::{books::PaymentBook, tokens},
    },
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use write_side::{CommandContext, Commands};

/// Longer than anything here takes on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Shorter than when serving, so that nobody waits for it long.
pub(crate) const LEASE_TTL: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) commands: Commands,
    pub(crate) gateway: Arc<dyn PaymentGateway>,
    pub(crate) state: Arc<dyn CoordinatorState>,
}

/// A coordinator that runs.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// Ends it as a kill would: in the middle of whatever it does, without saving anything.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Lets it finish what it has begun.
    pub(crate) async fn shut_down(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

pub(crate) fn order_id(number: usize) -> OrderId {
    OrderId(Uuid::new_v5(&Uuid::nil(), format!("order {number}").as_bytes()))
}

/// What an order is paid with, by its number.
pub(crate) fn method(number: usize) -> &'static str {
    const METHODS: [&str; 6] = [
        tokens::APPROVE,
        tokens::DECLINE,
        tokens::ERROR_THEN_APPROVE,
        tokens::WEBHOOK_TWICE,
        tokens::CAPTURE_FAILS,
        tokens::AMOUNT_DIFFERS,
    ];
    METHODS[number % METHODS.len()]
}

/// Whether an order that is paid with this ends as confirmed.
pub(crate) fn succeeds(method: &str) -> bool {
    [tokens::APPROVE, tokens::ERROR_THEN_APPROVE, tokens::WEBHOOK_TWICE].contains(&method)
}

impl Shop {
    pub(crate) fn run(&self, holder: &str) -> Running {
        self.run_with(Config { lease_ttl: LEASE_TTL, ..Config::for_holder(holder) })
    }

    /// With leases that do not run out while a test goes on.
    pub(crate) fn run_with_long_leases(&self, holder: &str) -> Running {
        self.run_with(Config { lease_ttl: PATIENCE, ..Config::for_holder(holder) })
    }

    fn run_with(&self, config: Config) -> Running {
        let coordinator = Coordinator::new(
            self.store.clone(),
            Commands::new(self.store.clone()),
            self.gateway.clone(),
            Clock::system(),
            self.state.clone(),
            config,
        );
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        Running { shutdown, task: tokio::spawn(async move { coordinator.run(stop).await }) }
    }

    fn context(name: &str) -> CommandContext {
        let command_id = Uuid::new_v5(&Uuid::nil(), name.as_bytes());
        CommandContext {
            command_id,
            correlation_id: command_id,
            causation_id: command_id,
            actor: Actor::Client,
            occurred_at: Clock::system().now(),
            request_digest: None,
            traceparent: None,
            expected_revision: None,
        }
    }

    pub(crate) async fn receive(&self, sku: &str, quantity: i64) {
        let command =
            inventory::Command::Receive { sku: sku.parse().unwrap(), quantity, reference: "D1".to_owned() };
        self.commands.inventory.handle(sku, command, Self::context(&format!("receive {sku}"))).await.unwrap();
    }

    /// An order over one unit of each of these, at a pound each.
    pub(crate) async fn place(&self, number: usize, skus: &[&str], method: &str, origin: Origin) {
        let gbp = "GBP".parse().unwrap();
        let line = |sku: &&str| Line {
            sku: sku.parse().unwrap(),
            quantity: 1,
            unit_price: UnitPrice::from_minor(100, gbp).unwrap(),
            amount: Money::new(100, gbp),
        };
        let command = order::Command::Place {
            order_id: order_id(number),
            customer_id: None,
            contact: None,
            lines: skus.iter().map(line).collect(),
            payment_method: method.to_owned(),
            origin,
        };
        let id = order_id(number).to_string();
        self.commands.order.handle(&id, command, Self::context(&format!("place {number}"))).await.unwrap();
    }

    /// Places these orders over a cup and a teapot, many at once, each paid with what its number says.
    pub(crate) async fn place_all(&self, numbers: impl Iterator<Item = usize>) {
        stream::iter(numbers)
            .for_each_concurrent(32, |number| {
                self.place(number, &["CUP", "TEAPOT"], method(number), Origin::Live)
            })
            .await;
    }

    pub(crate) async fn events(&self) -> Vec<RecordedEvent> {
        let mut events = Vec::new();
        let mut after = Position::START;
        loop {
            let page = self.store.read_all(after, &Filter::all(), 1000).await.unwrap();
            events.extend(page.events);
            after = page.scanned;
            if page.end {
                return events;
            }
        }
    }

    /// What was kept of all partitions.
    pub(crate) async fn kept(&self) -> Vec<Kept> {
        self.state.load(&Partition::all().collect::<Vec<_>>()).await.unwrap()
    }

    /// The last event of each checkout.
    pub(crate) async fn checkouts(&self) -> HashMap<String, String> {
        let events = self.events().await.into_iter();
        let own = events.filter(|event| event.stream.category() == "checkout");
        own.map(|event| (event.stream.id().to_owned(), event.name)).collect()
    }

    /// Waits until so many checkouts have come to an end.
    pub(crate) async fn wait_for(&self, ended: usize) {
        const ENDS: [&str; 3] = ["CheckoutCompleted", "CheckoutCompensated", "CheckoutDispatchCompleted"];
        let waiting = async {
            loop {
                let checkouts = self.checkouts().await;
                if checkouts.values().filter(|last| ENDS.contains(&last.as_str())).count() >= ended {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(ended.is_ok(), "not all ended: {:#?}", self.checkouts().await);
    }

    /// Each order ended as its means of payment says; the books agree; no stock is held for nothing.
    pub(crate) async fn assert_all_is_right(&self, orders: usize, books: &[PaymentBook]) {
        let checkouts = self.checkouts().await;
        let books: BTreeMap<_, _> = books.iter().map(|book| (book.payment_id, book)).collect();
        let mut sold = 0;
        for number in 0..orders {
            let id = order_id(number);
            let method = method(number);
            let (last, captured) =
                if succeeds(method) { ("CheckoutCompleted", 200) } else { ("CheckoutCompensated", 0) };
            assert_eq!(checkouts[&id.to_string()], last, "order {number} paid with {method}");
            let book = books[&PaymentId::from(id)];
            assert_eq!((book.captured, book.refunded), (captured, 0), "order {number} paid with {method}");
            assert!(captured > 0 || book.authorized == 0 || book.voided, "{book:?}");
            sold += i64::from(succeeds(method));
        }
        for sku in ["CUP", "TEAPOT"] {
            assert_eq!(self.commands.inventory.load(sku).await.unwrap().0.reserved(), sold, "{sku}");
        }
        self.assert_nothing_is_doubled().await;
    }

    /// No event is in the stream of a checkout twice.
    pub(crate) async fn assert_each_checkout_is_told_once(&self) {
        let mut seen = BTreeSet::new();
        for event in self.events().await {
            if event.stream.category() == "checkout" {
                let told = (event.stream.to_string(), event.name);
                assert!(!seen.contains(&told), "{told:?} twice");
                seen.insert(told);
            }
        }
    }

    async fn assert_nothing_is_doubled(&self) {
        let mut seen = BTreeMap::new();
        for event in self.events().await {
            if event.name == "PaymentOutcomeUnknown" {
                continue;
            }
            let key = (event.stream.to_string(), event.name.clone(), event.payload.clone());
            if let Some(before) = seen.insert(key, event.position) {
                panic!("{} of {} is at {before} and {}", event.name, event.stream, event.position);
            }
        }
    }
}
