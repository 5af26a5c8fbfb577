//! `counterfoil import retail`.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use counterfoil::{
    config::{Role, Settings},
    import::{Account, Importer, Progress, retail},
    run::Running,
    table::{number, table},
};
use indicatif::{ProgressBar, ProgressStyle};
use platform::clock::Clock;
use serde::{Deserialize, Serialize};

/// How long the read models may take to catch up at the end.
const CATCH_UP: Duration = Duration::from_mins(10);

/// The sales of one month, as the read model tells them.
#[derive(Debug, Serialize, Deserialize)]
struct Month {
    period: String,
    currency: String,
    sales: Tally,
    credits: Tally,
    adjustments: Tally,
}

#[derive(Debug, Serialize, Deserialize)]
struct Tally {
    count: i64,
    amount: Amount,
}

#[derive(Debug, Serialize, Deserialize)]
struct Amount {
    amount: i64,
}

#[derive(Debug, Deserialize)]
struct Months {
    items: Vec<Month>,
}

#[derive(Serialize)]
struct Imported<'a> {
    account: &'a Account,
    months: &'a [Month],
    seconds: f64,
}

/// Imports a file of history and accounts for every row of it.
pub(crate) async fn import_retail(
    mut settings: Settings,
    file: &Path,
    limit: Option<usize>,
    json: bool,
) -> Result<()> {
    let history = retail::read(file).with_context(|| format!("{} was not imported", file.display()))?;
    eprintln!("{}: {} rows on {} invoices", file.display(), history.rows, history.documents.len());
    settings.run_privately(&Role::DEFAULT);
    let running = Running::start(&settings, Clock::system()).await?;
    let importer = Importer::new(running.store.clone(), running.commands.clone());
    let bar = progress_bar(json);
    let began = std::time::Instant::now();
    let account = importer.run(&history, limit, |progress| show(&bar, progress)).await;
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    let result = match account {
        Ok(account) => months(&running).await.map(|months| (account, months)),
        Err(error) => Err(error.into()),
    };
    let stopped = running.stop().await;
    let (account, months) = result?;
    stopped?;
    if json {
        let imported = Imported { account: &account, months: &months, seconds };
        println!("{}", serde_json::to_string_pretty(&imported)?);
        return Ok(());
    }
    println!("{account}");
    println!("{}", months_table(&months));
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = account.orders as f64 / seconds.max(0.001);
    println!("{} orders in {seconds:.1} s, {rate:.0} orders/s", account.orders);
    Ok(())
}

fn progress_bar(hidden: bool) -> ProgressBar {
    if hidden {
        return ProgressBar::hidden();
    }
    let template = "{bar:32} {pos}/{len} invoices  {per_sec}  {eta} left  {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.documents);
    bar.set_position(progress.documents_done);
    bar.set_message(format!("{} rows", progress.rows_done));
}

/// What the read model has of each month, once it has seen everything that was imported.
async fn months(running: &Running) -> Result<Vec<Month>> {
    let head = running.store.head().await?;
    let http = reqwest::Client::new();
    let deadline = std::time::Instant::now() + CATCH_UP;
    loop {
        let request = http.get(format!("{}/sales?by=month", running.url()));
        let request = request.header("Counterfoil-At-Least", head.to_string()).header("Prefer", "wait=30");
        let answer = request.send().await.context("cannot ask for the sales by month")?;
        if answer.status() == reqwest::StatusCode::SERVICE_UNAVAILABLE && std::time::Instant::now() < deadline
        {
            continue;
        }
        let months: Months =
            answer.error_for_status()?.json().await.context("the sales by month cannot be read")?;
        return Ok(months.items);
    }
}

fn months_table(months: &[Month]) -> comfy_table::Table {
    let mut table = table(["month", "orders", "sales", "credit notes", "credits", "ledger adjustments"]);
    for month in months {
        let money = |tally: &Tally, sign: i64| {
            let currency = month.currency.parse().unwrap_or(events::Currency::GBP);
            number(events::Money::new(sign * tally.amount.amount, currency))
        };
        table.add_row([
            comfy_table::Cell::new(&month.period),
            number(month.sales.count),
            money(&month.sales, 1),
            number(month.credits.count),
            money(&month.credits, -1),
            money(&month.adjustments, 1),
        ]);
    }
    table
}
