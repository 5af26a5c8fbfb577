//! `GET /payments` and `GET /payments/{id}`.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use chrono::{DateTime, Utc};
use platform::problem::Problem;
use projections::payments::PaymentRow;
use serde::Serialize;
use sqlx::QueryBuilder;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    answer::{self, Page},
    asked::{Asked, one_of},
    cursor::{Key, Window},
    models::ReadModels,
    money::Money,
    refusal,
};

/// A payment: what was asked for, held, taken and given back.
#[derive(Debug, Serialize, ToSchema)]
#[allow(clippy::struct_field_names, reason = "the names of the wire")]
pub(crate) struct Payment {
    payment_id: Uuid,
    order_id: Uuid,
    /// `requested`, `unknown`, `authorized`, `declined`, `voiding`, `voided`, `partially_captured`,
    /// `captured`, `partially_refunded` or `refunded`.
    status: String,
    requested: Money,
    authorized: Money,
    captured: Money,
    refunded: Money,
    /// The provider's reason for declining.
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_code: Option<String>,
    /// The provider's own id of the payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_reference: Option<String>,
    revision: i64,
    requested_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<PaymentRow> for Payment {
    fn from(row: PaymentRow) -> Self {
        let money = |amount| Money::new(amount, &row.currency);
        Self {
            payment_id: row.payment_id,
            order_id: row.order_id,
            requested: money(row.requested),
            authorized: money(row.authorized),
            captured: money(row.captured),
            refunded: money(row.refunded),
            status: row.status,
            decline_code: row.decline_code,
            provider_reference: row.provider_reference,
            revision: row.revision,
            requested_at: row.requested_at,
            updated_at: row.updated_at,
        }
    }
}

const SORT: &str = "-requested_at";

const STATUSES: &[&str] = &[
    "requested",
    "unknown",
    "authorized",
    "declined",
    "voiding",
    "voided",
    "partially_captured",
    "captured",
    "partially_refunded",
    "refunded",
];

/// Payments, the newest first.
#[utoipa::path(get, path = "/payments", tag = "payments",
    params(
        ("status" = Option<String>, Query, description = "only payments of this status"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("Counterfoil-At-Least" = Option<u64>, Header, description = "the position to reflect at least"),
        ("Prefer" = Option<String>, Header, description = "`wait=<seconds>`: wait for that position"),
    ),
    responses(
        (status = 200, body = Page<Payment>, headers(("Counterfoil-Position" = u64, description = "the position reflected"))),
        (status = 400, body = Problem, description = "every fault of the request"),
        (status = 503, body = Problem, description = "not fresh enough, or unavailable"),
    ))]
pub(crate) async fn list(State(models): State<ReadModels>, mut asked: Asked) -> Result<Response, Problem> {
    let status = asked.parameter("status", one_of(STATUSES));
    let window = Window::of(&mut asked, SORT);
    let conditions = asked.finish()?;
    let mut query = QueryBuilder::new("select ");
    query.push(PaymentRow::COLUMNS).push(" from read.payments where true");
    if let Some(status) = status {
        query.push(" and status = ").push_bind(status);
    }
    if let Some(Key::Time(time, id)) = &window.after {
        query.push(" and (requested_at, payment_id) < (").push_bind(time).push(", ").push_bind(id).push(")");
    }
    query.push(" order by requested_at desc, payment_id desc limit ").push_bind(window.limit + 1);
    let mut snapshot = models.snapshot("payments", &conditions).await?;
    let mut rows: Vec<PaymentRow> =
        query.build_query_as().fetch_all(&mut *snapshot.tx).await.map_err(refusal::failed)?;
    let next_cursor = window.close(&mut rows, SORT, |row| Key::Time(row.requested_at, row.payment_id));
    let page = Page { items: rows.into_iter().map(Payment::from).collect(), next_cursor };
    Ok(answer::rows(&conditions, snapshot.position, &page))
}

/// One payment. It has the id of its order.
#[utoipa::path(get, path = "/payments/{id}", tag = "payments",
    params(
        ("id" = Uuid, Path, description = "the payment's id, which is the order's"),
        ("If-None-Match" = Option<String>, Header, description = "the `ETag` of an earlier answer"),
        ("Counterfoil-At-Least" = Option<u64>, Header, description = "the position to reflect at least"),
        ("Prefer" = Option<String>, Header, description = "`wait=<seconds>`: wait for that position"),
    ),
    responses(
        (status = 200, body = Payment, headers(
            ("Counterfoil-Position" = u64, description = "the position reflected"),
            ("ETag" = String, description = "the revision of the payment"))),
        (status = 304, description = "it is what the client has"),
        (status = 404, body = Problem, description = "there is no such payment"),
        (status = 503, body = Problem, description = "not fresh enough, or unavailable"),
    ))]
pub(crate) async fn one(
    State(models): State<ReadModels>,
    id: Result<Path<Uuid>, PathRejection>,
    asked: Asked,
) -> Result<Response, Problem> {
    let Path(id) = id?;
    let conditions = asked.finish()?;
    let mut snapshot = models.snapshot("payments", &conditions).await?;
    let mut query = QueryBuilder::new("select ");
    query.push(PaymentRow::COLUMNS).push(" from read.payments where payment_id = ").push_bind(id);
    let row: Option<PaymentRow> =
        query.build_query_as().fetch_optional(&mut *snapshot.tx).await.map_err(refusal::failed)?;
    let row = row.ok_or_else(|| refusal::not_found("payment"))?;
    let tag = row.revision.to_string();
    Ok(answer::resource(&conditions, snapshot.position, &tag, &Payment::from(row)))
}
