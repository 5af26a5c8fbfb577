//! A query API on a socket of its own, over read models that are kept up to date behind it.

use std::net::SocketAddr;

use platform::problem::with_fallbacks;
use projections::RunnerOptions;
use read_side::{Limits, ReadModels};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::world::World;

pub struct Served {
    pub world: World,
    pub shutdown: CancellationToken,
    address: SocketAddr,
    client: Client,
    server: JoinHandle<()>,
    projections: Option<JoinHandle<()>>,
}

impl Served {
    /// Serves, and keeps all read models up to date.
    pub async fn start() -> Self {
        let mut served = Self::stale(Limits::default()).await;
        served.start_projections();
        served
    }

    /// Serves read models that nobody keeps up to date yet.
    pub async fn stale(limits: Limits) -> Self {
        let world = World::new().await;
        projections::install_all(&projections::all(), &world.databases.projector).await.unwrap();
        let shutdown = CancellationToken::new();
        let models = ReadModels::new(&world.databases.reader, limits, shutdown.clone());
        let router = with_fallbacks(read_side::router(models));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = shutdown.clone().cancelled_owned();
        let server = tokio::spawn(async move {
            axum::serve(listener, router).with_graceful_shutdown(stop).await.unwrap();
        });
        Self { world, shutdown, address, client: Client::new(), server, projections: None }
    }

    pub fn start_projections(&mut self) {
        self.projections = Some(tokio::spawn(projections::run_all(
            projections::all(),
            self.world.store.clone(),
            self.world.databases.projector.clone(),
            RunnerOptions::default(),
            self.shutdown.clone(),
        )));
    }

    /// A request that has not been sent.
    pub fn request(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.address))
    }

    /// An answer that reflects everything that was appended so far.
    pub async fn fresh(&self, path: &str) -> Response {
        use event_store::EventStore;
        let head = self.world.store.head().await.unwrap();
        let request =
            self.request(path).header("Counterfoil-At-Least", head.to_string()).header("Prefer", "wait=30");
        request.send().await.unwrap()
    }

    /// The body of such an answer, which must be good.
    pub async fn fresh_json(&self, path: &str) -> Value {
        let response = self.fresh(path).await;
        let status = response.status();
        let body = response.json().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    /// Stops everything, which must not take long: nothing may hold it up.
    pub async fn stop(self) {
        self.shutdown.cancel();
        crate::world::within("the server ends", self.server).await.unwrap();
        if let Some(projections) = self.projections {
            crate::world::within("the projections end", projections).await.unwrap();
        }
    }
}
