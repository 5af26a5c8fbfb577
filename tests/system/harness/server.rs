//! The executable as a process: started, killed, started again on the same data, stopped, verified.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Output},
    sync::Arc,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    Client, Log, eventually,
    launch::{ServerOptions, command, executable, finish, free_port, log_path, plain_command, spawn},
};

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
        let mut server = Self::begin_in(folder, options);
        server.wait_until_ready().await;
        server
    }

    /// Starts a server, and does not wait for it.
    pub(crate) fn begin() -> Self {
        Self::begin_in(Arc::new(folder()), ServerOptions::default())
    }

    fn begin_in(folder: Arc<TempDir>, options: ServerOptions) -> Self {
        let (port, sandbox_port) = (options.port.unwrap_or_else(free_port), free_port());
        let process = spawn(folder.path(), &options, port, sandbox_port, 1);
        Self { process, options, port, sandbox_port, folder, starts: 1 }
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
        self.options = options;
        self.begin_again();
        self.wait_until_ready().await;
    }

    /// Starts it again on the same data as it was, and does not wait for it.
    pub(crate) fn begin_again(&mut self) {
        assert!(!self.runs(), "it still runs");
        self.starts += 1;
        self.process = spawn(self.folder.path(), &self.options, self.port, self.sandbox_port, self.starts);
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
