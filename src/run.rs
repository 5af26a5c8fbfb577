//! The composition of roles: which parts a process runs, what each is given, and in which order they
//! begin and end. Parts meet in the event store; none is handed another to call.

mod nats;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use axum::{Router, middleware};
use chrono::TimeDelta;
use event_store::EventStore;
use platform::{
    clock::Clock,
    health::Health,
    keys::PostgresKeys,
    postgres::{self, Databases, Statements},
    problem,
    shutdown::{Ended, Shutdown},
    telemetry::trace_requests,
};
use projections::RunnerOptions;
use read_side::{Limits, ReadModels};
use sagas::{
    coordinator::{self, Coordinator, PostgresState},
    gateway::{
        PaymentGateway,
        sandbox::{client::SandboxGateway, server, signature::Secrets},
    },
    webhook,
};
use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::net::TcpListener;
use write_side::{Commands, Snapshots, api, snapshots::PostgresSnapshots};

use crate::{
    config::{Origin, Role, Settings},
    database::Database,
    docs, log,
    processes::{self, Presence},
    status::{self, Status},
};

/// Which release this is, as processes say it of themselves.
const RELEASE: &str = if cfg!(feature = "next-release") {
    concat!(env!("CARGO_PKG_VERSION"), "+next")
} else {
    env!("CARGO_PKG_VERSION")
};

/// How long the parts may take to finish what they have begun.
const PATIENCE: Duration = Duration::from_secs(25);

/// How long a statement waits for a connection.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(5);

/// The roles of this process at work.
#[derive(Debug)]
pub struct Running {
    /// The event store, as the write side sees it.
    pub store: Arc<dyn EventStore>,
    /// Where commands are handled, in this process.
    pub commands: Commands,
    /// The database that everything is kept in.
    pub database: Database,
    /// Where the HTTP API listens.
    pub address: SocketAddr,
    shutdown: Shutdown,
}

impl Running {
    /// Starts everything that the settings ask for. When it returns, the API accepts connections.
    pub async fn start(settings: &Settings, clock: Clock) -> Result<Self> {
        let started = Box::pin(Self::start_under(Shutdown::new(), settings, clock)).await?;
        started.context("it was told to stop while it started")
    }

    /// The same, and listens for SIGTERM and SIGINT from the first: whoever learns that it is ready can stop it
    /// at once. One that comes before ends the start, and then nothing runs.
    pub async fn start_unless_told_to_stop(settings: &Settings, clock: Clock) -> Result<Option<Self>> {
        let shutdown = Shutdown::new();
        shutdown.on_signals().context("cannot listen for signals")?;
        Box::pin(Self::start_under(shutdown, settings, clock)).await
    }

    async fn start_under(shutdown: Shutdown, settings: &Settings, clock: Clock) -> Result<Option<Self>> {
        let token = shutdown.token();
        let listener = TcpListener::bind(settings.listen).await.with_context(|| {
            format!("cannot listen on {}: choose another address with --listen", settings.listen)
        })?;
        let address = listener.local_addr()?;
        let nats = token.run_until_cancelled(nats::address(settings)).await.transpose()?.flatten();
        let opening = Box::pin(Database::open(settings));
        let opened = match settings.database_url {
            Some(_) => token.run_until_cancelled(opening).await,
            // What starts a server of our own is waited for, so that the server can be stopped.
            None => Some(opening.await),
        };
        let Some(database) = opened.transpose()? else { return Ok(None) };
        let opened = token.run_until_cancelled(database.log.open(settings)).await;
        let Some(store) = opened.transpose()? else { return database.close().map(|()| None) };
        let commands = Commands::with_snapshots(Arc::clone(&store), snapshots(&database.roles));

        let running = Self { store, commands, database, address, shutdown };
        let parts = Box::pin(running.start_parts(settings, &clock, nats, listener));
        let started = token.run_until_cancelled(parts).await;
        if matches!(started, Some(Ok(()))) {
            return Ok(Some(running));
        }
        let stopped = running.stop().await;
        started.transpose()?;
        stopped.map(|()| None)
    }

    /// Starts the roles.
    async fn start_parts(
        &self,
        settings: &Settings,
        clock: &Clock,
        nats: Option<relay::Address>,
        listener: TcpListener,
    ) -> Result<()> {
        let Self { store, commands, database, address, shutdown } = self;
        let address = *address;
        if let Some(end) = database.end_of_joined(settings) {
            let stopping = shutdown.token();
            shutdown.spawn("the embedded Postgres of another process", async move {
                stopping.run_until_cancelled(end).await;
            });
        }

        if !log::check(settings, &**store, &database.roles).await? {
            let remembering = log::remember_the_first(Arc::clone(store), database.roles.service.clone());
            tokio::spawn(shutdown.token().run_until_cancelled_owned(remembering));
        }
        nats::wake(settings, &**store, shutdown).await?;
        let mut routes = Router::new();
        let mut health = Health::new();
        if settings.runs(Role::Write) {
            let keys = Statements::over(database.roles.service.clone(), 4, CONNECTION_PATIENCE);
            let api = api::Api::new(commands.clone(), Arc::new(PostgresKeys::new(keys)), clock.clone());
            routes = routes.merge(api::router(api));
            health = health.check(Role::Write.as_str(), "event store", head_of(store));
        }
        if settings.runs(Role::Sagas) {
            let provider_url = match &settings.provider_url {
                Some(url) => url.clone(),
                None => start_sandbox(settings, database, address, clock, shutdown).await?,
            };
            tracing::info!(provider = provider_url, "payments go through this provider");
            let (coordinator, gateway) =
                coordinator(settings, database, store, commands, &provider_url, clock)?;
            routes = routes.merge(webhook::router(gateway, Arc::clone(store), clock.clone()));
            health = health.check(Role::Sagas.as_str(), "event store", head_of(store));
            let token = shutdown.token();
            shutdown.spawn("coordinator", async move {
                if let Err(error) = coordinator.run(token).await {
                    tracing::error!(%error, "the coordinator cannot go on");
                }
            });
        }
        if settings.runs(Role::Projections) {
            let projector = database.roles.projector.clone();
            let all = projections::all();
            projections::install_all(&all, &projector)
                .await
                .context("cannot make the tables of the read models")?;
            let events = to_follow(settings, database, store).await?;
            health = health.check(Role::Projections.as_str(), "event store", head_of(&events));
            let options = RunnerOptions { holder: holder(settings, database), ..RunnerOptions::default() };
            let runners = projections::run_all(all, events, projector, options, shutdown.token());
            shutdown.spawn("projections", runners);
        }
        if settings.runs(Role::Read) {
            let models = ReadModels::new(&database.roles.reader, Limits::default(), shutdown.token());
            let probe = models.clone();
            let ping = move || {
                let models = probe.clone();
                async move { models.ping().await }
            };
            health = health.check(Role::Read.as_str(), "read models", ping);
            routes = routes.merge(read_side::router(models));
        }

        if let Some(nats) = nats {
            let relay = nats::relay(nats, holder(settings, database), database, store);
            let condition = relay.condition();
            let ready = move || std::future::ready(condition.ready());
            health = health.check(Role::Relay.as_str(), "NATS", ready);
            let token = shutdown.token();
            shutdown.spawn("relay", async move { relay.run(token).await });
        }

        let problems = problem::catalogue(&[api::PROBLEM_TYPES, read_side::PROBLEM_TYPES, webhook::TYPES]);
        let router = routes
            .merge(docs::router())
            .merge(status::router(Status::new(Arc::clone(store), database)))
            .merge(health.router())
            .merge(problems);
        // The span is around the net, so that what the net answers and logs carries its request, too.
        let router = problem::with_fallbacks(router).layer(middleware::from_fn(trace_requests));
        let stopping = shutdown.token();
        shutdown.spawn("http", async move {
            if let Err(error) =
                axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned()).await
            {
                tracing::error!(%error, "the HTTP server ended");
            }
        });
        let roles: Vec<_> = settings.roles.iter().map(|role| role.as_str()).collect();
        let name = holder(settings, database);
        let (listen, version) = (address.to_string(), RELEASE.to_owned());
        let presence = Presence { name, roles: roles.clone(), listen, version };
        let service = one_connection(&database.roles.service);
        shutdown.spawn("presence", processes::announce(presence, service, shutdown.token()));
        tracing::info!(%address, roles = roles.join(","), "serving");
        Ok(())
    }

    /// The base of the API's URLs.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns when it is told to stop, or a part has failed.
    pub async fn until_told_to_stop(&self) {
        self.shutdown.requested().await;
    }

    /// Lets every part finish what it has begun, and stops the embedded Postgres last.
    pub async fn stop(self) -> Result<()> {
        let ended = self.shutdown.finish(PATIENCE).await;
        self.commands.finish().await;
        drop((self.commands, self.store));
        self.database.close()?;
        ensure!(
            ended == Ended::Finished,
            "not all parts ended well: {ended:?}; what was acknowledged is kept"
        );
        tracing::info!("stopped");
        Ok(())
    }
}

/// Where the states of long streams are stored, wherever the log is.
pub(crate) fn snapshots(roles: &Databases) -> Snapshots {
    Snapshots::new(Arc::new(PostgresSnapshots::new(&roles.service)))
}

/// The log, for those who follow it: where other roles of this process append, they share what these know
/// of it already, and where the log knows no roles there is nothing to be kept apart.
async fn to_follow(
    settings: &Settings,
    database: &Database,
    store: &Arc<dyn EventStore>,
) -> Result<Arc<dyn EventStore>> {
    if settings.runs(Role::Write) || settings.runs(Role::Sagas) || !database.log.knows_roles() {
        return Ok(Arc::clone(store));
    }
    database.log.open_to_read(settings).await
}

/// The provider's stand-in in this process, on a listener of its own.
async fn start_sandbox(
    settings: &Settings,
    database: &Database,
    api: SocketAddr,
    clock: &Clock,
    shutdown: &Shutdown,
) -> Result<String> {
    let bound = match TcpListener::bind(settings.sandbox_listen).await {
        // Of several processes with sandboxes each has its own, on the same books.
        Err(error)
            if error.kind() == io::ErrorKind::AddrInUse
                && *settings.origin("sandbox_listen") == Origin::Default =>
        {
            TcpListener::bind((settings.sandbox_listen.ip(), 0)).await
        }
        bound => bound,
    };
    let listener = bound.with_context(|| {
        format!(
            "the sandbox provider cannot listen on {}: choose another address with --sandbox-listen",
            settings.sandbox_listen
        )
    })?;
    let url = format!("http://{}", listener.local_addr()?);
    let options = server::ServerOptions {
        secret: settings.webhook_secret.clone().into_bytes(),
        webhook_url: format!("http://{api}/webhooks/payments/sandbox"),
        clock: clock.clone(),
    };
    let books = Statements::over(database.roles.service.clone(), 8, CONNECTION_PATIENCE);
    let token = shutdown.token();
    shutdown.spawn("sandbox provider", async move {
        if let Err(error) = server::serve(listener, books, options, token).await {
            tracing::error!(%error, "the sandbox provider ended");
        }
    });
    Ok(url)
}

fn coordinator(
    settings: &Settings,
    database: &Database,
    store: &Arc<dyn EventStore>,
    commands: &Commands,
    provider_url: &str,
    clock: &Clock,
) -> Result<(Coordinator, Arc<dyn PaymentGateway>)> {
    let secrets = Secrets::new(settings.webhook_secret.clone());
    let gateway: Arc<dyn PaymentGateway> = Arc::new(
        SandboxGateway::new(provider_url, secrets).context("cannot make a client of the payment provider")?,
    );
    let state = Arc::new(PostgresState::new(&database.roles.service));
    let mut config = coordinator::Config::for_holder(holder(settings, database));
    config.checkout_patience =
        TimeDelta::from_std(settings.checkout_deadline).context("checkout_deadline_s")?;
    let coordinator = Coordinator::new(
        Arc::clone(store),
        commands.clone(),
        Arc::clone(&gateway),
        clock.clone(),
        state,
        config,
    );
    Ok((coordinator, gateway))
}

/// Who holds a lease, for people: two processes never share it. An embedded database belongs to one
/// process at a time, so that the next one there is its successor and need not wait for the lease of one
/// that was killed.
fn holder(settings: &Settings, database: &Database) -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let host = host.unwrap_or_else(|| "unknown host".to_owned());
    if database.is_ours_alone() {
        format!("{host} {}", settings.data_dir.display())
    } else {
        format!("{host} pid {}", std::process::id())
    }
}

fn one_connection(service: &PgConnectOptions) -> PgPool {
    let options = postgres::pool_options().max_connections(1).acquire_timeout(CONNECTION_PATIENCE);
    options.connect_lazy_with(service.clone())
}

fn head_of(
    store: &Arc<dyn EventStore>,
) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = Result<(), event_store::StoreError>> + Send>>
+ Send
+ Sync
+ 'static {
    let store = Arc::clone(store);
    move || {
        let store = Arc::clone(&store);
        Box::pin(async move { store.head().await.map(|_| ()) })
    }
}
