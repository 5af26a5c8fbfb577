//! Which processes are there to keep read models, and what each of them is able to keep. A process counts as
//! long as it says so, by the clock of the database, and its session lives.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::{
    Piece,
    able::{Able, Written, due, leave_to_newer, pieces, work},
    share::share_out,
};
use crate::{Definition, Error, StandsBack, checkpoints, database, versions};

/// One process among those that share.
#[derive(Debug)]
pub(super) struct Member {
    holder: String,
    definitions: Vec<&'static Definition>,
    /// How long it counts without being heard of.
    ttl: Duration,
    db: PgConnection,
}

impl Member {
    /// A member that has not been heard of yet.
    pub(super) async fn connect(
        projector: &PgConnectOptions,
        holder: &str,
        definitions: Vec<&'static Definition>,
        ttl: Duration,
    ) -> Result<Self, Error> {
        let db = database::connect(projector, "members", ttl).await?;
        Ok(Self { holder: holder.to_owned(), definitions, ttl, db })
    }

    /// Says that it is there and what it has met, and answers its share.
    pub(super) async fn claim(
        &mut self,
        met: &HashMap<&'static str, StandsBack>,
    ) -> Result<HashSet<Piece>, Error> {
        self.join(met).await?;
        let mut able: Vec<Able> = sqlx::query_as(
            "select holder, projection, definition, stands_back_at, keeps_partitions from projections.members
              where seen_until > clock_timestamp() and exists (
                 select from pg_stat_activity where pid = session_pid and backend_start = session_start)",
        )
        .fetch_all(&mut self.db)
        .await?;
        let versions: Vec<Written> = sqlx::query_as(
            "select version.projection, version.definition % $1 as definition, state = 'live' as is_live,
                 version.partitions, coalesce(part.partition, 1::smallint) as partition,
                 case when part.partition is null then version.holder else part.holder end as holder
             from projections.versions version
             left join projections.partitions part
                 on state = 'live' and part.projection = version.projection and part.version = version.version
             where state in ('live', 'building')",
        )
        .bind(versions::SPLIT)
        .fetch_all(&mut self.db)
        .await?;
        for known in &self.definitions {
            if able.iter().any(|able| able.projection == known.name && able.stands_back_at.is_some()) {
                let Some(live) = versions::live(known, &mut self.db).await? else { continue };
                let checkpoint = checkpoints::position(known, live, &mut self.db).await?;
                let checkpoint = versions::position_to(checkpoint)?;
                leave_to_newer(known.name, live.definition, checkpoint, &mut able);
            }
        }
        Ok(self.share_of(&able, &versions))
    }

    /// Counts this process no more.
    pub(super) async fn leave(mut self) -> Result<(), Error> {
        sqlx::query("delete from projections.members where holder = $1 and session_pid = pg_backend_pid()")
            .bind(&self.holder)
            .execute(&mut self.db)
            .await?;
        Ok(self.db.close().await?)
    }

    async fn join(&mut self, met: &HashMap<&'static str, StandsBack>) -> Result<(), Error> {
        let (names, definitions): (Vec<&str>, Vec<i32>) =
            self.definitions.iter().map(|known| (known.name, known.version)).unzip();
        let positions: Result<Vec<Option<i64>>, Error> = names
            .iter()
            .map(|name| met.get(name).map(|met| versions::position_to(met.position)).transpose())
            .collect();
        let events: Vec<Option<&str>> =
            names.iter().map(|name| met.get(name).map(|met| met.event.as_str())).collect();
        sqlx::query(
            "insert into projections.members
                 (holder, projection, definition, stands_back_at, stands_back_for,
                  seen_until, session_pid, session_start, keeps_partitions)
             select $1, known.*, clock_timestamp() + $6, pid, backend_start, true
               from unnest($2::text[], $3::int[], $4::bigint[], $5::text[]) as known, pg_stat_activity
              where pid = pg_backend_pid()
             on conflict (holder, projection) do update
                set definition = excluded.definition, stands_back_at = excluded.stands_back_at,
                    stands_back_for = excluded.stands_back_for, seen_until = excluded.seen_until,
                    session_pid = excluded.session_pid, session_start = excluded.session_start,
                    keeps_partitions = excluded.keeps_partitions",
        )
        .bind(&self.holder)
        .bind(&names)
        .bind(definitions)
        .bind(positions?)
        .bind(events)
        .bind(self.ttl)
        .execute(&mut self.db)
        .await?;
        // Not those that are coming back just now: each would wait for the other.
        sqlx::query(
            "delete from projections.members where (holder, projection) in (
                select holder, projection from projections.members
                 where seen_until <= clock_timestamp() or (holder = $1 and projection <> all($2))
                   for update skip locked)",
        )
        .bind(&self.holder)
        .bind(names)
        .execute(&mut self.db)
        .await?;
        Ok(())
    }

    /// What this process is to keep or to replace.
    fn share_of(&self, able: &[Able], versions: &[Written]) -> HashSet<Piece> {
        let mut all = Vec::new();
        let mut works = Vec::new();
        for known in &self.definitions {
            for definition in due(known.name, able, versions) {
                for piece in pieces(known.name, definition, versions) {
                    all.push((known.name, piece.number));
                    works.push(work(known.name, definition, piece, able, versions));
                }
            }
        }
        let given = share_out(&works).into_iter().zip(all);
        given.filter(|(member, _)| *member == Some(&self.holder)).map(|(_, piece)| piece).collect()
    }
}
