//! A shop in memory: the parts under test, the clock that is moved by hand, and the people around it, who
//! try again until they are answered and remember what they were told.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, Utc};
use counterfoil::invariants::Acknowledged;
use domain::{Decider, inventory, order, payment};
use event_store::{
    Position,
    memory::{FaultPlan, MemoryStore},
};
use events::{
    Actor, Category, Currency, Money, UnitPrice,
    ids::{CaptureId, OrderId, RefundId, Sku},
    order::{CancellationReason, Line, Origin},
};
use platform::clock::Clock;
use sagas::{
    coordinator::{Config, Coordinator, Interrupt, MemoryState},
    gateway::sandbox::{
        memory::{self, MemoryGateway},
        signature::Secrets,
    },
};
use uuid::Uuid;
use write_side::{
    CommandContext, CommandHandler, Commands, HandleError, Snapshots, snapshots::MemorySnapshots,
};

use super::{
    plan::{Action, Plan, SKUS},
    recorder::Recorder,
};

/// How many events of a stream there are from one snapshot to the next: few, so that they matter in short histories.
const SNAPSHOT_EVERY: u64 = 3;

/// More tries than a client ever needs.
const TRIES_MAX: usize = 30;

pub(super) struct Shop {
    pub(super) clock: Clock,
    pub(super) store: Recorder,
    pub(super) gateway: Arc<MemoryGateway>,
    pub(super) state: Arc<MemoryState>,
    pub(super) snapshots: Arc<MemorySnapshots>,
    pub(super) crashes: Arc<Crashes>,
    pub(super) acknowledged: Vec<Acknowledged>,
    /// The process that serves customers; its caches may be old when coordinators write.
    clients: Commands,
    actions: u64,
}

/// Stops coordinators where the plan says, and remembers which boundaries were reached.
#[derive(Debug)]
pub(super) struct Crashes {
    planned: Vec<u64>,
    count: AtomicU64,
    reached: Mutex<Vec<&'static str>>,
}

impl Interrupt for Crashes {
    fn interrupts(&self, boundary: &'static str) -> bool {
        self.reached.lock().unwrap().push(boundary);
        self.planned.contains(&(self.count.fetch_add(1, Ordering::SeqCst) + 1))
    }
}

impl Crashes {
    /// The number of the boundary that was reached last, from 1.
    pub(super) fn last(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    pub(super) fn reached(&self) -> Vec<&'static str> {
        self.reached.lock().unwrap().clone()
    }
}

/// The handlers of a process of its own, which begins with what others have stored.
fn process(store: &Recorder, snapshots: &Arc<MemorySnapshots>) -> Commands {
    let snapshots = Snapshots::new(snapshots.clone()).every(SNAPSHOT_EVERY);
    Commands::with_snapshots(Arc::new(store.clone()), snapshots)
}

pub(super) fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub(super) fn order_id(number: usize) -> OrderId {
    OrderId(Uuid::new_v5(&Uuid::nil(), format!("order {number}").as_bytes()))
}

fn gbp(pence: i64) -> Money {
    Money::new(pence, Currency::GBP)
}

fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}

impl Shop {
    pub(super) fn new(plan: &Plan) -> Self {
        let clock = Clock::manual(noon());
        let time = clock.clone();
        let snapshots = Arc::new(MemorySnapshots::default());
        let store = Recorder::before(MemoryStore::with_time(move || time.now()));
        let lost =
            memory::FaultPlan { fail_before: plan.calls_lost.clone(), fail_after: plan.answers_lost.clone() };
        Self {
            gateway: Arc::new(MemoryGateway::new(clock.clone(), Secrets::new("secret"), lost)),
            state: Arc::new(MemoryState::new(clock.clone())),
            crashes: Arc::new(Crashes {
                planned: plan.crashes.keys().copied().collect(),
                count: AtomicU64::new(0),
                reached: Mutex::default(),
            }),
            acknowledged: Vec::new(),
            clients: process(&store, &snapshots),
            actions: 0,
            clock,
            store,
            snapshots,
        }
    }

    /// A coordinator in a process of its own.
    pub(super) fn coordinator(&self, holder: &str) -> Coordinator {
        let coordinator = Coordinator::new(
            Arc::new(self.store.clone()),
            process(&self.store, &self.snapshots),
            self.gateway.clone(),
            self.clock.clone(),
            self.state.clone(),
            Config::for_holder(holder),
        );
        coordinator.interrupted_by(self.crashes.clone())
    }

    /// The shop opens: there is stock, and from now on things go wrong.
    pub(super) async fn open(&mut self, plan: &Plan) {
        for (name, quantity) in SKUS.iter().zip(plan.stock).filter(|(_, quantity)| *quantity > 0) {
            self.receive(name, quantity).await;
        }
        let faults = plan
            .store_faults
            .iter()
            .fold(FaultPlan::none(), |faults, (operation, nth, fault)| faults.at(*operation, *nth, *fault));
        self.store.set_faults(faults);
    }

    /// Does what somebody wants done, and says what they were answered.
    pub(super) async fn act(&mut self, plan: &Plan, action: Action) -> String {
        self.actions += 1;
        match action {
            Action::Place(number) => self.place(plan, number).await,
            Action::Cancel(number) => {
                let reason = CancellationReason::CustomerRequest;
                self.tell_order(number, order::Command::Cancel { reason }).await
            }
            Action::Dispatch(number) => {
                let captured = self.captured(number).await;
                self.tell_order(number, order::Command::RecordDispatch { captured }).await
            }
            Action::Capture(number, pence) => {
                let capture_id = CaptureId(self.fresh_id());
                let capture = payment::Command::Capture { capture_id, amount: gbp(pence) };
                self.tell_payment(number, capture).await
            }
            Action::Refund(number, pence) => {
                let refund_id = RefundId(self.fresh_id());
                let reason = "goodwill".to_owned();
                let refund = payment::Command::Refund { refund_id, amount: gbp(pence), reason };
                self.tell_payment(number, refund).await
            }
            Action::Receive(quantity) => {
                for name in SKUS {
                    self.actions += 1;
                    self.receive(name, quantity).await;
                }
                "received".to_owned()
            }
            Action::ForgetState => {
                self.state.forget();
                self.snapshots.forget();
                "forgotten".to_owned()
            }
        }
    }

    /// The customers' process starts anew, with empty caches.
    pub(super) fn restart_clients(&mut self) {
        self.clients = process(&self.store, &self.snapshots);
    }

    fn fresh_id(&self) -> Uuid {
        Uuid::new_v5(&Uuid::nil(), format!("action {}", self.actions).as_bytes())
    }

    async fn receive(&mut self, name: &str, quantity: i64) {
        let reference = format!("delivery {}", self.actions);
        let command = inventory::Command::Receive { sku: sku(name), quantity, reference };
        let key = format!("receive {name} {}", self.actions);
        let stream = Category::Inventory.stream(name).to_string();
        let answer = send(&self.clients.inventory.clone(), name, command, &key, self, &stream).await;
        answer.expect("a receipt is never refused");
    }

    /// However often it is placed, it is the same request with the same key.
    async fn place(&mut self, plan: &Plan, number: usize) -> String {
        let order = &plan.orders[number];
        let unit_price = UnitPrice::from_minor(100, Currency::GBP).unwrap();
        let lines = order.lines.iter().map(|(name, quantity)| Line {
            sku: sku(name),
            quantity: *quantity,
            unit_price,
            amount: gbp(100 * quantity),
        });
        let origin = if order.imported {
            let reference = format!("53636{number}");
            Origin::Imported { source: "online-retail".to_owned(), reference, country: None }
        } else {
            Origin::Live
        };
        let id = order_id(number);
        let command = order::Command::Place {
            order_id: id,
            customer_id: None,
            contact: None,
            lines: lines.collect(),
            payment_method: order.method.to_owned(),
            origin,
        };
        let stream = Category::Order.stream(id).to_string();
        let key = format!("place {number}");
        let handler = self.clients.order.clone();
        let answer = send(&handler, &id.to_string(), command, &key, self, &stream).await;
        let position = answer.expect("the same request again is never refused");
        let told_before = self.acknowledged.iter().find(|told| told.stream == stream);
        if let Some(told) = told_before {
            assert_eq!(told.position, position, "the same request was answered otherwise");
        } else {
            let command_id = Some(command_id(&key));
            self.acknowledged.push(Acknowledged { stream, position, command_id });
        }
        format!("placed at {position}")
    }

    async fn tell_order(&mut self, number: usize, command: order::Command) -> String {
        let id = order_id(number);
        let key = format!("order {number} {}", self.actions);
        let stream = Category::Order.stream(id).to_string();
        let handler = self.clients.order.clone();
        let answer = send(&handler, &id.to_string(), command, &key, self, &stream).await;
        self.remember(stream, answer.map_err(|refusal| refusal.to_string()))
    }

    async fn captured(&self, number: usize) -> Option<Money> {
        for _ in 0..TRIES_MAX {
            if let Ok((payment, _)) = self.clients.payment.load(&order_id(number).to_string()).await {
                return payment.account().map(payment::Account::captured);
            }
        }
        panic!("the payment of order {number} cannot be read in {TRIES_MAX} tries")
    }

    async fn tell_payment(&mut self, number: usize, command: payment::Command) -> String {
        let id = order_id(number);
        let key = format!("payment {number} {}", self.actions);
        let stream = Category::Payment.stream(id).to_string();
        let handler = self.clients.payment.clone();
        let answer = send(&handler, &id.to_string(), command, &key, self, &stream).await;
        self.remember(stream, answer.map_err(|refusal| refusal.to_string()))
    }

    fn remember(&mut self, stream: String, answer: Result<Position, String>) -> String {
        match answer {
            Ok(position) => {
                self.acknowledged.push(Acknowledged { stream, position, command_id: None });
                format!("done at {position}")
            }
            Err(refusal) => format!("refused: {refusal}"),
        }
    }
}

fn command_id(key: &str) -> Uuid {
    Uuid::new_v5(&Uuid::nil(), key.as_bytes())
}

/// Sends a command until there is an answer to it. The position is where the client was told that it is.
async fn send<D: Decider>(
    handler: &CommandHandler<D>,
    id: &str,
    command: D::Command,
    key: &str,
    shop: &Shop,
    stream: &str,
) -> Result<Position, D::Refusal> {
    let command_id = command_id(key);
    let context = CommandContext {
        command_id,
        correlation_id: command_id,
        causation_id: command_id,
        actor: Actor::Client,
        occurred_at: shop.clock.now(),
        request_digest: None,
        traceparent: None,
        expected_revision: None,
    };
    for _ in 0..TRIES_MAX {
        match handler.handle(id, command.clone(), context.clone()).await {
            Ok(answer) => return Ok(answer.position),
            Err(HandleError::Refused(refusal)) => return Err(refusal),
            Err(HandleError::Store(_) | HandleError::Contended { .. }) => {}
            Err(
                error @ (HandleError::RequestDiffers
                | HandleError::RevisionMismatch { .. }
                | HandleError::Unkeepable(_)
                | HandleError::Corrupt(_)),
            ) => panic!("{stream}: {error}"),
        }
    }
    panic!("{stream}: no answer in {TRIES_MAX} tries")
}
