//! A shop in memory with a clock that stands still until it is moved.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{inventory, order};
use event_store::{EventStore, Filter, Position, memory::MemoryStore};
use events::{
    Actor, Metadata, Money, UnitPrice,
    ids::{OrderId, PaymentId, ReservationId, Sku},
    order::{CancellationReason, Line, Origin},
};
use platform::clock::Clock;
use sagas::{
    checkout::Step,
    coordinator::{Config, Coordinator, Error, Idle, Interrupt, MemoryState},
    gateway::{
        Notification, PaymentGateway,
        sandbox::{
            memory::{FaultPlan, MemoryGateway},
            signature::Secrets,
        },
    },
    webhook,
};
use uuid::Uuid;
use write_side::{CommandContext, Commands};

/// More rounds than anything here takes, so that a checkout that never ends fails instead of hanging.
const ROUNDS_MAX: usize = 5_000;

pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) store: MemoryStore,
    pub(crate) commands: Commands,
    pub(crate) gateway: Arc<MemoryGateway>,
    pub(crate) state: Arc<MemoryState>,
    /// The coordinator's steps are interrupted at this one, counted from 1 over all that ever run here.
    pub(crate) interrupt: Arc<AtNth>,
    pub(crate) restarts: usize,
}

/// Interrupts once, at the nth boundary.
#[derive(Debug)]
pub(crate) struct AtNth {
    nth: u64,
    reached: AtomicU64,
}

impl AtNth {
    pub(crate) fn new(nth: u64) -> Arc<Self> {
        Arc::new(Self { nth, reached: AtomicU64::new(0) })
    }

    pub(crate) fn reached(&self) -> u64 {
        self.reached.load(Ordering::SeqCst)
    }
}

impl Interrupt for AtNth {
    fn interrupts(&self, _boundary: &'static str) -> bool {
        self.reached.fetch_add(1, Ordering::SeqCst) + 1 == self.nth
    }
}

/// What can be seen at the end, from outside.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The last event of the order, and of its checkout.
    pub(crate) order: String,
    pub(crate) checkout: String,
    /// Units on hand and reserved, by SKU.
    pub(crate) stock: BTreeMap<String, (i64, i64)>,
    /// What we say was captured and refunded, and whether nothing is held.
    pub(crate) captured: i64,
    pub(crate) refunded: i64,
    /// What the provider says was authorized, captured and refunded, and whether it was voided.
    pub(crate) books: Option<(i64, i64, i64, bool)>,
}

/// An order of one cup and two teapots out of ten each, sold and paid for.
pub(crate) fn sold() -> Seen {
    Seen {
        order: "OrderConfirmed".to_owned(),
        checkout: "CheckoutCompleted".to_owned(),
        stock: BTreeMap::from([("CUP".to_owned(), (10, 1)), ("TEAPOT".to_owned(), (10, 2))]),
        captured: 300,
        refunded: 0,
        books: Some((300, 300, 0, false)),
    }
}

pub(crate) fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

pub(crate) fn pence(amount: i64) -> Money {
    Money::new(amount, "GBP".parse().unwrap())
}

pub(crate) fn order_id(number: u128) -> OrderId {
    OrderId(Uuid::new_v5(&Uuid::nil(), format!("order {number}").as_bytes()))
}

pub(crate) fn imported() -> Origin {
    Origin::Imported { source: "retail".to_owned(), reference: "536365".to_owned(), country: None }
}

fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        Self::disturbed_by(FaultPlan::default(), AtNth::new(0))
    }

    pub(crate) fn disturbed_by(faults: FaultPlan, interrupt: Arc<AtNth>) -> Self {
        let clock = Clock::manual(noon());
        let time = clock.clone();
        let store = MemoryStore::with_time(move || time.now());
        Self {
            commands: Commands::new(Arc::new(store.clone())),
            gateway: Arc::new(MemoryGateway::new(clock.clone(), Secrets::new("secret"), faults)),
            state: Arc::new(MemoryState::new(clock.clone())),
            clock,
            store,
            interrupt,
            restarts: 0,
        }
    }

    pub(crate) fn coordinator(&self, holder: &str) -> Coordinator {
        self.coordinator_of(holder, Arc::new(self.store.clone()), self.gateway.clone())
    }

    /// One that sees the log and the provider through these.
    pub(crate) fn coordinator_over(
        &self,
        store: Arc<dyn EventStore>,
        gateway: Arc<dyn PaymentGateway>,
    ) -> Coordinator {
        self.coordinator_of("simulated", store, gateway)
    }

    fn coordinator_of(
        &self,
        holder: &str,
        store: Arc<dyn EventStore>,
        gateway: Arc<dyn PaymentGateway>,
    ) -> Coordinator {
        let (clock, state) = (self.clock.clone(), self.state.clone());
        let commands = Commands::new(store.clone());
        Coordinator::new(store, commands, gateway, clock, state, Config::for_holder(holder))
            .interrupted_by(self.interrupt.clone())
    }

    pub(crate) fn metadata(&self) -> Metadata {
        Metadata {
            occurred_at: self.clock.now(),
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            command_id: Uuid::nil(),
            request_digest: None,
            actor: Actor::Client,
            traceparent: None,
        }
    }

    fn context(&self, name: &str) -> CommandContext {
        let command_id = Uuid::new_v5(&Uuid::nil(), name.as_bytes());
        CommandContext {
            command_id,
            correlation_id: command_id,
            causation_id: command_id,
            actor: Actor::Client,
            occurred_at: self.clock.now(),
            request_digest: None,
            traceparent: None,
            expected_revision: None,
        }
    }

    pub(crate) async fn receive(&self, name: &str, quantity: i64) {
        let command = inventory::Command::Receive { sku: sku(name), quantity, reference: "D1".to_owned() };
        self.commands
            .inventory
            .handle(name, command, self.context(&format!("receive {name}")))
            .await
            .unwrap();
    }

    /// What a coordinator does first for an order.
    pub(crate) async fn hold(&self, name: &str, quantity: i64, order_id: OrderId) {
        let reservation_id = ReservationId::from(order_id);
        let expires_at = self.clock.now() + TimeDelta::hours(1);
        let command = inventory::Command::Reserve { sku: sku(name), reservation_id, quantity, expires_at };
        let command_id = Step::Reserve(&sku(name)).command_id(order_id);
        let context = CommandContext { command_id, ..self.context("hold") };
        self.commands.inventory.handle(name, command, context).await.unwrap();
    }

    /// One order over one cup and two teapots, for 300.
    pub(crate) async fn place(&self, order_id: OrderId, method: &str, origin: Origin) {
        let line = |name: &str, quantity: i64| Line {
            sku: sku(name),
            quantity,
            unit_price: UnitPrice::from_minor(100, "GBP".parse().unwrap()).unwrap(),
            amount: pence(100 * quantity),
        };
        let command = order::Command::Place {
            order_id,
            customer_id: None,
            contact: None,
            lines: vec![line("TEAPOT", 2), line("CUP", 1)],
            payment_method: method.to_owned(),
            origin,
        };
        let context = self.context(&format!("place {order_id}"));
        self.commands.order.handle(&order_id.to_string(), command, context).await.unwrap();
    }

    pub(crate) async fn tell_order(&self, order_id: OrderId, command: order::Command) {
        let context = self.context(&format!("{command:?} {order_id}"));
        self.commands.order.handle(&order_id.to_string(), command, context).await.unwrap();
    }

    pub(crate) async fn dispatch(&self, order_id: OrderId) {
        let context = self.context(&format!("dispatch {order_id}"));
        self.commands.record_dispatch(order_id, context).await.unwrap();
    }

    pub(crate) async fn cancel(&self, order_id: OrderId) {
        let reason = CancellationReason::CustomerRequest;
        self.tell_order(order_id, order::Command::Cancel { reason }).await;
    }

    /// Lets the coordinator do what can be done now, starting it again whenever it stops, and delivers the
    /// provider's webhooks.
    pub(crate) async fn settle_for_now(&mut self, coordinator: &mut Coordinator) {
        for _ in 0..ROUNDS_MAX {
            match coordinator.run_until_idle().await {
                Ok(idle) => assert!(matches!(idle, Idle::Until(_)), "{idle:?}"),
                Err(Error::Interrupted { .. }) => {
                    self.restarts += 1;
                    *coordinator = self.coordinator("simulated");
                    continue;
                }
                Err(error) if error.is_transient() => continue,
                Err(error) => panic!("{error}"),
            }
            let notices = self.gateway.take_notices();
            if notices.is_empty() {
                return;
            }
            for notice in notices {
                self.deliver(&notice.to_notification().unwrap()).await;
            }
        }
        panic!("it does not come to rest");
    }

    /// Delivers until it is acknowledged, as the provider does.
    pub(crate) async fn deliver(&self, notification: &Notification) {
        for _ in 0..5 {
            let received = webhook::receive(&self.store, "sandbox", notification, self.clock.now()).await;
            if received.is_ok() {
                return;
            }
        }
        panic!("{} cannot be delivered", notification.id);
    }

    /// The same, and moves the clock on until nothing is waited for.
    pub(crate) async fn settle(&mut self, coordinator: &mut Coordinator) {
        for _ in 0..ROUNDS_MAX {
            self.settle_for_now(coordinator).await;
            let due = [coordinator.next_due(), self.gateway.next_settlement()];
            let Some(next) = due.into_iter().flatten().min() else { return };
            let wait = (next - self.clock.now()).max(TimeDelta::milliseconds(1));
            self.clock.advance(wait);
        }
        panic!("it does not come to rest");
    }

    pub(crate) async fn events(&self) -> Vec<(String, String)> {
        let page = self.store.read_all(Position::START, &Filter::all(), usize::MAX).await.unwrap();
        page.events.into_iter().map(|event| (event.stream.to_string(), event.name)).collect()
    }

    pub(crate) async fn names(&self, category: &str) -> Vec<String> {
        let events = self.events().await.into_iter();
        let of_category = events.filter(|(stream, _)| stream.split_once('-').unwrap().0 == category);
        of_category.map(|(_, name)| name).collect()
    }

    pub(crate) async fn see(&self, order_id: OrderId) -> Seen {
        let events = self.events().await;
        let last = |stream: String| {
            let mut of_stream = events.iter().filter(|(name, _)| *name == stream);
            of_stream.next_back().map(|(_, name)| name.clone()).unwrap_or_default()
        };
        let mut stock = BTreeMap::new();
        for name in ["CUP", "TEAPOT"] {
            let (units, _) = self.commands.inventory.load(name).await.unwrap();
            stock.insert(name.to_owned(), (units.on_hand(), units.reserved()));
        }
        let (payment, _) = self.commands.payment.load(&order_id.to_string()).await.unwrap();
        let account = payment.account();
        let books = self.gateway.books();
        let book = books.iter().find(|book| book.payment_id == PaymentId::from(order_id));
        Seen {
            order: last(format!("order-{order_id}")),
            checkout: last(format!("checkout-{order_id}")),
            stock,
            captured: account.map_or(0, |account| account.captured().amount),
            refunded: account.map_or(0, |account| account.refunded().amount),
            books: book.map(|book| (book.authorized, book.captured, book.refunded, book.voided)),
        }
    }
}
