//! What the Postgres adapter promises beyond the contract: it stays right when connections, backends
//! and servers die at the worst moment, and when several processes write at once; and nobody who
//! serves can change history.

mod corruption;
mod lost_answers;
mod notifications;
mod outages;
mod privileges;
mod several_writers;

use std::{future::Future, net::SocketAddr, time::Duration};

use platform::{postgres::Databases, proxy::Proxy};
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};

use crate::history::in_time;

/// The databases, reached through a proxy.
async fn behind_a_proxy(databases: &Databases) -> (Proxy, Databases) {
    let upstream = SocketAddr::from(([127, 0, 0, 1], databases.owner.get_port()));
    let proxy = Proxy::before(upstream).await.unwrap();
    let address = proxy.address();
    (proxy, databases.through(&address.ip().to_string(), address.port()))
}

async fn connect(options: &PgConnectOptions) -> PgConnection {
    options.connect().await.unwrap()
}

async fn execute(connection: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

/// Asks again and again until the answer is yes.
async fn until<F: Future<Output = bool>>(mut question: impl FnMut() -> F) {
    let asking = async {
        while !question().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    in_time(asking).await;
}
