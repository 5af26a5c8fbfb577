//! I8 for a simulated shop: every read model that was written as the log grew, in batches cut anywhere, is
//! row by row the one that a rebuild makes of the whole log, its streams shared out among two workers.
//! Real tables in a real Postgres; both are rolled back, so that thousands of shops share one database.

use std::sync::Arc;

use event_store::{Filter, RecordedEvent};
use platform::postgres::testing::fresh_database;
use projections::{ApplyError, Fact, Projector};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

/// The tables of all projections, empty, with a connection for each.
pub(super) struct ReadModels(Vec<ReadModel>);

struct ReadModel {
    projection: Arc<dyn Projector>,
    wanted: Filter,
    /// What reads all rows of all tables, in the order of their text.
    rows: String,
    db: PgConnection,
}

impl ReadModels {
    pub(super) async fn empty() -> Self {
        let databases = fresh_database().await;
        projections::migrate(&databases.owner).await.unwrap();
        let all = projections::all();
        projections::install_all(&all, &databases.projector).await.unwrap();
        let mut models = Vec::with_capacity(all.len());
        for projection in all {
            let definition = projection.definition();
            let mut db = databases.projector.connect().await.unwrap();
            let version: i32 = sqlx::query_scalar(
                "select version from projections.versions where projection = $1 and state = 'live'",
            )
            .bind(definition.name)
            .fetch_one(&mut db)
            .await
            .unwrap();
            let enter = format!("set search_path = {}", definition.schema(version));
            sqlx::raw_sql(AssertSqlSafe(enter)).execute(&mut db).await.unwrap();
            let tables = definition
                .tables
                .iter()
                .map(|table| format!("select '{0} ' || {0}::text collate \"C\" as row from {0}", table.name));
            let rows = format!("{} order by row", tables.collect::<Vec<_>>().join(" union all "));
            models.push(ReadModel { wanted: definition.filter(), projection, rows, db });
        }
        Self(models)
    }

    /// Says which read model differs from one that is built from scratch, and in what.
    pub(super) async fn check(&mut self, seed: u64, log: &[RecordedEvent]) -> Result<(), String> {
        for model in &mut self.0 {
            let wanted = log.iter().filter(|event| model.wanted.wants(event));
            let facts = wanted.map(Fact::read).collect::<Result<Vec<_>, _>>();
            let facts = facts.map_err(|error| error.to_string())?;
            let live = model.rows_of(&in_batches(seed, &facts)).await;
            let rebuilt = model.rows_of(&shared_out(&facts)).await;
            let (Ok(live), Ok(rebuilt)) = (&live, &rebuilt) else {
                let name = model.projection.definition().name;
                return Err(format!("I8: {name} cannot be written: {live:?}, {rebuilt:?}"));
            };
            if live != rebuilt {
                let name = model.projection.definition().name;
                let only = |these: &[String], those: &[String]| {
                    these.iter().filter(|row| !those.contains(row)).cloned().collect::<Vec<_>>().join("\n")
                };
                let (live_only, rebuilt_only) = (only(live, rebuilt), only(rebuilt, live));
                return Err(format!("I8: {name}\nonly live:\n{live_only}\nonly rebuilt:\n{rebuilt_only}"));
            }
        }
        Ok(())
    }
}

impl ReadModel {
    /// The rows that these batches lead to, one batch after the other.
    async fn rows_of(&mut self, batches: &[Vec<&Fact>]) -> Result<Vec<String>, ApplyError> {
        let mut tx = self.db.begin().await?;
        for batch in batches.iter().filter(|batch| !batch.is_empty()) {
            self.projection.apply(batch, &mut tx).await?;
        }
        let rows = sqlx::query_scalar(AssertSqlSafe(self.rows.clone())).fetch_all(&mut *tx).await?;
        tx.rollback().await?;
        Ok(rows)
    }
}

/// As a runner that follows the log writes them.
fn in_batches(seed: u64, facts: &[Fact]) -> Vec<Vec<&Fact>> {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut batches = vec![Vec::new()];
    for fact in facts {
        if dice.random_ratio(1, 10) {
            batches.push(Vec::new());
        }
        batches.last_mut().expect("there is one").push(fact);
    }
    batches
}

/// As the workers of a rebuild do: each has whole streams.
fn shared_out(facts: &[Fact]) -> Vec<Vec<&Fact>> {
    let first = |fact: &&Fact| fact.stream.as_str().bytes().fold(0_u8, u8::wrapping_add).is_multiple_of(2);
    let (mine, theirs) = facts.iter().partition(first);
    vec![mine, theirs]
}
