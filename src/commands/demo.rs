//! `counterfoil demo`.

use std::{io::IsTerminal, process::ExitCode, sync::Mutex, time::Duration};

use anyhow::Result;
use counterfoil::{
    audit,
    config::{Role, Settings},
    demo::{self, Outcome, Shop},
    invariants::{Acknowledged, Report},
    run::Running,
    table::{number, table},
};
use events::{Category, Currency, Money};
use indicatif::{ProgressBar, ProgressStyle};
use platform::clock::Clock;
use serde::Serialize;
use uuid::Uuid;

/// How long the last steps of the last orders may take before the books have to be right.
const SETTLE: Duration = Duration::from_secs(30);

#[derive(Serialize)]
struct Summary<'a> {
    outcome: &'a Outcome,
    invariants: &'a Report,
}

/// Opens a shop, runs checkouts of every kind, checks the books and says what came of it.
pub(crate) async fn demo(mut settings: Settings, checkouts: u64, seed: u64, json: bool) -> Result<ExitCode> {
    settings.run_privately(&Role::DEFAULT);
    let data_dir = settings.data_dir.display().to_string();
    if !json {
        println!("Starting Counterfoil on its embedded Postgres in {data_dir} …");
    }
    let running = Running::start(&settings, Clock::system()).await?;
    let steps = Steps::new(json);
    let ran = demo::run(&Shop::at(running.url()), Uuid::new_v4(), checkouts, seed, |step, done, of| {
        steps.show(step, done, of);
    })
    .await;
    steps.finish();
    let checked = match ran {
        Ok(outcome) => check(&settings, &running, &outcome).await.map(|report| (outcome, report)),
        Err(error) => Err(error.into()),
    };
    let stopped = running.stop().await;
    let (outcome, report) = checked?;
    stopped?;
    if json {
        println!("{}", serde_json::to_string_pretty(&Summary { outcome: &outcome, invariants: &report })?);
    } else {
        print_summary(&outcome, &report, &data_dir);
    }
    Ok(if report.held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks the invariants, and again while the last orders are being finished.
async fn check(settings: &Settings, running: &Running, outcome: &Outcome) -> Result<Report> {
    let acknowledged: Vec<Acknowledged> = outcome
        .acknowledged
        .iter()
        .map(|(_, order_id, position)| Acknowledged {
            stream: Category::Order.stream(order_id).to_string(),
            position: *position,
            command_id: None,
        })
        .collect();
    let deadline = std::time::Instant::now() + SETTLE;
    loop {
        let report =
            audit::audit(settings, &running.database, &running.store, acknowledged.clone(), &Clock::system())
                .await?;
        if report.held || std::time::Instant::now() > deadline {
            return Ok(report);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn print_summary(outcome: &Outcome, report: &Report, data_dir: &str) {
    let pounds = |pence: i64| number(Money::new(pence, Currency::GBP));
    let mut planned = table(["what customers did", "checkouts"]);
    for (kind, count) in &outcome.planned {
        planned.add_row([comfy_table::Cell::new(kind.label()), number(count)]);
    }
    let mut ended = table(["how their orders ended", "orders"]);
    for (status, count) in &outcome.by_status {
        ended.add_row([comfy_table::Cell::new(status.replace('_', " ")), number(count)]);
    }
    if outcome.turned_away > 0 {
        ended.add_row(["none was placed: sold out".into(), number(outcome.turned_away)]);
    }
    let mut money = table(["money", "amount"]);
    money.add_row(["asked for".into(), pounds(outcome.money.asked_for)]);
    money.add_row(["captured".into(), pounds(outcome.money.captured)]);
    money.add_row(["given back".into(), pounds(outcome.money.refunded)]);
    let mut stock = table(["stock of the whole shop", "units"]);
    for (what, units) in [
        ("received", outcome.stock.received),
        ("held for checkouts under way", outcome.stock.reserved),
        ("sold, waiting to be dispatched", outcome.stock.committed),
        ("dispatched", outcome.stock.dispatched),
        ("free to be sold", outcome.stock.available),
    ] {
        stock.add_row([what.into(), number(units)]);
    }
    println!("\n{planned}\n\n{ended}\n\n{money}\n\n{stock}\n");
    println!("The books, checked over the whole history ({} events):\n\n{report}", report.events);
    let verdict =
        if report.held { "Every invariant that was checked holds." } else { "AN INVARIANT IS BROKEN." };
    println!("{verdict} {:.0} orders a second, start to settled.\n", outcome.orders_per_s);
    println!("The history lies in {data_dir}. What to try next:");
    println!(
        "  make serve                                      the same over HTTP: http://127.0.0.1:8080/docs"
    );
    println!("  curl 'http://127.0.0.1:8080/orders?limit=3'     the orders of this demonstration");
    println!("  cargo run -- verify                             check the books again");
    println!("  cargo run -- demo --checkouts 2000 --seed 7     a busier day");
}

/// Progress, as a bar on a terminal and as a line for each step elsewhere.
struct Steps {
    bar: ProgressBar,
    said: Mutex<String>,
    silent: bool,
}

impl Steps {
    fn new(silent: bool) -> Self {
        let bar = if silent || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(0)
        };
        let style = ProgressStyle::with_template("{bar:32} {pos}/{len}  {msg}");
        Self {
            bar: bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
            said: Mutex::default(),
            silent,
        }
    }

    fn show(&self, step: &str, done: u64, of: u64) {
        self.bar.set_length(of);
        self.bar.set_position(done);
        self.bar.set_message(step.to_owned());
        if self.silent || !self.bar.is_hidden() {
            return;
        }
        let mut said = self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *said != step || done == of || done.is_multiple_of(100) {
            step.clone_into(&mut said);
            eprintln!("{step}: {done} of {of}");
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
