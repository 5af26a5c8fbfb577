//! `rebuild`: every read model from a million events, beside what the machine needs to hand that log out
//! once and to take the same rows into the same tables.

use std::{
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use event_store::{EventStore, Position};
use futures::{StreamExt, TryStreamExt};
use platform::postgres::Databases;
use projections::{Definition, Projector, RebuildOptions, Rebuilt};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{io::AsyncReadExt, process::Command};
use tokio_util::sync::CancellationToken;

use super::{Aim, Figure, Ground, Plan, Report, history, machine};
use crate::config::Settings;

/// How many events there are.
const EVENTS: u64 = 1_000_000;

const LOOK_AT_MEMORY_EVERY: Duration = Duration::from_millis(20);

pub(super) async fn measure(ground: &Ground, plan: &Plan<'_>, report: &mut Report) -> Result<()> {
    history::begin(ground, plan).await?;
    let (database, machine) = ground.open().await?;
    report.machine = Some(machine);
    let store = database.log.open(&ground.settings).await?;
    history::grow(&store, EVENTS, plan).await?;
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let events = store.head().await?.distance_from(Position::START) as f64;

    let owner = &database.roles.owner;
    plan.say("handing the log out, as the machine does");
    let mut floor = copy_log(owner).await?;
    let mut ours = 0.0;
    for projection in projections::all() {
        let definition = projection.definition();
        plan.say(&format!("rebuilding {}", definition.name));
        let began = Instant::now();
        let rebuilt = anew(projection, &store, &database.roles).await?;
        let took = began.elapsed().as_secs_f64();
        let copying = copy_tables(definition, rebuilt.version, owner).await?;
        (ours, floor) = (ours + took, floor + copying);
        let figure = Figure::new(
            format!("{} ({} rows)", definition.name, rows(definition, rebuilt.version, owner).await?),
            events / took,
            "events/s",
        );
        let wanted = (definition.name == "sales").then_some(Aim::AtLeast(100_000.0));
        report.add(wanted.into_iter().fold(figure, Figure::aiming));
    }
    report.add(Figure::new("all, one after the other", events / ours, "events/s"));
    plan.say("rebuilding all at once");
    let began = Instant::now();
    all_anew(&store, &database.roles).await?;
    let figure = Figure::new("all at once", events / began.elapsed().as_secs_f64(), "events/s");
    let figure = figure.against("the log out once, all rows in", events / floor);
    report.add(figure.aiming(Aim::OfFloor(0.4)));
    if let Some(most) = machine::most_memory_mib(std::process::id()) {
        report.add(Figure::new("most memory of this process", most, "MiB"));
    }
    store.close().await;
    drop(store);
    database.close()
}

/// Rebuilds one as after a release that changed its rules: there is nothing to compare with.
async fn anew(
    projection: Arc<dyn Projector>,
    store: &Arc<dyn EventStore>,
    roles: &Databases,
) -> Result<Rebuilt> {
    outdate(projection.definition(), &roles.owner).await?;
    let rebuilt = projections::rebuild(
        projection,
        Arc::clone(store),
        roles.projector.clone(),
        &RebuildOptions::default(),
        Arc::new(|_| ()),
        CancellationToken::new(),
    )
    .await?;
    Ok(rebuilt)
}

/// Rebuilds all in the same way, in one reading of the log.
async fn all_anew(store: &Arc<dyn EventStore>, roles: &Databases) -> Result<()> {
    let mut all = Vec::new();
    for projection in projections::all() {
        outdate(projection.definition(), &roles.owner).await?;
        let report: projections::Report = Arc::new(|_| ());
        all.push((projection, report));
    }
    let options = RebuildOptions { workers: 1, ..RebuildOptions::default() };
    let rebuilding =
        projections::rebuild_all(all, store, &roles.projector, &options, &CancellationToken::new());
    rebuilding.map(|(_, rebuilt)| rebuilt).try_collect::<Vec<_>>().await?;
    Ok(())
}

/// Rebuilds all as `counterfoil projections rebuild all` does, in a process of its own. Answers the most memory that it
/// had, in MiB, where the kernel says so.
pub(super) async fn all_in_a_process(settings: &Settings, roles: &Databases) -> Result<Option<f64>> {
    for projection in projections::all() {
        outdate(projection.definition(), &roles.owner).await?;
    }
    let url = settings.database_url.as_deref().context("the log is on no server")?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["projections", "rebuild", "all"])
        .env("COUNTERFOIL_DATABASE_URL", url)
        .env("COUNTERFOIL_DATA_DIR", &settings.data_dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let process = child.id().context("it has ended already")?;
    let mut looks = tokio::time::interval(LOOK_AT_MEMORY_EVERY);
    let watch = async {
        let mut most = None;
        loop {
            looks.tick().await;
            // Of one that has ended nothing is said any more.
            let Some(now) = machine::most_memory_mib(process) else { return most };
            most = Some(now);
        }
    };
    let mut said = String::new();
    let mut stderr = child.stderr.take().context("it cannot be heard")?;
    let (most, _) = tokio::join!(watch, stderr.read_to_string(&mut said));
    let ended = child.wait().await?;
    ensure!(ended.success(), "counterfoil projections rebuild all: {ended}: {said}");
    Ok(most)
}

/// Makes the live version one of other rules.
async fn outdate(definition: &Definition, owner: &PgConnectOptions) -> Result<()> {
    let mut db = owner.connect().await?;
    let sql = "update projections.versions set definition = 0 where projection = $1 and state = 'live'";
    sqlx::query(sql).bind(definition.name).execute(&mut db).await?;
    Ok(db.close().await?)
}

async fn rows(definition: &Definition, version: i32, owner: &PgConnectOptions) -> Result<i64> {
    let mut db = owner.connect().await?;
    let schema = definition.schema(version);
    let mut rows = 0;
    for table in definition.tables {
        let sql = format!("select count(*) from {schema}.{}", table.name);
        rows += sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).fetch_one(&mut db).await?;
    }
    db.close().await?;
    Ok(rows)
}

/// Seconds to hand the log out.
async fn copy_log(owner: &PgConnectOptions) -> Result<f64> {
    let mut db = owner.connect().await?;
    let began = Instant::now();
    let sql = "copy event_store.events to stdout (format binary)";
    let mut chunks = PgConnection::copy_out_raw(&mut db, sql).await?;
    while chunks.try_next().await?.is_some() {}
    drop(chunks);
    let took = began.elapsed().as_secs_f64();
    db.close().await?;
    Ok(took)
}

/// Seconds to take the rows of a version into tables of the same shape, with the indexes last.
async fn copy_tables(definition: &Definition, version: i32, owner: &PgConnectOptions) -> Result<f64> {
    let mut db = owner.connect().await?;
    let mut tables = Vec::new();
    for table in definition.tables {
        let sql = format!("copy {}.{} to stdout (format binary)", definition.schema(version), table.name);
        let rows: Vec<bytes::Bytes> = PgConnection::copy_out_raw(&mut db, &sql).await?.try_collect().await?;
        tables.push((table.name, rows));
    }
    sqlx::raw_sql(
        "drop schema if exists bench_copy cascade; create schema bench_copy; set search_path = bench_copy",
    )
    .execute(&mut db)
    .await?;
    let began = Instant::now();
    sqlx::raw_sql(definition.create).execute(&mut db).await?;
    for (name, rows) in tables {
        let mut copy =
            db.copy_in_raw(&format!("copy {name} from stdin (format binary)")).await.context(name)?;
        for chunk in rows {
            copy.send(chunk).await?;
        }
        copy.finish().await?;
    }
    sqlx::raw_sql(definition.indexes).execute(&mut db).await?;
    let took = began.elapsed().as_secs_f64();
    db.close().await?;
    Ok(took)
}
