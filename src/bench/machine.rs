//! On what it was measured: without that a figure says nothing.

use std::{fmt, fs};

use anyhow::Result;
use serde::Serialize;
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};

/// The machine and the programs on it.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor, as it calls itself.
    pub processor: String,
    /// How many of its threads there are for us.
    pub cores: usize,
    /// Memory of the machine, in MiB.
    pub memory_mib: u64,
    /// The operating system's kernel.
    pub kernel: String,
    /// The database server's version.
    pub postgres: String,
    /// This program's version, and whether it was built to be fast.
    pub counterfoil: String,
}

impl Machine {
    /// Looks around.
    pub(super) async fn describe(service: &PgConnectOptions) -> Result<Self> {
        let mut db = service.connect().await?;
        let postgres = sqlx::query_scalar("show server_version").fetch_one(&mut db).await?;
        db.close().await?;
        let build = if cfg!(debug_assertions) { "debug build: too slow to mean anything" } else { "release" };
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let memory = field("/proc/meminfo", "MemTotal");
        let memory_kib: u64 =
            memory.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or_default();
        Ok(Self {
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory_kib / 1024,
            kernel: kernel.trim().to_owned(),
            postgres,
            counterfoil: format!("{} ({build})", env!("CARGO_PKG_VERSION")),
        })
    }
}

/// The most memory that a process has had at once, in MiB; `None` where the kernel does not say.
pub(super) fn most_memory_mib(process: u32) -> Option<f64> {
    let most = field(&format!("/proc/{process}/status"), "VmHWM")?;
    let kib: u32 = most.split_whitespace().next()?.parse().ok()?;
    Some(f64::from(kib) / 1024.0)
}

/// The first value of a name in a file of names and values.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} × {}, {} MiB, kernel {}, PostgreSQL {}, Counterfoil {}",
            self.cores, self.processor, self.memory_mib, self.kernel, self.postgres, self.counterfoil
        )
    }
}
