//! `POST /checkouts`: the customer agrees to buy. The order is placed at the prices of the catalog, and
//! everything else (holding stock, taking money, confirming) follows from the log. **No price comes from
//! the client**; a total that it expects is compared, and one that differs is a conflict.
//!
//! Who wants what is sold out is told so at once, and no order is placed: in a flash sale that is nearly
//! everybody. Who gets the last units is decided where they are held.
//!
//! The order's id follows from the `Idempotency-Key`, so a repeat finds the order and is answered as the
//! first time, whatever the prices have become since.

mod pricing;
mod sold_out;

use axum::{extract::State, http::StatusCode, response::Response};
use domain::order::Command;
use event_store::Position;
use events::{
    Money,
    ids::{CustomerId, OrderId},
    order::{OrderEvent, Origin},
    sealed::{PersonKey, Sealed},
};
use platform::{
    keys::Key,
    problem::{Fault, INTERNAL, INVALID_REQUEST, Problem, UNAVAILABLE},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use self::pricing::Pricing;
use super::{
    Api,
    answer::{OUTAGE_RETRY_AFTER, Refusals, carried_out, located, problem},
    body::{Draft, RequestBody, compiled_schema, digest, faults, typed},
    headers::{CommandHeaders, CommandParams},
    money::Amount,
    problems::{SOLD_OUT, TOTAL_DIFFERS},
};
use crate::{CommandContext, Handled, Recalled};

/// The most lines of an order.
const LINES_MAX: usize = 1_000;
/// How many streams of products, and how many of stock, are read at once for one request.
const READS_AT_ONCE: usize = 16;

/// What a customer wants to buy.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Checkout {
    /// Who buys; absent for a guest.
    customer_id: Option<Uuid>,
    /// Whom to deliver to. It is sealed before it is kept, and never shown to others.
    contact: Option<Contact>,
    /// ISO 4217; every line must have a price in it.
    #[schema(format = "currency", min_length = 3, max_length = 3, example = "GBP")]
    currency: String,
    /// What, and how many of it. A SKU may have several lines.
    #[schema(min_items = 1, max_items = 1_000)]
    lines: Vec<CheckoutLine>,
    /// What the payment provider knows the means of payment by. Never a card number.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]*$", max_length = 200, example = "tok_approve")]
    payment_method: String,
    /// What the customer was shown; the checkout is refused when the total is another.
    expected_total: Option<Amount>,
}

/// Whom to deliver to.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Contact {
    #[schema(format = "line", max_length = 200)]
    name: String,
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// Of several lines.
    #[schema(format = "lines", max_length = 1_000)]
    address: String,
}

impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Contact(..)")
    }
}

/// Units of one product.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CheckoutLine {
    #[schema(format = "sku", min_length = 1, max_length = 64, example = "MUG-1")]
    sku: String,
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: i64,
}

impl Checkout {
    /// Whose contact it is, where there is one: the customer's, or for a guest the order's own.
    fn person(&self, order_id: OrderId) -> Option<Uuid> {
        self.contact.as_ref().map(|_| self.customer_id.unwrap_or(order_id.0))
    }
}

impl RequestBody for Checkout {
    compiled_schema!();

    fn faults_of_sense(body: &Value) -> Vec<Fault> {
        let expected = body.pointer("/expected_total/currency").and_then(Value::as_str);
        let differs = expected.is_some_and(|expected| Some(expected) != body["currency"].as_str());
        let detail = "must be the currency of the checkout".to_owned();
        let fault = Fault { pointer: "/expected_total/currency".to_owned(), detail };
        differs.then_some(fault).into_iter().collect()
    }
}

/// An order that was placed. Whether it is confirmed is known later, at its URL.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CheckoutAccepted {
    order_id: Uuid,
    #[schema(value_type = Amount)]
    total: Money,
    #[schema(value_type = u64)]
    position: Position,
}

/// Buy
///
/// Places the order and answers at once; stock, payment and confirmation follow. Watch the order at the
/// URL in `Location`. Where nothing is left of what is asked for, no order is placed, and the answer is `sold-out`.
#[utoipa::path(post, path = "/checkouts", tag = "checkout", params(CommandParams), request_body = Checkout,
    responses((status = 202, body = CheckoutAccepted), Refusals))]
#[tracing::instrument(skip_all, fields(correlation_id = %headers.order_id()))]
pub(super) async fn check_out(
    State(api): State<Api>,
    headers: CommandHeaders,
    Draft(body): Draft,
) -> Result<Response, Problem> {
    let mut faults = faults::<Checkout>(&body)?;
    if !faults.is_empty() {
        faults.extend(Pricing::of(&api, &body).await?.faults());
        faults.sort();
        return Err(Problem::new(&INVALID_REQUEST).faults(faults));
    }
    let order_id = headers.order_id();
    let checkout: Checkout = typed(body.clone())?;
    let digest = digest("check-out", "", &checkout)?;
    let context = headers.context(Some(order_id.0), api.clock.now(), digest);
    // A repeat finds its first time when it is appended. It is looked for here where it might not get that far, or would
    // make a key for a person who was erased since.
    let person = checkout.person(order_id);
    let key = match person {
        Some(person) => api.keys.get(person).await.ok().flatten(),
        None => None,
    };
    if person.is_some()
        && key.is_none()
        && let Some(accepted) = recall(&api, order_id, &context).await?
    {
        return Ok(accepted);
    }
    let (command, total) = match agreed(&api, order_id, &body, checkout, key).await {
        Ok(agreed) => agreed,
        Err(problem) => return recall(&api, order_id, &context).await?.ok_or(problem),
    };
    let handled = api.commands.order.handle(&order_id.to_string(), command, context.clone()).await;
    let handled = handled.map_err(problem)?;
    if handled.replayed {
        // What counts is what it was told, perhaps at other prices.
        return recall(&api, order_id, &context).await?.ok_or_else(|| Problem::new(&INTERNAL));
    }
    Ok(accepted(order_id, total, handled))
}

/// What the customer agrees to: the order at the prices of the catalog, and what it comes to.
async fn agreed(
    api: &Api,
    order_id: OrderId,
    body: &Value,
    checkout: Checkout,
    key: Option<Key>,
) -> Result<(Command, Money), Problem> {
    let (pricing, sold_out) = futures::join!(Pricing::of(api, body), sold_out::lines(api, &checkout));
    let (lines, total) = pricing?.lines(&checkout)?;
    must_be_expected(&checkout, total)?;
    if !sold_out.is_empty() {
        return Err(Problem::new(&SOLD_OUT).faults(sold_out));
    }
    let command = Command::Place {
        order_id,
        customer_id: checkout.customer_id.map(CustomerId),
        contact: seal(api, order_id, &checkout, key).await?,
        lines,
        payment_method: checkout.payment_method,
        origin: Origin::Live,
    };
    Ok((command, total))
}

/// The answer of the first time, if this checkout has been made before.
async fn recall(api: &Api, order_id: OrderId, context: &CommandContext) -> Result<Option<Response>, Problem> {
    let recalled = api.commands.order.recall(&order_id.to_string(), context).await.map_err(problem)?;
    Ok(recalled.and_then(|Recalled { handled, events }| match events.first() {
        Some(OrderEvent::Placed(placed)) => Some(accepted(order_id, placed.total, handled)),
        Some(
            OrderEvent::Confirmed(_)
            | OrderEvent::Rejected(_)
            | OrderEvent::Cancelled(_)
            | OrderEvent::DispatchRecorded(_)
            | OrderEvent::Completed(_),
        )
        | None => None,
    }))
}

fn accepted(order_id: OrderId, total: Money, handled: Handled) -> Response {
    let body = CheckoutAccepted { order_id: order_id.0, total, position: handled.position };
    located(carried_out(StatusCode::ACCEPTED, handled, body), &format!("/orders/{order_id}"))
}

fn must_be_expected(checkout: &Checkout, total: Money) -> Result<(), Problem> {
    let Some(expected) = checkout.expected_total.as_ref().map(Amount::money).transpose()? else {
        return Ok(());
    };
    if expected == total {
        return Ok(());
    }
    Err(Problem::new(&TOTAL_DIFFERS).with("total", json!(total)).with("expected_total", json!(expected)))
}

/// Seals the contact with the key of its person, which is made now where it is not known.
async fn seal(
    api: &Api,
    order_id: OrderId,
    checkout: &Checkout,
    key: Option<Key>,
) -> Result<Option<Sealed>, Problem> {
    let (Some(contact), Some(person)) = (&checkout.contact, checkout.person(order_id)) else {
        return Ok(None);
    };
    let key = match key {
        Some(key) => key,
        None => api.keys.get_or_create(person).await.map_err(|error| {
            tracing::warn!(error = %error, "a contact cannot be sealed now");
            Problem::new(&UNAVAILABLE).retry_after(OUTAGE_RETRY_AFTER)
        })?,
    };
    Sealed::seal(person, &PersonKey::from_bytes(key), contact).map(Some).map_err(|error| {
        tracing::error!(%error, "a contact cannot be sealed");
        Problem::new(&INTERNAL)
    })
}
