//! A step of a checkout: learn something, write down what it means, do what follows, learn from the answers,
//! until nothing follows.

use std::collections::VecDeque;

use event_store::{Direction, RecordedEvent};
use events::{Category, DomainEvent, ids::OrderId, order::OrderEvent, payment::PaymentEvent};

use super::{Job, Next, Outcome, Worker};
use crate::{
    checkout::{Fact, Intent, State, of_order, of_payment, react, started},
    coordinator::{
        boundary,
        error::Error,
        memories::Memory,
        saga::{Cause, Saga, Written},
    },
};

/// What kept a step from getting everything done.
enum Setback {
    /// Nothing did.
    None,
    /// A person has to look, and was told.
    Stuck,
    /// Something failed for good as far as this order goes.
    Failed(Error),
}

impl Worker {
    pub(super) async fn check_out(
        &self,
        order_id: OrderId,
        job: &Job,
        memory: Memory,
    ) -> Result<Outcome, Error> {
        let (mut saga, is_known) = match memory {
            Memory::Checkout(saga) => (*saga, true),
            Memory::None | Memory::Quiet { .. } if is_new_order(job) => (Saga::new(order_id), true),
            Memory::None | Memory::Quiet { .. } => (Saga::load(self.store.as_ref(), order_id).await?, false),
        };
        let (fact, cause) = match job {
            Job::Event(event) => (self.fact(&saga, event).await?, Some(Cause::of(event))),
            Job::Wake if saga.state == State::NotStarted => self.beginning(&saga).await?,
            Job::Wake => {
                let cause = saga.beginning.as_ref().map(|beginning| beginning.cause.clone());
                (self.overdue(&saga), cause)
            }
        };
        let mut setback = Setback::None;
        if let Some(cause) = cause {
            let before = saga.state.name();
            let mut due = match fact {
                Some(fact) => self.learn(&mut saga, &fact, &cause).await?,
                None => VecDeque::new(),
            };
            // What was begun before, by whomever, is done again when nobody here knows that it was done.
            let is_due_again = !is_known || matches!(job, Job::Wake);
            if is_due_again && saga.state.name() == before {
                due.extend(match job {
                    Job::Event(_) => saga.state.intents(),
                    Job::Wake => saga.state.intents_when_in_doubt(),
                });
            }
            while let Some(intent) = due.pop_front() {
                let learned = match self.perform(&saga, &intent, &cause, job).await {
                    Ok(learned) => learned,
                    // One thing that cannot be done must not keep the others from being done.
                    Err(error) if self.is_of_newer_release(&error).await? => return Err(error),
                    Err(error) if error.is_of_one_key() => {
                        setback = Setback::Failed(error);
                        Some(Fact::Stuck { step: intent.name() })
                    }
                    Err(error) => return Err(error),
                };
                self.boundary(boundary::INTENT_PERFORMED)?;
                if let Some(fact) = learned {
                    if matches!((&fact, &setback), (Fact::Stuck { .. }, Setback::None)) {
                        setback = Setback::Stuck;
                    }
                    due.extend(self.learn(&mut saga, &fact, &cause).await?);
                }
            }
        }
        let next = match setback {
            Setback::None => self.look_again(&saga),
            Setback::Stuck => Next::at(self.clock.now() + self.config.look_again_after, "a_person"),
            Setback::Failed(error) => return Err(error),
        };
        Ok(Outcome { memory: Memory::Checkout(Box::new(saga)), next })
    }

    /// What an order that nobody has taken on began with: the event that said so could not be read, or the
    /// step that it led to failed.
    async fn beginning(&self, saga: &Saga) -> Result<(Option<Fact>, Option<Cause>), Error> {
        let stream = Category::Order.stream(saga.order_id);
        let first = self.store.read_stream(&stream, Direction::Forwards, None, 1).await?;
        let Some(first) = first.first() else { return Ok((None, None)) };
        Ok((self.fact(saga, first).await?, Some(Cause::of(first))))
    }

    /// Writes down what a fact means, and says what is to be done about it.
    async fn learn(&self, saga: &mut Saga, fact: &Fact, cause: &Cause) -> Result<VecDeque<Intent>, Error> {
        let mut overtaken = false;
        let had_begun = saga.beginning.is_some();
        loop {
            let reaction = react(&saga.state, fact);
            if reaction.events.is_empty() && overtaken {
                return Ok(saga.state.intents_when_in_doubt().into());
            }
            if reaction.events.is_empty() {
                return Ok(reaction.intents.into());
            }
            match saga.append(self.store.as_ref(), reaction.events, cause, self.clock.now()).await? {
                Written::ByUs => {
                    if !had_begun && let Some(beginning) = &saga.beginning {
                        // Its payment process will ask for it.
                        self.beginnings.insert(saga.order_id, beginning.clone());
                    }
                    self.boundary(boundary::EVENT_APPENDED)?;
                    return Ok(reaction.intents.into());
                }
                Written::Before => overtaken = true,
            }
        }
    }

    /// What an event tells the checkout, if anything.
    async fn fact(&self, saga: &Saga, recorded: &RecordedEvent) -> Result<Option<Fact>, Error> {
        if recorded.stream.category() == "inventory" {
            return Ok(Some(Fact::HoldFound));
        }
        let unreadable = |source| Error::Unreadable { stream: recorded.stream.clone(), source };
        if recorded.stream.category() == "order" {
            let event = OrderEvent::decode(&recorded.name, recorded.version, &recorded.payload)
                .map_err(unreadable)?;
            return Ok(Some(of_order(&event, |placed| {
                let patience = self.config.patience_for(&placed.origin);
                started(placed, recorded.metadata.occurred_at, self.clock.now() + patience)
            })));
        }
        let event =
            PaymentEvent::decode(&recorded.name, recorded.version, &recorded.payload).map_err(unreadable)?;
        match of_payment(&event) {
            Some(Fact::PaymentCaptured { in_all }) => {
                let due = saga.state.checkout().map(|checkout| checkout.amount);
                if due == Some(in_all) {
                    return Ok(Some(Fact::PaymentCaptured { in_all }));
                }
                let (payment, _) = self.commands.payment.load(&saga.order_id.to_string()).await?;
                let captured = payment.account().map(domain::payment::Account::captured);
                Ok(captured.map(|in_all| Fact::PaymentCaptured { in_all }))
            }
            fact => Ok(fact),
        }
    }

    fn overdue(&self, saga: &Saga) -> Option<Fact> {
        let is_over = saga.state.deadline().is_some_and(|deadline| deadline <= self.clock.now());
        is_over.then_some(Fact::DeadlinePassed)
    }

    fn look_again(&self, saga: &Saga) -> Next {
        if saga.state.is_at_rest() {
            return Next::WhenSomethingHappens;
        }
        let soon = self.clock.now() + self.config.look_again_after;
        Next::at(saga.state.deadline().unwrap_or(soon), saga.state.name())
    }
}

/// A new order has no checkout yet; that it has one after all would be seen when it is written.
fn is_new_order(job: &Job) -> bool {
    match job {
        Job::Event(event) => event.name == "OrderPlaced",
        Job::Wake => false,
    }
}
