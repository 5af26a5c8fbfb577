//! What each command of the executable does with the library.

mod check_config;
mod demo;
mod import;
mod projections;
mod sandbox;
mod serve;
mod status;
mod verify;

pub(crate) use check_config::check_config;
pub(crate) use demo::demo;
pub(crate) use import::import_retail;
pub(crate) use projections::projections;
pub(crate) use sandbox::sandbox;
pub(crate) use serve::serve;
pub(crate) use status::status;
pub(crate) use verify::verify;

use comfy_table::{Cell, CellAlignment, Table, presets};

/// A table in the style of all commands.
fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(header);
    table
}

/// A number, aligned to the right.
fn number(value: impl std::fmt::Display) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}
