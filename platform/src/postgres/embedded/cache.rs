//! How much memory the embedded server keeps pages in. Its own default fits any machine; where the indexes of a log
//! outgrow it, every append reads pages from the disk's cache and writes others back.

use std::{fs, path::Path};

const MIB: u64 = 1024 * 1024;

/// The server's own default, and as much as a log of some ten million events has use for.
const RANGE_MIB: (u64, u64) = (128, 1024);

/// An eighth of the memory that there is, in MiB; the manual's advice for a server that has the machine for itself is
/// twice that (PostgreSQL manual, "Resource Consumption", `shared_buffers`). `None` where it cannot be found out.
pub(super) fn shared_mib() -> Option<u64> {
    let read = |path| fs::read_to_string(Path::new(path)).unwrap_or_default();
    share_of(&read("/proc/meminfo"), &read("/sys/fs/cgroup/memory.max"))
}

/// What a machine has, or less where this process and its children are limited to that.
fn share_of(meminfo: &str, limit: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total: u64 = total.split_whitespace().next()?.parse().ok()?;
    let limit: u64 = limit.trim().parse().unwrap_or(u64::MAX);
    let (least, most) = RANGE_MIB;
    Some(((total * 1024).min(limit) / MIB / 8).clamp(least, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_eighth_of_what_there_is_within_bounds() {
        let machine = |gib: u64| format!("MemFree: 5 kB\nMemTotal:       {} kB\n", gib * 1024 * 1024);
        assert_eq!(share_of(&machine(4), "max\n"), Some(512));
        assert_eq!(share_of(&machine(64), "max\n"), Some(1024));
        assert_eq!(share_of(&machine(64), "536870912\n"), Some(128), "in a container of half a GiB");
        assert_eq!(share_of(&machine(64), "2147483648\n"), Some(256));
        assert_eq!(share_of(&machine(64), ""), Some(1024));
        assert_eq!(share_of("", "max\n"), None);
    }
}
