//! `counterfoil check-config`.

use counterfoil::{config::Settings, table::table};

/// Shows every setting with where it came from.
pub(crate) fn check_config(settings: &Settings) {
    let mut table = table(["setting", "value", "from"]);
    for setting in settings.in_force() {
        table.add_row([setting.name.to_owned(), setting.value.clone(), setting.origin.to_string()]);
    }
    println!("{table}");
}
