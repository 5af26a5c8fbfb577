//! Hears of what others append, by looking where the log ends. Followers read for themselves; this only
//! wakes them up.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, time::sleep};

use super::reading::Reader;
use crate::follow::Wakes;

/// The shortest time from one look to the next.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks again and again, and whenever it is told to, for as long as it is polled.
pub(super) async fn watch(reader: Reader, wakes: Arc<Wakes>, look: Arc<Notify>, every: Duration) {
    loop {
        tokio::select! {
            () = look.notified() => {}
            () = sleep(every) => {}
        }
        match reader.end_of_everything().await {
            Ok(end) => {
                wakes.raise(end);
            }
            // Whoever follows reads for itself, and hears of it there.
            Err(failure) => tracing::debug!(%failure, "could not look for appends"),
        }
        // Whoever hints again and again makes nobody do nothing but look.
        sleep(PAUSE.min(every)).await;
    }
}
