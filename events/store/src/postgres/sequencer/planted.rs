//! The planted bug `acknowledge-before-commit`: callers hear that their events are written while the
//! transaction is still open. A suite that does not catch it is not worth running.

use std::{sync::OnceLock, time::Duration};

use sqlx::{ConnectOptions, Connection};

use super::{Committer, Waiting, batch};

/// Long enough for a caller to act on what it was told.
const BEFORE_COMMIT: Duration = Duration::from_millis(30);

/// Whether `COUNTERFOIL_PLANTED_BUGS` names this bug.
pub(super) fn acknowledges_before_commit() -> bool {
    static PLANTED: OnceLock<bool> = OnceLock::new();
    *PLANTED.get_or_init(|| {
        let bugs = std::env::var("COUNTERFOIL_PLANTED_BUGS").unwrap_or_default();
        bugs.split(',').any(|bug| bug == "acknowledge-before-commit")
    })
}

impl Committer {
    /// Like `settle`, in the wrong order. Who gets no answer is told that the store is gone.
    pub(super) async fn settle_before_commit(&mut self, waiting: Vec<Waiting>) {
        let Ok(mut connection) = self.options.connect().await else { return };
        let Ok(mut transaction) = connection.begin().await else { return };
        let Ok(rows) = batch::call(&waiting).fetch_all(&mut *transaction).await else { return };
        let Ok(verdicts) = batch::verdicts(waiting.len(), &rows) else { return };
        self.answer(waiting, verdicts);
        tokio::time::sleep(BEFORE_COMMIT).await;
        let _ = transaction.commit().await;
    }
}
