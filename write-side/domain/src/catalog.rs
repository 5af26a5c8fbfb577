//! The rules of the catalog, over one SKU: at most one price per currency, and a product that was
//! withdrawn has none until it is listed again.

use std::collections::{BTreeMap, BTreeSet};

use events::{
    Currency, DomainEvent, UnitPrice,
    catalog::{CatalogEvent, Listed, Repriced, Withdrawn},
    ids::Sku,
};

use crate::{Corrupt, Decider};

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
    /// Change or add the price in one currency. The price that it has already is nothing.
    Reprice {
        /// The product.
        sku: Sku,
        /// The new price.
        price: UnitPrice,
    },
    /// Offer it no longer. An exact repeat is nothing; with another reason it is refused.
    Withdraw {
        /// The product.
        sku: Sku,
        /// Why.
        reason: String,
    },
}

/// The rule that was in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A product has a title.
    #[error("the title of {sku} is blank")]
    TitleBlank {
        /// The product.
        sku: Sku,
    },
    /// A product has a price.
    #[error("{sku} has no price")]
    NoPrices {
        /// The product.
        sku: Sku,
    },
    /// A product has one price per currency.
    #[error("{sku} has more than one price in {currency}")]
    CurrencyRepeated {
        /// The product.
        sku: Sku,
        /// The currency that is there twice.
        currency: Currency,
    },
    /// It is offered already, with another title or other prices.
    #[error("{sku} is listed otherwise already")]
    ListedOtherwise {
        /// The product.
        sku: Sku,
    },
    /// It was never offered.
    #[error("{sku} is not listed")]
    NotListed {
        /// The product.
        sku: Sku,
    },
    /// It is offered no longer.
    #[error("{sku} was withdrawn: {reason}")]
    Withdrawn {
        /// The product.
        sku: Sku,
        /// Why it was withdrawn.
        reason: String,
    },
}

/// What the next decision about a product needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Product {
    /// Never offered.
    #[default]
    Unlisted,
    /// Offered.
    Listed(Offer),
    /// Offered no longer.
    Withdrawn {
        /// Why.
        reason: String,
    },
}

/// What customers are offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    title: String,
    prices: BTreeMap<Currency, UnitPrice>,
}

impl Offer {
    fn new(title: &str, prices: &[UnitPrice]) -> Self {
        let prices = prices.iter().map(|price| (price.currency(), *price)).collect();
        Self { title: title.to_owned(), prices }
    }

    /// What customers read.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The price in one currency.
    pub fn price_in(&self, currency: Currency) -> Option<UnitPrice> {
        self.prices.get(&currency).copied()
    }
}

impl Product {
    /// What is offered now; nothing before it is listed and after it is withdrawn.
    pub fn offer(&self) -> Option<&Offer> {
        match self {
            Self::Listed(offer) => Some(offer),
            Self::Unlisted | Self::Withdrawn { .. } => None,
        }
    }

    fn list(&self, sku: &Sku, title: &str, prices: &[UnitPrice]) -> Result<Vec<CatalogEvent>, Refusal> {
        if title.trim().is_empty() {
            return Err(Refusal::TitleBlank { sku: sku.clone() });
        }
        if prices.is_empty() {
            return Err(Refusal::NoPrices { sku: sku.clone() });
        }
        let mut currencies = BTreeSet::new();
        for price in prices {
            if !currencies.insert(price.currency()) {
                return Err(Refusal::CurrencyRepeated { sku: sku.clone(), currency: price.currency() });
            }
        }
        match self {
            Self::Listed(offer) if *offer == Offer::new(title, prices) => Ok(vec![]),
            Self::Listed(_) => Err(Refusal::ListedOtherwise { sku: sku.clone() }),
            Self::Unlisted | Self::Withdrawn { .. } => Ok(vec![CatalogEvent::Listed(Listed {
                sku: sku.clone(),
                title: title.to_owned(),
                prices: prices.to_vec(),
            })]),
        }
    }

    fn reprice(&self, sku: &Sku, price: UnitPrice) -> Result<Vec<CatalogEvent>, Refusal> {
        match self {
            Self::Unlisted => Err(Refusal::NotListed { sku: sku.clone() }),
            Self::Withdrawn { reason } => {
                Err(Refusal::Withdrawn { sku: sku.clone(), reason: reason.clone() })
            }
            Self::Listed(offer) if offer.price_in(price.currency()) == Some(price) => Ok(vec![]),
            Self::Listed(_) => Ok(vec![CatalogEvent::Repriced(Repriced { sku: sku.clone(), price })]),
        }
    }

    fn withdraw(&self, sku: &Sku, reason: &str) -> Result<Vec<CatalogEvent>, Refusal> {
        match self {
            Self::Unlisted => Err(Refusal::NotListed { sku: sku.clone() }),
            Self::Withdrawn { reason: known } if known == reason => Ok(vec![]),
            Self::Withdrawn { reason } => {
                Err(Refusal::Withdrawn { sku: sku.clone(), reason: reason.clone() })
            }
            Self::Listed(_) => {
                Ok(vec![CatalogEvent::Withdrawn(Withdrawn { sku: sku.clone(), reason: reason.to_owned() })])
            }
        }
    }

    fn cannot_take(&self, event: &CatalogEvent) -> Corrupt {
        let state = match self {
            Self::Unlisted => "a product that was never listed",
            Self::Listed(_) => "a listed product",
            Self::Withdrawn { .. } => "a withdrawn product",
        };
        Corrupt { event: event.wire_name(), state }
    }
}

impl Decider for Product {
    type Command = Command;
    type Event = CatalogEvent;
    type Refusal = Refusal;

    fn decide(&self, command: &Command) -> Result<Vec<CatalogEvent>, Refusal> {
        match command {
            Command::List { sku, title, prices } => self.list(sku, title, prices),
            Command::Reprice { sku, price } => self.reprice(sku, *price),
            Command::Withdraw { sku, reason } => self.withdraw(sku, reason),
        }
    }

    fn evolve(self, event: &CatalogEvent) -> Result<Self, Corrupt> {
        match (self, event) {
            (Self::Unlisted | Self::Withdrawn { .. }, CatalogEvent::Listed(listed)) => {
                Ok(Self::Listed(Offer::new(&listed.title, &listed.prices)))
            }
            (Self::Listed(mut offer), CatalogEvent::Repriced(repriced)) => {
                offer.prices.insert(repriced.price.currency(), repriced.price);
                Ok(Self::Listed(offer))
            }
            (Self::Listed(_), CatalogEvent::Withdrawn(withdrawn)) => {
                Ok(Self::Withdrawn { reason: withdrawn.reason.clone() })
            }
            (
                state @ (Self::Unlisted | Self::Withdrawn { .. }),
                CatalogEvent::Repriced(_) | CatalogEvent::Withdrawn(_),
            )
            | (state @ Self::Listed(_), CatalogEvent::Listed(_)) => Err(state.cannot_take(event)),
        }
    }
}
