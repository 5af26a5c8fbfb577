//! Who the server runs as. PostgreSQL refuses to run as root, so root drops to an unprivileged user
//! that exists; only the cluster's directory is that user's.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use nix::unistd::{User, geteuid};

use crate::postgres::{Error, during};

#[derive(Debug, Clone)]
pub(super) enum ServerUser {
    Ourselves,
    Other { name: String, uid: u32, gid: u32 },
}

impl ServerUser {
    pub(super) fn choose() -> Result<Self, Error> {
        if !geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self::Other { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
            .ok_or(Error::NoUnprivilegedUser)
    }

    /// A command that runs as this user, away from our terminal's Ctrl-C, and without the variables that
    /// would steer PostgreSQL's programs elsewhere.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").process_group(0).stdin(Stdio::null()).env("LC_ALL", "C").env("TZ", "UTC");
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("PG") {
                command.env_remove(variable);
            }
        }
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }

    /// Gives a file or directory to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid, .. } => {
                chown(path, Some(*uid), Some(*gid)).map_err(during("hand over to the server's user", path))
            }
        }
    }

    /// Lets this user pass through the data directory, and proves that it can get there.
    pub(super) fn admit_to(&self, data_dir: &Path) -> Result<(), Error> {
        let Self::Other { name, .. } = self else { return Ok(()) };
        let mut permissions = fs::metadata(data_dir).map_err(during("inspect", data_dir))?.permissions();
        permissions.set_mode(permissions.mode() | 0o001);
        fs::set_permissions(data_dir, permissions).map_err(during("open the way into", data_dir))?;
        let mut way: Vec<&Path> = data_dir.ancestors().collect();
        way.reverse();
        match way.into_iter().find(|step| !self.can_enter(step)) {
            Some(obstacle) => Err(Error::Unreachable { user: name.clone(), obstacle: obstacle.to_owned() }),
            None => Ok(()),
        }
    }

    /// Asks the kernel, by trying, since modes alone do not tell of access control lists.
    fn can_enter(&self, directory: &Path) -> bool {
        self.command("/bin/sh")
            .args(["-c", "cd \"$1\""])
            .arg("sh")
            .arg(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_directory_that_root_closed_is_named_as_the_obstacle() {
        let user = ServerUser::choose().unwrap();
        let ServerUser::Other { .. } = user else { return };
        let closed = tempfile::tempdir().unwrap();
        fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let data_dir = closed.path().join("data");
        fs::create_dir(&data_dir).unwrap();
        let refused = user.admit_to(&data_dir).unwrap_err();
        assert!(
            matches!(&refused, Error::Unreachable { obstacle, .. } if obstacle == closed.path()),
            "{refused}"
        );
    }
}
