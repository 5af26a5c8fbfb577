//! Money and prices as requests write them, in minor units. Amounts end at 2^53 − 1, the largest whole
//! number that every JSON reader keeps exactly.

use events::{Currency, Money, UnitPrice};
use platform::problem::{Fault, INVALID_REQUEST, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An amount above zero.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Amount {
    /// Minor units: pence, cents, yen.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1999)]
    amount: i64,
    /// ISO 4217.
    #[schema(format = "currency", min_length = 3, max_length = 3, example = "GBP")]
    currency: String,
}

impl Amount {
    /// The amount as money. The schema has checked the currency.
    pub(super) fn money(&self) -> Result<Money, Problem> {
        currency(&self.currency).map(|currency| Money::new(self.amount, currency))
    }
}

/// What one unit costs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Price {
    /// Minor units: pence, cents, yen.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1999)]
    amount: i64,
    /// Thousandths of a minor unit, for prices in fractions of a penny.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 999)]
    thousandths: i64,
    /// ISO 4217.
    #[schema(format = "currency", min_length = 3, max_length = 3, example = "GBP")]
    currency: String,
}

impl Price {
    /// The price in thousandths of a minor unit. The schema has checked each part.
    pub(super) fn unit_price(&self) -> Result<UnitPrice, Problem> {
        let currency = currency(&self.currency)?;
        let thousandths = self.amount.checked_mul(1000).and_then(|whole| whole.checked_add(self.thousandths));
        thousandths
            .and_then(|thousandths| UnitPrice::from_thousandths(thousandths, currency).ok())
            .ok_or_else(|| Problem::new(&INVALID_REQUEST).fault("", "the price cannot be counted"))
    }
}

/// The currency of this code.
pub(super) fn currency(code: &str) -> Result<Currency, Problem> {
    code.parse().map_err(|_| Problem::new(&INVALID_REQUEST).faults([unknown_currency("/currency")]))
}

fn unknown_currency(pointer: &str) -> Fault {
    Fault { pointer: pointer.to_owned(), detail: "must be a currency code of ISO 4217".to_owned() }
}
