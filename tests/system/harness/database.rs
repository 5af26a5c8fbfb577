//! The database behind a server: the embedded one as its roles see it, or a private one that a test
//! may crash and put a proxy in front of.

use std::{fs, sync::Arc};

use event_store::EventStore;
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

impl Server {
    /// The embedded database of the running server, as one of its roles sees it.
    pub(crate) fn database_as(&self, role: &str) -> PgConnectOptions {
        let text = fs::read_to_string(self.data_dir().join("postgres/postmaster.pid")).unwrap();
        // The fourth line of the file is the port: PostgreSQL's miscadmin.h.
        let port = text.lines().nth(3).unwrap().trim().parse().unwrap();
        let text = fs::read_to_string(self.data_dir().join("passwords.json")).unwrap();
        let passwords: Value = serde_json::from_str(&text).unwrap();
        let user = if role == "postgres" { role.to_owned() } else { format!("counterfoil_{role}") };
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(port)
            .username(&user)
            .password(passwords[role].as_str().unwrap())
            .database("counterfoil")
    }

    /// The log of the running server.
    pub(crate) async fn event_store(&self) -> Arc<dyn EventStore> {
        event_store::open(self.database_as("service").to_url_lossy().as_str()).await.unwrap()
    }
}
