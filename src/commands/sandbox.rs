//! `counterfoil sandbox`: the payment provider's stand-in, with books that outlive whoever calls it.

use std::time::Duration;

use anyhow::{Context, Result};
use counterfoil::{config::Settings, database::Database};
use platform::{clock::Clock, postgres::Statements, shutdown::Shutdown};
use sagas::gateway::sandbox::server::{ServerOptions, serve};
use tokio::net::TcpListener;

/// Connections to its books.
const CONNECTIONS_MAX: usize = 10;

/// How long a call waits for one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves the sandbox provider until told to stop.
pub(crate) async fn sandbox(settings: &Settings, webhook_url: String) -> Result<()> {
    let listen = settings.sandbox_listen;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}: choose another address with --sandbox-listen")
    })?;
    let database = Database::open_or_attach(settings).await?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let books = Statements::over(database.roles.service.clone(), CONNECTIONS_MAX, PATIENCE);
    let secret = settings.webhook_secret.clone().into_bytes();
    let options = ServerOptions { secret, webhook_url, clock: Clock::system() };
    tracing::info!(address = %listener.local_addr()?, "the sandbox provider serves");
    serve(listener, books, options, shutdown.token()).await.context("the sandbox provider ended")?;
    database.close()
}
