//! `counterfoil status`.

use anyhow::Result;
use counterfoil::status::print;

/// Asks a running server what it is doing.
pub(crate) async fn status(url: &str, json: bool) -> Result<()> {
    let report = print::ask(url).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", print::show(&report));
    }
    Ok(())
}
