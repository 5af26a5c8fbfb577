//! How tables look that commands print for people: rules around them and below the header, none between rows.

use std::fmt;

use comfy_table::{Cell, CellAlignment, LineStyle, Table, TableStyle};

const RULE: LineStyle = LineStyle::none().fill('─').junction('─');
const STYLE: TableStyle = TableStyle::new().top_border(RULE).header_separator(RULE).bottom_border(RULE);

/// An empty table with this header.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header);
    table
}

/// A number, aligned to the right.
pub fn number(value: impl fmt::Display) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_below_each_other_without_rules_between_them() {
        let mut stock = table(["sku", "units"]);
        stock.add_row(["MUG".into(), number(7)]);
        stock.add_row(["TRAY".into(), number(12)]);
        let text = stock.to_string();
        let rules = text.lines().filter(|line| line.chars().all(|character| character == '─')).count();
        assert_eq!((rules, text.lines().count()), (3, 6), "{text}");
    }
}
