//! Stands in for an EventStoreDB server in tests: the Streams service with appends, idempotent repeats,
//! and reads of streams and of everything both ways, over real gRPC on a real socket, in this process.
//!
//! It is as strict as the real one where our adapter could go wrong by luck: a batch at the right revision
//! is written whatever its ids, positions have holes, and the position in the answer to a repeat is of no
//! use. What it cannot prove is listed where the adapter is.

mod log;
mod service;

/// The messages and the service, as the client describes them.
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    rust_2018_idioms,
    clippy::all,
    clippy::pedantic,
    reason = "made by a program, from what others wrote"
)]
mod protocol {
    include!(concat!(env!("OUT_DIR"), "/protocol.rs"));
}

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

pub use log::{Log, Record};
use protocol::event_store::client::{
    server_features::server_features_server::ServerFeaturesServer, streams::streams_server::StreamsServer,
};
use service::Service;

/// How the server is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// User and password that every call must come with; without them, everybody may do everything.
    pub credentials: Option<(String, String)>,
    /// The most bytes of one append: payloads and custom metadata.
    pub append_bytes_max: usize,
    /// After each append the server writes an event of its own.
    pub chatty: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { credentials: None, append_bytes_max: 16 * 1024 * 1024, chatty: false }
    }
}

/// A server that runs until it is stopped or dropped. Its log outlives its stops.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
    setup: Setup,
    log: Arc<Mutex<Log>>,
    /// All that the server does, so that it can end like a process: at once, with every connection.
    running: Option<Runtime>,
}

impl StandIn {
    /// Starts on a free port of 127.0.0.1, with an empty log.
    pub fn start(setup: Setup) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let mut server = Self { address, setup, log: Arc::default(), running: None };
        server.serve(listener)?;
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to connect to.
    pub fn url(&self) -> String {
        url_of(self.address)
    }

    /// Ends every connection and stops listening.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            let ended = tokio::task::spawn_blocking(|| running.shutdown_timeout(Duration::from_secs(10)));
            let _ = ended.await;
        }
    }

    /// Goes on where it stopped, at the same address.
    pub async fn resume(&mut self) -> io::Result<()> {
        self.stop().await;
        self.serve(TcpListener::bind(self.address)?)
    }

    /// The log itself, to look into or to tamper with.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    fn serve(&mut self, listener: TcpListener) -> io::Result<()> {
        let service = Service::new(Arc::clone(&self.log), self.setup.clone());
        let server = Server::builder()
            .add_service(StreamsServer::new(service.clone()).max_decoding_message_size(32 * 1024 * 1024))
            .add_service(ServerFeaturesServer::new(service));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        listener.set_nonblocking(true)?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        // Small frames must not wait for each other; the real server does not let them either.
        let connections = TcpListenerStream::new(listener).inspect(|connection| {
            if let Ok(connection) = connection {
                let _ = connection.set_nodelay(true);
            }
        });
        runtime.spawn(server.serve_with_incoming(connections));
        self.running = Some(runtime);
        Ok(())
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // A runtime that is dropped waits for its threads, and async code may not wait.
        if let Some(running) = self.running.take() {
            running.shutdown_background();
        }
    }
}

/// The URL of a server at this address, or of a proxy in front of one.
pub fn url_of(address: SocketAddr) -> String {
    format!("esdb://{address}?tls=false")
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
