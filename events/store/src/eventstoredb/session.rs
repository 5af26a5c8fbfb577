//! The way to the server: one client, used by all, and replaced when it is of no more use. A client whose
//! connect failed answers "closed" for ever, and one that panics or hangs is not trusted again. Calls run
//! as tasks of their own, so that a panic of the client is an error here.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use eventstore::{Client, ClientSettings, Error};

use crate::OpenError;

/// Set once the client has installed its provider for rustls: from then on finding one is no fault.
static PROVIDER_IS_THE_CLIENTS: AtomicBool = AtomicBool::new(false);

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server or the client says so.
    Client(Error),
    /// There was no answer in time.
    TimedOut,
    /// The client gave up in a way that it should not.
    Panicked(String),
}

/// Cheap to clone; clones share the client.
#[derive(Clone)]
pub(super) struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    settings: ClientSettings,
    /// The client with its number, so that two who find the same one broken replace it once.
    current: Mutex<(u64, Option<Client>)>,
}

impl Session {
    /// Connects when it is first used.
    pub(super) fn new(settings: ClientSettings) -> Result<Self, OpenError> {
        // The client installs its own with its first call, and panics when there is another.
        if rustls::crypto::CryptoProvider::get_default().is_some()
            && !PROVIDER_IS_THE_CLIENTS.load(Ordering::SeqCst)
        {
            return Err(OpenError::ProviderTaken);
        }
        PROVIDER_IS_THE_CLIENTS.store(true, Ordering::SeqCst);
        Ok(Self { shared: Arc::new(Shared { settings, current: Mutex::new((0, None)) }) })
    }

    /// Makes one try of a call.
    pub(super) async fn call<T, F>(
        &self,
        timeout: Duration,
        make: impl FnOnce(Client) -> F,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (number, client) = self.client().map_err(Failure::Client)?;
        let call = tokio::time::timeout(timeout, make(client));
        let answer = match tokio::spawn(call).await {
            Ok(Ok(Ok(answer))) => return Ok(answer),
            Ok(Ok(Err(error))) => Failure::Client(error),
            Ok(Err(_)) => Failure::TimedOut,
            Err(error) => Failure::Panicked(error.to_string()),
        };
        if answer.condemns_the_client() {
            self.discard(number);
        }
        Err(answer)
    }

    fn client(&self) -> Result<(u64, Client), Error> {
        let mut current = self.shared.current.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match current.1.take() {
            Some(client) => client,
            None => Client::new(self.shared.settings.clone())?,
        };
        Ok((current.0, current.1.insert(client).clone()))
    }

    fn discard(&self, number: u64) {
        let mut current = self.shared.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 == number {
            *current = (number + 1, None);
        }
    }
}

impl Failure {
    /// Whether another client may do better than this one.
    fn condemns_the_client(&self) -> bool {
        match self {
            Self::Client(error) => matches!(error, Error::ConnectionClosed | Error::GrpcConnectionError(_)),
            Self::TimedOut | Self::Panicked(_) => true,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::TimedOut => f.write_str("there was no answer in time"),
            Self::Panicked(how) => write!(f, "the client broke down: {how}"),
        }
    }
}
