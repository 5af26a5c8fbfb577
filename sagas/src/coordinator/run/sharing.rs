//! Getting partitions and giving them up. **One whose lease is lost is dropped at once, as if this process had
//! been killed**; one that another process is to have is given back when the steps that were begun in it are
//! done.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::{Instant, timeout};

use super::{Reign, STEP_PAUSE_FIRST};
use crate::coordinator::{
    error::Error,
    partition::{Partition, listed},
    state::StateError,
};

impl Reign<'_> {
    pub(super) fn is_time_to_claim(&self) -> bool {
        self.claimed.is_none_or(|claimed| claimed.elapsed() >= self.worker().config.claim_every)
    }

    /// What one of the same name has said of itself before, perhaps of another release, is over.
    pub(super) async fn begin(&mut self) {
        let coordinator = self.coordinator;
        let config = &coordinator.worker.config;
        let left = coordinator.state.leave(&config.holder);
        if let Ok(Err(error)) = timeout(config.lease_ttl, left).await {
            tracing::warn!(%error, "the others cannot be told that this coordinator begins");
        }
    }

    /// Tells the others when an event was met that only a newer release can read.
    async fn stand_back(&mut self) {
        let coordinator = self.coordinator;
        let worker = &coordinator.worker;
        if !worker.met_newer_release.swap(false, Ordering::Relaxed) {
            return;
        }
        let telling = coordinator.state.stand_back(&worker.config.holder);
        if matches!(timeout(worker.config.lease_ttl / 3, telling).await, Ok(Ok(()))) {
            tracing::error!(
                "standing back: an event was written by a newer release, and a process of that one has to go on"
            );
        } else {
            worker.met_newer_release.store(true, Ordering::Relaxed);
        }
    }

    /// Takes what is free of our share, and begins to give back what is more than that.
    pub(super) async fn claim(&mut self) -> Result<(), Error> {
        let began = Instant::now();
        self.claimed = Some(began);
        self.stand_back().await;
        let coordinator = self.coordinator;
        let config = &coordinator.worker.config;
        let had_none = self.session.is_empty();
        let claiming = self.session.claim(&coordinator.worker, coordinator.state.as_ref());
        // Not so long that what we have runs out meanwhile.
        let claimed = match timeout(config.lease_ttl / 3, claiming).await {
            Ok(Ok(claimed)) => claimed,
            Ok(Err(error)) if !error.is_transient() => return Err(error),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the coordinator cannot ask for its share");
                return Ok(());
            }
            Err(_) => {
                tracing::warn!("the coordinator gets no answer about its share");
                return Ok(());
            }
        };
        if !claimed.gained.is_empty() {
            if had_none {
                self.renewed = began;
            }
            if had_none || self.session.cursor() < self.read {
                self.follow_again();
            }
            tracing::info!(partitions = listed(&claimed.gained), checkpoint = %self.session.cursor(), "the coordinator has partitions");
        }
        if !claimed.surplus.is_empty() {
            tracing::info!(
                partitions = listed(&claimed.surplus),
                "the coordinator gives partitions to another"
            );
            self.close(&claimed.surplus, config.handover_grace);
        }
        Ok(())
    }

    /// Nothing more is begun in these; they are given back when what was begun is done, and after `grace` in
    /// any case.
    fn close(&mut self, partitions: &[Partition], grace: Duration) {
        for partition in partitions {
            self.session.close(*partition, Instant::now() + grace);
            self.lanes.close(*partition);
        }
    }

    /// Gives back the closed partitions in which nothing is done any more.
    pub(super) async fn hand_over(&mut self) {
        let (mut ready, mut late) = (Vec::new(), Vec::new());
        for (partition, by) in self.session.closed() {
            if !self.lanes.is_at_work_on(partition) {
                ready.push(partition);
            } else if by <= Instant::now() {
                late.push(partition);
            }
        }
        if !late.is_empty() {
            tracing::warn!(partitions = listed(&late), "steps that take too long are left to who comes next");
            for partition in &late {
                self.lanes.forget(*partition);
            }
            ready.append(&mut late);
        }
        if ready.is_empty() {
            return;
        }
        let is_saved = self.save().await;
        let leases = self.session.leases(&ready);
        if !is_saved {
            tracing::warn!(
                partitions = listed(&ready),
                "leases are not given back and run out by themselves"
            );
        } else if let Err(error) = self.coordinator.state.release(&leases).await {
            tracing::warn!(%error, "leases are not given back and run out by themselves");
        }
        self.drop_all(&ready);
    }

    pub(super) fn is_time_to_save(&self) -> bool {
        let since = self.renewed.elapsed();
        let config = &self.worker().config;
        !self.session.is_empty()
            && (since >= config.lease_ttl / 3 || (since >= config.save_every && self.session.has_changes()))
    }

    /// Saves, and drops what that shows, or time shows, to be lost. Answers whether anything was saved.
    pub(super) async fn save(&mut self) -> bool {
        let coordinator = self.coordinator;
        let lease_ttl = coordinator.worker.config.lease_ttl;
        let saving = self.session.save(&coordinator.worker, coordinator.state.as_ref());
        let began = Instant::now();
        let lost = match timeout(lease_ttl, saving).await {
            Ok(Ok(lost)) => {
                self.renewed = began;
                coordinator.publish(self.session.in_flight());
                self.lose(&lost);
                return true;
            }
            Ok(Err(Error::State(StateError::Unavailable { .. }))) | Err(_)
                if self.renewed.elapsed() < lease_ttl =>
            {
                tracing::warn!("the checkpoints cannot be saved just now");
                tokio::time::sleep(STEP_PAUSE_FIRST).await;
                Vec::new()
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the checkpoints cannot be saved");
                self.session.partitions()
            }
            Err(_) => self.session.partitions(),
        };
        self.lose(&lost);
        false
    }

    /// Whoever has these now does the rest.
    fn lose(&mut self, partitions: &[Partition]) {
        if !partitions.is_empty() {
            tracing::warn!(
                partitions = listed(partitions),
                "the coordinator has lost its leases of partitions"
            );
            self.drop_all(partitions);
        }
    }

    fn drop_all(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.lanes.forget(*partition);
            self.session.forget(*partition);
        }
    }

    /// Finishes what was begun, saves, and gives everything back.
    pub(super) async fn shut_down(mut self) {
        self.close(&self.session.partitions(), self.worker().config.shutdown_grace);
        self.claimed = None;
        loop {
            if self.is_time_to_save() {
                self.save().await;
            }
            self.hand_over().await;
            if self.session.is_empty() {
                break;
            }
            let pause = self.pause();
            tokio::select! {
                Some(done) = self.running.join_next_with_id() => self.take_note(done),
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.running.shutdown().await;
        if let Err(error) = self.coordinator.state.leave(&self.worker().config.holder).await {
            tracing::warn!(%error, "the others were not told that this coordinator has left");
        }
    }
}
