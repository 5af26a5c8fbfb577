//! The books in Postgres. A call is answered only after its effect and its webhooks are committed, so
//! that killing the provider, or us, loses nothing that either was told.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use events::ids::PaymentId;
use platform::postgres::Statements;
use quick_cache::sync::Cache;
use serde::Deserialize;
use serde_json::Value;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions, types::Json};

use super::{
    books::{PaymentBook, Reply},
    notification::Notice,
};
use crate::gateway::Call;

/// The longest pause between two deliveries of one webhook.
const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// How often a call is taken into a book that others write to at the same time.
const TRIES_MAX: usize = 100;

/// How long whoever wants to read the books waits for the database.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many books are kept in mind, about.
const WRITTEN_MAX: usize = 5_000;

/// Why the books could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error("the provider's books cannot be reached: {0}")]
    Database(#[from] sqlx::Error),
    /// Others wrote to the same book each time.
    #[error("the provider's book of this payment is written to by too many at once")]
    Contended,
    /// Their schema could not be made.
    #[error("the provider's books cannot be set up: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// Creates the schema of the books. Safe to repeat.
pub async fn migrate(owner: &PgConnectOptions) -> Result<(), Error> {
    let migrations = sqlx::migrate!("migrations/sandbox");
    let mut db = platform::postgres::migrate(owner, "sandbox", &migrations).await?;
    sqlx::raw_sql(
        "grant usage on schema sandbox to counterfoil_service;
         grant select, insert, update, delete on sandbox.payments, sandbox.outbox to counterfoil_service;",
    )
    .execute(&mut db)
    .await?;
    db.close().await?;
    Ok(())
}

/// Every payment's book, read without asking the provider, which need not be running.
pub async fn read_books(service: &PgConnectOptions) -> Result<Vec<PaymentBook>, Error> {
    Keeper::new(Statements::over(service.clone(), 1, PATIENCE)).books().await
}

/// A webhook that waits for its delivery.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Waiting {
    pub(super) number: i64,
    pub(super) notice: Json<Notice>,
    pub(super) attempts: i32,
}

/// The provider's books and its outbox.
#[derive(Debug, Clone)]
pub(super) struct Keeper {
    db: Statements,
    /// How books were left here, of those that were written last. Never trusted: what is made of one is written
    /// only where the book is still that.
    written: Arc<Cache<PaymentId, Value>>,
}

impl Keeper {
    pub(super) fn new(db: Statements) -> Self {
        Self { db, written: Arc::new(Cache::new(WRITTEN_MAX)) }
    }

    /// Whether the books can be read.
    pub(super) async fn ping(&self) -> Result<(), Error> {
        let select = sqlx::query("select from sandbox.payments limit 1");
        self.db.run(async |db| select.execute(db).await).await?;
        Ok(())
    }

    /// Takes a call into the books. `None` when its key was used before for something else.
    pub(super) async fn call(&self, call: &Call, now: DateTime<Utc>) -> Result<Option<Reply>, Error> {
        // Most books are as we left them, or are about to begin; where one is not, nothing is written.
        let mut kept = self.written.get(&call.payment_id);
        let mut is_read = false;
        for _ in 0..TRIES_MAX {
            let mut book = match &kept {
                Some(kept) => {
                    PaymentBook::deserialize(kept).map_err(|error| sqlx::Error::Decode(error.into()))?
                }
                None => PaymentBook::new(call),
            };
            match book.call(call, now) {
                Ok(reply) => {
                    let next =
                        serde_json::to_value(&book).map_err(|error| sqlx::Error::Encode(error.into()))?;
                    // Somebody else's call may have come between.
                    if self.replace(kept.as_ref(), &book, &next, &reply, now).await? {
                        self.written.insert(call.payment_id, next);
                        return Ok(Some(reply));
                    }
                }
                Err(_) if is_read => return Ok(None),
                Err(_) => {}
            }
            kept = self.read(call.payment_id).await?;
            is_read = true;
        }
        Err(Error::Contended)
    }

    async fn read(&self, payment_id: PaymentId) -> Result<Option<Value>, sqlx::Error> {
        let select = sqlx::query_scalar("select book from sandbox.payments where payment_id = $1");
        self.db.run(async |db| select.bind(payment_id.0).fetch_optional(db).await).await
    }

    /// Writes a book and the webhooks that are to be sent, if the book is still the one that was `kept`.
    async fn replace(
        &self,
        kept: Option<&Value>,
        book: &PaymentBook,
        next: &Value,
        reply: &Reply,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let notices: Vec<Json<&Notice>> =
            reply.notify_before.iter().chain(&reply.notify_after).map(Json).collect();
        let replace = sqlx::query_scalar(
            "with begun as (
                 insert into sandbox.payments (payment_id, book, settles_at)
                 select $1, $2, $3 where $4::jsonb is null on conflict do nothing returning 1),
             changed as (
                 update sandbox.payments set book = $2, settles_at = $3
                 where payment_id = $1 and book = $4 returning 1),
             done as (select from begun union all select from changed),
             posted as (
                 insert into sandbox.outbox (notice, due_at)
                 select notice, $6 from unnest($5::jsonb[]) as notice where exists (select from done))
             select exists (select from done)",
        )
        .bind(book.payment_id.0)
        .bind(next)
        .bind(book.next_settlement())
        .bind(kept)
        .bind(notices)
        .bind(now);
        Ok(self.db.run(async |db| replace.fetch_one(db).await).await?)
    }

    /// The book of one payment.
    pub(super) async fn book(&self, payment_id: PaymentId) -> Result<Option<PaymentBook>, Error> {
        let book = self.read(payment_id).await?.map(PaymentBook::deserialize).transpose();
        Ok(book.map_err(|error| sqlx::Error::Decode(error.into()))?)
    }

    /// Every payment's book.
    pub(super) async fn books(&self) -> Result<Vec<PaymentBook>, Error> {
        let select = sqlx::query_scalar("select book from sandbox.payments order by payment_id");
        let books: Vec<Json<PaymentBook>> = self.db.run(async |db| select.fetch_all(db).await).await?;
        Ok(books.into_iter().map(|Json(book)| book).collect())
    }

    /// Approves what was pending until now.
    pub(super) async fn settle(&self, now: DateTime<Utc>) -> Result<(), Error> {
        let settle = async |db: &mut PgConnection| {
            let mut transaction = db.begin().await?;
            let due: Vec<Json<PaymentBook>> = sqlx::query_scalar(
                "select book from sandbox.payments where settles_at <= $1 limit 100 for update skip locked",
            )
            .bind(now)
            .fetch_all(&mut *transaction)
            .await?;
            for Json(mut book) in due {
                for notice in book.settle(now) {
                    post(&notice, now, &mut transaction).await?;
                }
                write(&book, &mut transaction).await?;
            }
            transaction.commit().await
        };
        Ok(self.db.run(settle).await?)
    }

    /// When there is something to do next: a pending operation to approve or a webhook to deliver.
    pub(super) async fn next_due(&self) -> Result<Option<DateTime<Utc>>, Error> {
        let select = sqlx::query_scalar(
            "select least((select min(settles_at) from sandbox.payments), (select min(due_at) from sandbox.outbox))",
        );
        Ok(self.db.run(async |db| select.fetch_one(db).await).await?)
    }

    /// Webhooks whose time has come, the oldest first.
    pub(super) async fn due(&self, now: DateTime<Utc>) -> Result<Vec<Waiting>, Error> {
        let select = sqlx::query_as(
            "select number, notice, attempts from sandbox.outbox where due_at <= $1 order by number limit 32",
        );
        Ok(self.db.run(async |db| select.bind(now).fetch_all(db).await).await?)
    }

    /// The webhook arrived.
    pub(super) async fn delivered(&self, number: i64) -> Result<(), Error> {
        let delete = sqlx::query("delete from sandbox.outbox where number = $1").bind(number);
        self.db.run(async |db| delete.execute(db).await).await?;
        Ok(())
    }

    /// It did not arrive, and is to be delivered again, later each time.
    pub(super) async fn undelivered(&self, waiting: &Waiting, now: DateTime<Utc>) -> Result<(), Error> {
        let exponent = u32::try_from(waiting.attempts).unwrap_or(0).min(16);
        let pause = Duration::from_millis(100).saturating_mul(1 << exponent).min(BACKOFF_MAX);
        let update = "update sandbox.outbox set attempts = attempts + 1, due_at = $2 where number = $1";
        let update = sqlx::query(update).bind(waiting.number).bind(now + pause);
        self.db.run(async |db| update.execute(db).await).await?;
        Ok(())
    }
}

async fn write(book: &PaymentBook, db: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("update sandbox.payments set book = $2, settles_at = $3 where payment_id = $1")
        .bind(book.payment_id.0)
        .bind(Json(book))
        .bind(book.next_settlement())
        .execute(db)
        .await?;
    Ok(())
}

async fn post(notice: &Notice, due_at: DateTime<Utc>, db: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("insert into sandbox.outbox (notice, due_at) values ($1, $2)")
        .bind(Json(notice))
        .bind(due_at)
        .execute(db)
        .await?;
    Ok(())
}
