//! `GET /payments` and `GET /payments/{id}`.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use chrono::{DateTime, Utc};
use platform::problem::Problem;
use projections::payments::PaymentRow;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    answer::Page,
    asked::{Asked, one_of},
    cursor::KeyOf,
    documented::{Cached, Freshness, ListRefused, NotShown, Paging},
    listing::{Listing, Sort},
    models::ReadModels,
    money::Money,
    resource::{self, Resource, Shown},
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

impl Shown for Payment {
    type Row = PaymentRow;
    const PROJECTION: &'static str = "payments";
    const TABLE: &'static str = "payments";
    const COLUMNS: &'static str = PaymentRow::COLUMNS;
}

impl Resource for Payment {
    const NAME: &'static str = "payment";
    const IS_ASKED_FOR: &'static str = "payment_id = asked.id::uuid";

    fn tag(row: &PaymentRow) -> String {
        row.revision.to_string()
    }
}

static NEWEST_FIRST: Sort<PaymentRow> = Sort {
    name: "-requested_at",
    columns: &["requested_at", "payment_id"],
    key: KeyOf::Time(|row| (row.requested_at, row.payment_id)),
};

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
        Paging, Freshness,
    ),
    responses(
        (status = 200, body = Page<Payment>, headers(("Counterfoil-Position" = u64, description = "the position reflected"))),
        ListRefused,
    ))]
pub(crate) async fn list(State(models): State<ReadModels>, mut asked: Asked) -> Result<Response, Problem> {
    let status = asked.parameter("status", one_of(STATUSES));
    Listing::<Payment>::new(&NEWEST_FIRST, &mut asked)
        .only_if("status =", status)
        .answer(&models, asked)
        .await
}

/// One payment. It has the id of its order.
#[utoipa::path(get, path = "/payments/{id}", tag = "payments",
    params(
        ("id" = Uuid, Path, description = "the payment's id, which is the order's"),
        Cached, Freshness,
    ),
    responses(
        (status = 200, body = Payment, headers(
            ("Counterfoil-Position" = u64, description = "the position reflected"),
            ("ETag" = String, description = "the revision of the payment"))),
        (status = 404, body = Problem, description = "there is no such payment"),
        NotShown,
    ))]
pub(crate) async fn one(
    State(models): State<ReadModels>,
    id: Result<Path<Uuid>, PathRejection>,
    asked: Asked,
) -> Result<Response, Problem> {
    let Path(id) = id?;
    resource::answer::<Payment>(&models, id.to_string(), asked).await
}
