//! `counterfoil check-config`.

use counterfoil::{
    config::{InForce, Settings},
    table::table,
};
use serde_json::{Value, json};

/// Shows every setting with where it came from.
pub(crate) fn check_config(settings: &Settings, json: bool) {
    if json {
        let setting = |setting: &InForce| {
            let InForce { name, value, origin } = setting;
            json!({ "setting": name, "value": value, "from": origin.to_string() })
        };
        let settings: Vec<Value> = settings.in_force().iter().map(setting).collect();
        println!("{:#}", Value::from(settings));
        return;
    }
    let mut table = table(["setting", "value", "from"]);
    for setting in settings.in_force() {
        table.add_row([setting.name.to_owned(), setting.value.clone(), setting.origin.to_string()]);
    }
    println!("{table}");
}
