//! The lane of one stream: a task that takes waiting commands from its queue, batch by batch, and ends
//! when nobody waits. It belongs to no caller, so one that goes away disturbs nobody.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use domain::Decider;
use events::StreamName;
use tokio::sync::{mpsc, oneshot};

use super::{Shared, recall::Repeat, settle::Settling};
use crate::{CommandContext, HandleError, Handled};

/// How many commands are decided together at most.
const BATCH_COMMANDS_MAX: usize = 256;

/// What a sender is told.
pub(super) type Answer<D> = Result<Handled, HandleError<<D as Decider>::Refusal>>;

/// A command that waits for its answer.
pub(super) struct Pending<D: Decider> {
    pub(super) command: D::Command,
    pub(super) context: CommandContext,
    answer: oneshot::Sender<Answer<D>>,
}

impl<D: Decider> Pending<D> {
    pub(super) fn new(
        command: D::Command,
        context: CommandContext,
        answer: oneshot::Sender<Answer<D>>,
    ) -> Self {
        Self { command, context, answer }
    }

    /// Answers the sender, who may have gone away.
    pub(super) fn answer(self, answer: Answer<D>) {
        let _ = self.answer.send(answer);
    }

    /// Answers a command that was found to be done.
    pub(super) fn answer_repeat(self, repeat: Repeat) {
        let answer = match repeat {
            Repeat::Same(handled) => Ok(handled),
            Repeat::Differs => Err(HandleError::RequestDiffers),
        };
        self.answer(answer);
    }
}

/// The worker of one stream.
pub(super) struct Lane<D: Decider> {
    shared: Arc<Shared<D>>,
    stream: StreamName,
    waiting: mpsc::Receiver<Pending<D>>,
    /// Twins of commands that are being decided: they wait for what becomes of the first.
    twins: VecDeque<Pending<D>>,
}

impl<D: Decider> Lane<D> {
    pub(super) fn new(
        shared: Arc<Shared<D>>,
        stream: StreamName,
        waiting: mpsc::Receiver<Pending<D>>,
    ) -> Self {
        Self { shared, stream, waiting, twins: VecDeque::new() }
    }

    /// Works until nobody waits.
    pub(super) async fn run(mut self) {
        loop {
            let batch = self.gather();
            if !batch.is_empty() {
                self.settle(batch).await;
            } else if self.shared.retire_idle(&self.stream, &mut self.waiting) {
                break;
            }
        }
        // Somebody may have been let into the queue at the moment it was closed.
        while let Some(pending) = self.waiting.recv().await {
            self.settle(vec![pending]).await;
        }
    }

    async fn settle(&self, batch: Vec<Pending<D>>) {
        Settling::new(&self.shared, &self.stream, batch).run().await;
    }

    /// What waits now, in the order in which it came, no command id twice.
    fn gather(&mut self) -> Vec<Pending<D>> {
        let mut batch = Vec::new();
        let mut ids = HashSet::new();
        let mut earlier = std::mem::take(&mut self.twins);
        while batch.len() < BATCH_COMMANDS_MAX && self.twins.len() < BATCH_COMMANDS_MAX {
            let Some(pending) = earlier.pop_front().or_else(|| self.waiting.try_recv().ok()) else { break };
            if ids.insert(pending.context.command_id) {
                batch.push(pending);
            } else {
                self.twins.push_back(pending);
            }
        }
        self.twins.append(&mut earlier);
        batch
    }
}
