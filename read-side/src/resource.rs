//! What the API shows of the rows of one table, and the answer about one of them: each context says its
//! table and how a row is shown, and what it means to be asked for one is said here.

use axum::response::Response;
use platform::problem::Problem;
use serde::Serialize;
use sqlx::{Encode, FromRow, Postgres, Type, postgres::PgRow};

use crate::{answer, asked::Asked, lookup::Lookup, models::ReadModels, refusal};

/// A row of a read model, as clients see it.
pub(crate) trait Shown: Serialize + From<Self::Row> {
    /// The row.
    type Row: for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static;
    /// The read model.
    const PROJECTION: &'static str;
    /// The view, without its schema.
    const TABLE: &'static str;
    /// What is selected.
    const COLUMNS: &'static str;
}

/// One that has an address of its own.
pub(crate) trait Resource: Shown {
    /// What it is called when there is none.
    const NAME: &'static str;
    /// What is true of the one row by the id `asked.id`, a text.
    const IS_ASKED_FOR: &'static str;
    /// What changes whenever the row does.
    fn tag(row: &Self::Row) -> String;
}

/// A value that a query compares with.
pub(crate) trait Value: for<'q> Encode<'q, Postgres> + Type<Postgres> {}

impl<T: for<'q> Encode<'q, Postgres> + Type<Postgres>> Value for T {}

/// The answer about the resource with this id.
pub(crate) async fn answer<T: Resource>(
    models: &ReadModels,
    id: String,
    asked: Asked,
) -> Result<Response, Problem> {
    let conditions = asked.finish()?;
    let lookup = Lookup::one::<T>(None, T::IS_ASKED_FOR, id);
    let found = models.look_up::<T>(lookup, &conditions).await?;
    let row = found.rows::<T::Row>().map_err(refusal::failed)?.pop();
    let row = row.ok_or_else(|| refusal::not_found(T::NAME))?;
    let tag = T::tag(&row);
    Ok(answer::resource(&conditions, found.position, &tag, &T::from(row)))
}
