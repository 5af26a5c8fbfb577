//! What cannot be read, or not be done, for one order: it waits and is looked at again, everything else of
//! the order is done meanwhile, and a person hears of what does not get better by itself.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use async_trait::async_trait;
use axum::http::HeaderMap;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use event_store::{
    AppendError, Appended, Direction, EventStore, ExpectedRevision, Filter, IdScope, NewEvent, Numbering,
    Page, Position, RecordedEvent, StoreError, memory::MemoryStore,
};
use events::{Category, StreamName, order::Origin, payment::Operation};
use futures::{StreamExt, stream::BoxStream};
use sagas::gateway::{
    Answer, Call, Notification, PaymentGateway, VerifyError,
    sandbox::{memory::MemoryGateway, tokens},
};
use serde_json::Value;
use uuid::Uuid;

use crate::world::{World, order_id, sold};

/// A store as a release reads it that does not know a new version of an event yet.
#[derive(Debug, Clone)]
struct OldRelease {
    store: MemoryStore,
    unknown: &'static str,
    upgraded: Arc<AtomicBool>,
}

impl OldRelease {
    fn see(&self, mut event: RecordedEvent) -> RecordedEvent {
        if event.name == self.unknown && !self.upgraded.load(Ordering::SeqCst) {
            event.version = 99;
        }
        event
    }

    fn see_all(&self, events: Vec<RecordedEvent>) -> Vec<RecordedEvent> {
        events.into_iter().map(|event| self.see(event)).collect()
    }
}

#[async_trait]
impl EventStore for OldRelease {
    fn numbering(&self) -> Numbering {
        self.store.numbering()
    }

    async fn positions_of(
        &self,
        stream: &StreamName,
        appended: Appended,
        count: usize,
    ) -> Result<Vec<Position>, StoreError> {
        self.store.positions_of(stream, appended, count).await
    }

    fn ids_are_unique_in(&self) -> IdScope {
        self.store.ids_are_unique_in()
    }

    async fn append(
        &self,
        stream: &StreamName,
        expected: ExpectedRevision,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        self.store.append(stream, expected, events).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        direction: Direction,
        from: Option<u64>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        Ok(self.see_all(self.store.read_stream(stream, direction, from, limit).await?))
    }

    async fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page, StoreError> {
        let page = self.store.read_all(after, filter, limit).await?;
        Ok(Page { events: self.see_all(page.events), ..page })
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.store.head().await
    }

    async fn find(&self, stream: &StreamName, event_id: Uuid) -> Result<Option<RecordedEvent>, StoreError> {
        Ok(self.store.find(stream, event_id).await?.map(|event| self.see(event)))
    }

    fn follow(&self, after: Position, filter: Filter) -> BoxStream<'static, Result<Page, StoreError>> {
        let seen = self.clone();
        let pages = self.store.follow(after, filter);
        let page = move |page: Page| Page { events: seen.see_all(page.events), ..page };
        pages.map(move |read| read.map(&page)).boxed()
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

/// A provider that approves everything but to give up what it holds.
#[derive(Debug)]
struct RefusesVoids {
    inner: Arc<MemoryGateway>,
    refused: AtomicU64,
}

#[async_trait]
impl PaymentGateway for RefusesVoids {
    fn provider(&self) -> &'static str {
        self.inner.provider()
    }

    async fn perform(&self, call: &Call) -> Answer {
        if call.operation == Operation::Void {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Answer::Declined { code: "authorization_expired".to_owned() };
        }
        self.inner.perform(call).await
    }

    async fn look_up(&self, call: &Call) -> Option<Answer> {
        if call.operation == Operation::Void {
            return Some(self.perform(call).await);
        }
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

async fn shop() -> World {
    let world = World::new();
    world.receive("CUP", 10).await;
    world.receive("TEAPOT", 10).await;
    world
}

/// What a coordinator does in so many minutes.
async fn minutes(world: &mut World, coordinator: &mut sagas::coordinator::Coordinator, minutes: u32) {
    for _ in 0..minutes * 4 {
        world.settle_for_now(coordinator).await;
        world.clock.advance(TimeDelta::seconds(15));
    }
}

async fn attention(world: &World, name: &str) -> usize {
    let names = [world.names("payment").await, world.names("checkout").await].concat();
    names.iter().filter(|event| *event == name).count()
}

#[tokio::test]
async fn what_could_not_be_read_when_it_came_is_done_once_it_can_be() {
    for unknown in ["OrderPlaced", "PaymentAuthorized", "PaymentCaptured"] {
        let mut world = shop().await;
        let upgraded = Arc::new(AtomicBool::new(false));
        let old = OldRelease { store: world.store.clone(), unknown, upgraded: upgraded.clone() };
        let mut coordinator = world.coordinator_over(Arc::new(old), world.gateway.clone());
        world.place(order_id(1), tokens::APPROVE, Origin::Live).await;
        world.settle_for_now(&mut coordinator).await;
        assert_ne!(world.see(order_id(1)).await, sold(), "{unknown}");

        minutes(&mut world, &mut coordinator, 3).await;
        upgraded.store(true, Ordering::SeqCst);
        minutes(&mut world, &mut coordinator, 3).await;
        assert_eq!(world.see(order_id(1)).await, sold(), "{unknown}");
    }
}

#[tokio::test]
async fn a_stock_stream_that_cannot_be_read_does_not_keep_the_money_from_going_back() {
    let mut world = shop().await;
    world.place(order_id(1), tokens::APPROVE, Origin::Live).await;
    let mut coordinator = world.coordinator("simulated");
    world.settle(&mut coordinator).await;
    assert_eq!(world.see(order_id(1)).await, sold());

    let poison = NewEvent {
        id: Uuid::from_u128(1),
        name: "StockReceived".to_owned(),
        version: 1,
        payload: Bytes::from_static(b"{\"units\": \"some\"}"),
        metadata: world.metadata(),
    };
    let stream = Category::Inventory.stream("CUP");
    world.store.append(&stream, ExpectedRevision::Any, vec![poison]).await.unwrap();
    world.cancel(order_id(1)).await;
    minutes(&mut world, &mut coordinator, 3).await;

    assert_eq!(world.gateway.books()[0].refunded, 300);
    assert_eq!(attention(&world, "CheckoutAttentionRequired").await, 1);
}

#[tokio::test]
async fn a_void_that_is_refused_is_asked_for_ever_more_slowly_and_a_person_is_told_once() {
    let mut world = shop().await;
    let provider = Arc::new(RefusesVoids { inner: world.gateway.clone(), refused: AtomicU64::new(0) });
    world.place(order_id(1), tokens::APPROVE, Origin::Live).await;
    world.cancel(order_id(1)).await;
    let mut coordinator = world.coordinator_over(Arc::new(world.store.clone()), provider.clone());
    for _ in 0..1_800 {
        world.settle_for_now(&mut coordinator).await;
        world.clock.advance(TimeDelta::seconds(2));
    }
    let refused = provider.refused.load(Ordering::SeqCst);
    assert!((10..100).contains(&refused), "{refused} calls in an hour");
    assert_eq!(attention(&world, "PaymentAttentionRequired").await, 1);
}
