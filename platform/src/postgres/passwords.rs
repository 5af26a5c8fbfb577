//! The passwords of the database roles: made once, from the system's randomness, and kept in one file
//! that only we can read. They are never logged and never appear in an error.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use rand::{TryRngCore, rngs::OsRng};
use serde::{Deserialize, Serialize};

use super::{Error, during};

/// One password per role, and where they are kept.
#[derive(Clone)]
pub struct Passwords {
    pub(super) kept_in: PathBuf,
    pub(super) by_role: ByRole,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ByRole {
    pub(super) postgres: String,
    pub(super) owner: String,
    pub(super) service: String,
    pub(super) projector: String,
    pub(super) reader: String,
}

impl Passwords {
    /// Those kept in the data directory, made now if there are none.
    pub fn load_or_generate(data_dir: &Path) -> Result<Self, Error> {
        let kept_in = data_dir.join("passwords.json");
        let by_role = match fs::read(&kept_in) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| Error::PasswordsDamaged { path: kept_in.clone(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let generated = generate().map_err(during("draw random passwords for", &kept_in))?;
                if keep(&kept_in, data_dir, &generated).map_err(during("write", &kept_in))? {
                    generated
                } else {
                    return Self::load_or_generate(data_dir);
                }
            }
            Err(source) => return Err(during("read", &kept_in)(source)),
        };
        Ok(Self { kept_in, by_role })
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passwords({})", self.kept_in.display())
    }
}

fn generate() -> io::Result<ByRole> {
    let password = || {
        let mut bytes = [0_u8; 24];
        OsRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
        Ok::<_, io::Error>(hex::encode(bytes))
    };
    Ok(ByRole {
        postgres: password()?,
        owner: password()?,
        service: password()?,
        projector: password()?,
        reader: password()?,
    })
}

/// Written beside and linked, so that a crash leaves either no file or a whole one; `tempfile` makes
/// files with mode 0600. `false` when another process was first: there is one set of passwords.
fn keep(path: &Path, data_dir: &Path, passwords: &ByRole) -> io::Result<bool> {
    let mut file = tempfile::NamedTempFile::new_in(data_dir)?;
    file.write_all(&serde_json::to_vec_pretty(passwords)?)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error.error),
    }
    fs::File::open(data_dir)?.sync_all()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn passwords_are_made_once_and_only_we_can_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let first = Passwords::load_or_generate(dir.path()).unwrap();
        let again = Passwords::load_or_generate(dir.path()).unwrap();
        assert_eq!(first.by_role.owner, again.by_role.owner);
        assert_ne!(first.by_role.owner, first.by_role.reader);
        let mode = fs::metadata(dir.path().join("passwords.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn processes_that_start_at_once_have_the_same_passwords() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let load = || Passwords::load_or_generate(dir.path()).unwrap().by_role.owner;
            let loaded = std::thread::scope(|scope| {
                let starting: Vec<_> = (0..4).map(|_| scope.spawn(load)).collect();
                starting.into_iter().map(|started| started.join().unwrap()).collect::<Vec<_>>()
            });
            assert!(loaded.iter().all(|owner| *owner == load()), "{loaded:?}");
        }
    }

    #[test]
    fn a_damaged_file_is_said_so_and_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passwords.json");
        fs::write(&path, "{").unwrap();
        assert!(matches!(Passwords::load_or_generate(dir.path()), Err(Error::PasswordsDamaged { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "{");
    }

    #[test]
    fn debug_text_holds_no_password() {
        let dir = tempfile::tempdir().unwrap();
        let passwords = Passwords::load_or_generate(dir.path()).unwrap();
        assert!(!format!("{passwords:?}").contains(&passwords.by_role.owner));
    }
}
