//! What the lines of a checkout cost, by the catalog. Each product is read for this request, up to the
//! newest event of its stream: a price is the one of the catalog at a moment after the request came in,
//! and a change of price that was acknowledged before is never missed. One that comes between this
//! reading and the placing of the order does not change what the customer agreed to.

use std::collections::{BTreeMap, BTreeSet};

use domain::catalog::{Offer, Product};
use events::{Currency, Money, UnitPrice, ids::Sku, order::Line};
use futures::{StreamExt, TryStreamExt};
use platform::problem::{Fault, Problem};
use serde_json::Value;

use super::{Checkout, LINES_MAX, READS_AT_ONCE};
use crate::api::{
    Api,
    answer::unreadable,
    money::currency,
    problems::{LINES_NOT_SELLABLE, TOTAL_TOO_LARGE},
};

/// The lines of a checkout that name a SKU, with what the catalog says of them.
pub(super) struct Pricing {
    currency: Option<Currency>,
    lines: Vec<(usize, Sku)>,
    products: BTreeMap<Sku, Product>,
}

impl Pricing {
    /// Reads the products that `body` names. The body may have faults: what cannot be understood is left
    /// out, so that the other lines are looked at all the same.
    pub(super) async fn of(api: &Api, body: &Value) -> Result<Self, Problem> {
        let lines = body.get("lines").and_then(Value::as_array);
        let sku = |line: &Value| line.get("sku")?.as_str()?.parse().ok();
        let lines: Vec<(usize, Sku)> = lines
            .into_iter()
            .flatten()
            .take(LINES_MAX)
            .enumerate()
            .filter_map(|(index, line)| Some((index, sku(line)?)))
            .collect();
        let skus: BTreeSet<&Sku> = lines.iter().map(|(_, sku)| sku).collect();
        let reads: Vec<_> = skus.into_iter().map(|sku| read(api.clone(), sku.clone())).collect();
        let products = futures::stream::iter(reads).buffer_unordered(READS_AT_ONCE).try_collect().await?;
        let currency = body.get("currency").and_then(Value::as_str).and_then(|code| code.parse().ok());
        Ok(Self { currency, lines, products })
    }

    /// What keeps lines from being sold.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let fault = |(index, sku): &(usize, Sku)| {
            let unsellable = match self.currency {
                Some(currency) => self.price(sku, currency).err()?,
                None => self.offer(sku).err()?,
            };
            Some(unsellable.at(*index))
        };
        self.lines.iter().filter_map(fault).collect()
    }

    /// The lines at the prices of the catalog, and what they come to.
    pub(super) fn lines(&self, checkout: &Checkout) -> Result<(Vec<Line>, Money), Problem> {
        let faults = self.faults();
        if !faults.is_empty() {
            return Err(Problem::new(&LINES_NOT_SELLABLE).faults(faults));
        }
        let currency = currency(&checkout.currency)?;
        let mut lines = Vec::with_capacity(self.lines.len());
        for ((index, sku), asked) in self.lines.iter().zip(&checkout.lines) {
            let unit_price = self
                .price(sku, currency)
                .map_err(|unsellable| Problem::new(&LINES_NOT_SELLABLE).faults([unsellable.at(*index)]))?;
            let amount = unit_price.times(asked.quantity).map_err(|_| Problem::new(&TOTAL_TOO_LARGE))?;
            lines.push(Line { sku: sku.clone(), quantity: asked.quantity, unit_price, amount });
        }
        let total = Money::sum(currency, lines.iter().map(|line| line.amount));
        Ok((lines, total.map_err(|_| Problem::new(&TOTAL_TOO_LARGE))?))
    }

    fn price(&self, sku: &Sku, currency: Currency) -> Result<UnitPrice, Unsellable> {
        self.offer(sku)?.price_in(currency).ok_or(Unsellable::NotPriced(currency))
    }

    fn offer(&self, sku: &Sku) -> Result<&Offer, Unsellable> {
        match self.products.get(sku) {
            Some(Product::Listed(offer)) => Ok(offer),
            Some(Product::Withdrawn { .. }) => Err(Unsellable::Withdrawn),
            Some(Product::Unlisted) | None => Err(Unsellable::Unknown),
        }
    }
}

/// Why a line cannot be sold.
#[derive(Debug, Clone, Copy, thiserror::Error)]
enum Unsellable {
    #[error("there is no product with this SKU")]
    Unknown,
    #[error("the product is withdrawn")]
    Withdrawn,
    #[error("the product has no price in {0}")]
    NotPriced(Currency),
}

impl Unsellable {
    fn at(self, index: usize) -> Fault {
        Fault { pointer: format!("/lines/{index}/sku"), detail: self.to_string() }
    }
}

async fn read(api: Api, sku: Sku) -> Result<(Sku, Product), Problem> {
    let (product, _) = api.commands.catalog.load(sku.as_str()).await.map_err(unreadable)?;
    Ok((sku, product))
}
