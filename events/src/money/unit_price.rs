//! What one unit of something costs: finer than money, because shops price in fractions of a penny, and
//! rounded in one place only, when it becomes money.

use serde::{Deserialize, Serialize};

use super::{Currency, Money, MoneyError};

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
            thousandths: u16::try_from(price.thousandths % 1000).unwrap_or_default(),
            currency: price.currency,
        }
    }
}
