//! Money in minor units, with arithmetic that refuses rather than rounds, wraps or mixes currencies.

mod currency;
mod unit_price;

use serde::{Deserialize, Serialize};

pub use currency::{Currency, UnknownCurrency};
pub use unit_price::{InvalidUnitPrice, UnitPrice};

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

    /// Whether this is at least `owed`, in the same currency.
    pub fn covers(self, owed: Self) -> bool {
        self.currency == owed.currency && self.amount >= owed.amount
    }

    /// The sum of all amounts, each of which must be of `currency`.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::checked_add)
    }

    /// Shares the amount out in proportion to `weights`, to the last minor unit: what rounding leaves
    /// over goes to the largest remainders, the first of equals first. A negative amount is shared out
    /// as its opposite is, so that giving back undoes taking to the unit.
    pub fn allocate(self, weights: &[u64]) -> Result<Vec<Self>, MoneyError> {
        let total: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        if total == 0 {
            return Err(MoneyError::NoWeights);
        }
        let whole = i128::from(self.amount).abs();
        let mut shares = Vec::with_capacity(weights.len());
        let mut remainders = Vec::with_capacity(weights.len());
        for (index, weight) in weights.iter().enumerate() {
            let exact = whole * i128::from(*weight);
            shares.push(exact / total);
            remainders.push((exact % total, index));
        }
        let left_over = whole - shares.iter().sum::<i128>();
        remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        for ((_, index), _) in remainders.into_iter().zip(0..left_over) {
            shares[index] += 1;
        }
        let sign = i128::from(self.amount.signum());
        let in_minor_units = |share| i64::try_from(share * sign).map_err(|_| MoneyError::Overflow);
        shares.into_iter().map(|share| Ok(Self { amount: in_minor_units(share)?, ..self })).collect()
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency })
    }
}

impl std::fmt::Display for Money {
    /// `1234.50 GBP`, with as many decimal places as ISO 4217 gives the currency.
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
