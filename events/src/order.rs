//! Orders: what was agreed with the customer and what became of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    codec::wire_events,
    ids::{CustomerId, OrderId, Sku},
    money::{Money, UnitPrice},
    sealed::Sealed,
};

/// The version of [`Placed`] that is written.
const PLACED: u16 = if cfg!(feature = "next-release") { 3 } else { 2 };

wire_events! {
    /// What happened to an order.
    OrderEvent in Order {
        /// The customer agreed to buy.
        Placed(Placed) = "OrderPlaced" v PLACED,
        /// Stock is held and payment is authorized: the shop agreed to sell.
        Confirmed(Confirmed) = "OrderConfirmed" v 1,
        /// The checkout could not be finished.
        Rejected(Rejected) = "OrderRejected" v 1,
        /// Somebody called it off before it was dispatched.
        Cancelled(Cancelled) = "OrderCancelled" v 1,
        /// The goods were handed over for delivery.
        DispatchRecorded(DispatchRecorded) = "OrderDispatchRecorded" v 1,
        /// Nothing remains to be done.
        Completed(Completed) = "OrderCompleted" v 1,
    }
}

/// The customer agreed to buy these lines at these prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The order.
    pub order_id: OrderId,
    /// Who buys; absent for a guest.
    pub customer_id: Option<CustomerId>,
    /// Name, e-mail and address, sealed.
    pub contact: Option<Sealed>,
    /// At least one.
    pub lines: Vec<Line>,
    /// The sum of the lines.
    pub total: Money,
    /// What the provider knows the means of payment by; never a card number.
    #[cfg_attr(feature = "next-release", serde(rename = "method"))]
    pub payment_method: String,
    /// A live sale, or one that history tells of.
    pub origin: Origin,
}

/// One line of an order, at the price that was agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What.
    pub sku: Sku,
    /// How many, above zero.
    pub quantity: i64,
    /// What one costs.
    pub unit_price: UnitPrice,
    /// Quantity times price, rounded half up to the minor unit.
    pub amount: Money,
}

/// Where an order came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Origin {
    /// A sale that happens now.
    Live,
    /// A sale that happened elsewhere and before: everything that follows keeps its business time, and
    /// the goods have left the house.
    Imported {
        /// The file or system that it comes from.
        source: String,
        /// Its number there.
        reference: String,
        /// The country that it went to, where known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        country: Option<String>,
    },
}

/// The shop agreed to sell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// The order.
    pub order_id: OrderId,
    /// What it comes to.
    pub total: Money,
}

/// The checkout could not be finished; nothing of it remains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The order.
    pub order_id: OrderId,
    /// Why.
    pub reason: RejectionReason,
}

/// Why a checkout could not be finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum RejectionReason {
    /// Too few units were left of a SKU.
    InsufficientStock {
        /// The SKU.
        sku: Sku,
        /// Units asked for.
        requested: i64,
        /// Units that were left.
        available: i64,
    },
    /// The provider declined the payment.
    PaymentDeclined {
        /// The provider's reason code.
        code: String,
    },
    /// The provider authorized something else than was asked for.
    PaymentDiffers,
    /// The money could not be captured.
    CaptureFailed {
        /// The provider's reason code.
        code: String,
    },
    /// Time ran out before the checkout was finished.
    DeadlinePassed,
    /// The hold on the stock ran out before the sale was made.
    ReservationExpired,
}

/// Somebody called the order off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// The order.
    pub order_id: OrderId,
    /// Why, as a code: `customer_request`, `fraud`, `operator`.
    pub reason: CancellationReason,
}

/// Why an order was called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancellationReason {
    /// The customer changed their mind.
    CustomerRequest,
    /// It looked like fraud.
    Fraud,
    /// The shop could not or would not deliver.
    Operator,
}

/// The goods were handed over for delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispatchRecorded {
    /// The order.
    pub order_id: OrderId,
}

/// Nothing remains to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    /// The order.
    pub order_id: OrderId,
}

/// Version 1 priced in whole minor units only, left a line's amount to the reader, and knew no
/// imported orders.
pub(crate) fn placed_v1_to_v2(mut payload: Value) -> Result<Value, serde_json::Error> {
    use serde::de::Error;

    let lines = payload.get_mut("lines").and_then(Value::as_array_mut);
    for line in lines.ok_or_else(|| serde_json::Error::custom("lines is not an array"))? {
        let number = |pointer: &str| line.pointer(pointer).and_then(Value::as_i64);
        let amount = number("/quantity")
            .zip(number("/unit_price/amount"))
            .and_then(|(quantity, price)| quantity.checked_mul(price))
            .ok_or_else(|| serde_json::Error::custom("a line has no quantity or price, or is too large"))?;
        let currency = line.pointer("/unit_price/currency").cloned().unwrap_or(Value::Null);
        line["amount"] = serde_json::json!({ "amount": amount, "currency": currency });
    }
    payload["origin"] = serde_json::json!({ "kind": "live" });
    Ok(payload)
}
