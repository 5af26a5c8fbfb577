//! The executable as a process: started, killed, started again on the same data, stopped, verified.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{Client, Log, eventually};

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

/// A server on data of its own, or on that of another.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    options: ServerOptions,
    port: u16,
    sandbox_port: u16,
    folder: Arc<TempDir>,
    starts: u32,
}

impl Server {
    /// Starts a server as a user would, and waits until it is ready.
    pub(crate) async fn start() -> Self {
        Self::start_with(ServerOptions::default()).await
    }

    /// Starts a server with something different about it.
    pub(crate) async fn start_with(options: ServerOptions) -> Self {
        Self::start_in(Arc::new(folder()), options).await
    }

    /// Starts a second process on the same data and, since both were given one, the same database.
    pub(crate) async fn start_twin(&self) -> Self {
        assert!(self.options.database_url.is_some(), "an embedded database belongs to one process");
        self.start_beside(ServerOptions { port: None, ..self.options.clone() }).await
    }

    /// Starts another process on the same folder, with what differs said in full.
    pub(crate) async fn start_beside(&self, options: ServerOptions) -> Self {
        Self::start_in(Arc::clone(&self.folder), options).await
    }

    /// How it was started.
    pub(crate) fn options(&self) -> ServerOptions {
        self.options.clone()
    }

    /// Starts it again on the same data as it was.
    pub(crate) async fn restart(&mut self) {
        let options = self.options.clone();
        self.restart_with(options).await;
    }

    async fn start_in(folder: Arc<TempDir>, options: ServerOptions) -> Self {
        let (port, sandbox_port) = (options.port.unwrap_or_else(free_port), free_port());
        let process = spawn(folder.path(), &options, port, sandbox_port, 1);
        let mut server = Self { process, options, port, sandbox_port, folder, starts: 1 };
        server.wait_until_ready().await;
        server
    }

    /// A client of its API.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.url(""), self.log())
    }

    /// Its log, past its API.
    pub(crate) fn log(&self) -> Log {
        let ServerOptions { database_url, event_store_url, .. } = self.options.clone();
        Log { data_dir: self.data_dir(), database_url, event_store_url }
    }

    /// The address of a path of its API.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Where its API listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of a path of its sandbox provider.
    pub(crate) fn sandbox_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.sandbox_port)
    }

    /// The process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).unwrap())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// `kill -9`, and the end of it.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }

    /// Starts it again on the same data, with other options.
    pub(crate) async fn restart_with(&mut self, options: ServerOptions) {
        assert!(!self.runs(), "it still runs");
        self.options = options;
        self.starts += 1;
        self.process = spawn(self.folder.path(), &self.options, self.port, self.sandbox_port, self.starts);
        self.wait_until_ready().await;
    }

    /// Waits until it has ended, and says how.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let process = &mut self.process;
        eventually("the server ends", || {
            let ended = process.try_wait().unwrap();
            async move { ended }
        })
        .await
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.ended().await;
        assert!(status.success(), "it stopped with {status}: {}", self.log_end());
    }

    /// The report of `counterfoil verify` on the data of the stopped server.
    pub(crate) async fn verify(&self, more: &[&str]) -> Value {
        let mut command = command(self.folder.path(), &self.options, "verify");
        command.arg("--json").args(more);
        let output = finish(command).await;
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("verify printed no report ({error}): {}", String::from_utf8_lossy(&output.stderr))
        })
    }

    /// Runs another command of the executable on the same data.
    pub(crate) async fn run(&self, name: &str, more: &[&str]) -> Output {
        let mut command = command(self.folder.path(), &self.options, name);
        command.args(more);
        finish(command).await
    }

    /// Runs a command of the executable that knows nothing of the data.
    pub(crate) async fn run_outside(&self, name: &str, more: &[&str]) -> Output {
        let mut command = plain_command(&executable(), self.folder.path(), name);
        command.args(more);
        finish(command).await
    }

    /// Runs another command of the executable on the same data and has it killed at a crash point.
    pub(crate) async fn run_until_crash(&self, name: &str, more: &[&str], crash_at: &str) -> Output {
        let mut command = command(self.folder.path(), &self.options, name);
        command.args(more);
        command.env("COUNTERFOIL_CRASH_LOG", self.file("crashes")).env("COUNTERFOIL_CRASH_AT", crash_at);
        finish(command).await
    }

    /// The folder of its data, its log and whatever else it has.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where its data is.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A file beside its data.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The crash points at which it was killed, over all its starts.
    pub(crate) fn crashes(&self) -> Vec<String> {
        let text = fs::read_to_string(self.file("crashes")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Everything it has said, over all its starts.
    pub(crate) fn said(&self) -> String {
        (1..=self.starts)
            .map(|start| fs::read_to_string(log_path(self.folder.path(), self.port, start)).unwrap())
            .collect()
    }

    /// What a person would look at first: the last warnings and errors, and the very last lines.
    fn log_end(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        let (before, last) = lines.split_at(lines.len().saturating_sub(8));
        let is_bad = |line: &&&str| line.contains("\"WARN\"") || line.contains("\"ERROR\"");
        let bad: Vec<&&str> = before.iter().filter(is_bad).collect();
        let bad = &bad[bad.len().saturating_sub(25)..];
        let shown = bad.iter().copied().chain(last).map(|line| line.chars().take(400).collect::<String>());
        shown.collect::<Vec<_>>().join("\n")
    }

    async fn wait_until_ready(&mut self) {
        let client = self.client();
        let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                // A crash point may lie on the way to readiness; whoever planned it looks for the end.
                assert!(self.options.crash_at.is_some(), "it ended with {status}: {}", self.log_end());
                return;
            }
            if client.is_ready(self.options.ready_role).await {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "not ready after two minutes: {}",
                self.log_end()
            );
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of the server ends with:\n{}", self.log_end());
        }
        // A stopped process does not die of anything but this.
        let _ = self.process.kill();
        let _ = self.process.wait();
        wait_for_the_database_to_leave(self.folder.path());
    }
}

/// After a process was killed, its database server leaves the folder by itself; before the folder is
/// removed, it should have.
pub(crate) fn wait_for_the_database_to_leave(folder: &Path) {
    let lock = folder.join("data/postgres/postmaster.pid");
    let deadline = Instant::now() + Duration::from_secs(5);
    while lock.exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A folder that the database server gets to as well, which runs as another user.
pub(crate) fn folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("counterfoil-test-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir()
        .unwrap()
}

/// A command of the executable in `folder`, with nothing of this process' own settings.
fn plain_command(executable: &Path, folder: &Path, name: &str) -> Command {
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
async fn finish(command: Command) -> Output {
    tokio::process::Command::from(command).kill_on_drop(true).output().await.unwrap()
}

fn spawn(folder: &Path, options: &ServerOptions, port: u16, sandbox_port: u16, start: u32) -> Child {
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

fn log_path(folder: &Path, port: u16, start: u32) -> PathBuf {
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
