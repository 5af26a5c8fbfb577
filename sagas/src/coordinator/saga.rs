//! A checkout as the coordinator holds it: the state, and where its stream is. **Its events are appended
//! with the revision that was read**, under ids that follow from order and step: of two coordinators one
//! writes each event, and the other reads it.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use event_store::{AppendError, Direction, EventStore, ExpectedRevision, NewEvent, RecordedEvent};
use events::{Actor, Category, DomainEvent, Metadata, StreamName, checkout::CheckoutEvent, ids::OrderId};
use uuid::Uuid;

use super::error::Error;
use crate::checkout::{State, event_id};

/// More events than a checkout ever has.
const EVENTS_MAX: usize = 200;

/// The name under which the coordinator writes.
pub(super) const ACTOR: &str = "checkout";

/// What a step follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) event_id: Uuid,
    pub(super) correlation_id: Uuid,
    pub(super) traceparent: Option<String>,
}

impl Cause {
    /// What follows from this event.
    pub(super) fn of(event: &RecordedEvent) -> Self {
        Self {
            event_id: event.id,
            correlation_id: event.metadata.correlation_id,
            traceparent: event.metadata.traceparent.clone(),
        }
    }
}

/// What a checkout began with. It never changes.
#[derive(Debug, Clone)]
pub(super) struct Beginning {
    /// What follows from its first event.
    pub(super) cause: Cause,
    /// Business time of what it does, where that is not now.
    pub(super) imported_at: Option<DateTime<Utc>>,
}

impl Beginning {
    fn with(first: &CheckoutEvent, cause: Cause) -> Self {
        let imported_at = match first {
            CheckoutEvent::Started(started) => started.imported_at,
            CheckoutEvent::StockReserved(_)
            | CheckoutEvent::PaymentAuthorized(_)
            | CheckoutEvent::OrderConfirmed(_)
            | CheckoutEvent::PaymentCaptured(_)
            | CheckoutEvent::Completed(_)
            | CheckoutEvent::DispatchStarted(_)
            | CheckoutEvent::DispatchCompleted(_)
            | CheckoutEvent::CompensationStarted(_)
            | CheckoutEvent::StockReleased(_)
            | CheckoutEvent::PaymentUndone(_)
            | CheckoutEvent::Compensated(_)
            | CheckoutEvent::DeadlinePassed(_)
            | CheckoutEvent::AttentionRequired(_) => None,
        };
        Self { cause, imported_at }
    }

    /// What the checkout's stream says; `None` when there is none.
    pub(super) async fn read(store: &dyn EventStore, order_id: OrderId) -> Result<Option<Self>, Error> {
        let stream = Category::Checkout.stream(order_id);
        let first = store.read_stream(&stream, Direction::Forwards, None, 1).await?;
        let Some(first) = first.first() else { return Ok(None) };
        Ok(Some(Self::with(&decode(first)?, Cause::of(first))))
    }
}

/// A checkout, as of its last event.
#[derive(Debug, Clone)]
pub(super) struct Saga {
    pub(super) order_id: OrderId,
    pub(super) state: State,
    /// Once it has begun.
    pub(super) beginning: Option<Beginning>,
    revision: Option<u64>,
    written: Vec<Uuid>,
}

/// Who wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// We did, or there was nothing to write.
    ByUs,
    /// Another coordinator, or we ourselves before we were killed. The state is theirs now.
    Before,
}

impl Saga {
    /// A checkout that nobody is known to have taken on.
    pub(super) fn new(order_id: OrderId) -> Self {
        Self { order_id, state: State::NotStarted, beginning: None, revision: None, written: Vec::new() }
    }

    /// The checkout as its stream tells it.
    pub(super) async fn load(store: &dyn EventStore, order_id: OrderId) -> Result<Self, Error> {
        let mut saga = Self::new(order_id);
        let stream = saga.stream();
        for recorded in store.read_stream(&stream, Direction::Forwards, None, EVENTS_MAX).await? {
            let event = decode(&recorded)?;
            saga.state = saga
                .state
                .evolve(&event)
                .map_err(|source| Error::Impossible { stream: stream.clone(), source })?;
            saga.beginning.get_or_insert_with(|| Beginning::with(&event, Cause::of(&recorded)));
            saga.revision = Some(recorded.revision);
            saga.written.push(recorded.id);
        }
        Ok(saga)
    }

    /// Business time of what the checkout does, where it is not now.
    pub(super) fn imported_at(&self) -> Option<DateTime<Utc>> {
        self.state.checkout().and_then(|checkout| checkout.imported_at)
    }

    /// Writes those of the events that are not written yet, and moves on to the state behind them.
    pub(super) async fn append(
        &mut self,
        store: &dyn EventStore,
        events: Vec<CheckoutEvent>,
        cause: &Cause,
        now: DateTime<Utc>,
    ) -> Result<Written, Error> {
        let new = events.into_iter().filter(|event| !self.written.contains(&event_id(self.order_id, event)));
        let new: Vec<CheckoutEvent> = new.collect();
        if new.is_empty() {
            return Ok(Written::ByUs);
        }
        let stream = self.stream();
        let mut reached = self.state.clone();
        for event in &new {
            reached = reached
                .evolve(event)
                .map_err(|source| Error::Impossible { stream: stream.clone(), source })?;
        }
        let imported_at = reached.checkout().and_then(|checkout| checkout.imported_at);
        let metadata = Metadata {
            occurred_at: imported_at.unwrap_or(now),
            correlation_id: cause.correlation_id,
            causation_id: cause.event_id,
            command_id: cause.event_id,
            request_digest: None,
            actor: Actor::Saga(ACTOR.to_owned()),
            traceparent: cause.traceparent.clone(),
        };
        let encoded = new.iter().map(|event| encode(self.order_id, event, &metadata));
        let encoded = encoded.collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<Uuid> = encoded.iter().map(|event| event.id).collect();
        let first = || Beginning::with(&new[0], Cause { event_id: ids[0], ..cause.clone() });
        match store.append(&stream, ExpectedRevision::after(self.revision), encoded).await {
            Ok(appended) if !appended.replayed => {
                self.state = reached;
                self.beginning.get_or_insert_with(first);
                self.revision = Some(appended.revision);
                self.written.extend(ids);
                Ok(Written::ByUs)
            }
            Ok(_) | Err(AppendError::Conflict { .. } | AppendError::AlreadyAppended { .. }) => {
                *self = Self::load(store, self.order_id).await?;
                Ok(Written::Before)
            }
            Err(AppendError::Store(error)) => Err(error.into()),
            Err(error @ (AppendError::TooLarge { .. } | AppendError::Malformed { .. })) => {
                Err(Error::refused("writing what the checkout decided", &error))
            }
        }
    }

    fn stream(&self) -> StreamName {
        Category::Checkout.stream(self.order_id)
    }
}

fn decode(recorded: &RecordedEvent) -> Result<CheckoutEvent, Error> {
    CheckoutEvent::decode(&recorded.name, recorded.version, &recorded.payload)
        .map_err(|source| Error::Unreadable { stream: recorded.stream.clone(), source })
}

fn encode(order_id: OrderId, event: &CheckoutEvent, metadata: &Metadata) -> Result<NewEvent, Error> {
    let payload =
        event.encode().map_err(|error| Error::refused("writing what the checkout decided", &error))?;
    Ok(NewEvent {
        id: event_id(order_id, event),
        name: event.wire_name().to_owned(),
        version: event.wire_version(),
        payload: Bytes::from(payload),
        metadata: metadata.clone(),
    })
}
