//! What this process keeps of all read models, or of their partitions where they are split: its fair share. It
//! says regularly that it is there, takes what falls to it, and gives back at the end of a batch what another
//! process is to have. **A share is no right to write**: that is the lease's, which each runner takes for itself.

mod able;
mod members;
mod share;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use event_store::EventStore;
use sqlx::postgres::PgConnectOptions;
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::members::Member;
use crate::{Error, Projector, RunnerOptions, StandsBack, lease::LEASE, runner::run_partition};

/// How often a process says that it is there, and looks what its share is.
const CLAIM_EVERY: Duration = Duration::from_millis(500);

/// How long the database may take to answer that.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs this process's share of all `projections` until `shutdown`; what was begun is finished first.
pub async fn run_all(
    projections: Vec<Arc<dyn Projector>>,
    store: Arc<dyn EventStore>,
    projector: PgConnectOptions,
    options: RunnerOptions,
    shutdown: CancellationToken,
) {
    let mut keeper = Keeper {
        projections,
        store,
        projector,
        options,
        shutdown: shutdown.clone(),
        member: None,
        kept: HashMap::new(),
        met: HashMap::new(),
        runners: JoinSet::new(),
    };
    while !shutdown.is_cancelled() {
        keeper.claim().await;
        keeper.rest().await;
    }
    keeper.end().await;
}

/// A process that keeps read models.
struct Keeper {
    projections: Vec<Arc<dyn Projector>>,
    store: Arc<dyn EventStore>,
    projector: PgConnectOptions,
    options: RunnerOptions,
    shutdown: CancellationToken,
    /// `None` while the database is away.
    member: Option<Member>,
    kept: HashMap<Piece, Kept>,
    /// Where this release cannot go on.
    met: HashMap<&'static str, StandsBack>,
    runners: JoinSet<Result<(), StandsBack>>,
}

/// What one process keeps as a whole: the name of a read model, and which of its partitions, from 1.
type Piece = (&'static str, i16);

/// A piece that a runner is at work on.
struct Kept {
    runner: Id,
    stop: CancellationToken,
}

impl Keeper {
    /// Takes what falls to this process, and begins to give back what does not. While the database does not
    /// answer everything stays as it is: the leases tell who may write.
    async fn claim(&mut self) {
        match timeout(PATIENCE, self.ask()).await {
            Ok(Ok(share)) => self.settle_for(&share),
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot ask for a share of the read models");
                self.member = None;
            }
            Err(_) => {
                tracing::warn!("no answer about the share of the read models");
                self.member = None;
            }
        }
    }

    async fn ask(&mut self) -> Result<HashSet<Piece>, Error> {
        let mut member = match self.member.take() {
            Some(member) => member,
            None => {
                let definitions = self.projections.iter().map(|projection| projection.definition()).collect();
                Member::connect(&self.projector, &self.options.holder, definitions, LEASE).await?
            }
        };
        let share = member.claim(&self.met).await?;
        self.member = Some(member);
        Ok(share)
    }

    fn settle_for(&mut self, share: &HashSet<Piece>) {
        for (piece, kept) in &self.kept {
            // Who has no fence in the way does not look to the right or left, either.
            if platform::fault::planted("no-fence") {
                continue;
            }
            if !share.contains(piece) && !kept.stop.is_cancelled() {
                let (name, partition) = piece;
                tracing::info!(projection = name, partition, "a read model is left to another process");
                kept.stop.cancel();
            }
        }
        for piece in share {
            if self.kept.contains_key(piece) {
                continue;
            }
            let (name, partition) = *piece;
            let known = self.projections.iter().find(|projection| projection.definition().name == name);
            let Some(projection) = known else { continue };
            let stop = self.shutdown.child_token();
            let runner = self.runners.spawn(run_partition(
                projection.clone(),
                partition,
                self.store.clone(),
                self.projector.clone(),
                self.options.clone(),
                stop.clone(),
            ));
            self.kept.insert(*piece, Kept { runner: runner.id(), stop });
        }
    }

    /// Until it is time to look again, or a runner has ended.
    async fn rest(&mut self) {
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            Some(ended) = self.runners.join_next_with_id() => {
                self.take_note(ended);
            }
            () = tokio::time::sleep(CLAIM_EVERY) => {}
        }
    }

    fn take_note(&mut self, ended: Result<(Id, Result<(), StandsBack>), JoinError>) {
        let (id, met) = match ended {
            Ok((id, ended)) => (id, ended.err()),
            Err(error) => {
                tracing::error!(%error, "a runner ended badly, and is started again");
                (error.id(), None)
            }
        };
        let piece = self.kept.iter().find(|(_, kept)| kept.runner == id).map(|(piece, _)| *piece);
        let Some(piece) = piece else { return };
        self.kept.remove(&piece);
        if let Some(met) = met {
            self.met.insert(piece.0, met);
        }
    }

    async fn end(mut self) {
        while self.runners.join_next().await.is_some() {}
        let Some(member) = self.member else { return };
        match timeout(PATIENCE, member.leave()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the others were not told that this process has left"),
            Err(_) => tracing::warn!("the others were not told that this process has left"),
        }
    }
}
