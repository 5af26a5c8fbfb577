//! A real NATS server for tests, with a data directory of its own. It ends with the test, however that ends.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// Starts the server and says its pid; when whoever started it is gone, the pipe ends, and so does the server.
const KEEPER: &str = r#""$0" "$@" & echo $!; read -r _; kill -9 $!; wait"#;

/// A server with JetStream, unless it was started without.
#[derive(Debug)]
pub struct NatsServer {
    address: SocketAddr,
    arguments: Vec<String>,
    folder: TempDir,
    running: Option<(Child, Pid)>,
}

impl NatsServer {
    /// Starts one with JetStream and no authentication.
    ///
    /// # Panics
    /// When there is none on this machine, or it does not start: a test can do nothing useful then.
    pub fn start() -> Self {
        Self::start_with(&["-js"])
    }

    /// Starts one with these arguments.
    ///
    /// # Panics
    /// See [`NatsServer::start`].
    #[allow(clippy::expect_used)]
    pub fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("counterfoil-nats-").tempdir().expect("make a folder");
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let address = address.expect("find a free port");
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut server = Self { address, arguments, folder, running: None };
        server.run();
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Where it keeps what it is given.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it, as by `kill -9`. What it had not written to its disk stays in the cache of the machine.
    pub fn kill(&mut self) {
        if let Some((mut keeper, _)) = self.running.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }

    /// Starts it again on its data, at the same address.
    pub fn restart(&mut self) {
        self.kill();
        self.run();
    }

    /// Stops it where it is: its connections stay open, and nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    #[allow(clippy::expect_used)]
    fn signal(&self, signal: Signal) {
        let (_, server) = self.running.as_ref().expect("it runs");
        kill(*server, signal).expect("signal the NATS server");
    }

    #[allow(clippy::expect_used, clippy::panic)]
    fn run(&mut self) {
        let (address, folder) = (self.address, self.folder.path());
        let log = fs::File::options().create(true).append(true).open(folder.join("log")).expect("make a log");
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER])
            .arg(executable())
            .args(["-a", &address.ip().to_string(), "-p", &address.port().to_string(), "-sd"])
            .arg(folder.join("jetstream"))
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("start the NATS server");
        let mut pid = String::new();
        let said = keeper.stdout.take().expect("its output is ours");
        BufReader::new(said).read_line(&mut pid).expect("hear the pid of the NATS server");
        let pid = Pid::from_raw(pid.trim().parse().expect("a pid"));
        self.running = Some((keeper, pid));
        let deadline = Instant::now() + PATIENCE;
        while greeting(address).is_err() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the NATS server does not start: {}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server that listens and is not yet ready does not greet.
fn greeting(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    stream.read_exact(&mut [0; 5])
}

/// Where `deploy/get-tools` put it, unless there is a better one.
#[allow(clippy::panic)]
fn executable() -> PathBuf {
    const NAME: &str = "nats-server";
    if let Some(path) = env::var_os("COUNTERFOIL_NATS_SERVER") {
        return path.into();
    }
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let ours = target.join("tools/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).chain([ours]).map(|folder| folder.join(NAME)).find(|it| it.is_file());
    found.unwrap_or_else(|| {
        panic!("there is no nats-server here: deploy/get-tools gets it, and so does `make test`")
    })
}
