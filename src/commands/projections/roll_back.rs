//! `counterfoil projections roll-back`: returns readers to the version that the last rebuild replaced.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use counterfoil::config::Settings;
use projections::Error;
use serde::Serialize;

use super::{named, with_log};

/// What readers see now.
#[derive(Debug, Serialize)]
struct RolledBack {
    projection: &'static str,
    version: i32,
}

/// Brings the version before up to date and lets readers see it again.
pub(super) async fn roll_back(settings: &Settings, name: &str, json: bool) -> Result<()> {
    let projection = named(name)?;
    let name = projection.definition().name;
    let holder = format!("roll-back pid {}", std::process::id());
    let rebuilt = with_log(settings, async |database, store| {
        let projector = database.roles.projector.clone();
        let rebuilt = projections::roll_back(projection, Arc::clone(store), projector, &holder).await;
        rebuilt.map_err(|error| match error {
            Error::NothingToGoBackTo { .. } => anyhow!(
                "{error}: a rebuild keeps the version that it replaces, and a release only goes back to versions \
                 that it could have built itself. `counterfoil projections rebuild {name}` builds a new one"
            ),
            error => error.into(),
        })
    })
    .await
    .with_context(|| format!("{name} stays as it is"))?;
    let version = rebuilt.version;
    if json {
        println!("{}", serde_json::to_string_pretty(&RolledBack { projection: name, version })?);
    } else {
        println!(
            "{name}: version {version} is live again, up to date; the one it replaces is kept, and rolling back \
             once more returns to that"
        );
    }
    Ok(())
}
