//! How the executable is launched: which one, with which settings, and on which ports.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use super::server::folder;

/// The executable under test: that of this build, unless `COUNTERFOIL_EXECUTABLE` names the one that was
/// carried to another machine with the tests. Absolute, since it is run in other folders.
pub(crate) fn executable() -> PathBuf {
    let built = || env!("CARGO_BIN_EXE_counterfoil").into();
    let path = std::path::absolute(std::env::var_os("COUNTERFOIL_EXECUTABLE").unwrap_or_else(built)).unwrap();
    assert!(path.is_file(), "there is no {}: COUNTERFOIL_EXECUTABLE can name another", path.display());
    path
}

/// The executable that pretends to be of the release after this one; `None` where it was not built, which
/// `make test` does.
pub(crate) fn next_release() -> Option<PathBuf> {
    let given = std::env::var_os("COUNTERFOIL_NEXT_RELEASE").map(PathBuf::from);
    let beside = || Some(executable().parent()?.parent()?.join("next-release/counterfoil"));
    given.or_else(beside).filter(|path| path.exists())
}

/// What differs from a server as a user starts it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerOptions {
    /// `name:n`: killed when the crash point is reached for the nth time.
    pub(crate) crash_at: Option<String>,
    /// Bugs to plant.
    pub(crate) planted_bugs: Option<&'static str>,
    /// An executable of another release.
    pub(crate) executable: Option<PathBuf>,
    /// A provider in another process.
    pub(crate) provider_url: Option<String>,
    /// A database that was given, instead of the embedded one.
    pub(crate) database_url: Option<String>,
    /// Where the log is, if not in the database.
    pub(crate) event_store_url: Option<String>,
    /// How long a checkout may take.
    pub(crate) checkout_deadline_s: Option<u32>,
    /// What webhooks are signed with, if not the default.
    pub(crate) webhook_secret: Option<&'static str>,
    /// The roles that it runs, if not all.
    pub(crate) roles: Option<&'static str>,
    /// Where it listens, if somebody has to know that before it runs.
    pub(crate) port: Option<u16>,
    /// The NATS server that its relay publishes to.
    pub(crate) nats_url: Option<String>,
    /// The role that has to be ready before the test goes on, if not all.
    pub(crate) ready_role: Option<&'static str>,
}

/// A command of the executable in `folder`, with nothing of this process' own settings.
pub(super) fn plain_command(executable: &Path, folder: &Path, name: &str) -> Command {
    let mut command = Command::new(executable);
    for (variable, _) in std::env::vars().filter(|(variable, _)| variable.starts_with("COUNTERFOIL_")) {
        command.env_remove(variable);
    }
    command.args(name.split(' ')).current_dir(folder).stdin(Stdio::null());
    command
}

/// A command of the executable on the data in `folder`.
pub(crate) fn command(folder: &Path, options: &ServerOptions, name: &str) -> Command {
    let executable = options.executable.clone().unwrap_or_else(executable);
    let mut command = plain_command(&executable, folder, name);
    command.arg("--data-dir").arg(folder.join("data"));
    if let Some(url) = &options.provider_url {
        command.args(["--provider-url", url]);
    }
    if let Some(url) = &options.database_url {
        command.env("COUNTERFOIL_DATABASE_URL", url);
    }
    if let Some(url) = &options.event_store_url {
        command.env("COUNTERFOIL_EVENT_STORE_URL", url);
    }
    if let Some(url) = &options.nats_url {
        command.env("COUNTERFOIL_NATS_URL", url);
    }
    if let Some(seconds) = options.checkout_deadline_s {
        command.args(["--checkout-deadline-s", &seconds.to_string()]);
    }
    if let Some(roles) = options.roles {
        command.args(["--roles", roles]);
    }
    // A provider elsewhere has the secret that it is started with, which is the usual one.
    let usual = options.provider_url.is_some().then_some(super::webhook::SECRET);
    if let Some(secret) = options.webhook_secret.or(usual) {
        command.env("COUNTERFOIL_WEBHOOK_SECRET", secret);
    }
    command
}

/// Starts a server that cannot start, and gives what it said.
pub(crate) async fn fail_to_serve(options: &ServerOptions) -> Output {
    fail_to_serve_in(folder().path(), options).await
}

/// The same on data that is there.
pub(crate) async fn fail_to_serve_in(folder: &Path, options: &ServerOptions) -> Output {
    let mut command = command(folder, options, "serve");
    command.args(["--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0"]);
    let output = tokio::time::timeout(Duration::from_mins(1), finish(command)).await;
    output.expect("it does not start")
}

/// Runs a command to its end. Meanwhile the proxies of the test go on, which it may need.
pub(super) async fn finish(command: Command) -> Output {
    tokio::process::Command::from(command).kill_on_drop(true).output().await.unwrap()
}

pub(super) fn spawn(
    folder: &Path,
    options: &ServerOptions,
    port: u16,
    sandbox_port: u16,
    start: u32,
) -> Child {
    let log = File::create(log_path(folder, port, start)).unwrap();
    let mut command = command(folder, options, "serve");
    command.args(["--listen", &format!("127.0.0.1:{port}")]);
    command.args(["--sandbox-listen", &format!("127.0.0.1:{sandbox_port}")]);
    command.env("COUNTERFOIL_CRASH_LOG", folder.join("crashes"));
    if let Some(crash_at) = &options.crash_at {
        command.env("COUNTERFOIL_CRASH_AT", crash_at);
    }
    if let Some(bugs) = options.planted_bugs {
        command.env("COUNTERFOIL_PLANTED_BUGS", bugs);
    }
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

pub(super) fn log_path(folder: &Path, port: u16, start: u32) -> PathBuf {
    folder.join(format!("log-{port}-{start}"))
}

/// A port that nobody listened on a moment ago.
///
/// Below those that systems give to connections that go out, so that none of these has it by the time it is
/// listened on, and each only once.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 8_000).unwrap();
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed) % 4_000);
    ports.find(is_free).unwrap()
}
