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
use sqlx::types::Json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    answer::{self, Page},
    asked::{Asked, id, moment, one_of},
    cursor::KeyOf,
    documented::{Cached, Freshness, ListRefused, NotShown, Paging},
    kept_back,
    listing::{Listing, Sort},
    lookup::Lookup,
    models::ReadModels,
    money::{Money, UnitPrice},
    refusal,
    resource::{Resource, Shown},
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
    /// The position of the first event of this order that cannot be shown yet, where there is one: the
    /// order is as it was before, and so is `Counterfoil-Position`. A person is told, see `/attention`.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_back_from: Option<i64>,
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
const TIME: &[&str] = &["placed_at", "order_id"];
const BY_TIME: KeyOf<OrderRow> = KeyOf::Time(|row| (row.placed_at, row.order_id));
const BY_TOTAL: KeyOf<OrderRow> = KeyOf::Number(|row| (row.total, row.order_id));

static SORTS: [Sort<OrderRow>; 4] = [
    Sort { name: "-placed_at", columns: TIME, key: BY_TIME },
    Sort { name: "placed_at", columns: TIME, key: BY_TIME },
    Sort { name: "-total", columns: &["total", "order_id"], key: BY_TOTAL },
    Sort { name: "total", columns: &["total", "order_id"], key: BY_TOTAL },
];

impl Shown for Order {
    type Row = OrderRow;
    const PROJECTION: &'static str = "orders";
    const TABLE: &'static str = "orders";
    const COLUMNS: &'static str = OrderRow::COLUMNS;
}

impl Resource for Order {
    const NAME: &'static str = "order";
    const IS_ASKED_FOR: &'static str = "order_id = asked.id::uuid";

    fn tag(row: &OrderRow) -> String {
        match row.payment_revision {
            Some(payment) => format!("{}-{payment}", row.revision),
            None => row.revision.to_string(),
        }
    }
}

/// What any list of orders can be narrowed down to.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "the parameters are read by `listing`, which gathers all faults")]
struct Narrowed {
    /// only orders of this status
    status: Option<String>,
    /// a time or day: placed then or later
    placed_from: Option<String>,
    /// a time or day: placed before
    placed_to: Option<String>,
    /// `-placed_at` (when absent), `placed_at`, `-total` or `total`
    sort: Option<String>,
}

/// The orders that the parameters ask for.
fn listing(asked: &mut Asked) -> Listing<Order> {
    let listing = Listing::in_one_of(&SORTS, asked);
    let status = asked.parameter("status", one_of(STATUSES));
    let (from, to) = (asked.parameter("placed_from", moment), asked.parameter("placed_to", moment));
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        asked.refuse("placed_to", "is before placed_from");
    }
    listing.only_if("status =", status).only_if("placed_at >=", from).only_if("placed_at <", to)
}

/// Orders.
#[utoipa::path(get, path = "/orders", tag = "orders",
    params(
        ("customer_id" = Option<Uuid>, Query, description = "only orders of this customer"),
        Narrowed, Paging, Freshness,
    ),
    responses(
        (status = 200, body = Page<Order>, headers(("Counterfoil-Position" = u64, description = "the position reflected"))),
        ListRefused,
    ))]
pub(crate) async fn list(State(models): State<ReadModels>, mut asked: Asked) -> Result<Response, Problem> {
    let customer = asked.parameter("customer_id", id);
    listing(&mut asked).of("customer_id", customer, TIME).answer(&models, asked).await
}

/// The orders of one customer.
#[utoipa::path(get, path = "/customers/{id}/orders", tag = "orders",
    params(
        ("id" = Uuid, Path, description = "the customer"),
        Narrowed, Paging, Freshness,
    ),
    responses(
        (status = 200, body = Page<Order>, headers(("Counterfoil-Position" = u64, description = "the position reflected"))),
        ListRefused,
    ))]
pub(crate) async fn of_customer(
    State(models): State<ReadModels>,
    customer: Result<Path<Uuid>, PathRejection>,
    mut asked: Asked,
) -> Result<Response, Problem> {
    let Path(customer) = customer?;
    listing(&mut asked).of("customer_id", Some(customer), TIME).answer(&models, asked).await
}

/// One order with its lines.
///
/// The `ETag` is the revision of the order, followed, once there is a payment, by a hyphen and the
/// revision of the payment, because the answer shows both. Where events are kept back it says that, too.
#[utoipa::path(get, path = "/orders/{id}", tag = "orders",
    params(
        ("id" = Uuid, Path, description = "the order"),
        Cached, Freshness,
    ),
    responses(
        (status = 200, body = OrderWithLines, headers(
            ("Counterfoil-Position" = u64, description = "the position reflected"),
            ("ETag" = String, description = "the revisions of the order and its payment"))),
        (status = 404, body = Problem, description = "there is no such order"),
        NotShown,
    ))]
pub(crate) async fn one(
    State(models): State<ReadModels>,
    id: Result<Path<Uuid>, PathRejection>,
    asked: Asked,
) -> Result<Response, Problem> {
    let Path(id) = id?;
    let conditions = asked.finish()?;
    let found = models.look_up::<Order>(with_lines(id), &conditions).await?;
    let kept_back_from: Option<i64> = found.reflected("kept_back_from").map_err(refusal::failed)?;
    let position = match kept_back_from {
        Some(first) => kept_back::held_to(first, &conditions, found.position)?,
        None => found.position,
    };
    let row: Option<OrderRow> = found.rows().map_err(refusal::failed)?.pop();
    let row = row.ok_or_else(|| refusal::not_found(Order::NAME))?;
    let Json(lines): Json<Vec<OrderLineRow>> = found.reflected("lines").map_err(refusal::failed)?;
    let tag = Order::tag(&row);
    let tag = kept_back_from.map_or(tag.clone(), |first| format!("{tag}-before-{first}"));
    let lines = lines.into_iter().map(|line| Line::new(line, &row.currency)).collect();
    let body = OrderWithLines { order: Order::from(row), lines, kept_back_from };
    Ok(answer::resource(&conditions, position, &tag, &body))
}

/// An order, its lines, and what is kept back of it. Whether anything is kept back of any order, which is seldom, is
/// looked at once for all that are asked for together.
fn with_lines(id: Uuid) -> Lookup {
    let beside = "case when exists (select from read.parked_streams where projection = 'orders') then
             (select min(position) from read.parked_streams
              where projection = 'orders' and substr(stream, strpos(stream, '-') + 1) = asked.id)
         end as kept_back_from,
         coalesce((select json_agg(bought order by bought.line) from read.order_lines as bought
                   where bought.order_id = found.order_id), '[]') as lines";
    Lookup::one::<Order>(Some(beside), Order::IS_ASKED_FOR, id.to_string())
}
