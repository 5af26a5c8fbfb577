//! `counterfoil relay`: looks after what is handed on to NATS.

use anyhow::{Context, Result};
use counterfoil::{config::Settings, database::Database};
use event_store::Position;
use relay::Progress;
use serde_json::json;

/// Sets the relay's checkpoint back, beside a relay that runs or without one.
pub(crate) async fn rewind(settings: &Settings, to: Position, json: bool) -> Result<()> {
    let database = Database::open_or_attach(settings).await?;
    let rewound = Progress::new(&database.roles.service).rewind(to).await;
    let closed = database.close();
    let from = rewound.context("the checkpoint stays where it is")?;
    closed?;
    if json {
        println!("{}", json!({ "from": from, "to": to }));
    } else {
        println!(
            "the relay was at position {from} and publishes again what is behind {to}. Events that JetStream took \
             within its duplicate window are still known there, and are not put in twice"
        );
    }
    Ok(())
}
