//! The names of streams: `category-id`, one stream for each order, payment, SKU and so on.

use std::{fmt, str::FromStr, sync::Arc};

/// The contexts that write events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Products and their prices, a stream per SKU.
    Catalog,
    /// Stock, a stream per SKU.
    Inventory,
    /// Orders, a stream per order.
    Order,
    /// Payments, a stream per order intent.
    Payment,
    /// What the checkout coordinator knew and decided, a stream per order.
    Checkout,
    /// Credit notes, a stream per note.
    Credit,
    /// Adjustments made directly in the ledger, a stream per adjustment.
    Ledger,
    /// What payment providers told us, a stream per delivery.
    Webhook,
}

impl Category {
    /// All of them, in the order of a checkout.
    pub const ALL: [Self; 8] = [
        Self::Catalog,
        Self::Inventory,
        Self::Order,
        Self::Payment,
        Self::Checkout,
        Self::Credit,
        Self::Ledger,
        Self::Webhook,
    ];

    /// The first part of a stream's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Inventory => "inventory",
            Self::Order => "order",
            Self::Payment => "payment",
            Self::Checkout => "checkout",
            Self::Credit => "credit",
            Self::Ledger => "ledger",
            Self::Webhook => "webhook",
        }
    }

    /// The stream of this category for one id.
    pub fn stream(self, id: impl fmt::Display) -> StreamName {
        let text = format!("{}-{id}", self.as_str()).into();
        StreamName { text, category_len: self.as_str().len() }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `category-id`. The category ends at the first hyphen; the id may contain more of them. Cheap to clone: every
/// event that is read has one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName {
    text: Arc<str>,
    category_len: usize,
}

impl StreamName {
    /// The longest name that a store accepts, in bytes.
    pub const BYTES_MAX: usize = 200;

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the first hyphen.
    pub fn category(&self) -> &str {
        &self.text[..self.category_len]
    }

    /// The part after the first hyphen.
    pub fn id(&self) -> &str {
        &self.text[self.category_len + 1..]
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The text is not `category-id`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not a stream name: it must be category-id, at most {max} bytes", max = StreamName::BYTES_MAX)]
pub struct InvalidStreamName {
    /// What was given.
    pub text: String,
}

impl FromStr for StreamName {
    type Err = InvalidStreamName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidStreamName { text: text.to_owned() };
        let (category, id) = text.split_once('-').ok_or_else(invalid)?;
        if category.is_empty() || id.is_empty() || text.len() > Self::BYTES_MAX {
            return Err(invalid());
        }
        Ok(Self { text: text.into(), category_len: category.len() })
    }
}
