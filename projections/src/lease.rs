//! The fenced lease: one session at a time may write a version, or a partition of one
//! that is split. Whoever takes the lease draws a token
//! that nobody had before, for this version or any other, and every transaction that writes rows checks
//! it, so that a process that was paused and wakes up is refused in the same transaction as its rows.
//!
//! Time is judged by the database, so that the clocks of two machines do not matter. A holder whose
//! session is gone has lost its lease at once; one that is only silent keeps it until it runs out.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres, postgres::PgArguments, query::Query};

use crate::{Definition, Error, parked, partition::Partition};

/// The right to write one version or one partition of it, for as long as nobody has taken it over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    pub(crate) definition: &'static Definition,
    pub(crate) version: i32,
    /// All of the version, also of one that will be split, while that is built.
    pub(crate) partition: Partition,
    pub(crate) token: i64,
}

/// How long a lease lasts without being renewed.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

impl Lease {
    /// Takes the lease of a version or a partition, if nobody has it.
    pub(crate) async fn take(
        definition: &'static Definition,
        version: i32,
        partition: Partition,
        holder: &str,
        db: &mut PgConnection,
    ) -> Result<Self, Error> {
        let wanted = Self { definition, version, partition, token: 0 };
        let mut tx = db.begin().await?;
        // `for update` waits for transactions that have checked the old token, and keeps new ones out.
        let sql = format!(
            "select holder, holder is null or lease_until < clock_timestamp() or not exists (
                 select from pg_stat_activity
                 where pid = session_pid and backend_start = session_start)
             from {} for update",
            wanted.row()
        );
        let found: Option<(Option<String>, bool)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(definition.name)
            .bind(version)
            .bind(partition.shard())
            .fetch_optional(&mut *tx)
            .await?;
        let Some((other, free)) = found else { return Err(wanted.fenced()) };
        if !free {
            return Err(Error::LeaseHeld {
                projection: definition.name,
                version,
                holder: other.unwrap_or_default(),
            });
        }
        // Releases that count on from the version's last token may be at work beside this one.
        let sql = format!(
            "update {} returning token",
            wanted.row_with(
                "set token = greatest(nextval('projections.fencing_tokens'), token + 1), holder = $4,
                     lease_until = clock_timestamp() + $5, session_pid = pg_backend_pid(),
                     session_start = (
                         select backend_start from pg_stat_activity where pid = pg_backend_pid())"
            )
        );
        let token = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(definition.name)
            .bind(version)
            .bind(partition.shard())
            .bind(holder)
            .bind(LEASE)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Self { token, ..wanted })
    }

    /// Makes it last on.
    pub(crate) async fn renew(&self, db: &mut PgConnection) -> Result<(), Error> {
        let set = self.row_with("set lease_until = clock_timestamp() + $5");
        let sql = format!("update {set} and token = $4 and {}", self.may_be_written());
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(self.definition.name)
            .bind(self.version)
            .bind(self.partition.shard())
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
        let set = self.row_with("set holder = null, lease_until = null");
        let done = sqlx::query(AssertSqlSafe(format!("update {set} and token = $4")))
            .bind(self.definition.name)
            .bind(self.version)
            .bind(self.partition.shard())
            .bind(self.token)
            .execute(db)
            .await?;
        if done.rows_affected() == 0 {
            return Err(self.fenced());
        }
        Ok(())
    }

    /// Checks the token inside a transaction, keeps anybody from taking the lease over until it ends, and answers
    /// which streams are parked. Several workers may hold this lock at once, and renewing does not wait for it.
    pub(crate) async fn check(&self, tx: &mut PgConnection) -> Result<Vec<String>, Error> {
        let sql = format!("{} for key share", self.held());
        let held = self.bind(sqlx::query(AssertSqlSafe(sql))).fetch_optional(&mut *tx).await?;
        held.ok_or_else(|| self.fenced())?;
        // Asked only now: who had to wait for the lock waited for somebody who let streams go on.
        parked::streams(self.definition, self.version, tx).await
    }

    /// The row that says that it is ours, as in SQL, of which [`Lease::bind`] binds the first five parameters.
    pub(crate) fn held(&self) -> String {
        format!("select from {} and ($5 or (token = $4 and {}))", self.row(), self.may_be_written())
    }

    /// Binds what [`Lease::held`] asks for.
    pub(crate) fn bind<'q>(
        &self,
        query: Query<'q, Postgres, PgArguments>,
    ) -> Query<'q, Postgres, PgArguments> {
        query
            .bind(self.definition.name)
            .bind(self.version)
            .bind(self.partition.shard())
            .bind(self.token)
            .bind(platform::fault::planted("no-fence"))
    }

    /// The row that says who has it, as in SQL: the projection, the version and the shard are $1 to $3.
    fn row(&self) -> String {
        self.row_with("")
    }

    /// That row, with what to do to it.
    fn row_with(&self, set: &str) -> String {
        let of_version = "where projection = $1 and version = $2";
        if self.partition.is_part() {
            format!("projections.partitions as leased {set} {of_version} and partition = -$3::smallint")
        } else {
            format!("projections.versions as leased {set} {of_version} and $3::smallint = 0")
        }
    }

    /// Whether the version is in a state in which who has such a lease may write it, as in SQL.
    fn may_be_written(&self) -> &'static str {
        if self.partition.is_part() {
            "exists (select from projections.versions
                     where versions.projection = leased.projection and versions.version = leased.version
                         and state = 'live')"
        } else {
            "state <> 'previous'"
        }
    }

    /// The refusal of this lease.
    pub(crate) fn fenced(&self) -> Error {
        Error::Fenced { projection: self.definition.name, version: self.version, token: self.token }
    }
}

#[cfg(test)]
mod tests;
