//! What the shop offers: products and their prices, a stream per SKU.

use serde::{Deserialize, Serialize};

use crate::{codec::wire_events, ids::Sku, money::UnitPrice};

wire_events! {
    /// What happened to a product.
    CatalogEvent in Catalog {
        /// The product is offered.
        Listed(Listed) = "ProductListed" v 1,
        /// Its price in one currency is another from now on.
        Repriced(Repriced) = "ProductRepriced" v 1,
        /// It is offered no longer.
        Withdrawn(Withdrawn) = "ProductWithdrawn" v 1,
    }
}

/// The product is offered, with at most one price per currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// What the shop calls it.
    pub sku: Sku,
    /// What customers read.
    pub title: String,
    /// One price per currency.
    pub prices: Vec<UnitPrice>,
}

/// The price in the currency that it names is another from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repriced {
    /// The product.
    pub sku: Sku,
    /// The new price; other currencies keep theirs.
    pub price: UnitPrice,
}

/// The product is offered no longer. Orders that were placed stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// The product.
    pub sku: Sku,
    /// Why, for the people of the shop.
    pub reason: String,
}
