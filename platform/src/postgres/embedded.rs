//! A private PostgreSQL server, run by this process on a cluster in its data directory. One living
//! process owns a data directory at a time (a file lock says so, and the kernel lets go of it when the
//! process dies), the server never outlives its process, and `fsync` stays on.

mod cache;
mod cluster;
mod joined;
mod lock;
#[cfg(test)]
mod tests;
mod user;
mod watchdog;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Child,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rand::Rng;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

pub use self::joined::{attach, until_left};
use self::{cluster::Cluster, user::ServerUser, watchdog::Watchdog};
use super::{Databases, Error, Passwords, binaries::Binaries, during, provision};

/// Recovery after a crash can take a while; a server that says nothing for so long is stuck.
const READY_PATIENCE: Duration = Duration::from_mins(2);
/// A fast shutdown writes a checkpoint.
const STOP_PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(5);
/// How soon a server that died is noticed, and how long before another try to launch it.
const WATCH: Duration = Duration::from_millis(200);
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A running server, and the right to its data directory. A server process that dies is started again
/// where it was. Dropping this value asks the server to stop.
#[derive(Debug)]
pub struct Server(Arc<Supervised>);

#[derive(Debug)]
struct Supervised {
    cluster: Cluster,
    binaries: Binaries,
    user: ServerUser,
    passwords: Passwords,
    log: PathBuf,
    remove_when_gone: Option<PathBuf>,
    process: Mutex<Process>,
    /// Held, not read: see the module.
    _lock: File,
}

#[derive(Debug)]
struct Process {
    port: u16,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    watchdog: Watchdog,
}

impl Server {
    /// Starts the server of this data directory, making its cluster on first use.
    ///
    /// # Errors
    /// [`Error::InUse`] when another living process has it; otherwise what was missing or went wrong.
    pub async fn start(data_dir: &Path) -> Result<Self, Error> {
        let data_dir = data_dir.to_owned();
        tokio::task::spawn_blocking(move || Self::start_blocking(&data_dir, None))
            .await
            .map_err(|_| Error::Interrupted)?
    }

    pub(super) fn start_blocking(data_dir: &Path, remove_when_gone: Option<PathBuf>) -> Result<Self, Error> {
        fs::create_dir_all(data_dir).map_err(during("create", data_dir))?;
        let data_dir = fs::canonicalize(data_dir).map_err(during("find", data_dir))?;
        let lock = lock::take(&data_dir)?;
        let cluster = Cluster::of(&data_dir);
        let binaries = Binaries::find(&cluster.directory, cluster.major())?;
        let user = ServerUser::choose()?;
        user.admit_to(&data_dir)?;
        let passwords = Passwords::load_or_generate(&data_dir)?;
        if cluster.major().is_none() {
            tracing::info!(directory = %cluster.directory.display(), version = binaries.major, "making a database cluster");
            cluster.create(&binaries, &user, &passwords, remove_when_gone.is_some())?;
        }
        cluster.stop_orphan()?;

        let supervised = Arc::new(Supervised {
            cluster,
            binaries,
            user,
            passwords,
            log: data_dir.join("postgres.log"),
            remove_when_gone,
            process: Mutex::new(Process { port: free_port()?, running: None }),
            _lock: lock,
        });
        supervised.launch(&mut supervised.process())?;
        supervise(Arc::downgrade(&supervised))
            .map_err(during("watch over", &supervised.cluster.directory))?;
        Ok(Self(supervised))
    }

    /// The database `name` on this server, made with its roles if it is not there.
    pub async fn databases(&self, name: &str) -> Result<Databases, Error> {
        provision(&self.superuser(), &self.0.passwords, name).await
    }

    /// How to reach the server as its superuser.
    pub fn superuser(&self) -> PgConnectOptions {
        superuser(self.port(), &self.0.passwords)
    }

    /// Where it listens, on 127.0.0.1. It stays the same while this value lives.
    pub fn port(&self) -> u16 {
        self.0.process().port
    }

    /// The server's own process, while there is one.
    pub fn pid(&self) -> Option<u32> {
        self.0.process().running.as_ref().map(|running| running.child.id())
    }

    /// Stops the server cleanly and waits until it has ended. Does nothing if it has stopped.
    pub fn stop(&self) -> Result<(), Error> {
        self.0.end(Signal::SIGINT)
    }

    /// Stops the server at once, without a checkpoint, as a power cut would; it recovers when it is
    /// launched again.
    #[cfg(any(test, feature = "testing"))]
    pub fn crash(&self) -> Result<(), Error> {
        self.0.end(Signal::SIGQUIT)
    }

    /// Launches the server again after it was stopped or crashed, where it was.
    #[cfg(any(test, feature = "testing"))]
    pub fn resume(&self) -> Result<(), Error> {
        let mut process = self.0.process();
        if process.running.is_none() { self.0.launch(&mut process) } else { Ok(()) }
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// Stops whatever a dead process left running on that data directory, whose lock the caller holds.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn stop_orphan_of(data_dir: &Path) -> Result<(), Error> {
        Cluster::of(data_dir).stop_orphan()
    }
}

impl Supervised {
    fn process(&self) -> MutexGuard<'_, Process> {
        // The guarded value is replaced whole, so a panic elsewhere cannot have left it half changed.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, signal: Signal) -> Result<(), Error> {
        let mut process = self.process();
        let Some(mut running) = process.running.take() else { return Ok(()) };
        let pid = i32::try_from(running.child.id()).unwrap_or_default();
        let asked = Instant::now();
        let _ = kill(Pid::from_raw(pid), signal);
        while running.child.try_wait().map_err(during("wait for", &self.binaries.postgres()))?.is_none() {
            if asked.elapsed() > STOP_PATIENCE {
                tracing::error!(pid, "the database server did not stop in time; stopping it at once");
                let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
                running.child.wait().map_err(during("wait for", &self.binaries.postgres()))?;
                break;
            }
            thread::sleep(POLL);
        }
        running.watchdog.dismiss();
        Ok(())
    }

    /// A server that was stopped on purpose is not dead: it was taken out of `running` before.
    fn launch_again_if_dead(&self) {
        let mut process = self.process();
        let Some(running) = &mut process.running else { return };
        let status = match running.child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(status, "the database server ended unexpectedly; starting it again");
        if let Some(dead) = process.running.take() {
            dead.watchdog.dismiss();
        }
        while let Err(error) = self.launch(&mut process) {
            tracing::error!(%error, "the database server could not be started again; trying on");
            thread::sleep(WATCH);
        }
    }

    /// Starts the process and waits until its `postmaster.pid` says that it is ready. A port that was
    /// taken meanwhile, and the shared memory of a server that was killed, are reasons to try again.
    fn launch(&self, process: &mut Process) -> Result<(), Error> {
        let started = Instant::now();
        loop {
            let mut log = self.open_log()?;
            let log_start = log.seek(SeekFrom::End(0)).map_err(during("read", &self.log))?;
            let mut running = self.spawn(process.port, &log)?;
            let ended = loop {
                if let Some(status) =
                    running.child.try_wait().map_err(during("wait for", &self.binaries.postgres()))?
                {
                    break status;
                }
                let pid = i32::try_from(running.child.id()).unwrap_or_default();
                if self
                    .cluster
                    .postmaster()
                    .is_some_and(|postmaster| postmaster.ready && postmaster.pid == pid)
                {
                    process.running = Some(running);
                    return Ok(());
                }
                if started.elapsed() > READY_PATIENCE {
                    process.running = Some(running);
                    let reason = format!("not ready after {READY_PATIENCE:?}");
                    return Err(Error::NotReady { reason, log: log_from(&self.log, log_start) });
                }
                thread::sleep(POLL);
            };
            running.watchdog.dismiss();
            let said = log_from(&self.log, log_start);
            let try_again = if said.contains("Address already in use") {
                process.port = free_port()?;
                true
            } else {
                // Backends of a killed server let go of its memory within moments.
                said.contains("pre-existing shared memory block")
            };
            if !try_again || started.elapsed() > READY_PATIENCE {
                return Err(Error::NotReady { reason: ended.to_string(), log: said });
            }
            thread::sleep(POLL);
        }
    }

    fn spawn(&self, port: u16, log: &File) -> Result<Running, Error> {
        let duplicate = || log.try_clone().map_err(during("share", &self.log));
        let mut child = self
            .user
            .command(self.binaries.postgres())
            .arg("-D")
            .arg(&self.cluster.directory)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={port}")])
            .args(["-c", "unix_socket_directories=", "-c", "max_connections=300"])
            .args(["-c", "timezone=UTC", "-c", "log_timezone=UTC", "-c", "logging_collector=off"])
            .args(["-c", "log_line_prefix=%m [%p] %u@%d "])
            .args(
                cache::shared_mib()
                    .into_iter()
                    .flat_map(|mib| ["-c".to_owned(), format!("shared_buffers={mib}MB")]),
            )
            .stdout(duplicate()?)
            .stderr(duplicate()?)
            .spawn()
            .map_err(during("run", &self.binaries.postgres()))?;
        match Watchdog::over(child.id(), self.remove_when_gone.as_deref()) {
            Ok(watchdog) => Ok(Running { child, watchdog }),
            Err(source) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(during("run", Path::new("/bin/sh"))(source))
            }
        }
    }

    fn open_log(&self) -> Result<File, Error> {
        let too_long = fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_BYTES_MAX);
        if too_long {
            fs::rename(&self.log, self.log.with_extension("log.old")).map_err(during("rotate", &self.log))?;
        }
        OpenOptions::new().create(true).append(true).open(&self.log).map_err(during("open", &self.log))
    }
}

fn superuser(port: u16, passwords: &Passwords) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .ssl_mode(PgSslMode::Disable)
        .username("postgres")
        .password(&passwords.by_role.postgres)
        .database("postgres")
        .application_name("counterfoil")
}

/// Launches the server again whenever it ends without our asking, until nobody holds it any more.
fn supervise(supervised: Weak<Supervised>) -> io::Result<()> {
    thread::Builder::new().name("postgres".to_owned()).spawn(move || {
        loop {
            thread::sleep(WATCH);
            let Some(supervised) = supervised.upgrade() else { return };
            supervised.launch_again_if_dead();
        }
    })?;
    Ok(())
}

/// A port that is free now, below the range from which systems choose for outgoing connections: so it
/// is most likely still free when the server is launched again.
fn free_port() -> Result<u16, Error> {
    const TRIES: u32 = 200;
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let port = rand::rng().random_range(20_000..30_000);
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(during("find a free port on", Path::new("127.0.0.1"))(last))
}

/// What the server wrote since it was launched, at most its last few lines.
fn log_from(path: &Path, start: u64) -> String {
    let mut text = Vec::new();
    let read = File::open(path)
        .and_then(|mut log| log.seek(SeekFrom::Start(start)).map(|_| log))
        .and_then(|mut log| log.read_to_end(&mut text));
    if let Err(error) = read {
        return format!("(its log cannot be read: {error})");
    }
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("; ")
}
