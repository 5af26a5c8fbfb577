//! A subscriber of server-sent events that keeps every position it was given, goes on with
//! `Last-Event-ID` when its connection breaks, and so can tell what was lost, doubled or reordered.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use event_store::Position;
use futures::StreamExt;
use serde_json::Value;

use super::{Server, eventually};

/// A subscriber that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Follower {
    positions: Arc<Mutex<Vec<Position>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Follower {
    /// Subscribes to a path of a server from the beginning, and again whenever that breaks.
    pub(crate) fn start(server: &Server, path: &str) -> Self {
        Self::start_behind(server, path, Position::START)
    }

    /// The same from behind a position, as if it had been given that one before.
    pub(crate) fn start_behind(server: &Server, path: &str, after: Position) -> Self {
        let positions = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(follow(server.url(path), after, Arc::clone(&positions)));
        Self { positions, task }
    }

    /// Every position that it was given, in the order in which they came.
    pub(crate) fn positions(&self) -> Vec<Position> {
        self.positions.lock().unwrap().clone()
    }

    /// Waits until it has been given `last`, and says what it was given in all.
    pub(crate) async fn until(&self, last: Position) -> Vec<Position> {
        eventually(&format!("the subscriber has come to {last}"), || async {
            let positions = self.positions();
            positions.contains(&last).then_some(positions)
        })
        .await
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(url: String, after: Position, positions: Arc<Mutex<Vec<Position>>>) {
    let http = reqwest::Client::new();
    let mut last_id = after.to_string();
    loop {
        let request = http.get(&url).header("Last-Event-ID", &last_id);
        if let Ok(answer) = request.send().await
            && answer.status().is_success()
        {
            take_in(answer, &positions, &mut last_id).await;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

async fn take_in(answer: reqwest::Response, positions: &Mutex<Vec<Position>>, last_id: &mut String) {
    let mut bytes = answer.bytes_stream();
    let mut text = String::new();
    while let Some(Ok(piece)) = bytes.next().await {
        text.push_str(&String::from_utf8_lossy(&piece));
        // A block counts only when it is whole: the HTML standard, "server-sent events".
        while let Some(end) = text.find("\n\n") {
            let block: String = text.drain(..end + 2).collect();
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let (Some(id), Some(data)) = (field("id:"), field("data:")) else { continue };
            let data: Value = serde_json::from_str(data).unwrap();
            id.clone_into(last_id);
            positions.lock().unwrap().push(serde_json::from_value(data["position"].clone()).unwrap());
        }
    }
}
