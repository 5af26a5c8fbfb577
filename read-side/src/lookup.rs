//! What is found by an id. Lookups in a read model that are asked for at the same time are made together, in one
//! statement: each finds a few rows by an index, and costs less than the way to the database and back. Nobody waits
//! for others to ask; what comes in while statements are on their way goes with the next.

use std::{
    collections::HashMap,
    slice,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use platform::problem::Problem;
use sqlx::{
    AssertSqlSafe, Row,
    postgres::{PgConnectOptions, PgRow},
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use tracing::Span;

use crate::{
    listing::OrderBy,
    models::{Connections, Found},
    refusal,
    resource::Shown,
};

/// How many bundles of lookups in one read model are on their way at once.
const AT_ONCE: usize = 2;

/// How many lookups go together at most, and how many may wait to.
const TOGETHER_MAX: usize = 32;

/// Rows that an index finds by an id.
#[derive(Debug)]
pub(crate) struct Lookup {
    projection: &'static str,
    /// The same for all that can go together.
    text: String,
    id: String,
    rows_max: i64,
}

impl Lookup {
    /// The row of which `condition` is true, which knows the id as `asked.id`, a text. Columns `beside` it are there
    /// also where it is not.
    pub(crate) fn one<T: Shown>(beside: Option<&str>, condition: &str, id: String) -> Self {
        Self::new::<T>(beside, condition, None, 1, id)
    }

    /// The first rows in this order of which `condition` is true.
    pub(crate) fn page<T: Shown>(condition: &str, order: &OrderBy, rows_max: i64, id: String) -> Self {
        Self::new::<T>(None, condition, Some(order), rows_max, id)
    }

    fn new<T: Shown>(
        beside: Option<&str>,
        condition: &str,
        order: Option<&OrderBy>,
        rows_max: i64,
        id: String,
    ) -> Self {
        let (projection, table, columns) = (T::PROJECTION, T::TABLE, T::COLUMNS);
        let beside = beside.map(|columns| format!("{columns},")).unwrap_or_default();
        let order_by = order.map(|order| format!("order by {}", order.inside)).unwrap_or_default();
        let then_by = order.map(|order| format!(", {}", order.outside)).unwrap_or_default();
        let text = format!(
            "select asked.number, reflected.position as reflected, {beside} found.*
             from unnest($1::text[], $2::bigint[]) with ordinality as asked (id, rows_max, number)
             cross join read.{projection}_position as reflected
             left join lateral (
                 select true as is_found, {columns} from read.{table} where {condition} {order_by}
                 limit asked.rows_max
             ) as found on true
             order by asked.number {then_by}"
        );
        Self { projection, text, id, rows_max }
    }
}

/// Somebody who waits for what a lookup finds.
#[derive(Debug)]
struct Ask {
    lookup: Lookup,
    answer: oneshot::Sender<Result<Found, Problem>>,
    /// The request that asked, for the log.
    span: Span,
}

/// Takes lookups in. Clones go the same ways.
#[derive(Debug, Clone)]
pub(crate) struct Lookups {
    connections: Connections,
    /// How long one waits for a place among those that are made next.
    place_timeout: Duration,
    /// How long one takes at most, with its wait for others.
    patience: Duration,
    /// One for each read model, so that none waits for what is slow in another.
    ways: Arc<Mutex<HashMap<&'static str, mpsc::Sender<Ask>>>>,
}

/// Has statements planned once, for an index, whatever is in the tables meanwhile and however many go together: the
/// views have many tables below them, and planning takes longer than finding.
pub(crate) fn planned_once(options: PgConnectOptions) -> PgConnectOptions {
    options.options([
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("jit", "off"),
    ])
}

impl Lookups {
    /// Over connections of their own, which are [`planned_once`].
    pub(crate) fn over(connections: Connections, place_timeout: Duration) -> Self {
        let patience = place_timeout + connections.patience;
        Self { connections, place_timeout, patience, ways: Arc::default() }
    }

    /// What is there now: nothing that was there before it was called is missed. Must be called within a Tokio
    /// runtime.
    pub(crate) async fn find(&self, lookup: Lookup) -> Result<Found, Problem> {
        let way = self.way(lookup.projection);
        let found = timeout(self.patience, async {
            let place = timeout(self.place_timeout, way.reserve()).await.map_err(|_| refusal::crowded())?;
            let place = place.map_err(|_| refusal::failed(sqlx::Error::WorkerCrashed))?;
            let (answer, answered) = oneshot::channel();
            place.send(Ask { lookup, answer, span: Span::current() });
            answered.await.unwrap_or_else(|_| Err(refusal::failed(sqlx::Error::WorkerCrashed)))
        });
        found.await.unwrap_or_else(|_| Err(refusal::crowded()))
    }

    fn way(&self, projection: &'static str) -> mpsc::Sender<Ask> {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || {
            let (way, waiting) = mpsc::channel(TOGETHER_MAX);
            tokio::spawn(make_together(waiting, self.connections.clone()));
            way
        };
        ways.entry(projection).or_insert_with(begin).clone()
    }
}

/// Takes what has come in whenever a bundle may set off, until nobody is left who could ask.
async fn make_together(mut waiting: mpsc::Receiver<Ask>, connections: Connections) {
    let free = Arc::new(Semaphore::new(AT_ONCE));
    while let Ok(turn) = Arc::clone(&free).acquire_owned().await {
        let mut asks = Vec::new();
        if waiting.recv_many(&mut asks, TOGETHER_MAX).await == 0 {
            return;
        }
        let connections = connections.clone();
        tokio::spawn(async move {
            asks.retain(|ask| !ask.answer.is_closed());
            join_all(alike(asks).into_iter().map(|asks| answer(&connections, asks))).await;
            drop(turn);
        });
    }
}

/// Those with the same statement each together.
fn alike(asks: Vec<Ask>) -> Vec<Vec<Ask>> {
    let mut alike: Vec<Vec<Ask>> = Vec::new();
    for ask in asks {
        // There are few different ones.
        match alike
            .iter_mut()
            .find(|others| others.first().is_some_and(|first| first.lookup.text == ask.lookup.text))
        {
            Some(others) => others.push(ask),
            None => alike.push(vec![ask]),
        }
    }
    alike
}

/// Looks up what has the same statement.
async fn answer(connections: &Connections, asks: Vec<Ask>) {
    match find(connections, &asks).await {
        // One of them may be to blame; the others must not suffer for it.
        Err(error) if asks.len() > 1 && !refusal::is_outage(&error) => {
            for ask in asks {
                let found = find(connections, slice::from_ref(&ask)).await;
                tell(vec![ask], found);
            }
        }
        found => tell(asks, found),
    }
}

/// To each what was found of it. What went wrong for all is logged for the first.
fn tell(asks: Vec<Ask>, found: Result<Vec<Vec<PgRow>>, sqlx::Error>) {
    let Some(first) = asks.first() else { return };
    match found {
        Ok(found) => {
            for (Ask { answer, span, .. }, rows) in asks.into_iter().zip(found) {
                let _ =
                    answer.send(Found::of(rows).map_err(|error| span.in_scope(|| refusal::failed(error))));
            }
        }
        Err(error) => {
            let problem = first.span.in_scope(|| refusal::failed(error));
            for ask in asks {
                let _ = ask.answer.send(Err(problem.clone()));
            }
        }
    }
}

/// The rows of each.
async fn find(connections: &Connections, asks: &[Ask]) -> Result<Vec<Vec<PgRow>>, sqlx::Error> {
    let Some(Ask { lookup: Lookup { text, .. }, .. }) = asks.first() else { return Ok(Vec::new()) };
    let ids: Vec<&str> = asks.iter().map(|ask| ask.lookup.id.as_str()).collect();
    let rows_max: Vec<i64> = asks.iter().map(|ask| ask.lookup.rows_max).collect();
    let query = sqlx::query(AssertSqlSafe(text.as_str())).bind(ids).bind(rows_max);
    let mut found: Vec<Vec<PgRow>> = asks.iter().map(|_| Vec::new()).collect();
    for row in connections.run(async |db| query.fetch_all(db).await).await? {
        let number: i64 = row.try_get("number")?;
        let of = usize::try_from(number - 1).ok().and_then(|nth| found.get_mut(nth));
        of.ok_or(sqlx::Error::RowNotFound)?.push(row);
    }
    Ok(found)
}
