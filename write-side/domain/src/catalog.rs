//! The rules of the catalog, over one SKU.

use events::{UnitPrice, ids::Sku};

/// What somebody wants done to a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Offer it, at one price per currency. An exact repeat is nothing; listed otherwise is refused;
    /// a withdrawn product may be listed again.
    List {
        /// The product.
        sku: Sku,
        /// What customers read.
        title: String,
        /// At least one, at most one per currency.
        prices: Vec<UnitPrice>,
    },
    /// Change or add the price in one currency.
    Reprice {
        /// The product.
        sku: Sku,
        /// The new price.
        price: UnitPrice,
    },
    /// Offer it no longer.
    Withdraw {
        /// The product.
        sku: Sku,
        /// Why.
        reason: String,
    },
}
