//! The cluster's directory: how it is made, and what its `postmaster.pid` says about a server that
//! runs on it. That file, never an answering port, decides whether a server is ours and ready.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::user::ServerUser;
use crate::postgres::{Error, Passwords, binaries::Binaries, during};

/// How long a server that lost its process may take to stop.
const ORPHAN_PATIENCE: Duration = Duration::from_mins(1);

/// How directories begin in which a cluster is being made.
const ATTEMPT: &str = "postgres.new-";

/// A directory that holds, or will hold, a cluster.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) directory: PathBuf,
}

/// What `postmaster.pid` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Postmaster {
    pub(super) pid: i32,
    pub(super) port: u16,
    pub(super) ready: bool,
}

impl Cluster {
    /// The one of a data directory, whether it is made or not.
    pub(super) fn of(data_dir: &Path) -> Self {
        Self { directory: data_dir.join("postgres") }
    }

    /// The major version that made it; `None` before it is made.
    pub(super) fn major(&self) -> Option<u32> {
        fs::read_to_string(self.directory.join("PG_VERSION")).ok()?.trim().parse().ok()
    }

    /// Makes the cluster beside its place and renames it, so that a crash never leaves half of one. One
    /// that is thrown away soon need not be on disk when this returns.
    ///
    /// Each attempt has a place of its own: `initdb` outlives a process that is killed, and must not meet the next one.
    pub(super) fn create(
        &self,
        binaries: &Binaries,
        user: &ServerUser,
        passwords: &Passwords,
        throwaway: bool,
    ) -> Result<(), Error> {
        let data_dir = self.directory.parent().unwrap_or(Path::new("/"));
        remove_attempts(data_dir).map_err(during("look into", data_dir))?;
        let attempt = tempfile::Builder::new().prefix(ATTEMPT).tempdir_in(data_dir);
        let attempt = attempt.map_err(during("make a cluster in", data_dir))?;
        user.own(attempt.path())?;

        let superuser_password = attempt.path().join("password");
        fs::write(&superuser_password, &passwords.by_role.postgres)
            .map_err(during("write", &superuser_password))?;
        user.own(&superuser_password)?;

        let beside = attempt.path().join("cluster");
        let output = user
            .command(binaries.initdb())
            .arg("--pgdata")
            .arg(&beside)
            .arg("--pwfile")
            .arg(&superuser_password)
            .args(["--username=postgres", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"])
            .args(["--data-checksums", "--no-instructions"])
            .args(throwaway.then_some("--no-sync"))
            .output()
            .map_err(during("run initdb in", &beside))?;
        if !output.status.success() {
            let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::Initdb { directory: beside, output });
        }
        fs::rename(&beside, &self.directory).map_err(during("move into place", &beside))
    }

    /// The server that says it runs here, alive or not.
    pub(super) fn postmaster(&self) -> Option<Postmaster> {
        parse_postmaster(&fs::read_to_string(self.directory.join("postmaster.pid")).ok()?)
    }

    /// Stops a server whose process is gone. The caller holds the data directory's lock, so no living
    /// Counterfoil can own it.
    pub(super) fn stop_orphan(&self) -> Result<(), Error> {
        let started = Instant::now();
        let mut asked = false;
        while let Some(orphan) = self.postmaster().filter(|postmaster| self.is_served_by(postmaster.pid)) {
            if !asked {
                tracing::warn!(
                    pid = orphan.pid,
                    "stopping a database server that an earlier process left behind"
                );
                let _ = kill(Pid::from_raw(orphan.pid), Signal::SIGINT);
                asked = true;
            }
            if started.elapsed() > ORPHAN_PATIENCE {
                return Err(Error::OrphanStays { pid: orphan.pid, waited: ORPHAN_PATIENCE });
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Whether that process is a server on this directory, and not one that got a dead server's number.
    fn is_served_by(&self, pid: i32) -> bool {
        if kill(Pid::from_raw(pid), None).is_err() {
            return false;
        }
        let command_line = fs::read(format!("/proc/{pid}/cmdline")).or_else(|_| {
            let answer = Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()]).output()?;
            Ok::<_, io::Error>(answer.stdout)
        });
        let directory = self.directory.to_string_lossy();
        command_line.is_ok_and(|line| String::from_utf8_lossy(&line).contains(directory.as_ref()))
    }
}

/// By lines, from the first: the process, the directory, its start, the port, two addresses, its shared
/// memory, its state. A server that has just begun has written only some of them.
fn parse_postmaster(text: &str) -> Option<Postmaster> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let pid = lines.first()?.parse().ok()?;
    let port = lines.get(3).and_then(|port| port.parse().ok());
    let ready = port.is_some() && lines.get(7) == Some(&"ready");
    Some(Postmaster { pid, port: port.unwrap_or_default(), ready })
}

/// Removes what attempts have left that were cut off. One at which `initdb` is still busy stays until the next time.
fn remove_attempts(data_dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data_dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(ATTEMPT) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_postmaster_file_tells_the_process_and_whether_it_is_ready() {
        let starting = "4711\n/data/postgres\n1763000000\n20001\n\n127.0.0.1\n  1234  5678\nstarting\n";
        assert_eq!(parse_postmaster(starting), Some(Postmaster { pid: 4711, port: 20_001, ready: false }));
        let ready = starting.replace("starting", "ready   ");
        assert_eq!(parse_postmaster(&ready), Some(Postmaster { pid: 4711, port: 20_001, ready: true }));
        assert_eq!(parse_postmaster("4711\n"), Some(Postmaster { pid: 4711, port: 0, ready: false }));
        assert_eq!(parse_postmaster(""), None);
    }

    #[test]
    fn a_stale_file_that_names_a_living_stranger_is_not_taken_for_a_server() {
        let directory = tempfile::tempdir().unwrap();
        let cluster = Cluster { directory: directory.path().to_owned() };
        let us = std::process::id();
        fs::write(directory.path().join("postmaster.pid"), format!("{us}\n")).unwrap();
        cluster.stop_orphan().unwrap(); // would have signalled this very process
        assert_eq!(cluster.postmaster().unwrap().pid, i32::try_from(us).unwrap());
    }
}
