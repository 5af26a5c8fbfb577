//! `GET /orders/{id}/events` and `GET /events`: server-sent events. Each has its [`Place`] as id, so that
//! a client that comes back with `Last-Event-ID` goes on without gap or double.
//!
//! Events of a stream that the feed had to park come in late, behind what clients have seen. **Nobody
//! misses them silently**: a client that follows, or comes back, is told by an event `reset` that it is
//! sent back to before the first of them, and everything from there on follows, again or for the first
//! time.
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
use sqlx::{Postgres, QueryBuilder};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use crate::{
    answer,
    asked::{Asked, Conditions, Unfit},
    documented::Freshness,
    kept_back,
    models::{REFLECTED, ReadModels, Snapshot, position_from},
    place::{EDITION, Place},
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
        ("Last-Event-ID" = Option<String>, Header, description = "the id of the last event that was received"),
        Freshness,
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description = "`id` is what to come back with, `event` the event's name, `data` JSON with `position`, `order_id`, `name`, `status`, `data` and `occurred_at`. An event `reset` says in its `position` that events behind it came in late: everything behind it follows, again or for the first time"),
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
    if !known && kept_back::first("feed", id, &mut snapshot).await?.is_none() {
        return Err(refusal::not_found("order"));
    }
    follow(models, &conditions, snapshot, Some(id), after.unwrap_or(Position::START)).await
}

/// What happens to all orders and their payments, from now on, or from behind a position.
#[utoipa::path(get, path = "/events", tag = "live",
    params(
        ("after" = Option<u64>, Query, description = "everything behind this position; `Last-Event-ID` goes first; from now on when both are absent"),
        ("Last-Event-ID" = Option<String>, Header, description = "the id of the last event that was received"),
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
    let after = after.unwrap_or(snapshot.position);
    follow(models, &conditions, snapshot, None, after).await
}

fn position(text: &str) -> Result<Position, Unfit> {
    text.parse().map_err(|_| Unfit::new("must be a position: a whole number"))
}

/// The answer that goes on until the client or the server ends it. A client that was here before goes on
/// where it was, another one begins behind `after`.
async fn follow(
    models: ReadModels,
    conditions: &Conditions,
    mut snapshot: Snapshot,
    order: Option<Uuid>,
    after: Position,
) -> Result<Response, Problem> {
    let place = match conditions.last_event_id {
        Some(place) => place,
        None => Place::begin(after, &mut snapshot.tx).await.map_err(refusal::failed)?,
    };
    let at = snapshot.position;
    // Whoever follows holds no connection.
    drop(snapshot);
    let permit = models.streams.clone().try_acquire_owned().map_err(|_| refusal::too_many_streams())?;
    let shutdown = models.shutdown.clone();
    let first = Event::default().retry(RETRY);
    let changes = Follower { models, order, place, _permit: permit }.changes();
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
    place: Place,
    _permit: OwnedSemaphorePermit,
}

/// What a look at the feed comes to.
enum Look {
    /// Events came in late: the follower is back at an earlier place.
    Back,
    /// The next changes, up to where they go; none, when the feed has no more at its position.
    On { rows: Vec<ChangeRow>, through: Position, at: Position },
}

impl Follower {
    fn changes(self) -> impl Stream<Item = Event> {
        stream::unfold(self, |mut follower| async move {
            let events = follower.next_events().await;
            Some((stream::iter(events), follower))
        })
        .flatten()
    }

    /// Waits for the next changes. An outage is waited out: what was missed is read afterwards.
    async fn next_events(&mut self) -> Vec<Event> {
        loop {
            match self.look().await {
                Ok(Look::Back) => return reset(self.place).into_iter().collect(),
                Ok(Look::On { rows, at, .. }) if rows.is_empty() => {
                    let _ = self.models.positions.moved("feed", at, LOOK_AGAIN).await;
                }
                Ok(Look::On { rows, through, .. }) => {
                    self.place.after = through;
                    return rows.iter().filter_map(|row| event(row, self.place.edition)).collect();
                }
                Err(problem) => {
                    tracing::debug!(status = %problem.status(), "the feed cannot be read, a follower waits");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Looks for the next changes, and first for events that came late, if there are more of them than the
    /// follower knows of.
    async fn look(&mut self) -> Result<Look, Problem> {
        loop {
            let found = self.models.find("feed", &Conditions::none(), self.next_changes()).await?;
            let edition: i64 = found.reflected("edition").map_err(refusal::failed)?;
            if edition == self.place.edition {
                let rows: Vec<ChangeRow> = found.rows().map_err(refusal::failed)?;
                let through = rows.last().map(|last| position_from(last.position)).transpose();
                let through = through.map_err(refusal::failed)?.unwrap_or(self.place.after);
                return Ok(Look::On { rows, through, at: found.position });
            }
            let mut snapshot = self.models.snapshot("feed", &Conditions::none()).await?;
            let caught_up = self.place.catch_up(self.order, &mut snapshot.tx).await;
            let (place, back) = caught_up.map_err(refusal::failed)?;
            self.place = place;
            if back {
                return Ok(Look::Back);
            }
        }
    }

    /// The next changes and the edition of the feed, in one statement.
    fn next_changes(&self) -> QueryBuilder<Postgres> {
        // Behind what a column can hold there is nothing.
        let after = self.place.after.to_column().unwrap_or(i64::MAX);
        let mut query = QueryBuilder::new(format!(
            "select reflected.position as reflected, ({EDITION}) as edition, found.*
             from read.feed_position as reflected
             left join lateral (select true as is_found, {} from read.order_changes where position > ",
            ChangeRow::COLUMNS
        ));
        query.push_bind(after);
        if let Some(order) = self.order {
            query.push(" and order_id = ").push_bind(order);
        }
        query.push(" order by position limit ").push_bind(PAGE).push(REFLECTED);
        query
    }
}

/// A change, as a client that knows of this edition is told it.
fn event(row: &ChangeRow, edition: i64) -> Option<Event> {
    let data = json!({
        "position": row.position,
        "order_id": row.order_id,
        "name": row.name,
        "status": row.status,
        "data": row.data.0,
        "occurred_at": row.occurred_at,
    });
    let place = Place { after: position_from(row.position).ok()?, edition };
    Event::default().id(place.to_string()).event(&row.name).json_data(data).ok()
}

/// Tells a client that it is at an earlier place again.
fn reset(place: Place) -> Option<Event> {
    let data = json!({ "position": place.after });
    Event::default().id(place.to_string()).event("reset").json_data(data).ok()
}
