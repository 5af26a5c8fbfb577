//! What the machine can do at best: the same rows into a table of the same shape with the same indexes,
//! and nothing else.

use anyhow::Result;
use async_trait::async_trait;
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

use super::{
    load::{self, Measured, Worker},
    sample,
};

/// How many rows are in a batch.
pub(super) const BATCH: usize = 500;

/// The most connections that the machine itself is measured with; a server takes no more than a hundred.
pub(super) const CONNECTIONS_MAX: usize = 64;

/// Makes the table that is filled, empty.
pub(super) async fn prepare(owner: &PgConnectOptions) -> Result<()> {
    let mut db = owner.connect().await?;
    sqlx::raw_sql(
        "create schema if not exists bench;
         drop table if exists bench.events;
         create table bench.events (like event_store.events including constraints including indexes);
         create sequence if not exists bench.positions cache 1;",
    )
    .execute(&mut db)
    .await?;
    db.close().await?;
    Ok(())
}

/// So many connections.
pub(super) async fn connections(options: &PgConnectOptions, count: usize) -> Result<Vec<PgConnection>> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(options.connect().await?);
    }
    Ok(connections)
}

/// One row, one commit.
struct Row(PgConnection);

#[async_trait]
impl Worker for Row {
    async fn step(&mut self) -> Result<u64> {
        let event = sample::event();
        sqlx::query(
            "insert into bench.events
                 (position, stream_no, revision, event_id, name, version, payload, metadata, recorded_at)
             select position, position / 10, position % 10, $1, $2, 1, $3, $4::json, now()
             from nextval('bench.positions') position",
        )
        .bind(event.id)
        .bind(event.name)
        .bind(&event.payload[..])
        .bind(serde_json::to_string(&event.metadata)?)
        .execute(&mut self.0)
        .await?;
        Ok(1)
    }
}

/// Many rows, one commit.
struct Batch(PgConnection);

#[async_trait]
impl Worker for Batch {
    async fn step(&mut self) -> Result<u64> {
        let events: Vec<_> = std::iter::repeat_with(sample::event).take(BATCH).collect();
        let metadata: Result<Vec<String>, _> =
            events.iter().map(|event| serde_json::to_string(&event.metadata)).collect();
        sqlx::query(
            "insert into bench.events
                 (position, stream_no, revision, event_id, name, version, payload, metadata, recorded_at)
             select position, position / 10, position % 10, id, $4, 1, payload, metadata::json, now()
             from (select nextval('bench.positions') as position, e.*
                 from unnest($1::uuid[], $2::bytea[], $3::text[]) as e (id, payload, metadata)) as e",
        )
        .bind(events.iter().map(|event| event.id).collect::<Vec<Uuid>>())
        .bind(events.iter().map(|event| &event.payload[..]).collect::<Vec<_>>())
        .bind(metadata?)
        .bind(sample::NAME)
        .execute(&mut self.0)
        .await?;
        Ok(BATCH as u64)
    }
}

/// Rows a second, one commit each, on so many connections.
pub(super) async fn rows(
    owner: &PgConnectOptions,
    connections_count: usize,
    time: std::time::Duration,
) -> Result<Measured> {
    prepare(owner).await?;
    let workers = connections(owner, connections_count).await?.into_iter().map(Row).collect();
    Ok(load::closed(workers, time).await?.0)
}

/// Rows a second in batches of [`BATCH`], on so many connections.
pub(super) async fn batches(
    owner: &PgConnectOptions,
    connections_count: usize,
    time: std::time::Duration,
) -> Result<Measured> {
    prepare(owner).await?;
    let workers = connections(owner, connections_count).await?.into_iter().map(Batch).collect();
    Ok(load::closed(workers, time).await?.0)
}
