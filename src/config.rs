//! The settings that exist and what is in force of them. Where each is looked up is told in `sources`.

mod sources;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use clap::Args;

use sources::Sources;
pub use sources::{Error, InForce, Origin};

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
    /// Keep the log of events there: an esdb:// URL for `EventStoreDB`, a postgres:// URL for a database of its own [default: in the database]
    #[arg(long, value_name = "URL")]
    pub event_store_url: Option<String>,
    /// Which roles to run: write, read, sagas, projections, relay [default: all but relay]
    #[arg(long, value_name = "ROLE,…")]
    pub roles: Option<String>,
    /// Where the payment provider is; without it a sandbox provider runs in this process
    #[arg(long, value_name = "URL")]
    pub provider_url: Option<String>,
    /// Where the sandbox provider in this process listens [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    pub sandbox_listen: Option<String>,
    /// The NATS server, with JetStream, that the role relay publishes every event to, as in
    /// `nats://user:password@host:4222`; several of one cluster with commas between them. With the log in
    /// `EventStoreDB`, processes of every role wake each other up through it
    #[arg(long, value_name = "URL")]
    pub nats_url: Option<String>,
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

impl Flags {
    /// The flags that were given, by the name of the setting.
    fn named(&self) -> BTreeMap<&'static str, String> {
        [
            ("listen", &self.listen),
            ("data_dir", &self.data_dir),
            ("database_url", &self.database_url),
            ("event_store_url", &self.event_store_url),
            ("roles", &self.roles),
            ("provider_url", &self.provider_url),
            ("sandbox_listen", &self.sandbox_listen),
            ("nats_url", &self.nats_url),
            ("checkout_deadline_s", &self.checkout_deadline_s),
            ("log", &self.log),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.clone().map(|value| (name, value)))
        .collect()
    }
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
    /// What hands every event on to NATS.
    Relay,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Write, Self::Read, Self::Sagas, Self::Projections, Self::Relay];
    /// What needs no other server, and runs by default.
    pub const DEFAULT: [Self; 4] = [Self::Write, Self::Read, Self::Sagas, Self::Projections];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Sagas => "sagas",
            Self::Projections => "projections",
            Self::Relay => "relay",
        }
    }
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

/// Everything that is in force.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the HTTP API listens.
    pub listen: SocketAddr,
    /// Where the embedded Postgres and its passwords live.
    pub data_dir: PathBuf,
    /// A Postgres that was given; `None` for the embedded one.
    pub database_url: Option<String>,
    /// Where the log is; `None` for the database.
    pub event_store_url: Option<String>,
    /// The roles of this process.
    pub roles: Vec<Role>,
    /// The payment provider; `None` for a sandbox in this process.
    pub provider_url: Option<String>,
    /// Where the sandbox in this process listens.
    pub sandbox_listen: SocketAddr,
    /// The secret that webhooks are signed with.
    pub webhook_secret: String,
    /// The NATS server that events are published to, and that processes wake each other up through; there is one
    /// when the role relay runs.
    pub nats_url: Option<String>,
    /// How long a checkout may take before it is given up.
    pub checkout_deadline: Duration,
    /// The filter of the log; `None` for what suits the command.
    pub log: Option<String>,
    in_force: Vec<InForce>,
}

/// Every setting, as the configuration file names it.
const NAMES: [&str; 11] = [
    "listen",
    "data_dir",
    "database_url",
    "event_store_url",
    "roles",
    "provider_url",
    "sandbox_listen",
    "webhook_secret",
    "nats_url",
    "checkout_deadline_s",
    "log",
];

impl Settings {
    /// Resolves every setting from the flags, the environment and the file.
    pub fn resolve(flags: &Flags) -> Result<Self, Error> {
        Self::resolve_with(flags, |variable| std::env::var(variable).ok())
    }

    fn resolve_with(flags: &Flags, environment: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let mut sources = Sources::open(flags.named(), environment, flags.config.as_deref(), &NAMES)?;
        let listen = sources.required("listen", "127.0.0.1:8080", "an address like 127.0.0.1:8080")?;
        let data_dir = sources.required("data_dir", &default_data_dir(), "a directory")?;
        let database_url = sources.secret("database_url", "(none)");
        let event_store_url = sources.secret("event_store_url", "(in the database)");
        let roles = sources.required::<RoleList>(
            "roles",
            "write,read,sagas,projections",
            "a list of roles out of write, read, sagas, projections and relay",
        )?;
        let provider_url = sources.optional("provider_url");
        let sandbox_listen =
            sources.required("sandbox_listen", "127.0.0.1:8081", "an address like 127.0.0.1:8081")?;
        let webhook_secret = match sources.secret("webhook_secret", "(of the sandbox in this process)") {
            Some(secret) => secret,
            // Known to everybody, as fits a provider that nobody else can reach.
            None if provider_url.is_none() => "sandbox-webhook-secret".to_owned(),
            None => return Err(Error::Missing { name: "webhook_secret", because: "provider_url is set" }),
        };
        let nats_url = sources.secret("nats_url", "(none)");
        if nats_url.is_none() && roles.0.contains(&Role::Relay) {
            return Err(Error::Missing { name: "nats_url", because: "the role relay runs" });
        }
        let seconds: u32 = sources.required("checkout_deadline_s", "900", "a number of seconds")?;
        let log = sources.optional("log");
        Ok(Self {
            listen,
            data_dir,
            database_url,
            event_store_url,
            roles: roles.0,
            provider_url,
            sandbox_listen,
            webhook_secret,
            nats_url,
            checkout_deadline: Duration::from_secs(seconds.into()),
            log,
            in_force: sources.into_in_force(),
        })
    }

    /// Every setting with where it came from.
    pub fn in_force(&self) -> &[InForce] {
        &self.in_force
    }

    /// Where a setting came from.
    pub fn origin(&self, name: &str) -> &Origin {
        let found = self.in_force.iter().find(|setting| setting.name == name);
        found.map_or(&Origin::Default, |setting| &setting.origin)
    }

    /// A setting and where its value came from, for the error that its value leads to. The value may hold a
    /// password and is not shown.
    pub fn blame(&self, name: &str) -> String {
        format!("{name} (from {})", self.origin(name))
    }

    /// What is wrong with a setting that was understood and cannot be used.
    pub fn at_fault(&self, name: &str, error: &impl std::fmt::Display) -> String {
        format!("{} cannot be used: {error}", self.blame(name))
    }

    /// Runs these roles for a command of its own: on addresses that nobody else has, unless some were asked
    /// for, so that it does not matter whether a server runs already.
    pub fn run_privately(&mut self, roles: &[Role]) {
        let chosen = |name| *self.origin(name) != Origin::Default;
        let (listen, sandbox) = (chosen("listen"), chosen("sandbox_listen"));
        if !listen {
            self.listen.set_port(0);
        }
        if !sandbox {
            self.sandbox_listen.set_port(0);
        }
        self.roles = roles.to_vec();
    }

    /// Whether this process runs everything that one which is alone has to.
    pub fn runs_all(&self) -> bool {
        Role::DEFAULT.iter().all(|role| self.runs(*role))
    }

    /// Whether this process runs a role.
    pub fn runs(&self, role: Role) -> bool {
        self.roles.contains(&role)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_value_that_cannot_be_used_is_named_with_its_origin() {
        let flags = Flags { roles: Some("write,raed".to_owned()), ..Flags::default() };
        let error = Settings::resolve_with(&flags, |_| None).unwrap_err().to_string();
        assert!(
            error.contains("roles = \"write,raed\" (from flag)") && error.contains("projections"),
            "{error}"
        );
    }

    #[test]
    fn a_provider_elsewhere_is_believed_only_by_a_secret_of_its_own() {
        let provider_url = Some("http://provider".to_owned());
        let flags = Flags { provider_url, ..Flags::default() };
        let error = Settings::resolve_with(&flags, |_| None).unwrap_err().to_string();
        assert!(error.contains("COUNTERFOIL_WEBHOOK_SECRET"), "{error}");
        let known = |name: &str| (name == "COUNTERFOIL_WEBHOOK_SECRET").then(|| "ours".to_owned());
        assert_eq!(Settings::resolve_with(&flags, known).unwrap().webhook_secret, "ours");
    }

    #[test]
    fn the_relay_runs_where_it_is_asked_for_and_needs_to_know_where_nats_is() {
        let settings = Settings::resolve_with(&Flags::default(), |_| None).unwrap();
        assert!(!settings.runs(Role::Relay) && settings.roles == Role::DEFAULT);
        let mut flags = Flags { roles: Some("write,relay".to_owned()), ..Flags::default() };
        let error = Settings::resolve_with(&flags, |_| None).unwrap_err().to_string();
        assert!(error.contains("COUNTERFOIL_NATS_URL") && error.contains("relay"), "{error}");
        flags.nats_url = Some("nats://h".to_owned());
        let settings = Settings::resolve_with(&flags, |_| None).unwrap();
        assert!(settings.runs(Role::Relay) && *settings.origin("nats_url") == Origin::Flag);
    }

    #[test]
    fn secrets_are_not_shown() {
        let environment = |name: &str| match name {
            "COUNTERFOIL_DATABASE_URL" => Some("postgres://u:pw@h/d".to_owned()),
            "COUNTERFOIL_NATS_URL" => Some("nats://u:pw@h".to_owned()),
            _ => None,
        };
        let settings = Settings::resolve_with(&Flags::default(), environment).unwrap();
        assert_eq!(settings.database_url.as_deref(), Some("postgres://u:pw@h/d"));
        assert!(settings.in_force().iter().all(|setting| !setting.value.contains("pw")));
    }
}
