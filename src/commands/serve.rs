//! `counterfoil serve`.

use anyhow::Result;
use counterfoil::{config::Settings, run::Running};
use platform::clock::Clock;

/// Runs the roles until told to stop.
pub(crate) async fn serve(settings: &Settings) -> Result<()> {
    let running = Running::start(settings, Clock::system()).await?;
    eprintln!("Counterfoil is at {0} (API: {0}/docs). Ctrl-C stops it.", running.url());
    running.until_told_to_stop().await?;
    running.stop().await
}
