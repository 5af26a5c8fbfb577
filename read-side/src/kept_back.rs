//! What a read model keeps back of one order: the stream of an event that cannot be applied is parked,
//! and the row stands still while the read model goes on. **Its answer reflects no more than that row
//! does**, and says so.

use platform::problem::Problem;
use projections::Position;
use uuid::Uuid;

use crate::{asked::Conditions, models::Snapshot, place::before, refusal};

/// The first event about an order that the read model keeps back, if there is one.
pub(crate) async fn first(
    projection: &'static str,
    order: Uuid,
    snapshot: &mut Snapshot,
) -> Result<Option<i64>, Problem> {
    sqlx::query_scalar(
        "select min(position) from read.parked_streams
         where projection = $1 and substr(stream, strpos(stream, '-') + 1) = $2",
    )
    .bind(projection)
    .bind(order.to_string())
    .fetch_one(&mut *snapshot.tx)
    .await
    .map_err(refusal::failed)
}

/// A position taken back to before the first event that is kept back, for what is read of that order;
/// refused, where the client wants to see more than that.
pub(crate) fn held_to(first: i64, conditions: &Conditions, position: Position) -> Result<Position, Problem> {
    let position = position.min(before(first).map_err(refusal::failed)?);
    match conditions.at_least.filter(|wanted| position < *wanted) {
        Some(wanted) => Err(refusal::not_fresh_enough(position, wanted)),
        None => Ok(position),
    }
}
