//! What is in force and where it came from. A setting is looked for in the flags, then in the
//! environment, then in the configuration file; the first that names it wins.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::Args;

/// The flags that any command which starts roles understands. Each can also be set as
/// `COUNTERFOIL_<NAME>` in the environment, or as `<name>` in the configuration file.
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    /// Where the HTTP API listens [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Where the embedded Postgres and its passwords live [default: /var/lib/counterfoil for root, else ~/.local/share/counterfoil]
    #[arg(long, value_name = "DIRECTORY")]
    pub data_dir: Option<String>,
    /// Use this Postgres instead of the embedded one; its user must be allowed to create roles and databases
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Which roles to run: write, read, sagas, projections [default: all]
    #[arg(long, value_name = "ROLE,…")]
    pub roles: Option<String>,
    /// Where the payment provider is; without it a sandbox provider runs in this process
    #[arg(long, value_name = "URL")]
    pub provider_url: Option<String>,
    /// Where the sandbox provider in this process listens [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    pub sandbox_listen: Option<String>,
    /// How long a checkout may take before it is given up, in seconds [default: 900]
    #[arg(long, value_name = "SECONDS")]
    pub checkout_deadline_s: Option<String>,
    /// What is logged, as a filter of the tracing crate [default: info for servers, warn for other commands]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// The configuration file (TOML) [default: counterfoil.toml in this directory, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A role that a process can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The command API.
    Write,
    /// The query API.
    Read,
    /// The coordinator and the webhooks.
    Sagas,
    /// The projectors.
    Projections,
}

impl Role {
    /// All roles, which is what runs by default.
    pub const ALL: [Self; 4] = [Self::Write, Self::Read, Self::Sagas, Self::Projections];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Sagas => "sagas",
            Self::Projections => "projections",
        }
    }
}

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

/// Everything that is in force.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the HTTP API listens.
    pub listen: SocketAddr,
    /// Where the embedded Postgres and its passwords live.
    pub data_dir: PathBuf,
    /// A Postgres that was given; `None` for the embedded one.
    pub database_url: Option<String>,
    /// The roles of this process.
    pub roles: Vec<Role>,
    /// The payment provider; `None` for a sandbox in this process.
    pub provider_url: Option<String>,
    /// Where the sandbox in this process listens.
    pub sandbox_listen: SocketAddr,
    /// The secret that webhooks are signed with.
    pub webhook_secret: String,
    /// How long a checkout may take before it is given up.
    pub checkout_deadline: Duration,
    /// The filter of the log; `None` for what suits the command.
    pub log: Option<String>,
    in_force: Vec<InForce>,
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

const NAMES: [&str; 9] = [
    "listen",
    "data_dir",
    "database_url",
    "roles",
    "provider_url",
    "sandbox_listen",
    "webhook_secret",
    "checkout_deadline_s",
    "log",
];

impl Settings {
    /// Resolves every setting from the flags, the environment and the file.
    pub fn resolve(flags: &Flags) -> Result<Self, Error> {
        Self::resolve_with(flags, |variable| std::env::var(variable).ok())
    }

    fn resolve_with(flags: &Flags, environment: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let mut sources =
            Sources { flags: flag_values(flags), environment, file: file(flags)?, in_force: Vec::new() };
        let listen = sources.required("listen", "127.0.0.1:8080", "an address like 127.0.0.1:8080")?;
        let data_dir = sources.required("data_dir", &default_data_dir(), "a directory")?;
        let database_url = sources.secret("database_url");
        let roles = sources.required::<RoleList>(
            "roles",
            "write,read,sagas,projections",
            "a list of roles out of write, read, sagas and projections",
        )?;
        let provider_url = sources.optional("provider_url");
        let sandbox_listen =
            sources.required("sandbox_listen", "127.0.0.1:8081", "an address like 127.0.0.1:8081")?;
        let webhook_secret =
            sources.secret("webhook_secret").unwrap_or_else(|| "sandbox-webhook-secret".to_owned());
        let seconds: u32 = sources.required("checkout_deadline_s", "900", "a number of seconds")?;
        let log = sources.optional("log");
        Ok(Self {
            listen,
            data_dir,
            database_url,
            roles: roles.0,
            provider_url,
            sandbox_listen,
            webhook_secret,
            checkout_deadline: Duration::from_secs(seconds.into()),
            log,
            in_force: sources.in_force,
        })
    }

    /// Every setting with where it came from.
    pub fn in_force(&self) -> &[InForce] {
        &self.in_force
    }

    /// Runs these roles for a command of its own: on addresses that nobody else has, unless some were asked
    /// for, so that it does not matter whether a server runs already.
    pub fn run_privately(&mut self, roles: &[Role]) {
        let chosen = |name| {
            self.in_force.iter().any(|setting| setting.name == name && setting.origin != Origin::Default)
        };
        let (listen, sandbox) = (chosen("listen"), chosen("sandbox_listen"));
        if !listen {
            self.listen.set_port(0);
        }
        if !sandbox {
            self.sandbox_listen.set_port(0);
        }
        self.roles = roles.to_vec();
    }

    /// Whether this process runs a role.
    pub fn runs(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

struct Sources<E> {
    flags: BTreeMap<&'static str, String>,
    environment: E,
    file: Option<(PathBuf, toml::Table)>,
    in_force: Vec<InForce>,
}

impl<E: Fn(&str) -> Option<String>> Sources<E> {
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

    fn required<T: FromStr>(
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

    fn optional(&mut self, name: &'static str) -> Option<String> {
        let found = self.find(name);
        let (value, origin) = found.clone().unwrap_or_else(|| ("(none)".to_owned(), Origin::Default));
        self.in_force.push(InForce { name, value, origin });
        found.map(|(value, _)| value)
    }

    fn secret(&mut self, name: &'static str) -> Option<String> {
        let found = self.find(name);
        let origin = found.as_ref().map_or(Origin::Default, |(_, origin)| origin.clone());
        let value = if found.is_some() { "(set, not shown)" } else { "(none)" };
        self.in_force.push(InForce { name, value: value.to_owned(), origin });
        found.map(|(value, _)| value)
    }
}

fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn flag_values(flags: &Flags) -> BTreeMap<&'static str, String> {
    [
        ("listen", &flags.listen),
        ("data_dir", &flags.data_dir),
        ("database_url", &flags.database_url),
        ("roles", &flags.roles),
        ("provider_url", &flags.provider_url),
        ("sandbox_listen", &flags.sandbox_listen),
        ("checkout_deadline_s", &flags.checkout_deadline_s),
        ("log", &flags.log),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.clone().map(|value| (name, value)))
    .collect()
}

fn file(flags: &Flags) -> Result<Option<(PathBuf, toml::Table)>, Error> {
    let path = match &flags.config {
        Some(path) => path.clone(),
        None if Path::new("counterfoil.toml").exists() => PathBuf::from("counterfoil.toml"),
        None => return Ok(None),
    };
    let unreadable = |reason: String| Error::File { path: path.clone(), reason };
    let text = std::fs::read_to_string(&path).map_err(|error| unreadable(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| unreadable(error.to_string()))?;
    match table.keys().find(|name| !NAMES.contains(&name.as_str())) {
        Some(name) => Err(Error::Unknown { path: path.clone(), name: name.clone(), known: NAMES.join(", ") }),
        None => Ok(Some((path, table))),
    }
}

/// A service account has no home to speak of, and the database server of root runs as another user, who
/// may not pass through root's home.
fn default_data_dir() -> String {
    if nix::unistd::geteuid().is_root() {
        return "/var/lib/counterfoil".to_owned();
    }
    let below = |root: String, path: &str| format!("{root}/{path}");
    std::env::var("XDG_DATA_HOME")
        .map(|root| below(root, "counterfoil"))
        .or_else(|_| std::env::var("HOME").map(|home| below(home, ".local/share/counterfoil")))
        .unwrap_or_else(|_| ".counterfoil".to_owned())
}

struct RoleList(Vec<Role>);

impl FromStr for RoleList {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let names = text.split(',').map(str::trim);
        names
            .map(|name| Role::ALL.into_iter().find(|role| role.as_str() == name).ok_or(()))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

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
    fn a_value_that_cannot_be_used_is_named_with_its_origin() {
        let flags = Flags { roles: Some("write,raed".to_owned()), ..Flags::default() };
        let error = Settings::resolve_with(&flags, nothing).unwrap_err().to_string();
        assert!(
            error.contains("roles = \"write,raed\" (from flag)") && error.contains("projections"),
            "{error}"
        );
    }

    #[test]
    fn a_setting_that_does_not_exist_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "lisen = \"127.0.0.1:1\"\n").unwrap();
        let flags = Flags { config: Some(file.path().to_owned()), ..Flags::default() };
        let error = Settings::resolve_with(&flags, nothing).unwrap_err();
        assert!(matches!(error, Error::Unknown { ref name, .. } if name == "lisen"), "{error}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let environment =
            |name: &str| (name == "COUNTERFOIL_DATABASE_URL").then(|| "postgres://u:pw@h/d".to_owned());
        let settings = Settings::resolve_with(&Flags::default(), environment).unwrap();
        assert_eq!(settings.database_url.as_deref(), Some("postgres://u:pw@h/d"));
        assert!(settings.in_force().iter().all(|setting| !setting.value.contains("pw")));
    }
}
