//! Places where a test can kill the process or plant a bug. Without the feature `fault-injection`
//! both functions are empty, and the compiler removes them.

/// A named place where a test may have the process killed as by `kill -9`.
///
/// `COUNTERFOIL_CRASH_AT=name:3` kills at the third time that `name` is reached. Every crash is
/// appended to the file that `COUNTERFOIL_CRASH_LOG` names, so that a run can say which were hit.
#[cfg(not(feature = "fault-injection"))]
#[inline]
pub fn crash_point(_name: &'static str) {}

/// Whether a named bug is planted: `COUNTERFOIL_PLANTED_BUGS=name,other`. Always false in a build that
/// serves.
#[cfg(not(feature = "fault-injection"))]
#[inline]
pub fn planted(_bug: &'static str) -> bool {
    false
}

#[cfg(feature = "fault-injection")]
pub use injected::{crash_point, planted};

#[cfg(feature = "fault-injection")]
mod injected {
    use std::{
        io::Write,
        sync::{
            OnceLock,
            atomic::{AtomicU64, Ordering},
        },
    };

    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };

    struct CrashPlan {
        name: String,
        at_hit: u64,
        hits: AtomicU64,
    }

    /// See the module.
    pub fn crash_point(name: &'static str) {
        static PLAN: OnceLock<Option<CrashPlan>> = OnceLock::new();
        let plan = PLAN.get_or_init(|| {
            let text = std::env::var("COUNTERFOIL_CRASH_AT").ok()?;
            let (name, at_hit) = text.split_once(':').unwrap_or((&text, "1"));
            Some(CrashPlan { name: name.to_owned(), at_hit: at_hit.parse().ok()?, hits: AtomicU64::new(0) })
        });
        let Some(plan) = plan.as_ref().filter(|plan| plan.name == name) else { return };
        if plan.hits.fetch_add(1, Ordering::SeqCst) + 1 == plan.at_hit {
            if let Ok(path) = std::env::var("COUNTERFOIL_CRASH_LOG")
                && let Ok(mut log) = std::fs::OpenOptions::new().create(true).append(true).open(path)
            {
                let _ = writeln!(log, "{name}");
            }
            let _ = kill(Pid::this(), Signal::SIGKILL);
            loop {
                std::thread::park();
            }
        }
    }

    /// See the module.
    pub fn planted(bug: &'static str) -> bool {
        static BUGS: OnceLock<Vec<String>> = OnceLock::new();
        BUGS.get_or_init(|| {
            let text = std::env::var("COUNTERFOIL_PLANTED_BUGS").unwrap_or_default();
            text.split(',').filter(|bug| !bug.is_empty()).map(str::to_owned).collect()
        })
        .iter()
        .any(|planted| planted == bug)
    }
}
