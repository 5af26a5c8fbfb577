//! `counterfoil bench`.

use std::{io::IsTerminal, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use counterfoil::{
    bench::{self, Name, Plan},
    config::Settings,
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::Asked;

/// Measures one thing after the other, and says what came of each. Missing an aim is no failure: machines
/// differ.
pub(crate) async fn bench(settings: &Settings, asked: &Asked, json: bool) -> Result<()> {
    ensure!(
        asked.plot.is_none() || asked.names == [Name::Growth],
        "only growth is measured at several sizes: `counterfoil bench growth --plot FILE`"
    );
    for name in &asked.names {
        let report = tokio::select! {
            report = measure(settings, *name, asked, json) => report?,
            // What it was measured on goes with the future that has it.
            _ = tokio::signal::ctrl_c() => bail!("stopped while measuring {}", name.as_str()),
        };
        if let Some(file) = &asked.plot {
            let written = std::fs::write(file, bench::svg(&report.panels)?);
            written.with_context(|| format!("cannot write the plot to {}", file.display()))?;
        }
        if json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            println!("{report}");
        }
    }
    Ok(())
}

async fn measure(settings: &Settings, name: Name, asked: &Asked, json: bool) -> Result<bench::Report> {
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{spinner} {elapsed} {msg}")?);
    bar.enable_steady_tick(Duration::from_millis(200));
    let progress = |what: &str| {
        bar.set_message(format!("{}: {what}", name.as_str()));
        if bar.is_hidden() && !json {
            eprintln!("{}: {what}", name.as_str());
        }
    };
    let plan = Plan { each: Duration::from_secs(asked.seconds), events: asked.events, progress: &progress };
    let report = Box::pin(bench::run(name, settings, &plan)).await;
    bar.finish_and_clear();
    report
}
