//! `counterfoil serve`.

use anyhow::Result;
use counterfoil::{config::Settings, run::Running};
use platform::clock::Clock;

/// Runs the roles until told to stop.
pub(crate) async fn serve(settings: &Settings) -> Result<()> {
    let started = Running::start_unless_told_to_stop(settings, Clock::system()).await?;
    let Some(running) = started else { return Ok(()) };
    eprintln!("Counterfoil is at {0} (API: {0}/docs). Ctrl-C stops it.", running.url());
    running.until_told_to_stop().await;
    running.stop().await
}
