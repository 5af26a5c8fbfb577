//! `counterfoil projections rebuild`: builds read models anew beside the live ones.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Result, anyhow, bail};
use counterfoil::{config::Settings, table::table};
use event_store::Position;
use futures::StreamExt;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use platform::shutdown::Shutdown;
use projections::{Error, Progress, RebuildOptions, Rebuilt, Report, Stage};
use serde_json::{Value, json};

use super::{chosen, with_log};

/// Builds one read model anew, or all of them in one reading of the log. Ctrl-C keeps what was done.
pub(super) async fn rebuild(
    settings: &Settings,
    name: &str,
    workers: Option<u8>,
    options: RebuildOptions,
    json: bool,
) -> Result<()> {
    let chosen = chosen(name)?;
    // Several keep the machine busy with one worker each.
    let workers = workers.unwrap_or(if chosen.len() > 1 { 1 } else { options.workers });
    let options = RebuildOptions { workers, ..options };
    // Before any of them is rebuilt.
    let whole = chosen.iter().filter(|projection| projection.definition().kept_whole.is_some());
    let whole: Vec<_> = whole.map(|projection| projection.definition().name).collect();
    if options.partitions.is_some_and(|partitions| partitions > 1) && chosen.len() > 1 && !whole.is_empty() {
        bail!("{} cannot be split into partitions: name the read models that are to be", whole.join(" and "));
    }
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    with_log(settings, async |database, store| {
        let (bars, mut shown) = (MultiProgress::new(), HashMap::new());
        let reported = chosen.into_iter().map(|projection| {
            let name = projection.definition().name;
            let bar = bars.add(progress_bar(name));
            shown.insert(name, bar.clone());
            let report: Report = Arc::new(move |progress| tell(&bar, progress));
            (projection, report)
        });
        let (reported, projector) = (reported.collect(), &database.roles.projector);
        let mut rebuilding =
            projections::rebuild_all(reported, store, projector, &options, &shutdown.token());
        let mut failed = Vec::new();
        while let Some((name, rebuilt)) = rebuilding.next().await {
            shown.remove(name).into_iter().for_each(|bar: ProgressBar| bar.finish_and_clear());
            // Above the bars of those that are still being built.
            bars.suspend(|| match rebuilt {
                Ok(rebuilt) if json => println!("{}", in_json(name, &rebuilt)),
                Ok(rebuilt) => println!("{}", in_words(name, &rebuilt)),
                Err(error) => failed.push((name, tell_why(name, error))),
            });
        }
        into_one(failed)
    })
    .await
}

/// Shows at once what a person has to look at, and answers what is to be done about it.
fn tell_why(name: &str, error: Error) -> anyhow::Error {
    let why = match error {
        Error::Differs { version, position, differences, .. } => {
            let mut rows = table(["table", "key", "live", "rebuilt"]);
            for row in differences {
                let side = |row: Option<String>| row.unwrap_or_else(|| "(no row)".to_owned());
                rows.add_row([row.table.to_owned(), row.key, side(row.live), side(row.rebuilt)]);
            }
            eprintln!("{rows}");
            anyhow!(
                "{name} stays as it is: version {version} differs from it at position {position}. After looking \
                 at the rows above, --accept-differences switches all the same"
            )
        }
        Error::Interrupted => return Error::Interrupted.into(),
        error => anyhow::Error::from(error).context(format!("rebuilding {name}")),
    };
    eprintln!("{why:#}");
    why
}

/// One error for all of them: the only one there is, or one that names them.
fn into_one(mut failed: Vec<(&'static str, anyhow::Error)>) -> Result<()> {
    let is_interrupted = |error: &anyhow::Error| matches!(error.downcast_ref(), Some(Error::Interrupted));
    if failed.len() == 1 || failed.iter().all(|(_, error)| is_interrupted(error)) {
        return failed.pop().map_or(Ok(()), |(_, error)| Err(error));
    }
    let names: Vec<_> = failed.iter().map(|(name, _)| *name).collect();
    bail!(
        "not rebuilt, and as they were: {}. Rebuild each by its name when the cause is gone",
        names.join(", ")
    )
}

fn in_words(name: &str, rebuilt: &Rebuilt) -> String {
    let compared = rebuilt.compared_at.map_or_else(
        || "not comparable with the one before, whose definition was another".to_owned(),
        |position| format!("{} rows compared at position {position}", rebuilt.rows),
    );
    format!("{name}: version {} is live; {compared}", rebuilt.version)
}

fn in_json(name: &str, rebuilt: &Rebuilt) -> Value {
    let compared_at = rebuilt.compared_at.map(|position| position.to_string());
    json!({ "projection": name, "version": rebuilt.version, "rows": rebuilt.rows, "compared_at": compared_at })
}

fn progress_bar(name: &'static str) -> ProgressBar {
    let template = "{prefix:9} {bar:32} {pos}/{len} positions  {per_sec}  {eta} left  {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style).with_prefix(name)
}

fn tell(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.target.distance_from(Position::START));
    bar.set_position(progress.done.distance_from(Position::START));
    bar.set_message(match progress.stage {
        Stage::Filling => "filling",
        Stage::Indexing => "indexing",
        Stage::Comparing => "comparing",
        Stage::Promoting => "switching",
    });
}
