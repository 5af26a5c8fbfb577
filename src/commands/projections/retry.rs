//! `counterfoil projections retry`: applies what streams keep back, once the cause is gone.

use anyhow::{Context, Result, bail};
use counterfoil::{
    config::Settings,
    status::{self, Parked, Projection},
};
use serde::Serialize;

use super::{chosen, with_log};

/// What became of one stream.
#[derive(Debug, Serialize)]
struct Retried {
    projection: &'static str,
    stream: String,
    /// How many events were applied.
    applied: u64,
    /// From where on it is kept back again, and why.
    parked: Option<Parked>,
}

/// Applies what one stream keeps back, or all do. Fails when an event still cannot be applied.
pub(super) async fn retry(settings: &Settings, name: &str, stream: Option<&str>, json: bool) -> Result<()> {
    let chosen = chosen(name)?;
    let retried = with_log(settings, async |database, store| {
        let projector = &database.roles.projector;
        let mut done = Vec::new();
        for projection in &chosen {
            let name = projection.definition().name;
            let retried = projections::retry(&**projection, stream, &**store, projector).await;
            done.extend(
                retried.with_context(|| format!("retrying {name}"))?.into_iter().map(|done| (name, done)),
            );
        }
        let state = status::projections(&**store, projector).await?;
        if let Some(stream) = stream
            && done.is_empty()
        {
            let place = if name == "all" { "any read model" } else { name };
            bail!("{stream:?} is not parked in {place}; {}", kept_back(&state, name));
        }
        let parked = |name: &str, stream: &str| {
            let projection = state.iter().find(|projection| projection.name == name)?;
            projection.parked.iter().find(|parked| parked.stream == stream).cloned()
        };
        let retried = done.into_iter().map(|(projection, done)| Retried {
            projection,
            applied: done.applied,
            parked: parked(projection, &done.stream).filter(|_| done.parked_again),
            stream: done.stream,
        });
        Ok(retried.collect::<Vec<_>>())
    })
    .await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&retried)?);
    } else {
        tell(&retried);
    }
    let again = retried.iter().filter(|retried| retried.parked.is_some()).count();
    if again > 0 {
        bail!(
            "{again} of {} streams cannot go on yet. Look at the reasons, and run this again when they are gone",
            retried.len()
        );
    }
    Ok(())
}

fn tell(retried: &[Retried]) {
    if retried.is_empty() {
        println!("no stream is kept back");
    }
    for Retried { projection, stream, applied, parked } in retried {
        match parked {
            None => println!("{projection}: {stream} goes on; events applied: {applied}"),
            Some(parked) => println!(
                "{projection}: {stream} is parked again at position {}; events applied: {applied}, kept back: {}: \
                 {}",
                parked.position, parked.held, parked.reason
            ),
        }
    }
}

/// What could be retried instead.
fn kept_back(state: &[Projection], name: &str) -> String {
    let streams: Vec<String> = state
        .iter()
        .filter(|projection| ["all", projection.name.as_str()].contains(&name))
        .flat_map(|projection| {
            projection.parked.iter().map(|parked| format!("{} of {}", parked.stream, projection.name))
        })
        .collect();
    if streams.is_empty() {
        "no stream is parked there".to_owned()
    } else {
        format!("parked are: {}", streams.join(", "))
    }
}
