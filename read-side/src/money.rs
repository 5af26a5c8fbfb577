//! Money and prices on the wire, as the rest of the API writes them.

use serde::Serialize;
use utoipa::ToSchema;

/// An amount of one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Money {
    /// In minor units: pence, cents, yen.
    #[schema(example = 1999)]
    pub(crate) amount: i64,
    /// ISO 4217.
    #[schema(example = "GBP")]
    pub(crate) currency: String,
}

impl Money {
    pub(crate) fn new(amount: i64, currency: &str) -> Self {
        Self { amount, currency: currency.to_owned() }
    }
}

/// What one unit costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct UnitPrice {
    /// In minor units.
    #[schema(example = 255)]
    amount: i64,
    /// What comes on top, in thousandths of a minor unit; absent where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    thousandths: Option<i64>,
    /// ISO 4217.
    #[schema(example = "GBP")]
    currency: String,
}

impl UnitPrice {
    /// A price of so many thousandths of a minor unit.
    pub(crate) fn from_thousandths(thousandths: i64, currency: &str) -> Self {
        let rest = thousandths % 1000;
        Self {
            amount: thousandths / 1000,
            thousandths: (rest != 0).then_some(rest),
            currency: currency.to_owned(),
        }
    }
}
