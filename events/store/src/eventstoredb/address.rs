//! What the URL of a server says, and what is wrong with it or with what answers there. **The URL may
//! hold a password, and nothing of it but host and port is ever repeated.**

use std::{fs, time::Duration};

use eventstore::{ClientSettings, Error, NodePreference};
use tokio::net::TcpStream;

use super::{failure, session::Failure};
use crate::OpenError;

/// What we take out of the URL before the client reads it.
const NAMESPACE: &str = "namespace";

const STORE: &str = "EventStoreDB";

/// How long to wait when looking whether anything answers at all.
const LOOK: Duration = Duration::from_secs(2);

/// Where the server is, and whose events in it are ours.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) client: ClientSettings,
    /// The first part of the names of our streams; `None` when the whole server is ours.
    pub(super) namespace: Option<String>,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut namespace = None;
        let mut parameters = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some((name, value)) if name.eq_ignore_ascii_case(NAMESPACE) => {
                    namespace = Some(checked_namespace(value)?);
                }
                Some(_) | None => parameters.push(parameter.to_owned()),
            }
        }
        let given = |wanted: &str| {
            let name = |parameter: &String| parameter.split('=').next().map(str::to_lowercase);
            parameters.iter().any(|parameter| name(parameter).as_deref() == Some(wanted))
        };
        // Only the leader has what was just written, and it is no use to wait before the first try.
        let leader = (!given("nodepreference")).then_some("nodePreference=leader");
        let at_once = (!given("discoveryinterval")).then_some("discoveryInterval=50");
        parameters.extend([leader, at_once].into_iter().flatten().map(str::to_owned));

        let client: ClientSettings = format!("{base}?{}", parameters.join("&"))
            .parse()
            // The message can hold the whole URL.
            .map_err(|error: eventstore::ClientSettingsParseError| match error.error() {
                Some(fault) => unreadable(fault.to_string()),
                None => unreadable(error.message().replace(base, "…")),
            })?;
        if client.node_preference() != NodePreference::Leader {
            return Err(unreadable(
                "nodePreference must be leader: only it has what was just written".into(),
            ));
        }
        if client.hosts().iter().any(|host| host.host.is_empty()) {
            return Err(unreadable("it names no host".to_owned()));
        }
        let user = client.user_certificate();
        let files = [client.tls_ca_file(), user.map(|(cert, _)| cert), user.map(|(_, key)| key)];
        for file in files.into_iter().flatten() {
            // The client would panic over it.
            fs::read(file).map_err(|error| unreadable(format!("{file} cannot be read: {error}")))?;
        }
        Ok(Self { client, namespace })
    }

    /// Why the first call failed, and what to do about it.
    pub(super) async fn explain(&self, failure: &Failure) -> OpenError {
        let server = self.server();
        match failure {
            Failure::Client(Error::AccessDenied) => OpenError::CredentialsRefused { server },
            Failure::Client(Error::InitializationError(reason)) => unreadable(reason.clone()),
            Failure::Client(Error::UnsupportedFeature) => self.not_eventstoredb(failure),
            failure if self.something_listens().await => self.not_eventstoredb(failure),
            failure => OpenError::Store(failure::of_store("connecting to EventStoreDB", failure)),
        }
    }

    fn not_eventstoredb(&self, failure: &Failure) -> OpenError {
        OpenError::NotEventStoreDb {
            server: self.server(),
            tls: self.client.is_secure_mode_enabled(),
            reason: failure.to_string(),
        }
    }

    fn server(&self) -> String {
        let hosts: Vec<_> =
            self.client.hosts().iter().map(|host| format!("{}:{}", host.host, host.port)).collect();
        hosts.join(", ")
    }

    async fn something_listens(&self) -> bool {
        for host in self.client.hosts() {
            let Ok(port) = u16::try_from(host.port) else { continue };
            let connecting = TcpStream::connect((host.host.as_str(), port));
            if matches!(tokio::time::timeout(LOOK, connecting).await, Ok(Ok(_))) {
                return true;
            }
        }
        false
    }
}

fn checked_namespace(value: &str) -> Result<String, OpenError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if value.is_empty() || value.len() > 40 || !value.bytes().all(fits) {
        let reason = "namespace must be 1 to 40 of a-z, 0-9 and _".to_owned();
        return Err(unreadable(reason));
    }
    Ok(value.to_owned())
}

fn unreadable(reason: String) -> OpenError {
    OpenError::Unreadable { store: STORE, reason }
}
