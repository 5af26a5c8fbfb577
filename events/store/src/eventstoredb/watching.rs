//! Hears of what others append, by looking where the log ends. Followers read for themselves; this only
//! wakes them up.

use std::{sync::Arc, time::Duration};

use super::reading::Reader;
use crate::follow::Wakes;

/// Looks again and again, for as long as it is polled.
pub(super) async fn watch(reader: Reader, wakes: Arc<Wakes>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        match reader.end_of_everything().await {
            Ok(end) => {
                wakes.raise(end);
            }
            // Whoever follows reads for itself, and hears of it there.
            Err(failure) => tracing::debug!(%failure, "could not look for appends"),
        }
    }
}
