//! Whose data directory it is: a lock on a file in it, which the kernel lets go of when its holder dies.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::POLL;
use crate::postgres::{Error, during};

const LOCK: &str = "counterfoil.lock";
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Takes the data directory for this process until it dies, or says who has it.
pub(super) fn take(data_dir: &Path) -> Result<File, Error> {
    let path = data_dir.join(LOCK);
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(during("open", &path))?;
    let asked = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            // A process that was killed a moment ago may not have let go yet.
            Err(TryLockError::WouldBlock) if asked.elapsed() < LOCK_PATIENCE => thread::sleep(POLL),
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).map_err(during("read", &path))?;
                return Err(Error::InUse { directory: data_dir.to_owned(), pid: pid.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(during("lock", &path)(source)),
        }
    }
    file.set_len(0)
        .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()))
        .map_err(during("write", &path))?;
    Ok(file)
}

/// Whether a living process has the data directory just now.
pub(super) fn is_taken(data_dir: &Path) -> Result<bool, Error> {
    let path = data_dir.join(LOCK);
    match OpenOptions::new().write(true).open(&path) {
        Ok(file) => match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(true),
            Ok(()) => Ok(false),
            Err(TryLockError::Error(source)) => Err(during("lock", &path)(source)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(during("open", &path)(source)),
    }
}
