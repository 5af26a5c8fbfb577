//! `GET /orders`, `GET /orders/{id}` and `GET /customers/{id}/orders`.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use chrono::{DateTime, Utc};
use platform::problem::Problem;
use projections::orders::{OrderLineRow, OrderRow};
use serde::Serialize;
use serde_json::Value;
use sqlx::{Postgres, QueryBuilder};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    answer::{self, Page},
    asked::{Asked, id, moment, one_of},
    cursor::{Key, Window},
    models::ReadModels,
    money::{Money, UnitPrice},
    refusal,
};

/// An order, as lists show it.
#[derive(Debug, Serialize, ToSchema)]
#[allow(clippy::struct_field_names, reason = "the names of the wire")]
pub(crate) struct Order {
    order_id: Uuid,
    /// Absent for a guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<Uuid>,
    /// The order's own: `placed`, `confirmed`, `rejected`, `cancelled`, `dispatched` or `completed`.
    status: String,
    /// The payment's, or `none` before there is one.
    payment_status: String,
    /// What a customer is shown: `processing`, `payment_pending`, `paid`, `confirmed`, `dispatched`,
    /// `completed`, `partially_refunded`, `refunded`, `cancelled` or `rejected`.
    display_status: String,
    /// Why it was rejected or cancelled: the `rule`, with its numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    reason: Option<Value>,
    total: Money,
    /// What was taken for it.
    captured: Money,
    /// What was given back.
    refunded: Money,
    units: i64,
    /// `live` or `imported`.
    origin: String,
    /// Its number where it was imported from.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    /// Of the order's stream.
    revision: i64,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// An order with its lines.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderWithLines {
    #[serde(flatten)]
    order: Order,
    lines: Vec<Line>,
}

/// A line of an order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Line {
    sku: String,
    quantity: i64,
    unit_price: UnitPrice,
    amount: Money,
}

impl From<OrderRow> for Order {
    fn from(row: OrderRow) -> Self {
        let money = |amount| Money::new(amount, &row.currency);
        Self {
            order_id: row.order_id,
            customer_id: row.customer_id,
            total: money(row.total),
            captured: money(row.captured),
            refunded: money(row.refunded),
            status: row.status,
            payment_status: row.payment_status,
            display_status: row.display_status,
            reason: row.reason.map(|reason| reason.0),
            units: row.units,
            origin: row.origin,
            reference: row.reference,
            country: row.country,
            revision: row.revision,
            placed_at: row.placed_at,
            updated_at: row.updated_at,
        }
    }
}

impl Line {
    fn new(row: OrderLineRow, currency: &str) -> Self {
        Self {
            sku: row.sku,
            quantity: row.quantity,
            unit_price: UnitPrice::from_thousandths(row.unit_price_thousandths, currency),
            amount: Money::new(row.amount, currency),
        }
    }
}

const STATUSES: &[&str] = &["placed", "confirmed", "rejected", "cancelled", "dispatched", "completed"];
const SORTS: &[&str] = &["-placed_at", "placed_at", "-total", "total"];

/// Which orders a list is of, and in which order.
struct Listing {
    status: Option<&'static str>,
    customer_id: Option<Uuid>,
    placed_from: Option<DateTime<Utc>>,
    placed_to: Option<DateTime<Utc>>,
    sort: &'static str,
    window: Window,
}

impl Listing {
    /// Reads the parameters of a list.
    fn of(asked: &mut Asked) -> Self {
        let sort = asked.parameter("sort", one_of(SORTS)).unwrap_or(SORTS[0]);
        let listing = Self {
            status: asked.parameter("status", one_of(STATUSES)),
            customer_id: None,
            placed_from: asked.parameter("placed_from", moment),
            placed_to: asked.parameter("placed_to", moment),
            sort,
            window: Window::of(asked, sort),
        };
        if listing.placed_from.zip(listing.placed_to).is_some_and(|(from, to)| from > to) {
            asked.refuse("placed_to", "is before placed_from");
        }
        listing
    }

    fn query(&self) -> QueryBuilder<Postgres> {
        let mut query = QueryBuilder::new("select ");
        query.push(OrderRow::COLUMNS).push(" from read.orders where true");
        if let Some(status) = self.status {
            query.push(" and status = ").push_bind(status);
        }
        if let Some(customer) = self.customer_id {
            query.push(" and customer_id = ").push_bind(customer);
        }
        if let Some(from) = self.placed_from {
            query.push(" and placed_at >= ").push_bind(from);
        }
        if let Some(to) = self.placed_to {
            query.push(" and placed_at < ").push_bind(to);
        }
        let (column, direction, behind) = match self.sort.strip_prefix('-') {
            Some(column) => (column, "desc", "<"),
            None => (self.sort, "asc", ">"),
        };
        if let Some(after) = &self.window.after {
            query.push(format_args!(" and ({column}, order_id) {behind} ("));
            match after {
                Key::Time(time, id) => query.push_bind(*time).push(", ").push_bind(*id),
                Key::Number(number, id) => query.push_bind(*number).push(", ").push_bind(*id),
                Key::Name(name) => query.push_bind(name.clone()),
            };
            query.push(")");
        }
        query.push(format_args!(" order by {column} {direction}, order_id {direction} limit "));
        query.push_bind(self.window.limit + 1);
        query
    }

    fn key(&self, row: &OrderRow) -> Key {
        match self.sort.trim_start_matches('-') {
            "total" => Key::Number(row.total, row.order_id),
            _ => Key::Time(row.placed_at, row.order_id),
        }
    }

    async fn answer(&self, models: &ReadModels, asked: Asked) -> Result<Response, Problem> {
        let conditions = asked.finish()?;
        let mut snapshot = models.snapshot("orders", &conditions).await?;
        let mut rows: Vec<OrderRow> =
            self.query().build_query_as().fetch_all(&mut *snapshot.tx).await.map_err(refusal::failed)?;
        let next_cursor = self.window.close(&mut rows, self.sort, |row| self.key(row));
        let page = Page { items: rows.into_iter().map(Order::from).collect(), next_cursor };
        Ok(answer::rows(&conditions, snapshot.position, &page))
    }
}

/// Orders.
#[utoipa::path(get, path = "/orders", tag = "orders",
    params(
        ("status" = Option<String>, Query, description = "only orders of this status"),
        ("customer_id" = Option<Uuid>, Query, description = "only orders of this customer"),
        ("placed_from" = Option<String>, Query, description = "a time or day: placed then or later"),
        ("placed_to" = Option<String>, Query, description = "a time or day: placed before"),
        ("sort" = Option<String>, Query, description = "`-placed_at` (when absent), `placed_at`, `-total` or `total`"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("Counterfoil-At-Least" = Option<u64>, Header, description = "the position to reflect at least"),
        ("Prefer" = Option<String>, Header, description = "`wait=<seconds>`: wait for that position"),
    ),
    responses(
        (status = 200, body = Page<Order>, headers(("Counterfoil-Position" = u64, description = "the position reflected"))),
        (status = 400, body = Problem, description = "every fault of the request"),
        (status = 503, body = Problem, description = "not fresh enough, or unavailable"),
    ))]
pub(crate) async fn list(State(models): State<ReadModels>, mut asked: Asked) -> Result<Response, Problem> {
    let mut listing = Listing::of(&mut asked);
    listing.customer_id = asked.parameter("customer_id", id);
    listing.answer(&models, asked).await
}

/// The orders of one customer.
#[utoipa::path(get, path = "/customers/{id}/orders", tag = "orders",
    params(
        ("id" = Uuid, Path, description = "the customer"),
        ("status" = Option<String>, Query, description = "only orders of this status"),
        ("placed_from" = Option<String>, Query, description = "a time or day: placed then or later"),
        ("placed_to" = Option<String>, Query, description = "a time or day: placed before"),
        ("sort" = Option<String>, Query, description = "`-placed_at` (when absent), `placed_at`, `-total` or `total`"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("Counterfoil-At-Least" = Option<u64>, Header, description = "the position to reflect at least"),
        ("Prefer" = Option<String>, Header, description = "`wait=<seconds>`: wait for that position"),
    ),
    responses(
        (status = 200, body = Page<Order>, headers(("Counterfoil-Position" = u64, description = "the position reflected"))),
        (status = 400, body = Problem, description = "every fault of the request"),
        (status = 503, body = Problem, description = "not fresh enough, or unavailable"),
    ))]
pub(crate) async fn of_customer(
    State(models): State<ReadModels>,
    customer: Result<Path<Uuid>, PathRejection>,
    mut asked: Asked,
) -> Result<Response, Problem> {
    let Path(customer) = customer?;
    let mut listing = Listing::of(&mut asked);
    listing.customer_id = Some(customer);
    listing.answer(&models, asked).await
}

/// One order with its lines.
///
/// The `ETag` is the revision of the order, followed, once there is a payment, by a hyphen and the
/// revision of the payment, because the answer shows both.
#[utoipa::path(get, path = "/orders/{id}", tag = "orders",
    params(
        ("id" = Uuid, Path, description = "the order"),
        ("If-None-Match" = Option<String>, Header, description = "the `ETag` of an earlier answer"),
        ("Counterfoil-At-Least" = Option<u64>, Header, description = "the position to reflect at least"),
        ("Prefer" = Option<String>, Header, description = "`wait=<seconds>`: wait for that position"),
    ),
    responses(
        (status = 200, body = OrderWithLines, headers(
            ("Counterfoil-Position" = u64, description = "the position reflected"),
            ("ETag" = String, description = "the revisions of the order and its payment"))),
        (status = 304, description = "it is what the client has"),
        (status = 404, body = Problem, description = "there is no such order"),
        (status = 503, body = Problem, description = "not fresh enough, or unavailable"),
    ))]
pub(crate) async fn one(
    State(models): State<ReadModels>,
    id: Result<Path<Uuid>, PathRejection>,
    asked: Asked,
) -> Result<Response, Problem> {
    let Path(id) = id?;
    let conditions = asked.finish()?;
    let mut snapshot = models.snapshot("orders", &conditions).await?;
    let mut query = QueryBuilder::new("select ");
    query.push(OrderRow::COLUMNS).push(" from read.orders where order_id = ").push_bind(id);
    let row: Option<OrderRow> =
        query.build_query_as().fetch_optional(&mut *snapshot.tx).await.map_err(refusal::failed)?;
    let row = row.ok_or_else(|| refusal::not_found("order"))?;
    let mut query = QueryBuilder::new("select ");
    query.push(OrderLineRow::COLUMNS).push(" from read.order_lines where order_id = ").push_bind(id);
    query.push(" order by line");
    let lines: Vec<OrderLineRow> =
        query.build_query_as().fetch_all(&mut *snapshot.tx).await.map_err(refusal::failed)?;
    let tag = match row.payment_revision {
        Some(payment) => format!("{}-{payment}", row.revision),
        None => row.revision.to_string(),
    };
    let lines = lines.into_iter().map(|line| Line::new(line, &row.currency)).collect();
    let body = OrderWithLines { order: Order::from(row), lines };
    Ok(answer::resource(&conditions, snapshot.position, &tag, &body))
}
