//! `GET /attention`: what a person has to look at. Streams that a read model had to park are on the
//! list, too, since nobody may overlook them.

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use platform::problem::Problem;
use projections::attention::AttentionRow;
use serde::Serialize;
use serde_json::Value;
use sqlx::QueryBuilder;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    answer,
    asked::{Asked, one_of},
    cursor::{Key, Window},
    models::ReadModels,
    refusal,
};

/// What a person has to look at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attention {
    items: Vec<Item>,
    /// What to give as `cursor` to get the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Streams that a read model keeps back, because it cannot apply one of their events.
    parked_streams: Vec<ParkedStream>,
}

/// One matter.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Item {
    /// `payment_stuck`, `payment_discrepancy`, `refund_failed`, `checkout_stuck` or
    /// `webhook_unapplied`.
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<Uuid>,
    code: String,
    #[schema(value_type = Object)]
    detail: Value,
    /// The stream that tells more.
    stream: String,
    /// The event that raised it.
    position: i64,
    raised_at: DateTime<Utc>,
    /// When the log said that it was settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_at: Option<DateTime<Utc>>,
}

impl From<AttentionRow> for Item {
    fn from(row: AttentionRow) -> Self {
        Self {
            kind: row.kind,
            order_id: row.order_id,
            code: row.code,
            detail: row.detail.0,
            stream: row.stream,
            position: row.raised_position,
            raised_at: row.raised_at,
            resolved_at: row.resolved_at,
        }
    }
}

/// A stream that is kept back.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct ParkedStream {
    /// The read model.
    projection: String,
    stream: String,
    /// The event that cannot be applied.
    position: i64,
    event_name: String,
    /// How many events are kept back.
    held: i64,
    parked_at: DateTime<Utc>,
}

const SORT: &str = "raised";

/// What a person has to look at, the oldest first.
#[utoipa::path(get, path = "/attention", tag = "attention",
    params(
        ("state" = Option<String>, Query, description = "`open` (when absent) or `resolved`"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("Counterfoil-At-Least" = Option<u64>, Header, description = "the position to reflect at least"),
        ("Prefer" = Option<String>, Header, description = "`wait=<seconds>`: wait for that position"),
    ),
    responses(
        (status = 200, body = Attention, headers(("Counterfoil-Position" = u64, description = "the position reflected"))),
        (status = 400, body = Problem, description = "every fault of the request"),
        (status = 503, body = Problem, description = "not fresh enough, or unavailable"),
    ))]
pub(crate) async fn list(State(models): State<ReadModels>, mut asked: Asked) -> Result<Response, Problem> {
    let resolved = asked.parameter("state", one_of(&["open", "resolved"])) == Some("resolved");
    let window = Window::of(&mut asked, SORT);
    let conditions = asked.finish()?;
    let mut query = QueryBuilder::new("select ");
    query.push(AttentionRow::COLUMNS).push(" from read.attention where resolved_at is ");
    query.push(if resolved { "not null" } else { "null" });
    if let Some(Key::Number(position, _)) = &window.after {
        query.push(" and raised_position > ").push_bind(position);
    }
    query.push(" order by raised_position limit ").push_bind(window.limit + 1);
    let mut snapshot = models.snapshot("attention", &conditions).await?;
    let mut rows: Vec<AttentionRow> =
        query.build_query_as().fetch_all(&mut *snapshot.tx).await.map_err(refusal::failed)?;
    let parked_streams: Vec<ParkedStream> = sqlx::query_as(
        "select projection, stream, position, event_name, held, parked_at from read.parked_streams
         order by position, projection limit 200",
    )
    .fetch_all(&mut *snapshot.tx)
    .await
    .map_err(refusal::failed)?;
    let next_cursor = window.close(&mut rows, SORT, |row| Key::Number(row.raised_position, Uuid::nil()));
    let body = Attention { items: rows.into_iter().map(Item::from).collect(), next_cursor, parked_streams };
    Ok(answer::rows(&conditions, snapshot.position, &body))
}
