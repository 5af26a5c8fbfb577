//! History in the form of the UCI "Online Retail" set: one row a line, invoices of four kinds. Reading
//! is separate from doing: a file is read and classified whole before anything is written, so that a
//! damaged one leaves nothing behind.

mod classify;
mod rows;

pub use classify::{Document, DocumentKind, StockChange, Treatment};
pub use rows::Row;

use std::{collections::HashMap, io, path::Path};

use events::ids::Sku;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A file of history, read and classified.
#[derive(Debug)]
pub struct History {
    /// What the ids of everything imported from this kind of file derive from.
    pub namespace: Uuid,
    /// Its invoices in the order in which they begin.
    pub documents: Vec<Document>,
    /// Every SKU, with what the catalog and the stock need to know before its first sale.
    pub products: HashMap<Sku, Product>,
    /// SHA-256 of the rows, in hex.
    pub digest: String,
    /// How many rows were read.
    pub rows: u64,
}

/// What the file as a whole says about a SKU.
#[derive(Debug, Clone)]
pub struct Product {
    /// Its first description that is not empty; the SKU where there is none.
    pub title: String,
    /// Its first price above zero, in thousandths of a penny; zero where it was never sold.
    pub price_thousandths: i64,
    /// Units that leave the house in the whole file, the opening stock that makes this possible.
    pub units_out: i64,
}

/// Why a file cannot be imported. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The first line is not that of this format.
    #[error("the header is {found:?}, but should be {expected:?}")]
    Header {
        /// The first line.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// The last line has no end: the file was cut off.
    #[error(
        "the file ends in the middle of line {line}: it seems to be cut off (a whole file ends with a line break)"
    )]
    Truncated {
        /// The last line.
        line: u64,
    },
    /// A row is not what it should be.
    #[error("line {line}: {reason}")]
    Row {
        /// Counted from 1, the header included.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nothing but a header.
    #[error("the file has no rows")]
    Empty,
}

/// The namespace of every id that is derived from a row of this format: importing the same invoice from
/// two files is importing it once.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1c_2a1e_5d0b_5c0e_9a51_0b8e_94c7_31d2);

/// Reads and classifies a file, gzipped or not.
pub fn read(path: &Path) -> Result<History, Error> {
    let bytes = rows::read_bytes(path)?;
    let rows = rows::parse(&bytes)?;
    if rows.is_empty() {
        return Err(Error::Empty);
    }
    let count = rows.len() as u64;
    let titles = classify::titles(&rows);
    let documents = classify::documents(rows)?;
    let products = classify::products(&documents, &titles)?;
    let digest = hex::encode(Sha256::digest(&bytes));
    Ok(History { namespace: NAMESPACE, documents, products, digest, rows: count })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::*;

    const SMALL: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,A,Mug,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
536365,B,Gift,1,2010-12-01 08:26:00,0.0,17850.0,United Kingdom
536365,A,Mug,1,2010-12-01 08:26:00,0.001,17850.0,United Kingdom
C536379,D,Discount,-1,2010-12-01 09:41:00,27.5,14527.0,United Kingdom
536589,C,,-10,2010-12-01 16:50:00,0.0,,United Kingdom
536590,C,found,3,2010-12-01 16:51:00,0.0,,United Kingdom
536591,C,,2,2010-12-01 16:52:00,0.0,17850.0,United Kingdom
536592,C,,0,2010-12-01 16:53:00,1.0,,United Kingdom
A563186,B,Adjust bad debt,1,2011-08-12 14:51:00,-11062.06,,United Kingdom
";

    fn classified(text: &str) -> (Vec<Document>, HashMap<Sku, Product>) {
        let rows = rows::parse(text.as_bytes()).unwrap();
        let titles = classify::titles(&rows);
        let documents = classify::documents(rows).unwrap();
        let products = classify::products(&documents, &titles).unwrap();
        (documents, products)
    }

    #[test]
    fn every_row_gets_the_treatment_of_its_kind() {
        let (documents, _) = classified(SMALL);
        let mut counts: BTreeMap<Treatment, u64> = BTreeMap::new();
        for document in &documents {
            for (treatment, rows) in &document.rows {
                *counts.entry(*treatment).or_default() += rows;
            }
        }
        let expected = [
            (Treatment::Ordered, 3),
            (Treatment::Credited, 1),
            (Treatment::StockAdjusted, 3),
            (Treatment::LedgerAdjusted, 1),
            (Treatment::Unusable, 1),
        ];
        assert_eq!(counts, BTreeMap::from(expected));
        let deltas: Vec<i64> = documents
            .iter()
            .flat_map(|document| &document.stock_changes)
            .map(|change| change.delta)
            .collect();
        assert_eq!(deltas, [-10, 3, -2]);
    }

    #[test]
    fn a_tenth_of_a_penny_is_rounded_line_by_line() {
        let (documents, _) = classified(SMALL);
        let DocumentKind::Sale(lines) = &documents[0].kind else { panic!("{:?}", documents[0].kind) };
        assert_eq!(lines.iter().map(|line| line.amount.amount).collect::<Vec<_>>(), [1530, 0, 0]);
    }

    #[test]
    fn a_sku_opens_with_what_the_whole_file_sees_leaving() {
        let (_, products) = classified(SMALL);
        let units = |sku: &str| products[&sku.parse().unwrap()].units_out;
        assert_eq!((units("A"), units("B"), units("C")), (7, 1, 12));
        assert_eq!(products[&"A".parse().unwrap()].price_thousandths, 255_000);
    }

    #[test]
    #[ignore = "needs COUNTERFOIL_RETAIL_DATA, the folder with the real history"]
    fn the_real_history_comes_to_the_expected_figures() {
        let folder = std::env::var("COUNTERFOIL_RETAIL_DATA").unwrap();
        let folder = Path::new(&folder);
        let history = read(&folder.join("2010-12_2011-08.csv.gz")).unwrap();
        let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut months: BTreeMap<String, [i64; 3]> = BTreeMap::new();
        for document in &history.documents {
            let month = months.entry(document.date.format("%Y-%m").to_string()).or_default();
            match &document.kind {
                DocumentKind::Sale(lines) => {
                    month[0] += lines.iter().map(|line| line.amount.amount).sum::<i64>();
                }
                DocumentKind::Credit(lines) => {
                    month[1] -= lines.iter().map(|line| line.amount.amount).sum::<i64>();
                }
                DocumentKind::LedgerAdjustment(amount, _) => month[2] += amount.amount,
                DocumentKind::StockOnly => {}
            }
        }
        for (month, figures) in expected["months"].as_object().unwrap() {
            let figure = |name: &str| figures[name].as_i64().unwrap();
            let books = [figure("sales_pence"), figure("credits_pence"), figure("other_pence")];
            assert_eq!(months[month], books, "{month}");
        }
        assert_eq!(history.rows, expected["total"]["rows"].as_u64().unwrap());
        let kinds: u64 = history.documents.iter().flat_map(|document| document.rows.values()).sum();
        assert_eq!(kinds, history.rows);
    }
}
