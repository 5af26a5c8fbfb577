//! What becomes of a plan: everything is done in its order, the coordinator is started again whenever it
//! is killed, time moves on to whatever is due next; and when nothing is, the whole history is checked.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use counterfoil::invariants::{
    self, ComparedSnapshots, Evidence, Invariant, Note, ProviderPayment, Subscriber, Verdict,
};
use domain::inventory::Stock;
use event_store::{EventStore, Filter, Position, RecordedEvent, memory::FaultPlan};
use events::{DomainEvent, order::OrderEvent};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sagas::{
    coordinator::{Coordinator, Error, Idle},
    gateway::{Notification, sandbox::tokens},
    webhook,
};
use tokio::task::JoinHandle;
use write_side::snapshots::is_borne_out;

use super::{
    plan::{Action, Plan, SLEEP},
    recorder::Call,
    shop::{Shop, noon, order_id},
};

/// More rounds than any plan takes, so that one that never ends fails instead of hanging.
const ROUNDS_MAX: usize = 3_000;

/// After so many rounds in which nothing happened, nothing will: what is left is looked at now and then,
/// and waits for a person.
const QUIET_ROUNDS_MAX: usize = 50;

/// Whoever takes longer than this is given up for dead. Nothing but a sleeping append takes so long.
const PATIENCE: Duration = Duration::from_mins(10);

/// Longer than a lease lasts.
const LEASE: TimeDelta = TimeDelta::seconds(11);

/// What happened, and what it came to.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) trace: Vec<String>,
    pub(super) log: Vec<RecordedEvent>,
    /// The appends that the log is made of.
    pub(super) transcript: Vec<Call>,
    pub(super) events: u64,
    pub(super) crashes: Vec<&'static str>,
    pub(super) reached: Vec<&'static str>,
    pub(super) twins: u64,
    /// How many snapshots were found by processes that knew nothing of the stream.
    pub(super) snapshots: u64,
    pub(super) deliveries: u64,
    /// Each order's means of payment, and the state that it ended in.
    pub(super) endings: Vec<(&'static str, &'static str)>,
}

type Run = (Coordinator, Result<Idle, Error>);

struct Teller<'a> {
    plan: &'a Plan,
    dice: StdRng,
    shop: Shop,
    story: Story,
    coordinator: Option<Coordinator>,
    /// Given up for dead, and still at it.
    sleeping: Vec<JoinHandle<Run>>,
    /// Webhooks on their way, in the order in which they arrive.
    deliveries: BTreeMap<(DateTime<Utc>, u64), Notification>,
    actions: Vec<(DateTime<Utc>, Action)>,
    subscriber: Subscriber,
}

/// Lives a plan through, and checks what is left.
pub(super) async fn tell(plan: &Plan) -> Result<Story, String> {
    let mut shop = Shop::new(plan);
    shop.open(plan).await;
    let mut actions: Vec<_> = plan.actions.iter().map(|(after, action)| (noon() + *after, *action)).collect();
    actions.reverse();
    let mut teller = Teller {
        plan,
        dice: StdRng::seed_from_u64(plan.seed),
        coordinator: None,
        story: Story::default(),
        sleeping: Vec::new(),
        deliveries: BTreeMap::new(),
        actions,
        subscriber: Subscriber {
            name: "follower".to_owned(),
            after: Position::START,
            upto: Position::START,
            seen: vec![],
        },
        shop,
    };
    teller.live().await?;
    teller.check().await
}

impl Teller<'_> {
    async fn live(&mut self) -> Result<(), String> {
        let mut quiet_rounds = 0;
        let mut last_head = Position::START;
        for _ in 0..ROUNDS_MAX {
            self.act_and_deliver().await?;
            self.coordinate().await?;
            self.listen().await;
            self.take_notices()?;
            let head = self.shop.store.head().await.unwrap_or(last_head);
            quiet_rounds = if head == last_head { quiet_rounds + 1 } else { 0 };
            last_head = head;
            let Some(next) = self.next_due(quiet_rounds < QUIET_ROUNDS_MAX) else {
                if !self.wake_a_sleeper().await? {
                    return Ok(());
                }
                quiet_rounds = 0;
                continue;
            };
            if self.dice.random_ratio(1, 10) {
                self.wake_a_sleeper().await?;
            }
            let wait = (next - self.shop.clock.now()).max(TimeDelta::zero());
            self.shop.clock.advance(wait);
        }
        Err(format!("it does not come to rest:\n{}", self.last_lines()))
    }

    fn tell(&mut self, what: &str) {
        self.story.trace.push(format!("{} {what}", self.shop.clock.now().format("%j %T%.3f")));
    }

    async fn act_and_deliver(&mut self) -> Result<(), String> {
        while let Some((due, action)) = self.actions.last().copied()
            && due <= self.shop.clock.now()
        {
            self.actions.pop();
            self.act(action).await;
        }
        while let Some(entry) = self.deliveries.first_entry()
            && entry.key().0 <= self.shop.clock.now()
        {
            let notification = entry.remove();
            self.story.deliveries += 1;
            self.tell(&format!("delivered {}", notification.id));
            // A provider repeats what is not acknowledged.
            let mut tries = 0;
            let now = self.shop.clock.now();
            while let Err(error) = webhook::receive(&self.shop.store, "sandbox", &notification, now).await {
                tries += 1;
                if tries > 20 {
                    return Err(format!("a delivery is refused: {error}"));
                }
            }
        }
        Ok(())
    }

    async fn act(&mut self, action: Action) {
        let answer = self.shop.act(self.plan, action).await;
        if action == Action::ForgetState {
            // Nobody drops it under a coordinator that runs.
            self.coordinator = None;
        }
        self.tell(&format!("{action:?}: {answer}"));
    }

    /// Lets the coordinator do what can be done now. Whoever is killed is followed by another.
    async fn coordinate(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS_MAX {
            let mut coordinator = self.coordinator.take().unwrap_or_else(|| self.successor());
            let mut run = tokio::spawn(async move {
                let outcome = coordinator.run_until_idle().await;
                (coordinator, outcome)
            });
            let Ok(ended) = tokio::time::timeout(PATIENCE, &mut run).await else {
                self.tell("the coordinator is given up for dead");
                self.sleeping.push(run);
                self.story.twins += 1;
                self.shop.clock.advance(LEASE);
                continue;
            };
            let (coordinator, outcome) = ended.map_err(|error| error.to_string())?;
            match outcome {
                Ok(Idle::Until(_)) => {
                    self.coordinator = Some(coordinator);
                    return Ok(());
                }
                Ok(Idle::StandingBy) => {
                    self.tell("standing by");
                    self.shop.clock.advance(LEASE);
                }
                Err(Error::Interrupted { boundary }) => {
                    self.tell(&format!("killed at {boundary}"));
                    self.story.crashes.push(boundary);
                    if let Some(Some(action)) = self.plan.crashes.get(&self.shop.crashes.last()).copied() {
                        self.act(action).await;
                    }
                    if self.dice.random_bool(0.5) {
                        self.shop.restart_clients();
                    }
                }
                Err(error @ Error::Fenced { .. }) => {
                    self.tell(&format!("replaced: {error}"));
                }
                Err(error) if error.is_transient() => {
                    self.tell(&format!("failed: {error}"));
                    self.coordinator = Some(coordinator);
                }
                Err(error) => return Err(format!("{error}\n{}", self.last_lines())),
            }
        }
        Err(format!("the coordinator does not come to rest:\n{}", self.last_lines()))
    }

    /// Started again under the same name, it takes its lease over; one that is given up for dead is
    /// followed by one of another name.
    fn successor(&self) -> Coordinator {
        self.shop.coordinator(&format!("coordinator {}", self.story.twins))
    }

    /// Reads on where it was, as subscribers do.
    async fn listen(&mut self) {
        let limit = self.dice.random_range(1..50);
        let behind = self.subscriber.seen.last().copied().unwrap_or(self.subscriber.after);
        if let Ok(page) = self.shop.store.read_all(behind, &Filter::all(), limit).await {
            self.subscriber.seen.extend(page.events.iter().map(|event| event.position));
        }
    }

    /// Sends the provider's webhooks on their way: late, more than once, in any order.
    fn take_notices(&mut self) -> Result<(), String> {
        for notice in self.shop.gateway.take_notices() {
            let notification = notice.to_notification().map_err(|error| error.to_string())?;
            let copies = if self.dice.random_ratio(self.plan.doubled_of_ten, 10) { 3 } else { 1 };
            for _ in 0..copies {
                let delay_ms = self.dice.random_range(0..=self.plan.webhook_delay_max.num_milliseconds());
                let arrives = self.shop.clock.now() + TimeDelta::milliseconds(delay_ms);
                self.deliveries.insert((arrives, self.dice.random()), notification.clone());
            }
        }
        Ok(())
    }

    /// The dead wake up: whoever was given up goes on where it was, and must be refused in the end. Another
    /// puts right what it did. Answers whether there was one.
    async fn wake_a_sleeper(&mut self) -> Result<bool, String> {
        let Some(sleeper) = self.sleeping.pop() else { return Ok(false) };
        let (_, outcome) = sleeper.await.map_err(|error| error.to_string())?;
        self.tell(&format!("a sleeper woke up: {}", in_words(&outcome)));
        if outcome.is_ok() {
            return Err("a sleeper whose lease had run out was not refused".to_owned());
        }
        self.coordinator = None;
        Ok(true)
    }

    /// When something is due next; what the coordinator looks at again only counts when asked for.
    fn next_due(&self, and_look_again: bool) -> Option<DateTime<Utc>> {
        let action = self.actions.last().map(|(due, _)| *due);
        let delivery = self.deliveries.keys().next().map(|(due, _)| *due);
        let coordinator = self.coordinator.as_ref().filter(|_| and_look_again);
        let step = coordinator.and_then(Coordinator::next_due);
        [action, delivery, step, self.shop.gateway.next_settlement()].into_iter().flatten().min()
    }

    /// Every snapshot beside the history of its stream.
    async fn compared_snapshots(&self) -> Result<ComparedSnapshots, String> {
        let mut all = ComparedSnapshots::default();
        for (stream, snapshot) in self.shop.snapshots.all() {
            let is_borne_out = is_borne_out::<Stock>(&snapshot, &stream, &self.shop.store).await;
            if !is_borne_out.map_err(|error| error.to_string())? {
                all.differing.push(stream.to_string());
            }
            all.compared += 1;
        }
        Ok(all)
    }

    async fn check(mut self) -> Result<Story, String> {
        self.shop.store.set_faults(FaultPlan::none());
        let head = self.shop.store.head().await.map_err(|error| error.to_string())?;
        while self.subscriber.seen.last().is_none_or(|last| *last < head) {
            self.listen().await;
        }
        self.subscriber.upto = head;
        let log = self.shop.store.read_all(Position::START, &Filter::all(), usize::MAX).await;
        let log = log.map_err(|error| error.to_string())?.events;
        self.story.trace.extend(log.iter().map(in_full));
        self.story.events = log.len() as u64;
        self.story.snapshots = self.shop.snapshots.found();
        self.story.reached = self.shop.crashes.reached();

        let books = self.shop.gateway.books();
        let evidence = Evidence {
            now: self.shop.clock.now(),
            provider: Some(books.iter().map(ProviderPayment::from).collect()),
            acknowledged: self.shop.acknowledged.clone(),
            read_models: None,
            snapshots: Some(self.compared_snapshots().await?),
            subscribers: vec![self.subscriber.clone()],
        };
        let report = invariants::check(&self.shop.store, &evidence).await;
        let report = report.map_err(|error| error.to_string())?;
        let unchecked = report.checks.iter().filter(|check| check.verdict == Verdict::NotChecked);
        if unchecked.map(|check| check.invariant).ne([Invariant::I8]) {
            return Err(format!("something was not checked:\n{report}"));
        }
        let unexpected = report.notes.iter().find(|note| !is_expected(note, &log));
        if !report.held || unexpected.is_some() {
            return Err(format!("{report}\n{}", self.last_lines()));
        }
        for number in 0..self.plan.orders.len() {
            self.check_ending(number, &log)?;
        }
        self.story.log = log;
        self.story.transcript = self.shop.store.transcript();
        Ok(self.story)
    }

    /// An order that nobody interferes with, of things of which there are enough, ends as its means of
    /// payment says.
    fn check_ending(&mut self, number: usize, log: &[RecordedEvent]) -> Result<(), String> {
        let stream = format!("order-{}", order_id(number));
        let of_order: Vec<_> = log.iter().filter(|event| event.stream.as_str() == stream).collect();
        let Some(last) = of_order.last() else { return Ok(()) };
        let event = OrderEvent::decode(&last.name, last.version, &last.payload);
        let ended = match event.map_err(|error| error.to_string())? {
            OrderEvent::Placed(_) => "placed",
            OrderEvent::Confirmed(_) => "confirmed",
            OrderEvent::Rejected(_) => "rejected",
            OrderEvent::Cancelled(_) => "cancelled",
            OrderEvent::DispatchRecorded(_) => "dispatched",
            OrderEvent::Completed(_) => "completed",
        };
        let order = &self.plan.orders[number];
        self.story.endings.push((order.method, ended));
        if self.plan.interferes_with(number) || !self.plan.stock_suffices() {
            return Ok(());
        }
        let expected = match order.method {
            tokens::DECLINE
            | tokens::TIMEOUT_THEN_DECLINE
            | tokens::CAPTURE_FAILS
            | tokens::AMOUNT_DIFFERS => "rejected",
            _ if order.imported => "completed",
            _ => "confirmed",
        };
        if ended != expected {
            let (method, last) = (order.method, self.last_lines());
            return Err(format!("order {number} ({method}) is {ended}, not {expected}\n{last}"));
        }
        Ok(())
    }

    fn last_lines(&self) -> String {
        let lines = &self.story.trace;
        lines[lines.len().saturating_sub(200)..].join("\n")
    }
}

/// When nothing more is due, nobody is waited for: not for a deadline, not for the provider, and for a
/// person only where goods left that were never paid for.
fn is_expected(note: &Note, log: &[RecordedEvent]) -> bool {
    match note {
        Note::WaitsForPerson { order_id, .. } => {
            let stream = format!("order-{order_id}");
            log.iter().any(|event| event.stream.as_str() == stream && event.name == "OrderDispatchRecorded")
        }
        Note::OwnedByDeadline { .. }
        | Note::Excused { .. }
        | Note::ProviderBreak { .. }
        | Note::CapturedEarly { .. }
        | Note::Unreadable { .. } => false,
    }
}

fn in_words(outcome: &Result<Idle, Error>) -> String {
    match outcome {
        Ok(idle) => format!("{idle:?}"),
        Err(error) => error.to_string(),
    }
}

fn in_full(event: &RecordedEvent) -> String {
    let payload = String::from_utf8_lossy(&event.payload);
    format!(
        "{} {}@{} {} {} {} {payload}",
        event.position, event.stream, event.revision, event.name, event.id, event.recorded_at
    )
}

const _: () = assert!(SLEEP.as_secs() > PATIENCE.as_secs());
