//! Finds the PostgreSQL server that is installed on this machine. Distributions keep `initdb` and
//! `postgres` out of the search path, so this looks where they put them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::Error;

/// The oldest major version that will do.
pub(super) const MINIMUM: u32 = 15;

/// A directory that holds `initdb` and `postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) directory: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    pub(super) fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
    }

    /// The first that is new enough for a new cluster; for one that exists, the first of its version.
    pub(super) fn find(cluster: &Path, cluster_major: Option<u32>) -> Result<Self, Error> {
        let places = places();
        let installed: Vec<Self> = places.iter().filter_map(|place| inspect(place)).collect();
        let wanted = |found: &&Self| match cluster_major {
            Some(major) => found.major == major,
            None => found.major >= MINIMUM,
        };
        if let Some(found) = installed.iter().find(wanted) {
            return Ok(found.clone());
        }
        match (cluster_major, installed.is_empty()) {
            (Some(major), false) => {
                let mut found: Vec<String> = installed.iter().map(|found| found.major.to_string()).collect();
                found.dedup();
                Err(Error::OtherMajorVersion {
                    directory: cluster.to_owned(),
                    cluster: major,
                    found: found.join(", "),
                })
            }
            (Some(_) | None, _) => Err(Error::NoServerFound {
                minimum: MINIMUM,
                searched: "PATH, pg_config --bindir, /usr/lib/postgresql*, /usr/libexec/postgresql*, /usr/pgsql-*, Homebrew".to_owned(),
            }),
        }
    }
}

/// Where servers are kept, most wanted first.
fn places() -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    if let Ok(answer) = Command::new("pg_config").arg("--bindir").output() {
        places.push(PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim()));
    }
    places.extend(versioned("/usr/lib/postgresql", "", "bin")); // Debian, Ubuntu
    places.extend(versioned("/usr/lib", "postgresql", "bin")); // SUSE
    places.extend(versioned("/usr/libexec", "postgresql", "")); // Alpine
    places.extend(versioned("/usr", "pgsql-", "bin")); // Red Hat's packages by PostgreSQL's own project
    for opt in ["/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"] {
        places.extend(versioned(opt, "postgresql@", "bin"));
    }
    places
}

/// `root/<prefix><number>/<leaf>` for every number that is there, highest first.
fn versioned(root: &str, prefix: &str, leaf: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join(leaf)))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

fn inspect(place: &Path) -> Option<Binaries> {
    if !place.is_absolute() || !place.join("initdb").is_file() {
        return None;
    }
    // A link in the search path may point to one of several versions; the real directory is one of them.
    let postgres = fs::canonicalize(place.join("postgres")).ok()?;
    let answer = Command::new(&postgres).arg("--version").output().ok()?;
    let major = major(&String::from_utf8_lossy(&answer.stdout))?;
    let directory =
        postgres.parent().filter(|real| real.join("initdb").is_file()).unwrap_or(place).to_owned();
    Some(Binaries { directory, major })
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` → 15; also `18beta1`.
fn major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL)")?.1.trim_start();
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_distributions_print() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("postgres (PostgreSQL) 17"), Some(17));
        assert_eq!(major("something else"), None);
    }

    #[test]
    fn the_newest_version_comes_first_by_number_and_not_by_text() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15", "18", "not-a-version"] {
            fs::create_dir(root.path().join(version)).unwrap();
        }
        let found = versioned(root.path().to_str().unwrap(), "", "bin");
        assert_eq!(found, ["18", "15", "9"].map(|version| root.path().join(version).join("bin")));
    }

    #[test]
    fn a_cluster_of_a_version_that_is_not_installed_is_refused_with_both_versions() {
        let refused = Binaries::find(Path::new("/data/postgres"), Some(3)).unwrap_err();
        assert!(matches!(refused, Error::OtherMajorVersion { cluster: 3, .. }), "{refused}");
    }
}
