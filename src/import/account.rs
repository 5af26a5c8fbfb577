//! The account at the end of an import: every row of the file, by what became of it.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::retail::{Document, Treatment};
use crate::table::{number, table};

/// What became of the rows that were imported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Rows that are lines of completed orders.
    pub rows_ordered: u64,
    /// Rows that are lines of credit notes.
    pub rows_credited: u64,
    /// Rows that changed stock without a sale.
    pub rows_stock_adjusted: u64,
    /// Rows that adjusted the books.
    pub rows_ledger_adjusted: u64,
    /// Rows that were refused, by reason.
    pub rows_refused: BTreeMap<String, u64>,
    /// Orders that were completed.
    pub orders: u64,
    /// Credit notes that were issued.
    pub credit_notes: u64,
    /// Invoices that an earlier run had imported already; they are counted above like the others.
    pub repeated: u64,
    /// The first refusals, one by one.
    pub refusals: Vec<Refused>,
}

/// An invoice that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its number.
    pub invoice: String,
    /// The line of the file that it begins on.
    pub line: u64,
    /// The rule that it broke.
    pub reason: String,
}

impl Account {
    /// How many refusals are kept one by one; past that they are only counted.
    const REFUSALS_MAX: usize = 100;

    /// All rows that are accounted for.
    pub fn rows(&self) -> u64 {
        self.rows_ordered
            + self.rows_credited
            + self.rows_stock_adjusted
            + self.rows_ledger_adjusted
            + self.rows_refused.values().sum::<u64>()
    }

    /// Counts the rows of a document that was taken in.
    pub(super) fn taken(&mut self, document: &Document) {
        for (treatment, count) in &document.rows {
            match treatment {
                Treatment::Ordered => self.rows_ordered += count,
                Treatment::Credited => self.rows_credited += count,
                Treatment::StockAdjusted => self.rows_stock_adjusted += count,
                Treatment::LedgerAdjusted => self.rows_ledger_adjusted += count,
                Treatment::Unusable => self.count_refused("neither a sale nor a credit", *count),
            }
        }
    }

    /// Counts `rows` rows of a document as refused for `reason`.
    pub(super) fn refused(&mut self, document: &Document, rows: u64, reason: &str) {
        self.count_refused(reason, rows);
        if self.refusals.len() < Self::REFUSALS_MAX {
            let reason = reason.to_owned();
            self.refusals.push(Refused { invoice: document.number.clone(), line: document.line, reason });
        }
    }

    fn count_refused(&mut self, reason: &str, rows: u64) {
        *self.rows_refused.entry(reason.to_owned()).or_insert(0) += rows;
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = table(["what became of it", "rows"]);
        table.add_row(["ordered".into(), number(self.rows_ordered)]);
        table.add_row(["credited".into(), number(self.rows_credited)]);
        table.add_row(["stock adjustment".into(), number(self.rows_stock_adjusted)]);
        table.add_row(["ledger adjustment".into(), number(self.rows_ledger_adjusted)]);
        for (reason, count) in &self.rows_refused {
            table.add_row([format!("refused: {reason}").into(), number(*count)]);
        }
        table.add_row(["all rows".into(), number(self.rows())]);
        writeln!(f, "{table}")?;
        writeln!(
            f,
            "{} orders completed, {} credit notes issued; {} of these invoices had been imported before",
            self.orders, self.credit_notes, self.repeated
        )?;
        for refused in &self.refusals {
            writeln!(f, "refused: invoice {} (line {}): {}", refused.invoice, refused.line, refused.reason)?;
        }
        Ok(())
    }
}
