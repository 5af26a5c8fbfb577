//! What makes priced lines add up: each amount is its price times its quantity, all are of one
//! currency, and the sum fits. Orders and credit notes are both made of such lines.

use events::{Currency, Money, UnitPrice, credit, ids::Sku, order};

/// What is wrong with the lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There are none.
    #[error("there are no lines")]
    NoLines,
    /// A quantity is zero or below.
    #[error("the quantity of {sku} is {quantity}; it must be above zero")]
    QuantityNotPositive {
        /// The SKU of the line.
        sku: Sku,
        /// The quantity that was given.
        quantity: i64,
    },
    /// Two lines are of different currencies.
    #[error("{sku} is priced in {found}, but the lines before it in {expected}")]
    CurrencyDiffers {
        /// The SKU of the line.
        sku: Sku,
        /// The currency of the first line.
        expected: Currency,
        /// The currency of this one.
        found: Currency,
    },
    /// An amount is not price times quantity.
    #[error("the amount of {sku} is given as {given}, but its price times its quantity is {computed}")]
    AmountDiffers {
        /// The SKU of the line.
        sku: Sku,
        /// The amount that was given.
        given: Money,
        /// Price times quantity, rounded half up.
        computed: Money,
    },
    /// An amount or the sum does not fit into 64 bits of minor units.
    #[error("the lines up to {sku} come to more than can be counted")]
    TotalTooLarge {
        /// The SKU of the line at which it was noticed.
        sku: Sku,
    },
}

/// What both kinds of line have.
pub(crate) struct PricedLine<'a> {
    sku: &'a Sku,
    quantity: i64,
    unit_price: UnitPrice,
    amount: Money,
}

impl<'a> From<&'a order::Line> for PricedLine<'a> {
    fn from(line: &'a order::Line) -> Self {
        Self { sku: &line.sku, quantity: line.quantity, unit_price: line.unit_price, amount: line.amount }
    }
}

impl<'a> From<&'a credit::Line> for PricedLine<'a> {
    fn from(line: &'a credit::Line) -> Self {
        Self { sku: &line.sku, quantity: line.quantity, unit_price: line.unit_price, amount: line.amount }
    }
}

/// Checks every line, in order, and sums them up.
pub(crate) fn total<'a, L>(lines: &'a [L]) -> Result<Money, Fault>
where
    PricedLine<'a>: From<&'a L>,
{
    let mut sum: Option<Money> = None;
    for line in lines.iter().map(PricedLine::from) {
        let currency = sum.map_or(line.unit_price.currency(), |sum| sum.currency);
        let amount = line.checked_amount(currency)?;
        let so_far = sum.unwrap_or(Money::zero(currency));
        sum = Some(so_far.checked_add(amount).map_err(|_| Fault::TotalTooLarge { sku: line.sku.clone() })?);
    }
    sum.ok_or(Fault::NoLines)
}

impl PricedLine<'_> {
    fn checked_amount(&self, currency: Currency) -> Result<Money, Fault> {
        let sku = || self.sku.clone();
        if self.quantity <= 0 {
            return Err(Fault::QuantityNotPositive { sku: sku(), quantity: self.quantity });
        }
        if self.unit_price.currency() != currency {
            return Err(Fault::CurrencyDiffers {
                sku: sku(),
                expected: currency,
                found: self.unit_price.currency(),
            });
        }
        let computed =
            self.unit_price.times(self.quantity).map_err(|_| Fault::TotalTooLarge { sku: sku() })?;
        if self.amount != computed {
            return Err(Fault::AmountDiffers { sku: sku(), given: self.amount, computed });
        }
        Ok(computed)
    }
}
