//! Ending well: the first SIGTERM or SIGINT asks every part to finish what it has begun; a second one
//! ends the process at once. A part that ends by itself, or panics, takes the others along: half a
//! process looks alive and does half the work.

use std::{
    future::Future,
    io,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What a process that was told twice to stop exits with, as a shell says of SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// The parts of this process, and the word to stop. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    requested: CancellationToken,
    parts: TaskTracker,
    failed: Arc<AtomicBool>,
}

/// How the parts ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All finished what they had begun, after they were asked to.
    Finished,
    /// All have ended, and at least one without being asked.
    PartFailed,
    /// Some were still busy when time was up.
    TimedOut,
}

impl Shutdown {
    /// Nothing runs yet, and nobody asked to stop.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops at SIGTERM and SIGINT from now on. Needs a tokio runtime.
    pub fn on_signals(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            let first = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(
                signal = first,
                "stopping: finishing what has begun (a second signal ends at once)"
            );
            shutdown.request();
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(EXIT_INTERRUPTED);
        });
        Ok(())
    }

    /// Asks all parts to stop.
    pub fn request(&self) {
        self.requested.cancel();
    }

    /// Whether they were asked to.
    pub fn is_requested(&self) -> bool {
        self.requested.is_cancelled()
    }

    /// The word to stop, for a part to listen to.
    pub fn token(&self) -> CancellationToken {
        self.requested.clone()
    }

    /// Waits until somebody asks to stop.
    pub async fn requested(&self) {
        self.requested.cancelled().await;
    }

    /// Runs a part until it ends. It must listen to [`Shutdown::token`], and end only then.
    pub fn spawn(&self, part: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.clone();
        self.parts.spawn(async move {
            let outcome = AssertUnwindSafe(work).catch_unwind().await;
            match (outcome, shutdown.is_requested()) {
                (Ok(()), true) => tracing::debug!(part, "finished"),
                (Ok(()), false) => shutdown.fail(part, "ended by itself"),
                (Err(_), _) => shutdown.fail(part, "panicked"),
            }
        });
    }

    fn fail(&self, part: &'static str, how: &'static str) {
        tracing::error!(part, "a part of this process {how}; stopping the others");
        self.failed.store(true, Ordering::SeqCst);
        self.request();
    }

    /// Asks all parts to stop and waits for them, at most for `patience`.
    pub async fn finish(&self, patience: Duration) -> Ended {
        self.request();
        self.parts.close();
        match timeout(patience, self.parts.wait()).await {
            Err(_) => Ended::TimedOut,
            Ok(()) if self.failed.load(Ordering::SeqCst) => Ended::PartFailed,
            Ok(()) => Ended::Finished,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::future::pending;

    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };
    use tokio::sync::oneshot;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_part_that_was_asked_to_stop_finishes_what_it_has_begun() {
        let shutdown = Shutdown::new();
        let (token, (tell, told)) = (shutdown.token(), oneshot::channel());
        shutdown.spawn("worker", async move {
            token.cancelled().await;
            tokio::task::yield_now().await;
            tell.send("the last piece of work").unwrap();
        });
        assert_eq!(shutdown.finish(PATIENCE).await, Ended::Finished);
        assert_eq!(told.await.unwrap(), "the last piece of work");
    }

    #[tokio::test]
    async fn a_part_that_panics_or_ends_takes_the_others_along() {
        for ends_by_panic in [true, false] {
            let shutdown = Shutdown::new();
            let token = shutdown.token();
            shutdown.spawn("steady", async move { token.cancelled().await });
            shutdown.spawn("hasty", async move { assert!(!ends_by_panic, "a bug") });
            timeout(PATIENCE, shutdown.requested()).await.expect("the others were told");
            assert_eq!(shutdown.finish(PATIENCE).await, Ended::PartFailed);
        }
    }

    #[tokio::test]
    async fn a_part_that_does_not_listen_is_not_waited_for_for_ever() {
        let shutdown = Shutdown::new();
        shutdown.spawn("deaf", pending());
        assert_eq!(shutdown.finish(Duration::from_millis(10)).await, Ended::TimedOut);
    }

    #[tokio::test]
    async fn the_first_signal_asks_and_does_not_kill() {
        let shutdown = Shutdown::new();
        shutdown.on_signals().unwrap();
        assert!(!shutdown.is_requested());
        kill(Pid::this(), Signal::SIGTERM).unwrap();
        timeout(PATIENCE, shutdown.requested()).await.expect("the signal was heard");
    }
}
