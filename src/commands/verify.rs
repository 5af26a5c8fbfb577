//! `counterfoil verify`: every invariant, over the whole history.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use counterfoil::{audit, config::Settings, database::Database, log};
use platform::clock::Clock;

/// Checks the invariants and prints what was found; fails when one is broken.
pub(crate) async fn verify(
    settings: &Settings,
    acknowledged: Option<PathBuf>,
    json: bool,
) -> Result<ExitCode> {
    let acknowledged = match acknowledged {
        Some(path) => audit::read_acknowledgements(&path)?,
        None => Vec::new(),
    };
    let database = Database::open_or_attach(settings).await?;
    let store = database.log.open(settings).await?;
    log::check(settings, &*store, &database.roles).await?;
    let report = audit::audit(settings, &database, &store, acknowledged, &Clock::system()).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{} events were checked, up to position {}.\n\n{report}", report.events, report.position);
    }
    drop(store);
    database.close()?;
    Ok(if report.held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
