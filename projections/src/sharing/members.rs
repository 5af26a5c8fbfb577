//! Which processes are there to keep read models, and what each of them is able to keep. A process counts as
//! long as it says so, by the clock of the database, and its session lives.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::share::{Work, share_out};
use crate::{Definition, Error, StandsBack, database, versions};

/// One process among those that share.
#[derive(Debug)]
pub(super) struct Member {
    holder: String,
    definitions: Vec<&'static Definition>,
    /// How long it counts without being heard of.
    ttl: Duration,
    db: PgConnection,
}

/// A process that is able to keep a read model of this definition.
#[derive(Debug, sqlx::FromRow)]
struct Able {
    holder: String,
    projection: String,
    definition: i32,
    /// An event that it cannot read: it goes on with the read model only when that is passed and nobody else
    /// is able to.
    stands_back_at: Option<i64>,
}

/// A version that is read or built, and who writes it.
#[derive(Debug, sqlx::FromRow)]
struct Written {
    projection: String,
    version: i32,
    definition: i32,
    is_live: bool,
    holder: Option<String>,
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

    /// Says that it is there and what it has met, and answers the names of its share.
    pub(super) async fn claim(
        &mut self,
        met: &HashMap<&'static str, StandsBack>,
    ) -> Result<HashSet<&'static str>, Error> {
        self.join(met).await?;
        let mut able: Vec<Able> = sqlx::query_as(
            "select holder, projection, definition, stands_back_at from projections.members
              where seen_until > clock_timestamp() and exists (
                 select from pg_stat_activity where pid = session_pid and backend_start = session_start)",
        )
        .fetch_all(&mut self.db)
        .await?;
        let versions: Vec<Written> = sqlx::query_as(
            "select projection, version, definition, state = 'live' as is_live, holder from projections.versions
              where state in ('live', 'building')",
        )
        .fetch_all(&mut self.db)
        .await?;
        for known in &self.definitions {
            let live = versions.iter().find(|version| version.is_live && version.projection == known.name);
            let Some(live) = live else { continue };
            if able.iter().any(|able| able.projection == known.name && able.stands_back_at.is_some()) {
                let checkpoint = versions::checkpoint_of(known, live.version, &mut self.db).await?;
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
                  seen_until, session_pid, session_start)
             select $1, known.*, clock_timestamp() + $6, pid, backend_start
               from unnest($2::text[], $3::int[], $4::bigint[], $5::text[]) as known, pg_stat_activity
              where pid = pg_backend_pid()
             on conflict (holder, projection) do update
                set definition = excluded.definition, stands_back_at = excluded.stands_back_at,
                    stands_back_for = excluded.stands_back_for, seen_until = excluded.seen_until,
                    session_pid = excluded.session_pid, session_start = excluded.session_start",
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
    fn share_of(&self, able: &[Able], versions: &[Written]) -> HashSet<&'static str> {
        let mut names = Vec::new();
        let mut works = Vec::new();
        for known in &self.definitions {
            for definition in due(known.name, able, versions) {
                names.push(known.name);
                works.push(work(known.name, definition, able, versions));
            }
        }
        let given = share_out(&works).into_iter().zip(names);
        given.filter(|(member, _)| *member == Some(&self.holder)).map(|(_, name)| name).collect()
    }
}

/// Takes those from the able who met an event of a newer release, as long as there are others; those who are
/// alone go on when somebody was there meanwhile who could read it.
fn leave_to_newer(projection: &str, definition: i32, checkpoint: i64, able: &mut Vec<Able>) {
    let is_of = |able: &Able| able.projection == projection && able.definition == definition;
    let others_are_there = able.iter().any(|able| is_of(able) && able.stands_back_at.is_none());
    able.retain(|able| {
        !is_of(able) || able.stands_back_at.is_none_or(|at| !others_are_there && at <= checkpoint)
    });
}

/// Which definitions of a read model are to be written: that of the live version, and the highest that somebody
/// knows, where that is another one and the live version is to be replaced.
fn due(projection: &str, able: &[Able], versions: &[Written]) -> Vec<i32> {
    let live = versions.iter().find(|version| version.is_live && version.projection == projection);
    let live = live.map(|version| version.definition);
    let highest = able.iter().filter(|able| able.projection == projection).map(|able| able.definition).max();
    let next = highest.filter(|highest| live.is_none_or(|live| *highest > live));
    live.into_iter().chain(next).collect()
}

fn work<'a>(projection: &str, definition: i32, able: &'a [Able], versions: &'a [Written]) -> Work<'a> {
    let is_it = |of: &str, by: i32| of == projection && by == definition;
    let candidates = able.iter().filter(|able| is_it(&able.projection, able.definition));
    let written = versions.iter().filter(|version| is_it(&version.projection, version.definition));
    Work {
        candidates: candidates.map(|able| able.holder.as_str()).collect(),
        // Where one is built beside a live one of the same definition, a person has asked for that.
        holder: written.max_by_key(|version| version.is_live).and_then(|version| version.holder.as_deref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn able(holder: &str, definition: i32) -> Able {
        let projection = "orders".to_owned();
        Able { holder: holder.to_owned(), projection, definition, stands_back_at: None }
    }

    fn version(definition: i32, is_live: bool) -> Written {
        Written { projection: "orders".to_owned(), version: 1, definition, is_live, holder: None }
    }

    #[test]
    fn the_live_version_is_kept_by_those_of_its_release_while_a_newer_one_replaces_it() {
        let members = [able("old", 2), able("new", 3)];
        let live = [version(2, true)];
        assert_eq!(due("orders", &members, &live), [2, 3]);
        assert_eq!(work("orders", 2, &members, &live).candidates, ["old"]);
        assert_eq!(work("orders", 3, &members, &live).candidates, ["new"]);
    }

    fn left(members: &[(&str, Option<i64>)], checkpoint: i64) -> Vec<String> {
        let with = |(holder, stands_back_at): &(&str, _)| Able {
            stands_back_at: *stands_back_at,
            ..able(holder, 2)
        };
        let mut able: Vec<Able> = members.iter().map(with).collect();
        leave_to_newer("orders", 2, checkpoint, &mut able);
        able.into_iter().map(|able| able.holder).collect()
    }

    #[test]
    fn who_met_an_event_of_a_newer_release_leaves_the_read_model_to_others_and_waits_when_alone() {
        assert_eq!(left(&[("old", Some(7)), ("new", None)], 6), ["new"]);
        assert_eq!(left(&[("old", Some(7)), ("new", None)], 9), ["new"]);
        assert_eq!(left(&[("old", Some(7))], 6), [""; 0]);
        assert_eq!(left(&[("old", Some(7)), ("older", Some(5))], 6), ["older"]);
        // The newer release was there and has gone again.
        assert_eq!(left(&[("old", Some(7))], 7), ["old"]);
    }

    #[test]
    fn what_a_newer_release_has_replaced_is_nothing_for_an_older_one() {
        let members = [able("old", 2), able("new", 3)];
        let live = [version(3, true)];
        assert_eq!(due("orders", &members, &live), [3]);
        assert_eq!(work("orders", 3, &members, &live).candidates, ["new"]);
        assert!(work("orders", 3, &members[..1], &live).candidates.is_empty());
    }
}
