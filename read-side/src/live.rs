//! `GET /orders/{id}/events` and `GET /events`: server-sent events. Each has the position of its event
//! as id, so that a client that comes back with `Last-Event-ID` goes on without gap or double.
//!
//! A client that reads slowly slows down nobody: it is fed page by page, as fast as it reads, and
//! holds no connection of the database while it waits.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, StreamExt, stream};
use platform::problem::Problem;
use projections::{Position, feed::ChangeRow};
use serde_json::json;
use sqlx::QueryBuilder;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use crate::{
    answer,
    asked::{Asked, Conditions, Unfit},
    documented::Freshness,
    models::{ReadModels, position_from},
    refusal,
};

/// How many changes are read at a time.
const PAGE: i64 = 100;

/// How often a client hears from us when nothing happens.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long to wait at most before looking whether something happened.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How long a client, and we ourselves, wait after an outage.
const RETRY: Duration = Duration::from_secs(1);

/// What happens to one order and its payment, from the first event on, and then as it happens.
#[utoipa::path(get, path = "/orders/{id}/events", tag = "live",
    params(
        ("id" = Uuid, Path, description = "the order"),
        ("after" = Option<u64>, Query, description = "only what is behind this position; `Last-Event-ID` goes first"),
        ("Last-Event-ID" = Option<u64>, Header, description = "the id of the last event that was received"),
        Freshness,
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description = "`id` is the position, `event` the event's name, `data` JSON with `position`, `order_id`, `name`, `status`, `data` and `occurred_at`"),
        (status = 404, body = Problem, description = "there is no such order"),
        (status = 503, body = Problem, description = "not fresh enough, too many streams, or unavailable"),
    ))]
pub(crate) async fn of_order(
    State(models): State<ReadModels>,
    id: Result<Path<Uuid>, PathRejection>,
    mut asked: Asked,
) -> Result<Response, Problem> {
    let Path(id) = id?;
    let after = asked.parameter("after", position);
    let conditions = asked.finish()?;
    let mut snapshot = models.snapshot("feed", &conditions).await?;
    let known: bool =
        sqlx::query_scalar("select exists (select from read.order_changes where order_id = $1)")
            .bind(id)
            .fetch_one(&mut *snapshot.tx)
            .await
            .map_err(refusal::failed)?;
    if !known {
        return Err(refusal::not_found("order"));
    }
    let after = conditions.last_event_id.or(after).unwrap_or(Position::START);
    follow(models, &conditions, snapshot.position, Some(id), after)
}

/// What happens to all orders and their payments, from now on, or from behind a position.
#[utoipa::path(get, path = "/events", tag = "live",
    params(
        ("after" = Option<u64>, Query, description = "everything behind this position; `Last-Event-ID` goes first; from now on when both are absent"),
        ("Last-Event-ID" = Option<u64>, Header, description = "the id of the last event that was received"),
        Freshness,
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description = "as for one order"),
        (status = 503, body = Problem, description = "not fresh enough, too many streams, or unavailable"),
    ))]
pub(crate) async fn of_all(State(models): State<ReadModels>, mut asked: Asked) -> Result<Response, Problem> {
    let after = asked.parameter("after", position);
    let conditions = asked.finish()?;
    let snapshot = models.snapshot("feed", &conditions).await?;
    let after = conditions.last_event_id.or(after).unwrap_or(snapshot.position);
    follow(models, &conditions, snapshot.position, None, after)
}

fn position(text: &str) -> Result<Position, Unfit> {
    text.parse().map_err(|_| Unfit::new("must be a position: a whole number"))
}

/// The answer that goes on until the client or the server ends it.
fn follow(
    models: ReadModels,
    conditions: &Conditions,
    at: Position,
    order: Option<Uuid>,
    after: Position,
) -> Result<Response, Problem> {
    let permit = models.streams.clone().try_acquire_owned().map_err(|_| refusal::too_many_streams())?;
    let shutdown = models.shutdown.clone();
    let first = Event::default().retry(RETRY);
    let changes = Follower { models, order, after, _permit: permit }.changes();
    let events = stream::iter([first]).chain(changes).map(Ok::<_, Infallible>);
    let events = events.take_until(shutdown.cancelled_owned());
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    answer::describe(&mut response, conditions, at);
    Ok(response)
}

/// One client's place in the feed.
struct Follower {
    models: ReadModels,
    order: Option<Uuid>,
    after: Position,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    fn changes(self) -> impl Stream<Item = Event> {
        stream::unfold(self, |mut follower| async move {
            let page = follower.next_page().await;
            Some((stream::iter(page.into_iter().filter_map(|row| event(&row))), follower))
        })
        .flatten()
    }

    /// Waits for the next changes. An outage is waited out: what was missed is read afterwards.
    async fn next_page(&mut self) -> Vec<ChangeRow> {
        loop {
            match self.read().await {
                Ok((rows, through, _)) if !rows.is_empty() => {
                    self.after = through;
                    return rows;
                }
                Ok((_, _, at)) => {
                    let _ = self.models.positions.moved("feed", at, LOOK_AGAIN).await;
                }
                Err(problem) => {
                    tracing::debug!(status = %problem.status(), "the feed cannot be read, a follower waits");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// The next changes, up to where they go, and the position of the feed in the same snapshot.
    async fn read(&self) -> Result<(Vec<ChangeRow>, Position, Position), Problem> {
        let mut snapshot = self.models.snapshot("feed", &Conditions::none()).await?;
        // Behind what a column can hold there is nothing.
        let after = self.after.to_column().unwrap_or(i64::MAX);
        let mut query = QueryBuilder::new("select ");
        query.push(ChangeRow::COLUMNS).push(" from read.order_changes where position > ").push_bind(after);
        if let Some(order) = self.order {
            query.push(" and order_id = ").push_bind(order);
        }
        query.push(" order by position limit ").push_bind(PAGE);
        let rows: Vec<ChangeRow> = snapshot.rows(query).await?;
        let through = rows.last().map(|last| position_from(last.position)).transpose();
        let through = through.map_err(refusal::failed)?.unwrap_or(self.after);
        Ok((rows, through, snapshot.position))
    }
}

fn event(row: &ChangeRow) -> Option<Event> {
    let data = json!({
        "position": row.position,
        "order_id": row.order_id,
        "name": row.name,
        "status": row.status,
        "data": row.data.0,
        "occurred_at": row.occurred_at,
    });
    Event::default().id(row.position.to_string()).event(&row.name).json_data(data).ok()
}
