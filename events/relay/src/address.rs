//! Where NATS is: one URL, or several of one cluster with commas between them. User and password are taken
//! out of the URL here and given to nobody but the server, so that no log line and no error can hold them.

use std::{fmt, str::FromStr};

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;

/// The servers of one NATS, and who we are there.
#[derive(Clone)]
pub struct Address {
    servers: Vec<ServerAddr>,
    identity: Identity,
}

/// Who we say we are.
#[derive(Clone)]
pub(crate) enum Identity {
    Nobody,
    User { name: String, password: String },
    Token(String),
}

/// The text is not the address of a NATS server. It may hold a password and is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not a URL like nats://user:password@host:4222 or tls://host:4222, nor several with commas between them"
)]
pub struct InvalidAddress;

impl Address {
    /// The servers, without credentials.
    pub(crate) fn servers(&self) -> &[ServerAddr] {
        &self.servers
    }

    /// Who we say we are.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let mut servers = Vec::new();
        let mut identity = Identity::Nobody;
        for text in text.split(',') {
            let server: ServerAddr = text.trim().parse().map_err(|_| InvalidAddress)?;
            if server.is_websocket() || server.host().is_empty() {
                return Err(InvalidAddress);
            }
            if let Some(name) = server.username() {
                identity = match server.password() {
                    Some(password) => Identity::User { name: decoded(name)?, password: decoded(password)? },
                    None => Identity::Token(decoded(name)?),
                };
            }
            let mut url = server.into_inner();
            url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| InvalidAddress)?;
            servers.push(ServerAddr::from_url(url).map_err(|_| InvalidAddress)?);
        }
        Ok(Self { servers, identity })
    }
}

fn decoded(text: &str) -> Result<String, InvalidAddress> {
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| InvalidAddress)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, server) in self.servers.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}{}:{}", server.host(), server.port())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn credentials_are_read_and_shown_to_nobody() {
        let address: Address = "nats://relay:p%40ss@one:4222, tls://two".parse().unwrap();
        let Identity::User { name, password } = address.identity() else { panic!("nobody") };
        assert_eq!((name.as_str(), password.as_str()), ("relay", "p@ss"));
        assert_eq!(address.to_string(), "one:4222,two:4222");
        let shown = format!("{address:?} {:?}", address.servers());
        assert!(!shown.contains("p%40ss") && !shown.contains("relay"), "{shown}");
        assert!(
            matches!("nats://s3cret@one".parse::<Address>().unwrap().identity(), Identity::Token(token) if token == "s3cret")
        );
        assert!(matches!("one".parse::<Address>().unwrap().identity(), Identity::Nobody));
    }

    #[test]
    fn what_no_nats_server_listens_on_is_refused() {
        for text in ["", "http://one", "ws://one", "nats://", "nats://one:notaport", "postgres://u:p@h/d"] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
