//! `counterfoil projections rebuild`: builds read models anew beside the live ones.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use counterfoil::{config::Settings, database::Database, table::table};
use event_store::{EventStore, Position};
use indicatif::{ProgressBar, ProgressStyle};
use platform::shutdown::Shutdown;
use projections::{Error, Progress, Projector, RebuildOptions, Rebuilt, Stage};
use serde_json::{Value, json};

use super::{chosen, with_log};

/// Builds one read model anew, or all of them one after the other. Ctrl-C keeps what was done.
pub(super) async fn rebuild(
    settings: &Settings,
    name: &str,
    options: &RebuildOptions,
    json: bool,
) -> Result<()> {
    let chosen = chosen(name)?;
    // Before any of them is rebuilt.
    let whole = chosen.iter().filter(|projection| projection.definition().kept_whole.is_some());
    let whole: Vec<_> = whole.map(|projection| projection.definition().name).collect();
    if options.partitions.is_some_and(|partitions| partitions > 1) && chosen.len() > 1 && !whole.is_empty() {
        bail!("{} cannot be split into partitions: name the read models that are to be", whole.join(" and "));
    }
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    with_log(settings, async |database, store| {
        for projection in chosen {
            let name = projection.definition().name;
            let rebuilt = rebuild_one(projection, store, database, options, &shutdown).await?;
            if json {
                println!("{}", in_json(name, &rebuilt));
            } else {
                println!("{}", in_words(name, &rebuilt));
            }
        }
        Ok(())
    })
    .await
}

async fn rebuild_one(
    projection: Arc<dyn Projector>,
    store: &Arc<dyn EventStore>,
    database: &Database,
    options: &RebuildOptions,
    shutdown: &Shutdown,
) -> Result<Rebuilt> {
    let name = projection.definition().name;
    let bar = progress_bar(name);
    let report = {
        let bar = bar.clone();
        Arc::new(move |progress: Progress| tell(&bar, progress))
    };
    let projector = database.roles.projector.clone();
    let rebuilt =
        projections::rebuild(projection, Arc::clone(store), projector, options, report, shutdown.token())
            .await;
    bar.finish_and_clear();
    match rebuilt {
        Ok(rebuilt) => Ok(rebuilt),
        Err(Error::Differs { projection, version, position, differences }) => {
            let mut rows = table(["table", "key", "live", "rebuilt"]);
            for row in differences {
                let side = |row: Option<String>| row.unwrap_or_else(|| "(no row)".to_owned());
                rows.add_row([row.table.to_owned(), row.key, side(row.live), side(row.rebuilt)]);
            }
            eprintln!("{rows}");
            bail!(
                "{projection} stays as it is: version {version} differs from it at position {position}. After \
                 looking at the rows above, --accept-differences switches all the same"
            )
        }
        Err(error) => Err(error).with_context(|| format!("rebuilding {name}")),
    }
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
    let template = "{prefix} {bar:32} {pos}/{len} positions  {per_sec}  {eta} left  {msg}";
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
