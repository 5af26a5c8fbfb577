//! From rows to documents: what each invoice was, and how each of its rows is treated. Every row gets
//! exactly one treatment, so that the account at the end of an import adds up.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use events::{Currency, Money, UnitPrice, credit, ids::Sku, order};

use super::{Error, Product, Row};

/// One invoice.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its number.
    pub number: String,
    /// Its date: business time.
    pub date: DateTime<Utc>,
    /// The shop's number of the customer.
    pub customer: Option<String>,
    /// Where it went.
    pub country: String,
    /// What it was.
    pub kind: DocumentKind,
    /// Stock that changed with it but was not sold.
    pub stock_changes: Vec<StockChange>,
    /// How its rows were treated.
    pub rows: HashMap<Treatment, u64>,
    /// The line that it begins on.
    pub line: u64,
}

/// What an invoice was.
#[derive(Debug, Clone)]
pub enum DocumentKind {
    /// A sale with at least one line that cost something.
    Sale(Vec<order::Line>),
    /// A credit.
    Credit(Vec<credit::Line>),
    /// An adjustment in the books, with its amount and reason.
    LedgerAdjustment(Money, String),
    /// Nothing but changes of stock.
    StockOnly,
}

/// Units that came or went without a sale.
#[derive(Debug, Clone)]
pub struct StockChange {
    /// The line of the file.
    pub line: u64,
    /// What.
    pub sku: Sku,
    /// How many, with sign.
    pub delta: i64,
    /// What the file says of it.
    pub reason: String,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Treatment {
    /// A line of an order.
    Ordered,
    /// A line of a credit note.
    Credited,
    /// A change of stock without a sale.
    StockAdjusted,
    /// An adjustment in the books.
    LedgerAdjusted,
    /// Neither a sale nor a credit: a quantity of zero, or a sign that fits no kind.
    Unusable,
}

impl Treatment {
    /// Whether the row belongs to the document itself, rather than to the stock that changed beside it.
    pub fn is_main(self) -> bool {
        match self {
            Self::Ordered | Self::Credited | Self::LedgerAdjusted => true,
            Self::StockAdjusted | Self::Unusable => false,
        }
    }
}

/// Groups rows by invoice number, in the order in which the invoices begin.
pub(super) fn documents(rows: Vec<Row>) -> Result<Vec<Document>, Error> {
    let mut order: Vec<Vec<Row>> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for row in rows {
        let place = *places.entry(row.invoice.clone()).or_insert(order.len());
        if place == order.len() {
            order.push(Vec::new());
        }
        order[place].push(row);
    }
    order.iter().map(|rows| document(rows)).collect()
}

fn document(rows: &[Row]) -> Result<Document, Error> {
    let first = rows[0].clone();
    let mut counts = HashMap::new();
    let mut count = |treatment| *counts.entry(treatment).or_insert(0) += 1;
    let mut stock_changes = Vec::new();

    let kind = if first.invoice.bytes().all(|byte| byte.is_ascii_digit()) {
        let sells = rows.iter().any(is_sale);
        let mut lines = Vec::new();
        for row in rows {
            if is_sale(row) || (sells && row.quantity > 0 && row.price_thousandths == 0) {
                count(Treatment::Ordered);
                lines.push(order_line(row)?);
            } else if let Some(change) = stock_change(row) {
                count(Treatment::StockAdjusted);
                stock_changes.push(change);
            } else {
                count(Treatment::Unusable);
            }
        }
        if lines.is_empty() { DocumentKind::StockOnly } else { DocumentKind::Sale(lines) }
    } else if first.invoice.starts_with('C') {
        let mut lines = Vec::new();
        for row in rows {
            if row.quantity < 0 && row.price_thousandths >= 0 {
                count(Treatment::Credited);
                lines.push(credit_line(row)?);
            } else {
                count(Treatment::Unusable);
            }
        }
        if lines.is_empty() { DocumentKind::StockOnly } else { DocumentKind::Credit(lines) }
    } else {
        let mut total = Money::zero(Currency::GBP);
        for row in rows {
            count(Treatment::LedgerAdjusted);
            let amount = rounded(row.price_thousandths, row.quantity).ok_or_else(|| too_large(row))?;
            total = total.checked_add(amount).map_err(|_| too_large(row))?;
        }
        DocumentKind::LedgerAdjustment(total, first.description.clone())
    };
    Ok(Document {
        number: first.invoice,
        date: first.date,
        customer: first.customer,
        country: first.country,
        kind,
        stock_changes,
        rows: counts,
        line: first.line,
    })
}

fn is_sale(row: &Row) -> bool {
    row.quantity > 0 && row.price_thousandths > 0
}

/// A row on a sale number that sells nothing. A negative quantity is a write-off. A positive one without
/// a price came back or was found when it names no customer, and was given away when it names one.
fn stock_change(row: &Row) -> Option<StockChange> {
    if row.quantity == 0 || row.price_thousandths != 0 {
        return None;
    }
    let (delta, reason) = match (&row.customer, row.quantity) {
        (Some(_), given) if given > 0 => (-given, "given away"),
        (_, quantity) if quantity < 0 => (quantity, "written off"),
        (_, quantity) => (quantity, "found"),
    };
    let reason = match row.description.as_str() {
        "" => reason.to_owned(),
        description => format!("{reason}: {description}"),
    };
    Some(StockChange { line: row.line, sku: row.sku.clone(), delta, reason })
}

fn order_line(row: &Row) -> Result<order::Line, Error> {
    let (unit_price, amount) = priced(row, row.quantity)?;
    Ok(order::Line { sku: row.sku.clone(), quantity: row.quantity, unit_price, amount })
}

fn credit_line(row: &Row) -> Result<credit::Line, Error> {
    let quantity = row.quantity.checked_neg().ok_or_else(|| too_large(row))?;
    let (unit_price, amount) = priced(row, quantity)?;
    Ok(credit::Line { sku: row.sku.clone(), quantity, unit_price, amount })
}

fn priced(row: &Row, quantity: i64) -> Result<(UnitPrice, Money), Error> {
    let unit_price =
        UnitPrice::from_thousandths(row.price_thousandths, Currency::GBP).map_err(|_| too_large(row))?;
    Ok((unit_price, unit_price.times(quantity).map_err(|_| too_large(row))?))
}

/// Quantity times a price that may be negative, rounded half up to the penny.
fn rounded(price_thousandths: i64, quantity: i64) -> Option<Money> {
    let price = UnitPrice::from_thousandths(price_thousandths.checked_abs()?, Currency::GBP).ok()?;
    price.times(quantity).ok()?.checked_mul(price_thousandths.signum()).ok()
}

fn too_large(row: &Row) -> Error {
    Error::Row {
        line: row.line,
        reason: "quantity times price does not fit into 64 bits of pennies".to_owned(),
    }
}

/// The first description of each SKU that is not empty.
pub(super) fn titles(rows: &[Row]) -> HashMap<Sku, String> {
    let mut titles = HashMap::new();
    for row in rows.iter().filter(|row| !row.description.is_empty()) {
        titles.entry(row.sku.clone()).or_insert_with(|| row.description.clone());
    }
    titles
}

/// What the catalog and the stock need to know of each SKU before its first sale.
pub(super) fn products(
    documents: &[Document],
    titles: &HashMap<Sku, String>,
) -> Result<HashMap<Sku, Product>, Error> {
    let mut products: HashMap<Sku, Product> = HashMap::new();
    for document in documents {
        let sold = match &document.kind {
            DocumentKind::Sale(lines) => lines.as_slice(),
            DocumentKind::Credit(_) | DocumentKind::LedgerAdjustment(..) | DocumentKind::StockOnly => &[],
        };
        let out = sold.iter().map(|line| (&line.sku, line.quantity, line.unit_price.thousandths()));
        let changed = document
            .stock_changes
            .iter()
            .map(|change| (&change.sku, change.delta.min(0).saturating_neg(), 0));
        for (sku, units, price) in out.chain(changed) {
            let product = products.entry(sku.clone()).or_insert_with(|| Product {
                title: titles.get(sku).cloned().unwrap_or_else(|| sku.to_string()),
                price_thousandths: 0,
                units_out: 0,
            });
            if product.price_thousandths == 0 {
                product.price_thousandths = price;
            }
            product.units_out = product.units_out.checked_add(units).ok_or_else(|| Error::Row {
                line: document.line,
                reason: format!("more units of {sku} leave the house than 64 bits can count"),
            })?;
        }
    }
    Ok(products)
}
