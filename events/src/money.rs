//! Money in minor units, with arithmetic that refuses rather than rounds, wraps or mixes currencies.

mod currency;

use serde::{Deserialize, Serialize};

pub use currency::{Currency, UnknownCurrency};

/// An amount in minor units (pence, cents, yen) of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; negative for what is owed the other way.
    pub amount: i64,
    /// ISO 4217.
    pub currency: Currency,
}

/// Why an amount cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The result does not fit into 64 bits.
    #[error("the amount is too large")]
    Overflow,
    /// Two amounts of different currencies.
    #[error("{left} and {right} cannot be mixed")]
    CurrencyMismatch {
        /// The currency on the left.
        left: Currency,
        /// The currency on the right.
        right: Currency,
    },
    /// Nothing to share an amount out over.
    #[error("an amount cannot be shared out over weights that sum to nothing")]
    NoWeights,
}

impl Money {
    /// `amount` minor units of `currency`.
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Nothing, in `currency`.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The sum of two amounts of the same currency.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let amount = self.amount.checked_add(other.amount).ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    /// The difference of two amounts of the same currency; may be negative.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let amount = self.amount.checked_sub(other.amount).ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    /// The amount, `times` over.
    pub fn checked_mul(self, times: i64) -> Result<Self, MoneyError> {
        let amount = self.amount.checked_mul(times).ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    /// The sum of all amounts, each of which must be of `currency`.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::checked_add)
    }

    /// Shares the amount out in proportion to `weights`, to the last minor unit: what rounding leaves
    /// over goes to the largest remainders, the first of equals first.
    pub fn allocate(self, weights: &[u64]) -> Result<Vec<Self>, MoneyError> {
        let total: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        if total == 0 {
            return Err(MoneyError::NoWeights);
        }
        let mut shares = Vec::with_capacity(weights.len());
        let mut remainders = Vec::with_capacity(weights.len());
        let mut left = i128::from(self.amount);
        for (index, weight) in weights.iter().enumerate() {
            let exact =
                i128::from(self.amount).checked_mul(i128::from(*weight)).ok_or(MoneyError::Overflow)?;
            shares.push(exact.div_euclid(total));
            left -= exact.div_euclid(total);
            remainders.push((exact.rem_euclid(total), index));
        }
        remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, index) in
            remainders.into_iter().take(usize::try_from(left).map_err(|_| MoneyError::Overflow)?)
        {
            shares[index] += 1;
        }
        shares
            .into_iter()
            .map(|share| {
                i64::try_from(share).map(|amount| Self { amount, ..self }).map_err(|_| MoneyError::Overflow)
            })
            .collect()
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency })
    }
}

impl std::fmt::Display for Money {
    /// `1,234.50 GBP` without the separators: the exponent is that of ISO 4217.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let exponent = usize::from(self.currency.exponent());
        let sign = if self.amount < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.amount.unsigned_abs(), width = exponent + 1);
        let (major, minor) = digits.split_at(digits.len() - exponent);
        if exponent == 0 {
            return write!(f, "{sign}{major} {}", self.currency);
        }
        write!(f, "{sign}{major}.{minor} {}", self.currency)
    }
}

/// What one unit costs. Shops price in fractions of a penny, so it is finer than [`Money`]: it is
/// counted in thousandths of a minor unit, and becomes money only when multiplied by a quantity.
///
/// On the wire it looks like money, with `thousandths` only where there are any:
/// `{"amount": 255, "currency": "GBP"}`, `{"amount": 0, "thousandths": 100, "currency": "GBP"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "UnitPriceWire", into = "UnitPriceWire")]
pub struct UnitPrice {
    thousandths: i64,
    currency: Currency,
}

#[derive(Serialize, Deserialize)]
struct UnitPriceWire {
    amount: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    thousandths: u16,
    currency: Currency,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(thousandths: &u16) -> bool {
    *thousandths == 0
}

/// The parts do not make a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUnitPrice {
    /// Below zero.
    #[error("a price is not negative")]
    Negative,
    /// More than 64 bits of thousandths.
    #[error("the price is too large")]
    TooLarge,
    /// A thousand thousandths are a minor unit.
    #[error("thousandths are at most 999")]
    Thousandths,
}

impl UnitPrice {
    /// A price of `thousandths` of a minor unit.
    pub fn from_thousandths(thousandths: i64, currency: Currency) -> Result<Self, InvalidUnitPrice> {
        if thousandths < 0 {
            return Err(InvalidUnitPrice::Negative);
        }
        Ok(Self { thousandths, currency })
    }

    /// A price of whole minor units.
    pub fn from_minor(amount: i64, currency: Currency) -> Result<Self, InvalidUnitPrice> {
        let thousandths = amount.checked_mul(1000).ok_or(InvalidUnitPrice::TooLarge)?;
        Self::from_thousandths(thousandths, currency)
    }

    /// Thousandths of a minor unit.
    pub const fn thousandths(self) -> i64 {
        self.thousandths
    }

    /// ISO 4217.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// What `quantity` units cost, rounded half up (away from zero) to the minor unit.
    pub fn times(self, quantity: i64) -> Result<Money, MoneyError> {
        let exact = i128::from(self.thousandths) * i128::from(quantity);
        let rounded = (exact.abs() + 500) / 1000 * exact.signum();
        let amount = i64::try_from(rounded).map_err(|_| MoneyError::Overflow)?;
        Ok(Money::new(amount, self.currency))
    }
}

impl TryFrom<UnitPriceWire> for UnitPrice {
    type Error = InvalidUnitPrice;

    fn try_from(wire: UnitPriceWire) -> Result<Self, Self::Error> {
        if wire.thousandths > 999 {
            return Err(InvalidUnitPrice::Thousandths);
        }
        let whole = wire.amount.checked_mul(1000).ok_or(InvalidUnitPrice::TooLarge)?;
        let thousandths = whole.checked_add(i64::from(wire.thousandths)).ok_or(InvalidUnitPrice::TooLarge)?;
        if wire.amount < 0 {
            return Err(InvalidUnitPrice::Negative);
        }
        Self::from_thousandths(thousandths, wire.currency)
    }
}

impl From<UnitPrice> for UnitPriceWire {
    fn from(price: UnitPrice) -> Self {
        Self {
            amount: price.thousandths / 1000,
            thousandths: u16::try_from(price.thousandths % 1000).unwrap_or(0),
            currency: price.currency,
        }
    }
}
