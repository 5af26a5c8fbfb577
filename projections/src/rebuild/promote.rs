//! Switching readers over: in one transaction, while the live version stands still, so that readers
//! see either all of one version or all of the other, and never go back in the log.

use std::sync::Arc;

use event_store::{EventStore, Position};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio_util::sync::CancellationToken;

use super::{Rebuilt, Site, Stage};
use crate::{
    Definition, Error, Projector,
    batch::{self, Batch, Poison},
    checkpoints, database,
    entry::Entry,
    lease::{LEASE, Lease},
    partition::Partition,
    rewinds,
    versions::{self, Live},
};

/// How far behind a version may be when the live one is stopped for the switch, in events.
const GAP_MAX: usize = 4_000;

/// How often the switch is tried when readers or writers are in the way.
const TRIES: u32 = 30;

/// Goes back to the version before, after bringing it up to date.
pub async fn roll_back(
    projection: Arc<dyn Projector>,
    store: Arc<dyn EventStore>,
    database: PgConnectOptions,
    holder: &str,
) -> Result<Rebuilt, Error> {
    let report = Arc::new(|_| ());
    let site = Site { projection, store, database, report, shutdown: CancellationToken::new() };
    let definition = site.projection.definition();
    let mut db = database::connect(&site.database, definition.name, LEASE).await?;
    let version = versions::reopen_previous(definition, &mut db).await?;
    let lease = Lease::take(definition, version, Partition::WHOLE, holder, &mut db).await?;
    database::enter(&definition.schema(version), &mut db).await?;
    site.level(&lease, &mut db).await?;
    site.promote(&lease, &mut db).await?;
    db.close().await?;
    Ok(Rebuilt { version, compared_at: None, rows: 0, differences: Vec::new() })
}

impl Site {
    /// Makes a version the live one.
    pub(super) async fn promote(&self, lease: &Lease, db: &mut PgConnection) -> Result<(), Error> {
        let definition = self.projection.definition();
        for attempt in 1.. {
            if let Some(live) = versions::live(definition, db).await? {
                let position = furthest(definition, live, db).await?;
                self.catch_up(lease, position, db).await?;
                self.say(Stage::Promoting, position, position);
            }
            match self.switch(lease, db).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(Error::Database(error)) if attempt < TRIES && is_in_the_way(&error) => {
                    tracing::debug!(projection = definition.name, %error, "somebody is in the way of the switch");
                }
                Err(error) => return Err(error),
            }
            lease.renew(db).await?;
        }
        tracing::info!(projection = definition.name, version = lease.version, "promoted a version");
        Ok(())
    }

    /// Stops the live version, applies what is missing, and switches. `false` when too much is missing
    /// to keep the live version standing still.
    async fn switch(&self, lease: &Lease, db: &mut PgConnection) -> Result<bool, Error> {
        let definition = self.projection.definition();
        let mut tx = db.begin().await?;
        sqlx::query("set local lock_timeout = '1s'").execute(&mut *tx).await?;
        let live = versions::stop_live(definition, &mut tx).await?;
        let parked = lease.check(&mut tx).await?;
        let after = checkpoints::of_shard(0, &mut tx).await?;
        let mut through = after;
        if let Some(live) = live {
            through = furthest(definition, live, &mut tx).await?.max(after);
        }
        let mut events = Vec::new();
        if after < through {
            let page = self.store.read_all(after, &definition.filter(), GAP_MAX).await?;
            if page.scanned < through {
                return Ok(false);
            }
            let missing = page.events.into_iter().filter(|event| event.position <= through);
            events.extend(missing.map(Entry::shared));
        }
        let batch = Batch { after, events, through };
        batch::apply(&*self.projection, lease.version, parked, &batch.events, Poison::IsFound, &mut tx)
            .await?;
        if let Some(live) = live {
            rewinds::record_switch(definition, live.version, lease.version, &mut tx).await?;
        }
        versions::make_live(definition, lease.version, &mut tx).await?;
        batch::pass_over(lease, 0, Poison::IsFound, &batch, &mut tx).await?;
        let partitions = versions::partitions_of(definition, lease.version, &mut tx).await?;
        if partitions > 1 {
            checkpoints::split(partitions, &mut tx).await?;
        }
        versions::publish(definition, lease.version, partitions, &mut tx).await?;
        platform::fault::crash_point("rebuild.before_switch");
        tx.commit().await?;
        Ok(true)
    }
}

/// Where the partition of the live version is that has got furthest. Readers have seen its rows, and are to
/// see none go back.
async fn furthest(definition: &Definition, live: Live, db: &mut PgConnection) -> Result<Position, Error> {
    let checkpoints = checkpoints::of_partitions(definition, live, db).await?;
    Ok(checkpoints.into_iter().max().unwrap_or(Position::START))
}

/// Somebody holds a lock that the switch needs, or the switch and somebody else wait for each other.
fn is_in_the_way(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["55P03", "40P01"].contains(&code.as_ref()))
}
