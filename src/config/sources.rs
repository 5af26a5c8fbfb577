//! Where settings are looked up: in the flags, then in the environment, then in the configuration file; the
//! first that names one wins. Each is remembered with where it came from.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag on the command line.
    Flag,
    /// A variable of the environment.
    Environment,
    /// The configuration file.
    File(PathBuf),
    /// Nobody named it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One setting, for `check-config`.
#[derive(Debug, Clone)]
pub struct InForce {
    /// Its name in the configuration file.
    pub name: &'static str,
    /// Its value; secrets are not shown.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// A setting cannot be used. Says which, where it came from and what it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The value is not of its kind.
    #[error("{name} = {value:?} (from {origin}) is not {expected}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// Where it came from.
        origin: Origin,
        /// What it should be.
        expected: &'static str,
    },
    /// Nothing names a setting that there is no default for.
    #[error("{name} is not set, and has to be because {because}: set COUNTERFOIL_{} or {name} in the configuration file", .name.to_uppercase())]
    Missing {
        /// The setting.
        name: &'static str,
        /// What makes it necessary.
        because: &'static str,
    },
    /// The file cannot be read or is no TOML.
    #[error("cannot read the configuration file {}: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file names a setting that does not exist.
    #[error("the configuration file {} names {name:?}, which is no setting; there are: {known}", .path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What it names.
        name: String,
        /// What it could name.
        known: String,
    },
}

/// The places where a setting can be named, and what was found there so far.
pub(super) struct Sources<E> {
    flags: BTreeMap<&'static str, String>,
    environment: E,
    file: Option<(PathBuf, toml::Table)>,
    in_force: Vec<InForce>,
}

impl<E: Fn(&str) -> Option<String>> Sources<E> {
    /// Opens the sources. The file may only name what is in `names`; the one in this directory is read when
    /// no other is given.
    pub(super) fn open(
        flags: BTreeMap<&'static str, String>,
        environment: E,
        file: Option<&Path>,
        names: &[&str],
    ) -> Result<Self, Error> {
        Ok(Self { flags, environment, file: read(file, names)?, in_force: Vec::new() })
    }

    /// Everything that was looked up, in that order.
    pub(super) fn into_in_force(self) -> Vec<InForce> {
        self.in_force
    }

    fn find(&self, name: &'static str) -> Option<(String, Origin)> {
        if let Some(value) = self.flags.get(name) {
            return Some((value.clone(), Origin::Flag));
        }
        if let Some(value) = (self.environment)(&format!("COUNTERFOIL_{}", name.to_uppercase())) {
            return Some((value, Origin::Environment));
        }
        let (path, table) = self.file.as_ref()?;
        let value = match table.get(name)? {
            toml::Value::String(text) => text.clone(),
            toml::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
            other => plain(other),
        };
        Some((value, Origin::File(path.clone())))
    }

    /// A setting that has a default.
    pub(super) fn required<T: FromStr>(
        &mut self,
        name: &'static str,
        default: &str,
        expected: &'static str,
    ) -> Result<T, Error> {
        let (value, origin) = self.find(name).unwrap_or_else(|| (default.to_owned(), Origin::Default));
        let parsed = value.parse().map_err(|_| Error::Invalid {
            name,
            value: value.clone(),
            origin: origin.clone(),
            expected,
        })?;
        self.in_force.push(InForce { name, value, origin });
        Ok(parsed)
    }

    /// A setting that may be absent.
    pub(super) fn optional(&mut self, name: &'static str) -> Option<String> {
        let found = self.find(name);
        let (value, origin) = found.clone().unwrap_or_else(|| ("(none)".to_owned(), Origin::Default));
        self.in_force.push(InForce { name, value, origin });
        found.map(|(value, _)| value)
    }

    /// The same, of which nobody is shown more than that it is set.
    pub(super) fn secret(&mut self, name: &'static str, unset: &str) -> Option<String> {
        let found = self.find(name);
        let origin = found.as_ref().map_or(Origin::Default, |(_, origin)| origin.clone());
        let value = if found.is_some() { "(set, not shown)" } else { unset };
        self.in_force.push(InForce { name, value: value.to_owned(), origin });
        found.map(|(value, _)| value)
    }
}

fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn read(file: Option<&Path>, names: &[&str]) -> Result<Option<(PathBuf, toml::Table)>, Error> {
    let path = match file {
        Some(path) => path.to_owned(),
        None if Path::new("counterfoil.toml").exists() => PathBuf::from("counterfoil.toml"),
        None => return Ok(None),
    };
    let unreadable = |reason: String| Error::File { path: path.clone(), reason };
    let text = std::fs::read_to_string(&path).map_err(|error| unreadable(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| unreadable(error.to_string()))?;
    match table.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(Error::Unknown { path: path.clone(), name: name.clone(), known: names.join(", ") }),
        None => Ok(Some((path, table))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::config::{Flags, Settings};

    #[test]
    fn a_flag_wins_over_the_environment_and_the_environment_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "listen = \"127.0.0.1:1\"\nlog = \"warn\"\ncheckout_deadline_s = 60\n")
            .unwrap();
        let config = Some(file.path().to_owned());
        let flags = Flags { listen: Some("127.0.0.1:3".to_owned()), config, ..Flags::default() };
        let environment = |name: &str| match name {
            "COUNTERFOIL_LISTEN" => Some("127.0.0.1:2".to_owned()),
            "COUNTERFOIL_LOG" => Some("debug".to_owned()),
            _ => None,
        };
        let settings = Settings::resolve_with(&flags, environment).unwrap();
        assert_eq!((settings.listen.port(), settings.log.as_deref()), (3, Some("debug")));
        assert_eq!(settings.checkout_deadline, Duration::from_mins(1));
        let origin =
            |name| settings.in_force().iter().find(|setting| setting.name == name).unwrap().origin.clone();
        assert_eq!(origin("listen"), Origin::Flag);
        assert_eq!(origin("log"), Origin::Environment);
        assert_eq!(origin("checkout_deadline_s"), Origin::File(file.path().to_owned()));
        assert_eq!(origin("roles"), Origin::Default);
    }

    #[test]
    fn a_setting_that_does_not_exist_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "lisen = \"127.0.0.1:1\"\n").unwrap();
        let flags = Flags { config: Some(file.path().to_owned()), ..Flags::default() };
        let error = Settings::resolve_with(&flags, |_| None).unwrap_err();
        assert!(matches!(error, Error::Unknown { ref name, .. } if name == "lisen"), "{error}");
    }
}
