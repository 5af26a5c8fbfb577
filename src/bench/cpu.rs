//! Who uses the processor: this process, which has the load in it, or the database server, where that is on
//! the same machine. On Linux the kernel counts it for each thread, in nanoseconds.

use std::{fs, path::Path};

use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};

use super::report::grouped;

/// Processor time that was used up to one moment, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cpu {
    process_ns: u64,
    postgres_ns: u64,
}

impl Cpu {
    /// Looks; `None` where it cannot be seen, as that of a server on another machine.
    pub(super) async fn read(service: &PgConnectOptions) -> Option<Self> {
        let mut db = service.connect().await.ok()?;
        let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut db).await.ok()?;
        let postmaster = parent(format!("/proc/{backend}/stat"))?;
        db.close().await.ok()?;
        let mut postgres_ns = used(format!("/proc/{postmaster}"));
        for process in fs::read_dir("/proc").ok()?.flatten() {
            let path = process.path();
            if parent(path.join("stat")) == Some(postmaster) {
                postgres_ns += used(&path);
            }
        }
        Some(Self { process_ns: used("/proc/self"), postgres_ns })
    }

    /// What was used since, for people, for each of `count` things.
    pub(super) fn since(&self, earlier: &Self, count: u64) -> String {
        #[allow(clippy::cast_precision_loss, reason = "an average")]
        let ms = |now: u64, then: u64| now.saturating_sub(then) as f64 / 1e6 / count.max(1) as f64;
        let postgres = ms(self.postgres_ns, earlier.postgres_ns);
        let process = ms(self.process_ns, earlier.process_ns);
        let share = 100.0 * postgres / (postgres + process).max(f64::MIN_POSITIVE);
        format!(
            "{} ms of a processor in Postgres ({share:.0} %) and {} ms in this process, which has the customers in it",
            grouped(postgres),
            grouped(process)
        )
    }
}

/// The parent of a process of a database server; `None` for any other process.
fn parent(stat: impl AsRef<Path>) -> Option<u32> {
    parent_in(&fs::read_to_string(stat).ok()?)
}

/// As proc(5) has it: the id, the name in parentheses, the state, the parent.
fn parent_in(stat: &str) -> Option<u32> {
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    name.starts_with("postgres").then(|| rest.split_whitespace().nth(1)?.parse().ok()).flatten()
}

/// What all threads that a process has now have used.
fn used(process: impl AsRef<Path>) -> u64 {
    let tasks = fs::read_dir(process.as_ref().join("task"));
    let of_task = |path: &Path| -> Option<u64> {
        fs::read_to_string(path.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
    };
    tasks.into_iter().flatten().flatten().filter_map(|task| of_task(&task.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_a_backend_is_found_whatever_its_name() {
        assert_eq!(parent_in("4711 (postgres) S 42 4711 4711 0"), Some(42));
        assert_eq!(parent_in("4711 (postgres: a (b)) S 42 4711"), Some(42));
        assert_eq!(parent_in("4711 (cargo) S 42 4711"), None);
    }
}
