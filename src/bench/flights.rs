//! How often this process and the database wait for each other: the round trips between them, counted on the
//! way. A request that is sent in pieces is one; so are several statements that are sent before any is
//! answered. It costs a little to look, so that nothing else is measured meanwhile.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use anyhow::{Context, Result, ensure};
use sqlx::postgres::PgConnectOptions;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// How many bytes are carried at a time.
const PIECE: usize = 64 * 1024;

/// Counts on every connection that is made through it.
pub(super) struct Flights {
    port: u16,
    count: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Flights {
    /// Listens on a free port of 127.0.0.1, before the server that these options name.
    pub(super) async fn before(server: &PgConnectOptions) -> Result<Self> {
        let (host, port) = (server.get_host().to_owned(), server.get_port());
        ensure!(!host.starts_with('/'), "the server is reached by a socket in {host}, and not by TCP");
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen to count round trips")?;
        let own_port = listener.local_addr()?.port();
        let count = Arc::new(AtomicU64::new(0));
        let accepting = tokio::spawn({
            let count = Arc::clone(&count);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (count, server) = (Arc::clone(&count), TcpStream::connect((host.clone(), port)));
                    tokio::spawn(async move { carry(client, server.await?, &count).await });
                }
            }
        });
        Ok(Self { port: own_port, count, accepting })
    }

    /// The same database, reached through here.
    pub(super) fn through(&self, database: &PgConnectOptions) -> PgConnectOptions {
        database.clone().host("127.0.0.1").port(self.port)
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Flights {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Whose turn it is on one connection.
#[derive(Default)]
struct Turn {
    asking: AtomicBool,
}

impl Turn {
    /// The client sends something. `true` when that begins a round trip.
    fn ask(&self) -> bool {
        !self.asking.swap(true, Ordering::Relaxed)
    }

    fn answer(&self) {
        self.asking.store(false, Ordering::Relaxed);
    }
}

async fn carry(client: TcpStream, server: TcpStream, count: &AtomicU64) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let turn = Turn::default();
    let asked = || {
        if turn.ask() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    tokio::try_join!(pump(from_client, to_server, asked), pump(from_server, to_client, || turn.answer()))?;
    Ok(())
}

/// Carries bytes one way until they end, and tells of each piece.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    tell: impl Fn(),
) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        tell();
        to.write_all(&piece[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platform::postgres::testing::fresh_database;
    use sqlx::{ConnectOptions, Connection};

    use super::*;

    #[test]
    fn pieces_of_one_request_are_one_round_trip_and_what_comes_unasked_is_none() {
        let turn = Turn::default();
        let begun = [turn.ask(), turn.ask()];
        turn.answer();
        turn.answer();
        assert_eq!((begun, turn.ask()), ([true, false], true));
    }

    #[tokio::test]
    async fn a_statement_is_a_round_trip_and_many_in_one_message_are_one() {
        let database = fresh_database().await;
        let flights = Flights::before(&database.service).await.unwrap();
        let mut db = flights.through(&database.service).connect().await.unwrap();
        let connected = flights.count();
        for _ in 0..10 {
            sqlx::raw_sql("select 1; select 2; select 3").execute(&mut db).await.unwrap();
        }
        assert_eq!(flights.count() - connected, 10);
        db.close().await.unwrap();
    }
}
