//! Typed ids. A payment's id cannot be handed to a function that wants an order's.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_ids {
    ($( $(#[$meta:meta])* $Id:ident ),+ $(,)?) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $Id(pub Uuid);

        impl $Id {
            /// An id that follows from a namespace and a name, the same every time (UUID v5).
            pub fn derived(namespace: Uuid, name: &str) -> Self {
                Self(Uuid::new_v5(&namespace, name.as_bytes()))
            }
        }

        impl fmt::Display for $Id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $Id {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+ };
}

uuid_ids! {
    /// An order, and with it its checkout.
    OrderId,
    /// The payment of one order intent.
    PaymentId,
    /// A hold on units of one SKU for one order. All lines of an order share it.
    ReservationId,
    /// One capture of a payment.
    CaptureId,
    /// One refund of a payment.
    RefundId,
    /// A customer; also the person whose key seals their personal data.
    CustomerId,
    /// A credit note.
    CreditNoteId,
    /// An adjustment made directly in the ledger.
    LedgerAdjustmentId,
}

impl From<OrderId> for PaymentId {
    /// An order intent has exactly one payment, and they share their id.
    fn from(order: OrderId) -> Self {
        Self(order.0)
    }
}

impl From<PaymentId> for OrderId {
    fn from(payment: PaymentId) -> Self {
        Self(payment.0)
    }
}

impl From<OrderId> for ReservationId {
    /// What an order holds of a SKU is held under the order's id.
    fn from(order: OrderId) -> Self {
        Self(order.0)
    }
}

/// A stock keeping unit: what the shop calls a thing it sells.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sku(String);

/// The text cannot be a SKU.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not a SKU: 1 to {max} printable ASCII characters, neither beginning nor ending with a space", max = Sku::CHARS_MAX)]
pub struct InvalidSku {
    /// What was given.
    pub text: String,
}

impl Sku {
    /// The longest SKU, in characters.
    pub const CHARS_MAX: usize = 64;

    /// The SKU as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Sku {
    type Err = InvalidSku;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if text.is_empty() || text.len() > Self::CHARS_MAX || !printable || text.trim() != text {
            return Err(InvalidSku { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Sku {
    type Error = InvalidSku;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Sku> for String {
    fn from(sku: Sku) -> Self {
        sku.0
    }
}
