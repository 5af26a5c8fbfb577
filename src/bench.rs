//! `counterfoil bench`: how fast this is on the machine that it runs on. **No figure stands alone**: each
//! has beside it what the machine can do at best, measured in the same run, and the ratio of the two,
//! which is what carries over to other machines. Everything is durable while it is measured, or there is
//! no figure.

mod append;
mod budget;
mod checkout;
mod cpu;
mod durability;
mod flash_sale;
mod flights;
mod floor;
mod followed;
mod ground;
mod growth;
mod history;
mod hot_stream;
mod http;
mod load;
mod machine;
mod plot;
mod read;
mod read_all;
mod rebuild;
mod report;
mod sample;
mod scale_out;
mod shop;
mod stages;
mod tail;

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

pub use ground::Ground;
pub use machine::Machine;
pub use plot::{Line, Panel, svg};
pub use report::{Aim, Figure, Floor, Latency, Report};
pub use stages::{Stage, Stages};

use crate::config::Settings;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Appending to many streams, from 1 to 256 writers
    Append,
    /// 64 writers that all want the same stream
    HotStream,
    /// The whole log, in order
    ReadAll,
    /// Whole checkouts over HTTP, from 1 to 128 customers at once
    Checkout,
    /// 10,000 buyers of 100 units
    FlashSale,
    /// Every read model from a million events
    Rebuild,
    /// Orders and lists of orders, over HTTP
    Read,
    /// From an acknowledged checkout to its row in the read model
    Tail,
    /// What several stores would bear, simulated from what one takes
    ScaleOut,
    /// All of it from an empty store to one of ten million events
    Growth,
}

impl Name {
    /// How it is called on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::HotStream => "hot-stream",
            Self::ReadAll => "read-all",
            Self::Checkout => "checkout",
            Self::FlashSale => "flash-sale",
            Self::Rebuild => "rebuild",
            Self::Read => "read",
            Self::Tail => "tail",
            Self::ScaleOut => "scale-out",
            Self::Growth => "growth",
        }
    }
}

/// How long to measure, and whom to tell how far it is.
pub struct Plan<'a> {
    /// How long each single measurement takes, apart from what it needs to be prepared.
    pub each: Duration,
    /// How many events the log of `growth` gets.
    pub events: u64,
    /// Told what is being measured now.
    pub progress: &'a (dyn Fn(&str) + Sync),
}

impl Plan<'_> {
    fn say(&self, what: &str) {
        (self.progress)(what);
    }
}

/// Measures one thing on ground of its own, which is gone afterwards.
pub async fn run(name: Name, settings: &Settings, plan: &Plan<'_>) -> Result<Report> {
    let ground = Ground::prepare(settings).await?;
    let measured = Box::pin(measure(name, &ground, plan)).await;
    let removed = ground.remove().await;
    let report = measured?;
    removed?;
    Ok(report)
}

async fn measure(name: Name, ground: &Ground, plan: &Plan<'_>) -> Result<Report> {
    let mut report = Report::new(name.as_str(), plan.each);
    match name {
        Name::Append => append::measure(ground, plan, &mut report).await?,
        Name::HotStream => hot_stream::measure(ground, plan, &mut report).await?,
        Name::ReadAll => read_all::measure(ground, plan, &mut report).await?,
        Name::Checkout => checkout::measure(ground, plan, &mut report).await?,
        Name::FlashSale => flash_sale::measure(ground, plan, &mut report).await?,
        Name::Rebuild => rebuild::measure(ground, plan, &mut report).await?,
        Name::Read => read::measure(ground, plan, &mut report).await?,
        Name::Tail => tail::measure(ground, plan, &mut report).await?,
        Name::ScaleOut => scale_out::measure(ground, plan, &mut report).await?,
        Name::Growth => growth::measure(ground, plan, &mut report).await?,
    }
    Ok(report)
}
