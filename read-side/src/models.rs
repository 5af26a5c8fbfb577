//! Access to the read models: connections that can only read, and where each model is.

use std::{sync::Arc, time::Duration};

use platform::{postgres::Statements, problem::Problem};
use projections::{Position, Positions, WaitError};
use sqlx::{
    AssertSqlSafe, Decode, FromRow, PgConnection, PgExecutor, PgPool, Postgres, QueryBuilder, Row,
    Transaction, Type,
    postgres::{PgConnectOptions, PgRow},
};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    asked::Conditions,
    lookup::{self, Lookup, Lookups},
    refusal,
    resource::Shown,
};

/// How much is served at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections to the database for queries of one statement; lookups by an id, which go together, have half as
    /// many, and queries of several statements a quarter.
    pub connections_max: u32,
    /// How long a query waits for a connection, or a lookup for its place among others, before it is answered 503.
    pub acquire_timeout: Duration,
    /// How long one statement may take.
    pub statement_timeout: Duration,
    /// Clients that follow orders live.
    pub streams_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 16,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
            streams_max: 1_000,
        }
    }
}

/// How much longer than the server an answer is waited for.
const GRACE: Duration = Duration::from_secs(1);

/// Connections for queries of one statement.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    statements: Statements,
    /// How long a query may take, as seen from here.
    pub(crate) patience: Duration,
}

impl Connections {
    /// A query that takes longer than the server would let it is on a connection from which nothing comes any more.
    pub(crate) async fn run<T>(
        &self,
        query: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let in_time = async |db: &mut PgConnection| {
            timeout(self.patience, query(db)).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
        };
        self.statements.run(in_time).await
    }
}

/// The read models, as the query API sees them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReadModels {
    connections: Connections,
    lookups: Lookups,
    /// For what takes several statements on one snapshot, and for the listener.
    snapshots: PgPool,
    pub(crate) positions: Positions,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) shutdown: CancellationToken,
}

impl ReadModels {
    /// Connects, when first asked, as the reader's role. Listens for new positions, and ends live
    /// streams, on `shutdown`. Must be called within a Tokio runtime.
    pub fn new(reader: &PgConnectOptions, limits: Limits, shutdown: CancellationToken) -> Self {
        let options = reader.clone().application_name("counterfoil read").options([
            ("statement_timeout", limits.statement_timeout.as_millis().to_string()),
            // Bounds what a switch of views has to wait for.
            ("idle_in_transaction_session_timeout", limits.statement_timeout.as_millis().to_string()),
        ]);
        let Limits { connections_max, acquire_timeout, .. } = limits;
        let over = |options, connections: u32| Connections {
            statements: Statements::over(options, connections as usize, acquire_timeout),
            patience: limits.statement_timeout + GRACE,
        };
        let connections = over(options.clone(), connections_max);
        let of_lookups = over(lookup::planned_once(options.clone()), connections_max.div_ceil(2));
        let lookups = Lookups::over(of_lookups, acquire_timeout);
        // One connection more, for the listener.
        let snapshots = platform::postgres::pool_options()
            .max_connections(connections_max.div_ceil(4) + 1)
            .acquire_timeout(acquire_timeout)
            .connect_lazy_with(options);
        let positions = Positions::start(snapshots.clone(), shutdown.clone());
        Self {
            connections,
            lookups,
            snapshots,
            positions,
            streams: Arc::new(Semaphore::new(limits.streams_max)),
            shutdown,
        }
    }

    /// Whether the database answers, for readiness.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        self.connections.run(async |db| sqlx::query("select 1").execute(db).await).await?;
        Ok(())
    }

    /// A snapshot of one read model that is as fresh as was asked for.
    pub(crate) async fn snapshot(
        &self,
        projection: &'static str,
        conditions: &Conditions,
    ) -> Result<Snapshot, Problem> {
        let mut waited = false;
        loop {
            let snapshot = self.open(projection).await.map_err(refusal::failed)?;
            let Some(wanted) = conditions.at_least.filter(|wanted| snapshot.position < *wanted) else {
                return Ok(snapshot);
            };
            // Whoever waits holds no connection.
            drop(snapshot);
            if waited {
                self.positions.forget(projection);
            }
            self.wait_for(projection, wanted, conditions).await?;
            waited = true;
        }
    }

    /// What one statement, begun by [`reflecting`], finds in a read model, and the position that this reflects.
    /// It needs no transaction: a statement takes its snapshot once it has locked the views that it reads, so
    /// a switch of versions is either over for it or has not begun.
    pub(crate) async fn find(
        &self,
        projection: &'static str,
        conditions: &Conditions,
        query: QueryBuilder<Postgres>,
    ) -> Result<Found, Problem> {
        let find = Box::pin(self.connections.run(async |db| Found::by(query, db).await));
        self.fresh_enough(projection, conditions, async { find.await.map_err(refusal::failed) }).await
    }

    /// The same for what is found by an id.
    pub(crate) async fn look_up<T: Shown>(
        &self,
        lookup: Lookup,
        conditions: &Conditions,
    ) -> Result<Found, Problem> {
        self.fresh_enough(T::PROJECTION, conditions, self.lookups.find(lookup)).await
    }

    /// What is found once the read model is as fresh as was asked for.
    async fn fresh_enough(
        &self,
        projection: &'static str,
        conditions: &Conditions,
        find: impl Future<Output = Result<Found, Problem>>,
    ) -> Result<Found, Problem> {
        let Some(wanted) = conditions.at_least else { return find.await };
        self.wait_for(projection, wanted, conditions).await?;
        let found = find.await?;
        if found.position < wanted {
            self.positions.forget(projection);
            return Err(refusal::not_fresh_enough(found.position, wanted));
        }
        Ok(found)
    }

    async fn wait_for(
        &self,
        projection: &'static str,
        wanted: Position,
        conditions: &Conditions,
    ) -> Result<Position, Problem> {
        let waited = self.positions.wait_for(projection, wanted, conditions.deadline).await;
        waited.map_err(|error| match error {
            WaitError::NotFreshEnough(stale) => refusal::not_fresh_enough(stale.current, stale.wanted),
            WaitError::Database(error) => refusal::failed(error),
        })
    }

    /// Opens a snapshot.
    async fn open(&self, projection: &'static str) -> Result<Snapshot, sqlx::Error> {
        let mut tx = self.snapshots.begin_with(projections::snapshot_of(projection)).await?;
        let sql = format!("select position from read.{projection}_position");
        let position: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *tx).await?;
        Ok(Snapshot { tx, position: position_from(position)? })
    }
}

/// One read model at one moment: all that is read through it belongs together.
pub(crate) struct Snapshot {
    pub(crate) tx: Transaction<'static, Postgres>,
    pub(crate) position: Position,
}

impl Snapshot {
    /// What a query finds.
    pub(crate) async fn rows<R>(&mut self, mut query: QueryBuilder<Postgres>) -> Result<Vec<R>, Problem>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        query.build_query_as().fetch_all(&mut *self.tx).await.map_err(refusal::failed)
    }
}

/// The beginning of a query for rows together with the position that they reflect. It goes on with a
/// condition, and ends with [`REFLECTED`].
pub(crate) fn reflecting(projection: &str, table: &str, columns: &str) -> QueryBuilder<Postgres> {
    QueryBuilder::new(format!(
        "select reflected.position as reflected, found.* from read.{projection}_position as reflected
         left join lateral (select true as is_found, {columns} from read.{table} where "
    ))
}

/// The end of such a query.
pub(crate) const REFLECTED: &str = ") as found on true";

/// What such a query found.
#[derive(Debug)]
pub(crate) struct Found {
    rows: Vec<PgRow>,
    pub(crate) position: Position,
}

impl Found {
    pub(crate) async fn by(
        mut query: QueryBuilder<Postgres>,
        db: impl PgExecutor<'_>,
    ) -> Result<Self, sqlx::Error> {
        Self::of(query.build().fetch_all(db).await?)
    }

    /// From all its rows.
    pub(crate) fn of(rows: Vec<PgRow>) -> Result<Self, sqlx::Error> {
        let position = position_from(rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get("reflected")?)?;
        Ok(Self { rows, position })
    }

    /// The rows themselves.
    pub(crate) fn rows<R: for<'r> FromRow<'r, PgRow>>(&self) -> Result<Vec<R>, sqlx::Error> {
        let mut rows = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            if row.try_get::<Option<bool>, _>("is_found")?.is_some() {
                rows.push(R::from_row(row)?);
            }
        }
        Ok(rows)
    }

    /// What the query says beside the rows, also where there is none.
    pub(crate) fn reflected<'r, V: Decode<'r, Postgres> + Type<Postgres>>(
        &'r self,
        column: &str,
    ) -> Result<V, sqlx::Error> {
        self.rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(column)
    }
}

/// From a column of a read model.
pub(crate) fn position_from(column: i64) -> Result<Position, sqlx::Error> {
    Position::from_column(column).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
