//! A history of millions of events in minutes: what the store wrote of some orders is written again beside it,
//! under new ids and at the next positions, with the events of 32 orders in turn, as they lie in a log when so
//! many customers buy at once. **It is a log like one that came in through the port**: it is held
//! against every invariant before it is relied on, and its density is looked at again when it is large.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use event_store::{EventStore, NewEvent, Position, RecordedEvent};
use events::{Category, StreamName};
use platform::{clock::Clock, postgres::Databases};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;
use write_side::{Commands, Snapshots};

use crate::{
    bench::{
        Plan,
        history::{self, Order},
    },
    invariants::{self, Evidence},
    run,
};

/// How many orders are written in one transaction.
const BATCH: usize = 2_000;

/// How many customers buy at once: how many orders lie in turn.
const AT_ONCE: usize = 32;

/// Writes orders again.
pub(super) struct Copies {
    owner: PgConnectOptions,
    /// What is written again: orders, of each the runs of events that one command wrote.
    orders: Vec<(String, Vec<Vec<RecordedEvent>>)>,
    /// Events of an order, on average.
    events_each: i64,
    /// How many were written again already.
    written: usize,
}

impl Copies {
    /// Takes the orders that are to be written again.
    pub(super) fn of(orders: &[Order], owner: &PgConnectOptions) -> Result<Self> {
        let events: usize = orders.iter().map(|(_, events)| events.len()).sum();
        let by_command = |one: &RecordedEvent, next: &RecordedEvent| {
            one.stream == next.stream && one.metadata.command_id == next.metadata.command_id
        };
        let runs = |(id, events): &Order| {
            (id.clone(), events.chunk_by(by_command).map(<[RecordedEvent]>::to_vec).collect())
        };
        let orders: Vec<_> = orders.iter().map(runs).collect();
        let events_each = i64::try_from(events.div_ceil(orders.len().max(1)))?;
        // It takes its time over millions of events, and that is no news.
        let owner = owner.clone().disable_statement_logging();
        Ok(Self { owner, orders, events_each: events_each.max(1), written: 0 })
    }

    /// Writes until the log has `events` events, or a few more.
    pub(super) async fn grow(&mut self, events: u64, plan: &Plan<'_>) -> Result<()> {
        let events = i64::try_from(events)?;
        let mut db = self.owner.connect().await?;
        // What a crash would take away is written again; nothing is measured here.
        sqlx::raw_sql("set synchronous_commit = off; set work_mem = '128MB'").execute(&mut db).await?;
        let first = head(&mut db).await?;
        let (began, mut at) = (Instant::now(), first);
        while at < events {
            let missing = usize::try_from((events - at) / self.events_each + 1)?;
            at = self.write(missing.min(BATCH), &mut db).await?;
            #[allow(clippy::cast_precision_loss, reason = "an estimate")]
            let left = began.elapsed().as_secs_f64() / (at - first) as f64 * (events - at).max(0) as f64;
            plan.say(&format!("writing history: {at} events of {events}, {left:.0} s left"));
        }
        // As the server itself does now and then while a log grows.
        plan.say("writing history: vacuum");
        sqlx::raw_sql("vacuum (analyze) event_store.events").execute(&mut db).await?;
        sqlx::raw_sql("vacuum (analyze) event_store.streams").execute(&mut db).await?;
        Ok(db.close().await?)
    }

    /// Writes so many orders again, and answers the new end of the log.
    async fn write(&mut self, orders: usize, db: &mut PgConnection) -> Result<i64> {
        let events = self.next(orders)?;
        let mut tx = db.begin().await?;
        let head: i64 = sqlx::query_scalar("select position from event_store.head for update")
            .fetch_one(&mut *tx)
            .await?;
        let metadata: Result<Vec<String>, _> =
            events.iter().map(|(_, event)| serde_json::to_string(&event.metadata)).collect();
        let written = sqlx::query(
            "with given as materialized (
                 select * from unnest($2::text[], $3::text[], $4::uuid[], $5::text[], $6::smallint[],
                         $7::bytea[], $8::text[])
                     with ordinality as of (stream, category, event_id, name, version, payload, metadata, number)
             ),
             made as (
                 insert into event_store.streams (name, category)
                 select stream, category from given where category <> 'inventory'
                 group by stream, category order by min(number)
                 returning stream_no, name, 0::bigint as revision
             ),
             placed as (
                 select stream_no, name, revision from made
                 union all
                 select s.stream_no, s.name, 1 + (
                     select max(e.revision) from event_store.events e where e.stream_no = s.stream_no)
                 from (select distinct stream from given where category = 'inventory') of
                 join event_store.streams s on s.name = of.stream
             )
             insert into event_store.events
                 (position, stream_no, revision, event_id, name, version, payload, metadata, recorded_at)
             select $1 + g.number, p.stream_no,
                 p.revision - 1 + row_number() over (partition by p.stream_no order by g.number),
                 g.event_id, g.name, g.version, g.payload, g.metadata::json, now()
             from given g join placed p on p.name = g.stream
             order by g.number",
        )
        .bind(head)
        .bind(events.iter().map(|(stream, _)| stream.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|(stream, _)| stream.category()).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, event)| event.id).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, event)| event.name.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, event)| i16::try_from(event.version)).collect::<Result<Vec<_>, _>>()?)
        .bind(events.iter().map(|(_, event)| &event.payload[..]).collect::<Vec<_>>())
        .bind(metadata?)
        .execute(&mut *tx)
        .await?
        .rows_affected();
        ensure!(written == events.len() as u64, "{written} events of {} were written again", events.len());
        let head = head + i64::try_from(written)?;
        sqlx::query("update event_store.head set position = $1").bind(head).execute(&mut *tx).await?;
        tx.commit().await?;
        self.written += orders;
        Ok(head)
    }

    /// The events of the next orders, in the order in which they are to lie in the log.
    fn next(&self, orders: usize) -> Result<Vec<(StreamName, NewEvent)>> {
        let all: Vec<_> = (self.written..self.written + orders)
            .map(|nth| (&self.orders[nth % self.orders.len()], Uuid::new_v4().to_string()))
            .collect();
        let mut events = Vec::new();
        for together in all.chunks(AT_ONCE) {
            let longest = together.iter().map(|((_, runs), _)| runs.len()).max().unwrap_or(0);
            for place in 0..longest {
                for ((old, runs), new) in together {
                    for event in runs.get(place).into_iter().flatten() {
                        events.push(history::again(event, old, new)?);
                    }
                }
            }
        }
        Ok(events)
    }
}

/// Holds a log against every invariant that a log alone can be held against. It takes memory for every event.
pub(super) async fn check(store: &dyn EventStore) -> Result<()> {
    let report = invariants::check(store, &Evidence::log_only(Clock::system().now())).await?;
    let violation = report.checks.iter().flat_map(|check| &check.violations).next();
    ensure!(report.held, "history that was written again breaks an invariant: {violation:?}");
    Ok(())
}

/// Looks whether positions are dense up to the head, and revisions in every stream. Answers how many events
/// there are.
pub(super) async fn check_density(owner: &PgConnectOptions) -> Result<u64> {
    let mut db = owner.clone().disable_statement_logging().connect().await?;
    sqlx::raw_sql("set work_mem = '256MB'").execute(&mut db).await?;
    let (events, last, head, gaps): (i64, i64, i64, i64) = sqlx::query_as(
        "select coalesce(sum(events), 0)::bigint, coalesce(max(last), 0),
             (select position from event_store.head),
             count(*) filter (where events <> revision + 1)
         from (select count(*) as events, max(revision) as revision, max(position) as last
             from event_store.events group by stream_no) as streams",
    )
    .fetch_one(&mut db)
    .await?;
    db.close().await?;
    // Positions are taken once and count from one, so that as many as the last of them are all of them.
    ensure!(
        events == last && last == head && gaps == 0,
        "the log has {events} events up to {last}, its head is {head}, and {gaps} streams have gaps"
    );
    Ok(u64::try_from(events)?)
}

/// Tells the coordinator, as its own checkpoints would by now, that all of this is handled: every order that
/// was written again had come to its end.
pub(super) async fn mark_handled(roles: &Databases) -> Result<()> {
    let mut db = roles.owner.connect().await?;
    let head = head(&mut db).await?;
    let sql = "update sagas.partition set checkpoint = $1";
    let marked = sqlx::query(sql).bind(head).execute(&mut db).await?.rows_affected();
    ensure!(marked > 0, "no coordinator has worked on this log yet");
    Ok(db.close().await?)
}

/// How many events are written behind snapshots: some fifty in the stream of each SKU, half of what there is from one
/// to the next.
pub(super) const BEHIND_SNAPSHOTS: u64 = 100_000;

/// Stores the states of long streams beside the log, as a shop that had come to this history by commands would
/// have done on the way.
pub(super) async fn store_snapshots(store: &Arc<dyn EventStore>, roles: &Databases) -> Result<()> {
    let mut db = roles.owner.connect().await?;
    let sql = "select substr(name, length(category) + 2) from event_store.streams where category = $1";
    let skus: Vec<String> =
        sqlx::query_scalar(sql).bind(Category::Inventory.as_str()).fetch_all(&mut db).await?;
    db.close().await?;
    let snapshots = run::snapshots(roles).patient(Duration::from_mins(1));
    let commands = Commands::with_snapshots(Arc::clone(store), snapshots);
    for sku in skus {
        commands.inventory.load(&sku).await?;
    }
    commands.finish().await;
    let mut db = roles.owner.connect().await?;
    let (due, stored): (i64, i64) = sqlx::query_as(
        "select (select count(*) from (
                 select from event_store.streams join event_store.events using (stream_no)
                 where category = $1 group by stream_no having count(*) >= $2) as long),
             (select count(*) from snapshots.states)",
    )
    .bind(Category::Inventory.as_str())
    .bind(i64::try_from(Snapshots::EVERY_EVENTS)?)
    .fetch_one(&mut db)
    .await?;
    db.close().await?;
    ensure!(stored == due, "{stored} snapshots are stored of {due}");
    Ok(())
}

async fn head(db: &mut PgConnection) -> Result<i64> {
    let head = sqlx::query_scalar("select position from event_store.head").fetch_one(db).await;
    head.context("cannot read the head of the log")
}

/// So many events before the end of a log.
pub(super) fn before(head: Position, events: u64) -> Result<Position> {
    let at = head.to_column()? - i64::try_from(events)?;
    Ok(Position::from_column(at.max(0))?)
}
