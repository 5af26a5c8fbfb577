//! What the process says about itself: text for a person at a terminal, one JSON object a line for
//! everyone else, on standard error. No personal data, token or secret is ever logged; what belongs to
//! one request shares its id, and what belongs to one checkout the correlation id, which is the order's.

mod request;
mod traceparent;

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, registry, util::SubscriberInitExt};

pub use request::{REQUEST_ID_HEADER, trace_requests};
pub use traceparent::Traceparent;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is not one.
    #[error("the log filter {filter:?} cannot be read: {source}")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody set it up before.
    #[error("logging is set up already")]
    AlreadySet,
}

/// Begins to log, for the whole process: text on a terminal, JSON otherwise, one object a line with the fields
/// of all enclosing spans. `filter` is a list such as `info,sagas=debug`.
pub fn init(filter: &str) -> Result<(), Error> {
    let filter =
        EnvFilter::try_new(filter).map_err(|source| Error::Filter { filter: filter.to_owned(), source })?;
    let layer = if io::stderr().is_terminal() {
        tracing_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(true)
            .with_target(false)
            .compact()
            .boxed()
    } else {
        tracing_subscriber::fmt::layer().with_writer(io::stderr).json().flatten_event(true).boxed()
    };
    registry().with(layer.with_filter(filter)).try_init().map_err(|_| Error::AlreadySet)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_refused_with_what_was_given() {
        let refused = init("sagas=loudly").unwrap_err();
        assert!(matches!(&refused, Error::Filter { filter, .. } if filter == "sagas=loudly"), "{refused}");
    }
}
