#![allow(clippy::unwrap_used, clippy::expect_used)]
use chrono::{DateTime, TimeDelta, Utc};
use event_store::{EventStore, ExpectedRevision, Filter, NewEvent, memory::MemoryStore};
use events::{Actor, Category, Currency, DomainEvent, Metadata, Money, StreamName, ledger, order};
use platform::postgres::testing;
use sqlx::ConnectOptions;
use uuid::Uuid;

use super::*;
use crate::{checkpoints, database, partition::Partition, sales::Sales, versions::State};

async fn append(store: &MemoryStore, stream: StreamName, event: &impl DomainEvent, day: i64) {
    let event = NewEvent {
        id: Uuid::new_v4(),
        name: event.wire_name().to_owned(),
        version: event.wire_version(),
        payload: event.encode().unwrap().into(),
        metadata: Metadata {
            occurred_at: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(day),
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            command_id: Uuid::nil(),
            request_digest: None,
            actor: Actor::Client,
            traceparent: None,
        },
    };
    store.append(&stream, ExpectedRevision::Any, vec![event]).await.unwrap();
}

/// An adjustment on each of these days, and an order that is confirmed without having been placed where
/// there is to be something to be found.
async fn batch_of(days: &[i64], has_poison: bool) -> Vec<RecordedEvent> {
    let store = MemoryStore::new();
    for (nth, day) in days.iter().enumerate() {
        let adjusted = ledger::LedgerEvent::Adjusted(ledger::Adjusted {
            adjustment_id: events::ids::LedgerAdjustmentId(Uuid::new_v4()),
            reference: "1".to_owned(),
            amount: Money::new(1, Currency::GBP),
            reason: "bad debt".to_owned(),
        });
        append(&store, Category::Ledger.stream(Uuid::new_v4()), &adjusted, *day).await;
        if has_poison && nth == days.len() / 2 {
            let order_id = events::ids::OrderId(Uuid::new_v4());
            let total = Money::new(1, Currency::GBP);
            let confirmed = order::OrderEvent::Confirmed(order::Confirmed { order_id, total });
            append(&store, Category::Order.stream(order_id), &confirmed, *day).await;
        }
    }
    store.read_all(Position::START, &Filter::default(), 1_000).await.unwrap().events
}

#[tokio::test]
async fn partitions_that_add_to_the_same_rows_lose_nothing_and_never_wait_in_a_circle() {
    const ROUNDS: i64 = 60;
    let databases = testing::fresh_database().await;
    platform::releases::migrate(&databases.owner).await.unwrap();
    crate::migrate(&databases.owner).await.unwrap();
    let definition = Sales.definition();
    let mut db = databases.projector.connect().await.unwrap();
    let version = versions::create(definition, State::Building, 1, 2, &mut db).await.unwrap();
    checkpoints::join(Position::START, &mut db).await.unwrap();
    checkpoints::split(2, &mut db).await.unwrap();
    versions::make_live(definition, version, &mut db).await.unwrap();

    let ascending: Vec<i64> = (0..24).collect();
    let descending: Vec<i64> = (0..24).rev().collect();
    // Both go over the same days; one of them has to look for what is to blame each time.
    let runs = [(1, descending, true), (2, ascending, false)].map(|(number, days, has_poison)| {
        let projector = databases.projector.clone();
        tokio::spawn(async move {
            let mut db = projector.connect().await.unwrap();
            database::enter(&definition.schema(version), &mut db).await.unwrap();
            let partition = Partition { number, of: 2 };
            let lease = Lease::take(definition, version, partition, "a holder", &mut db).await.unwrap();
            for round in 0..ROUNDS {
                let events = batch_of(&days, has_poison).await;
                let [after, through] = [round, round + 1].map(|at| Position::from_column(at).unwrap());
                let events = events.into_iter().map(Entry::shared).collect();
                let batch = Batch { after, events, through };
                write(&Sales, &lease, partition.shard(), &batch, &mut db).await.unwrap();
            }
        })
    });
    for run in runs {
        run.await.unwrap();
    }
    let sums: Vec<i64> = sqlx::query_scalar("select adjusted_amount from sales_days order by day")
        .fetch_all(&mut db)
        .await
        .unwrap();
    assert_eq!(sums, [2 * ROUNDS; 24]);
    let parked: i64 = sqlx::query_scalar("select count(*) from projections.parked_streams")
        .fetch_one(&mut db)
        .await
        .unwrap();
    assert_eq!(parked, ROUNDS);
}
