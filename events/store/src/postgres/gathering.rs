//! Reads of streams that are asked for at the same time are made together, in one statement: most are of a few
//! events, and cost less than the way to the database and back. Nobody waits for others to ask; what comes in
//! while a statement is on its way goes with the next.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use events::StreamName;
use futures::future::join_all;
use sqlx::{Postgres, Row, pool::PoolConnection};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    failure, number,
    reading::{self, Failed, Reader, TRUSTED_IDLE, columns},
};
use crate::{RecordedEvent, StoreError};

/// How many statements are on their way at once, each over a connection of its own.
pub(super) const AT_ONCE: u32 = 2;

/// How many reads go together at most.
const TOGETHER_MAX: usize = 32;

/// For how long a connection is held without being given back.
const HELD_MAX: Duration = Duration::from_mins(1);

const DOING: &str = "reading a stream";

/// What somebody wants to read: so many events of a stream at most, from a revision on.
#[derive(Debug)]
struct Ask {
    stream: StreamName,
    from: u64,
    limit: usize,
    answer: oneshot::Sender<Found>,
}

type Found = Result<Vec<RecordedEvent>, StoreError>;

/// Takes reads in.
#[derive(Debug, Clone)]
pub(super) struct StreamReads {
    asks: mpsc::UnboundedSender<Ask>,
    reader: Reader,
    ended: CancellationToken,
}

impl StreamReads {
    /// Must be called within a Tokio runtime. Nobody else may use the connections of `reader`.
    pub(super) fn start(reader: Reader) -> Self {
        let (asks, waiting) = mpsc::unbounded_channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let ended = CancellationToken::new();
        for _ in 0..AT_ONCE {
            let reading = keep_reading(reader.clone(), Arc::clone(&waiting));
            tokio::spawn(ended.clone().run_until_cancelled_owned(reading));
        }
        Self { asks, reader, ended }
    }

    /// Takes no more reads, and gives up those that run.
    pub(super) async fn close(&self) {
        self.ended.cancel();
        self.reader.close().await;
    }

    /// Reads forwards. What it finds was there after it was called.
    pub(super) async fn read(&self, stream: &StreamName, from: u64, limit: usize) -> Found {
        let (answer, answered) = oneshot::channel();
        let ask = Ask { stream: stream.clone(), from, limit, answer };
        self.asks.send(ask).map_err(|error| failure::unavailable(DOING, &error))?;
        answered.await.unwrap_or_else(|error| Err(failure::unavailable(DOING, &error)))
    }
}

/// Holds its connection as long as there is something to read: to give one back costs as much as a statement. Now and
/// then it does, so that connections grow no older than those of others.
async fn keep_reading(reader: Reader, waiting: Arc<Mutex<mpsc::UnboundedReceiver<Ask>>>) {
    let mut asks = Vec::new();
    let (mut held, mut held_since) = (None, Instant::now());
    loop {
        if held.is_none() || held_since.elapsed() > HELD_MAX {
            (held, held_since) = (None, Instant::now());
        }
        let asked = async { waiting.lock().await.recv_many(&mut asks, TOGETHER_MAX).await };
        let asked = match held {
            None => Ok(asked.await),
            Some(_) => tokio::time::timeout(TRUSTED_IDLE, asked).await,
        };
        match asked {
            Ok(0) => return,
            Ok(_) => {}
            Err(_) => {
                held = None;
                continue;
            }
        }
        asks.retain(|ask| !ask.answer.is_closed());
        let found = match read_together(&reader, &mut held, &asks).await {
            Ok(found) => found,
            // One of them may be to blame; the others must not suffer for it.
            Err(failed) if failed.refused && asks.len() > 1 => {
                join_all(asks.iter().map(|ask| read_alone(&reader, ask))).await
            }
            Err(failed) => asks.iter().map(|_| Err(failed.error.clone())).collect(),
        };
        for (ask, events) in asks.drain(..).zip(found) {
            let whole = events.and_then(|events| reading::without_holes(&ask.stream, ask.from, events));
            let _ = ask.answer.send(whole);
        }
    }
}

async fn read_alone(reader: &Reader, ask: &Ask) -> Found {
    let found =
        read_together(reader, &mut None, std::slice::from_ref(ask)).await.map_err(|failed| failed.error)?;
    found.into_iter().next().unwrap_or(Ok(Vec::new()))
}

/// What each finds. An event that cannot be understood spoils the read of its own stream alone.
async fn read_together(
    reader: &Reader,
    held: &mut Option<PoolConnection<Postgres>>,
    asks: &[Ask],
) -> Result<Vec<Found>, Failed> {
    if asks.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = asks.iter().map(|ask| ask.stream.as_str().to_owned()).collect();
    let from: Vec<i64> = asks.iter().map(|ask| number::to_sql(ask.from)).collect();
    let limits: Vec<i64> = asks.iter().map(|ask| i64::try_from(ask.limit).unwrap_or(i64::MAX)).collect();
    let query = move || {
        sqlx::query(concat!(
            "select asked.number, ",
            columns!(),
            " from unnest($1::text[], $2::bigint[], $3::bigint[])
                 with ordinality as asked (stream, first, events_max, number)
             join event_store.streams s on s.name = asked.stream
             cross join lateral (
                 select * from event_store.events e
                 where e.stream_no = s.stream_no and e.revision >= asked.first
                 order by e.revision limit asked.events_max
             ) e
             order by asked.number, e.revision",
        ))
        .bind(names.clone())
        .bind(from.clone())
        .bind(limits.clone())
    };
    let mut found: Vec<Found> = asks.iter().map(|_| Ok(Vec::new())).collect();
    let rows =
        reader.run_over(held, DOING, move |connection| Box::pin(query().fetch_all(connection))).await?;
    for row in rows {
        let number: i64 = row.try_get(0).map_err(|error| failure::of_read(DOING, &error))?;
        let nth = usize::try_from(number - 1).ok();
        let Some((ask, found)) = nth.and_then(|nth| Some((asks.get(nth)?, found.get_mut(nth)?))) else {
            continue;
        };
        let Ok(events) = found else { continue };
        match reading::event(&row, 1, ask.stream.clone()) {
            Ok(event) => events.push(event),
            Err(error) => *found = Err(failure::of_read(DOING, &error)),
        }
    }
    Ok(found)
}
