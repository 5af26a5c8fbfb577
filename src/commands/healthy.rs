//! `counterfoil healthy`: the readiness of a running server as an exit code.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;

/// A server that has not answered by then cannot work. It gives its own checks less.
const PATIENCE: Duration = Duration::from_secs(4);

/// Asks a server whether it is ready, and says what is not.
pub(crate) async fn healthy(url: &str, json: bool) -> Result<ExitCode> {
    let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let asked = http.get(format!("{}/readyz", url.trim_end_matches('/'))).send().await;
    let answer = asked.with_context(|| format!("no server answers at {url}; name another with --url"))?;
    let report: Value =
        answer.json().await.with_context(|| format!("{url} is not a server of Counterfoil"))?;
    if json {
        println!("{report:#}");
    } else {
        for check in report["checks"].as_array().into_iter().flatten() {
            let text = |name: &str| check[name].as_str().unwrap_or_default();
            let state = if check["ready"] == true { "ready" } else { "NOT READY" };
            println!("{state:9}  {:11}  {}  {}", text("role"), text("name"), text("reason"));
        }
    }
    Ok(if report["ready"] == true { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
