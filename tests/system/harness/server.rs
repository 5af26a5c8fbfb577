//! The executable as a process: started, killed, started again on the same data, stopped, verified.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{Client, eventually};

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_counterfoil");

/// What differs from a server as a user starts it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerOptions {
    /// `name:n`: killed when the crash point is reached for the nth time.
    pub(crate) crash_at: Option<String>,
    /// Bugs to plant.
    pub(crate) planted_bugs: Option<&'static str>,
    /// A provider in another process.
    pub(crate) provider_url: Option<String>,
    /// A database that was given, instead of the embedded one.
    pub(crate) database_url: Option<String>,
    /// How long a checkout may take.
    pub(crate) checkout_deadline_s: Option<u32>,
}

/// A server on data of its own.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    options: ServerOptions,
    port: u16,
    sandbox_port: u16,
    folder: TempDir,
    starts: u32,
}

impl Server {
    /// Starts a server as a user would, and waits until it is ready.
    pub(crate) async fn start() -> Self {
        Self::start_with(ServerOptions::default()).await
    }

    /// Starts a server with something different about it.
    pub(crate) async fn start_with(options: ServerOptions) -> Self {
        // The database server runs as another user, who has to get to its folder.
        let folder = tempfile::Builder::new()
            .prefix("counterfoil-test-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        let (port, sandbox_port) = (free_port(), free_port());
        let process = spawn(folder.path(), &options, port, sandbox_port, 1);
        let mut server = Self { process, options, port, sandbox_port, folder, starts: 1 };
        server.wait_until_ready().await;
        server
    }

    /// A client of its API.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.url(""))
    }

    /// The address of a path of its API.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
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

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let process = &mut self.process;
        let status = eventually("the server stops", || {
            let ended = process.try_wait().unwrap();
            async move { ended }
        })
        .await;
        assert!(status.success(), "it stopped with {status}: {}", self.log_end());
    }

    /// Stops it and checks every invariant over its whole history; fails unless all hold.
    pub(crate) async fn stop_and_verify(&mut self) -> Value {
        self.stop().await;
        let report = self.verify(&[]);
        assert_eq!(report["held"], true, "{report:#}");
        report
    }

    /// The report of `counterfoil verify` on the data of the stopped server.
    pub(crate) fn verify(&self, more: &[&str]) -> Value {
        let output = command(self.folder.path(), &self.options, "verify")
            .arg("--json")
            .args(more)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("verify printed no report ({error}): {}", String::from_utf8_lossy(&output.stderr))
        })
    }

    /// Runs another command of the executable on the same data and gives its output.
    pub(crate) fn run(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(EXECUTABLE).args(arguments).arg("--data-dir").arg(self.data_dir()).output().unwrap()
    }

    /// Where its data is.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Everything it has logged, over all its starts.
    pub(crate) fn log(&self) -> String {
        (1..=self.starts)
            .map(|start| fs::read_to_string(log_path(self.folder.path(), start)).unwrap())
            .collect()
    }

    fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
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
            if client.is_ready().await {
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
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(folder: &Path, options: &ServerOptions, name: &str) -> Command {
    let mut command = Command::new(EXECUTABLE);
    command.arg(name).arg("--data-dir").arg(folder.join("data"));
    command.current_dir(folder).stdin(Stdio::null());
    if let Some(url) = &options.provider_url {
        command.args(["--provider-url", url]);
    }
    if let Some(url) = &options.database_url {
        command.env("COUNTERFOIL_DATABASE_URL", url);
    }
    if let Some(seconds) = options.checkout_deadline_s {
        command.args(["--checkout-deadline-s", &seconds.to_string()]);
    }
    command
}

fn spawn(folder: &Path, options: &ServerOptions, port: u16, sandbox_port: u16, start: u32) -> Child {
    let log = File::create(log_path(folder, start)).unwrap();
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

fn log_path(folder: &Path, start: u32) -> PathBuf {
    folder.join(format!("log-{start}"))
}

/// A port that nobody listened on a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
