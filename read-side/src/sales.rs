//! `GET /sales`: what was sold, called off and given back, by day or month.

use axum::{extract::State, response::Response};
use platform::problem::Problem;
use projections::sales::SalesRow;
use serde::Serialize;
use sqlx::QueryBuilder;
use utoipa::ToSchema;

use crate::{
    answer::{self, Page},
    asked::{Asked, day, one_of},
    documented::{Freshness, ListRefused},
    models::ReadModels,
    money::Money,
};

/// The sales of one period in one currency.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SalesOfPeriod {
    /// A day (`2026-03-01`) or a month (`2026-03`), of business time in UTC.
    period: String,
    currency: String,
    /// Orders that were confirmed, with what they come to.
    sales: Tally,
    /// Confirmed orders that were rejected or cancelled in this period.
    cancelled: Tally,
    refunds: Tally,
    /// Credit notes.
    credits: Tally,
    /// Adjustments made in the ledger itself, with their sign.
    adjustments: Tally,
}

/// How many, and what they come to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tally {
    count: i64,
    /// Where units are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<i64>,
    amount: Money,
}

impl SalesOfPeriod {
    fn new(row: &SalesRow, by_month: bool) -> Self {
        let count = |count, units, amount| Tally { count, units, amount: Money::new(amount, &row.currency) };
        Self {
            period: row.day.format(if by_month { "%Y-%m" } else { "%Y-%m-%d" }).to_string(),
            currency: row.currency.clone(),
            sales: count(row.orders, Some(row.units), row.amount),
            cancelled: count(row.cancelled_orders, Some(row.cancelled_units), row.cancelled_amount),
            refunds: count(row.refunds, None, row.refunded_amount),
            credits: count(row.credits, None, row.credited_amount),
            adjustments: count(row.adjustments, None, row.adjusted_amount),
        }
    }
}

/// Sales by day or month, in the order of time. Periods in which nothing happened are left out.
#[utoipa::path(get, path = "/sales", tag = "sales",
    params(
        ("from" = Option<String>, Query, description = "the first day, such as 2026-03-01"),
        ("to" = Option<String>, Query, description = "the last day"),
        ("by" = Option<String>, Query, description = "`day` (when absent) or `month`"),
        Freshness,
    ),
    responses(
        (status = 200, body = Page<SalesOfPeriod>, headers(("Counterfoil-Position" = u64, description = "the position reflected"))),
        ListRefused,
    ))]
pub(crate) async fn by_period(
    State(models): State<ReadModels>,
    mut asked: Asked,
) -> Result<Response, Problem> {
    let from = asked.parameter("from", day);
    let to = asked.parameter("to", day);
    let by_month = asked.parameter("by", one_of(&["day", "month"])) == Some("month");
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        asked.refuse("to", "is before from");
    }
    let conditions = asked.finish()?;
    let period = if by_month { "date_trunc('month', day)::date" } else { "day" };
    let mut query = QueryBuilder::new("select ");
    query.push(period).push(
        " as day, currency, sum(orders)::bigint as orders, sum(units)::bigint as units,
          sum(amount)::bigint as amount, sum(cancelled_orders)::bigint as cancelled_orders,
          sum(cancelled_units)::bigint as cancelled_units, sum(cancelled_amount)::bigint as cancelled_amount,
          sum(refunds)::bigint as refunds, sum(refunded_amount)::bigint as refunded_amount,
          sum(credits)::bigint as credits, sum(credited_amount)::bigint as credited_amount,
          sum(adjustments)::bigint as adjustments, sum(adjusted_amount)::bigint as adjusted_amount
          from read.sales_days where true",
    );
    if let Some(from) = from {
        query.push(" and day >= ").push_bind(from);
    }
    if let Some(to) = to {
        query.push(" and day <= ").push_bind(to);
    }
    query.push(" group by 1, 2 order by 1, 2");
    let mut snapshot = models.snapshot("sales", &conditions).await?;
    let rows: Vec<SalesRow> = snapshot.rows(query).await?;
    let items = rows.iter().map(|row| SalesOfPeriod::new(row, by_month)).collect();
    Ok(answer::rows(&conditions, snapshot.position, &Page { items, next_cursor: None }))
}
