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
    answer::{self, Page},
    asked::{Asked, one_of},
    cursor::KeyOf,
    documented::{Freshness, ListRefused, Paging},
    listing::{Listing, Sort},
    models::ReadModels,
    resource::Shown,
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

impl Shown for Item {
    type Row = AttentionRow;
    const PROJECTION: &'static str = "attention";
    const TABLE: &'static str = "attention";
    const COLUMNS: &'static str = AttentionRow::COLUMNS;
}

static OLDEST_FIRST: Sort<AttentionRow> =
    Sort { name: "raised", columns: &["raised_position"], key: KeyOf::Position(|row| row.raised_position) };

/// What a person has to look at, the oldest first.
#[utoipa::path(get, path = "/attention", tag = "attention",
    params(
        ("state" = Option<String>, Query, description = "`open` (when absent) or `resolved`"),
        Paging, Freshness,
    ),
    responses(
        (status = 200, body = Attention, headers(("Counterfoil-Position" = u64, description = "the position reflected"))),
        ListRefused,
    ))]
pub(crate) async fn list(State(models): State<ReadModels>, mut asked: Asked) -> Result<Response, Problem> {
    let resolved = asked.parameter("state", one_of(&["open", "resolved"])) == Some("resolved");
    let state = if resolved { "resolved_at is not null" } else { "resolved_at is null" };
    let matters = Listing::<Item>::new(&OLDEST_FIRST, &mut asked).only(state);
    let conditions = asked.finish()?;
    let mut snapshot = models.snapshot(Item::PROJECTION, &conditions).await?;
    let Page { items, next_cursor } = matters.page(&mut snapshot).await?;
    let parked_streams = snapshot
        .rows(QueryBuilder::new(
            "select projection, stream, position, event_name, held, parked_at from read.parked_streams
             order by position, projection limit 200",
        ))
        .await?;
    let body = Attention { items, next_cursor, parked_streams };
    Ok(answer::rows(&conditions, snapshot.position, &body))
}
