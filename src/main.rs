//! The one executable.

mod cli;

use clap::Parser;
use counterfoil::config::Settings;

use crate::cli::{Cli, Command};

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::CheckConfig { flags } => check_config(&Settings::resolve(&flags)?),
        _ => anyhow::bail!("not composed yet"),
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "this is what the command is for")]
fn check_config(settings: &Settings) {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY).set_header(["setting", "value", "from"]);
    for setting in settings.in_force() {
        table.add_row([setting.name.to_owned(), setting.value.clone(), setting.origin.to_string()]);
    }
    println!("{table}");
}
