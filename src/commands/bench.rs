//! `counterfoil bench`.

use std::{io::IsTerminal, process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use counterfoil::{
    bench::{self, Name, Plan},
    config::Settings,
};
use indicatif::{ProgressBar, ProgressStyle};

/// Measures, and says what came of it. Missing an aim is no failure: machines differ.
pub(crate) async fn bench(settings: &Settings, name: Name, seconds: u64, json: bool) -> Result<ExitCode> {
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{spinner} {elapsed} {msg}")?);
    bar.enable_steady_tick(Duration::from_millis(200));
    let progress = |what: &str| {
        bar.set_message(what.to_owned());
        if bar.is_hidden() && !json {
            eprintln!("{}: {what}", name.as_str());
        }
    };
    let plan = Plan { each: Duration::from_secs(seconds), progress: &progress };
    let report = tokio::select! {
        report = bench::run(name, settings, &plan) => report?,
        // What it was measured on goes with the future that has it.
        _ = tokio::signal::ctrl_c() => bail!("stopped: nothing was measured"),
    };
    bar.finish_and_clear();
    if json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    Ok(ExitCode::SUCCESS)
}
