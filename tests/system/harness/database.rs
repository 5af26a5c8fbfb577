//! The database behind a server: the embedded one as its roles see it, or a private one that a test
//! may crash and put a proxy in front of.

use std::{fs, path::PathBuf, sync::Arc};

use event_store::{Direction, EventStore, Filter, Position, RecordedEvent};
use platform::{postgres::embedded, proxy::Proxy};
use serde_json::Value;
use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use tempfile::TempDir;

use super::{Server, server};

/// A database server that belongs to the test, reached through a proxy.
#[derive(Debug)]
pub(crate) struct PrivateDatabase {
    /// The server.
    pub(crate) server: embedded::Server,
    /// What stands before it.
    pub(crate) proxy: Proxy,
    _folder: TempDir,
}

impl PrivateDatabase {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let folder = server::folder();
        let server = embedded::Server::start(&folder.path().join("database")).await.unwrap();
        let proxy = Proxy::before(([127, 0, 0, 1], server.port()).into()).await.unwrap();
        Self { server, proxy, _folder: folder }
    }

    /// Its URL, through the proxy, for an operator who may do everything.
    pub(crate) fn url(&self) -> String {
        let address = self.proxy.address();
        self.server.superuser().host("127.0.0.1").port(address.port()).to_url_lossy().into()
    }
}

/// Where the log of a server is, whichever process serves it just now.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(super) data_dir: PathBuf,
    pub(super) database_url: Option<String>,
    pub(super) event_store_url: Option<String>,
}

impl Log {
    /// The log, read past the server.
    pub(crate) async fn open(&self) -> Arc<dyn EventStore> {
        let url = match self.event_store_url.as_ref().or(self.database_url.as_ref()) {
            Some(url) => url.clone(),
            None => self.embedded_as("service").to_url_lossy().into(),
        };
        event_store::open(&url).await.unwrap()
    }

    /// The position of the last event.
    pub(crate) async fn head(&self) -> Position {
        self.open().await.head().await.unwrap()
    }

    /// All events of a stream.
    pub(crate) async fn stream(&self, name: &str) -> Vec<RecordedEvent> {
        let stream = name.parse().unwrap();
        self.open().await.read_stream(&stream, Direction::Forwards, None, usize::MAX).await.unwrap()
    }

    /// The names of the events of a stream.
    pub(crate) async fn names(&self, stream: &str) -> Vec<String> {
        self.stream(stream).await.into_iter().map(|event| event.name).collect()
    }

    /// Everything that a filter lets through.
    pub(crate) async fn all(&self, filter: &Filter) -> Vec<RecordedEvent> {
        let store = self.open().await;
        let (mut events, mut after) = (Vec::new(), Position::START);
        loop {
            let page = store.read_all(after, filter, 1_000).await.unwrap();
            events.extend(page.events);
            after = page.scanned;
            if page.end {
                return events;
            }
        }
    }

    /// The embedded database of the running server, as one of its roles sees it.
    fn embedded_as(&self, role: &str) -> PgConnectOptions {
        let text = fs::read_to_string(self.data_dir.join("postgres/postmaster.pid")).unwrap();
        // The fourth line of the file is the port: PostgreSQL's miscadmin.h.
        let port = text.lines().nth(3).unwrap().trim().parse().unwrap();
        let text = fs::read_to_string(self.data_dir.join("passwords.json")).unwrap();
        let passwords: Value = serde_json::from_str(&text).unwrap();
        let user = if role == "postgres" { role.to_owned() } else { format!("counterfoil_{role}") };
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(port)
            .username(&user)
            .password(passwords[role].as_str().unwrap())
            .database("counterfoil")
    }
}

impl Server {
    /// The embedded database of the running server, as one of its roles sees it.
    pub(crate) fn database_as(&self, role: &str) -> PgConnectOptions {
        self.log().embedded_as(role)
    }
}
