//! The fenced lease: one session at a time may write a version. Whoever takes the lease draws a token
//! that nobody had before, for this version or any other, and every transaction that writes rows checks
//! it, so that a process that was paused and wakes up is refused in the same transaction as its rows.
//!
//! Time is judged by the database, so that the clocks of two machines do not matter. A holder whose
//! session is gone has lost its lease at once; one that is only silent keeps it until it runs out.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use crate::{Definition, Error};

/// The right to write one version, for as long as nobody has taken it over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    pub(crate) definition: &'static Definition,
    pub(crate) version: i32,
    pub(crate) token: i64,
}

/// How long a lease lasts without being renewed.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

impl Lease {
    /// Takes the lease of a version, if nobody has it.
    pub(crate) async fn take(
        definition: &'static Definition,
        version: i32,
        holder: &str,
        db: &mut PgConnection,
    ) -> Result<Self, Error> {
        let mut tx = db.begin().await?;
        // `for update` waits for transactions that have checked the old token, and keeps new ones out.
        let (other, free): (Option<String>, bool) = sqlx::query_as(
            "select holder, holder is null or lease_until < clock_timestamp() or not exists (
                 select from pg_stat_activity
                 where pid = session_pid and backend_start = session_start)
             from projections.versions where projection = $1 and version = $2 for update",
        )
        .bind(definition.name)
        .bind(version)
        .fetch_one(&mut *tx)
        .await?;
        if !free {
            return Err(Error::LeaseHeld {
                projection: definition.name,
                version,
                holder: other.unwrap_or_default(),
            });
        }
        // Releases that count on from the version's last token may be at work beside this one.
        let token = sqlx::query_scalar(
            "update projections.versions
             set token = greatest(nextval('projections.fencing_tokens'), token + 1), holder = $3,
                 lease_until = clock_timestamp() + $4, session_pid = pg_backend_pid(),
                 session_start = (select backend_start from pg_stat_activity where pid = pg_backend_pid())
             where projection = $1 and version = $2 returning token",
        )
        .bind(definition.name)
        .bind(version)
        .bind(holder)
        .bind(LEASE)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Self { definition, version, token })
    }

    /// Makes it last on.
    pub(crate) async fn renew(&self, db: &mut PgConnection) -> Result<(), Error> {
        let done = sqlx::query(
            "update projections.versions set lease_until = clock_timestamp() + $4
             where projection = $1 and version = $2 and token = $3 and state <> 'previous'",
        )
        .bind(self.definition.name)
        .bind(self.version)
        .bind(self.token)
        .bind(LEASE)
        .execute(db)
        .await?;
        if done.rows_affected() == 0 && !platform::fault::planted("no-fence") {
            return Err(self.fenced());
        }
        Ok(())
    }

    /// Gives it up, so that the next one need not wait. Fails when it was over before.
    pub(crate) async fn release(&self, db: &mut PgConnection) -> Result<(), Error> {
        let done = sqlx::query(
            "update projections.versions set holder = null, lease_until = null
             where projection = $1 and version = $2 and token = $3",
        )
        .bind(self.definition.name)
        .bind(self.version)
        .bind(self.token)
        .execute(db)
        .await?;
        if done.rows_affected() == 0 {
            return Err(self.fenced());
        }
        Ok(())
    }

    /// Checks the token inside a transaction, keeps anybody from taking the lease over until it ends,
    /// and answers which streams are parked. Several workers may hold this lock at once, and renewing
    /// does not wait for it.
    pub(crate) async fn check(&self, tx: &mut PgConnection) -> Result<Vec<String>, Error> {
        let parked: Option<Vec<String>> = sqlx::query_scalar(
            "select array(select stream from projections.parked_streams parked
                 where parked.projection = versions.projection and parked.version = versions.version)
             from projections.versions
             where projection = $1 and version = $2
               and ($4 or (token = $3 and state <> 'previous'))
             for key share",
        )
        .bind(self.definition.name)
        .bind(self.version)
        .bind(self.token)
        .bind(platform::fault::planted("no-fence"))
        .fetch_optional(tx)
        .await?;
        parked.ok_or_else(|| self.fenced())
    }

    /// The refusal of this lease.
    fn fenced(&self) -> Error {
        Error::Fenced { projection: self.definition.name, version: self.version, token: self.token }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use event_store::Position;
    use platform::postgres::testing;
    use sqlx::ConnectOptions;

    use super::*;
    use crate::{
        Projector,
        batch::{self, Batch},
        database, sales, versions,
    };

    fn at(column: i64) -> Position {
        Position::from_column(column).unwrap()
    }

    /// A stretch of the log without events that the projection wants.
    fn batch(after: i64, through: i64) -> Batch {
        Batch { after: at(after), events: Vec::new(), through: at(through) }
    }

    #[tokio::test]
    async fn a_holder_that_was_silent_for_too_long_is_refused_with_all_that_it_would_write() {
        let databases = testing::fresh_database().await;
        crate::migrate(&databases.owner).await.unwrap();
        let definition = sales::Sales.definition();
        let mut first_db = databases.projector.connect().await.unwrap();
        let mut second_db = databases.projector.connect().await.unwrap();
        let live = versions::install(definition, &mut first_db).await.unwrap();
        for db in [&mut first_db, &mut second_db] {
            database::enter(&definition.schema(live.version), db).await.unwrap();
        }
        let first = Lease::take(definition, live.version, "first", &mut first_db).await.unwrap();
        batch::write(&sales::Sales, &first, 0, &batch(0, 1), &mut first_db).await.unwrap();

        // As long as the lease lasts nobody else gets it.
        let refused = Lease::take(definition, live.version, "second", &mut second_db).await;
        assert!(matches!(refused, Err(Error::LeaseHeld { holder, .. }) if holder == "first"));
        sqlx::query("update projections.versions set lease_until = clock_timestamp() - interval '1 ms'")
            .execute(&mut second_db)
            .await
            .unwrap();
        let second = Lease::take(definition, live.version, "second", &mut second_db).await.unwrap();
        assert!(second.token > first.token);

        // The first wakes up, before and after the second has written.
        let late = batch::write(&sales::Sales, &first, 0, &batch(1, 2), &mut first_db).await;
        assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
        assert!(matches!(first.renew(&mut first_db).await, Err(Error::Fenced { .. })));
        assert!(matches!(first.release(&mut first_db).await, Err(Error::Fenced { .. })));
        batch::write(&sales::Sales, &second, 0, &batch(1, 3), &mut second_db).await.unwrap();
        let later = batch::write(&sales::Sales, &first, 0, &batch(3, 4), &mut first_db).await;
        assert!(matches!(later, Err(Error::Fenced { .. })), "{later:?}");
        assert_eq!(versions::checkpoint(&mut first_db).await.unwrap(), at(3));
    }

    #[tokio::test]
    async fn a_lease_on_a_version_that_was_dropped_is_none_on_the_next_one() {
        let databases = testing::fresh_database().await;
        crate::migrate(&databases.owner).await.unwrap();
        let definition = sales::Sales.definition();
        let mut first_db = databases.projector.connect().await.unwrap();
        let mut second_db = databases.projector.connect().await.unwrap();
        let dropped = versions::create(definition, versions::State::Scratch, 1, &mut first_db).await.unwrap();
        let first = Lease::take(definition, dropped, "first", &mut first_db).await.unwrap();
        versions::drop_version(definition, dropped, &mut second_db).await.unwrap();

        let next = versions::create(definition, versions::State::Scratch, 1, &mut second_db).await.unwrap();
        let second = Lease::take(definition, next, "second", &mut second_db).await.unwrap();
        let late = batch::write(&sales::Sales, &first, 1, &batch(0, 1), &mut first_db).await;
        assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
        assert!(next > dropped && second.token > first.token);
    }

    #[tokio::test]
    async fn a_number_that_another_release_gives_again_comes_with_another_token() {
        let databases = testing::fresh_database().await;
        crate::migrate(&databases.owner).await.unwrap();
        let definition = sales::Sales.definition();
        let mut first_db = databases.projector.connect().await.unwrap();
        let mut second_db = databases.projector.connect().await.unwrap();
        let dropped = versions::create(definition, versions::State::Scratch, 1, &mut first_db).await.unwrap();
        let first = Lease::take(definition, dropped, "first", &mut first_db).await.unwrap();
        versions::drop_version(definition, dropped, &mut second_db).await.unwrap();

        // As a release did that knew no `version_numbers`.
        sqlx::query("delete from projections.version_numbers").execute(&mut second_db).await.unwrap();
        let again = versions::create(definition, versions::State::Scratch, 1, &mut second_db).await.unwrap();
        assert_eq!(again, dropped);
        Lease::take(definition, again, "second", &mut second_db).await.unwrap();
        let late = batch::write(&sales::Sales, &first, 1, &batch(0, 1), &mut first_db).await;
        assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
    }

    #[tokio::test]
    async fn a_checkpoint_that_somebody_moved_is_not_written_over() {
        let databases = testing::fresh_database().await;
        crate::migrate(&databases.owner).await.unwrap();
        let definition = sales::Sales.definition();
        let mut db = databases.projector.connect().await.unwrap();
        let live = versions::install(definition, &mut db).await.unwrap();
        database::enter(&definition.schema(live.version), &mut db).await.unwrap();
        let lease = Lease::take(definition, live.version, "holder", &mut db).await.unwrap();
        batch::write(&sales::Sales, &lease, 0, &batch(0, 5), &mut db).await.unwrap();
        let again = batch::write(&sales::Sales, &lease, 0, &batch(0, 5), &mut db).await;
        assert!(matches!(again, Err(Error::CheckpointMoved { .. })), "{again:?}");
    }
}
