//! Stops the server when this process dies in any way, SIGKILL included. A small shell waits on a pipe
//! whose other end only we hold: the kernel closes it when we end, and the shell asks the server to stop.
//!
//! A parent-death signal would do the same on Linux only, and would also fire when merely the thread
//! that spawned the server ends. The pipe works everywhere and belongs to the whole process.

use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

/// SIGINT is PostgreSQL's fast shutdown. The second argument, when given, is removed afterwards; a
/// server that nobody reaps stays as a zombie, so the wait for it has an end.
const SCRIPT: &str = r#"
read -r _
kill -INT "$1" 2>/dev/null
[ -n "$2" ] || exit 0
tries=0
while kill -0 "$1" 2>/dev/null && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
rm -rf -- "$2"
"#;

/// Guards one server process for as long as this value lives.
#[derive(Debug)]
pub(super) struct Watchdog(Child);

impl Watchdog {
    /// Watches over `server`; with `then_remove`, that directory goes when we are gone.
    pub(super) fn over(server: u32, then_remove: Option<&Path>) -> io::Result<Self> {
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "counterfoil-watchdog", &server.to_string()])
            .arg(then_remove.unwrap_or(Path::new("")))
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(shell))
    }

    /// Sends the watchdog away without its doing anything: the server has ended and was reaped.
    pub(super) fn dismiss(mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
