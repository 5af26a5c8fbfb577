//! Load. **Closed** for capacity: so many workers, each of which begins again when it is done. **Open** for
//! latency: so many arrivals a second, whether the ones before are done or not, and each is timed from
//! when it was to begin, so that a stall counts for everybody who would have come during it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use async_trait::async_trait;
use hdrhistogram::Histogram;
use tokio::{task::JoinSet, time::Instant};

use super::report::Latency;

/// How long load runs before it counts.
const WARM_UP: Duration = Duration::from_millis(500);

/// Who does something again and again.
#[async_trait]
pub(super) trait Worker: Send + 'static {
    /// Does it once; answers how many of what is counted that was.
    async fn step(&mut self) -> Result<u64>;
}

/// What came of a load.
#[derive(Debug)]
pub(super) struct Measured {
    /// How many of what is counted were done.
    pub(super) done: u64,
    /// In how long.
    pub(super) elapsed: Duration,
    /// How long each step took, in microseconds.
    histogram: Histogram<u64>,
}

impl Measured {
    /// Nothing yet.
    pub(super) fn new() -> Result<Self> {
        let histogram = Histogram::new_with_bounds(1, 600_000_000, 3).context("a histogram")?;
        Ok(Self { done: 0, elapsed: Duration::ZERO, histogram })
    }

    /// Takes one more.
    pub(super) fn record(&mut self, took: Duration) {
        self.histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// Takes what another round of the same came to.
    pub(super) fn add(&mut self, other: &Self) -> Result<()> {
        self.done += other.done;
        self.elapsed += other.elapsed;
        self.histogram.add(&other.histogram).context("histograms of one shape")
    }

    /// A second.
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    pub(super) fn rate(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// How long a step took.
    pub(super) fn latency(&self) -> Latency {
        #[allow(clippy::cast_precision_loss, reason = "milliseconds for people")]
        let ms = |quantile| self.histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        Latency { p50_ms: ms(0.5), p99_ms: ms(0.99), p999_ms: ms(0.999) }
    }
}

/// Each worker begins again when it is done. Steps count that end within `time`, after a warm-up. The
/// workers come back, to be used again.
pub(super) async fn closed<W: Worker>(workers: Vec<W>, time: Duration) -> Result<(Measured, Vec<W>)> {
    let from = Instant::now() + WARM_UP;
    let to = from + time;
    let mut running = JoinSet::new();
    for mut worker in workers {
        running.spawn(async move {
            let mut measured = Measured::new()?;
            loop {
                let began = Instant::now();
                if began >= to {
                    return anyhow::Ok((measured, worker));
                }
                let done = worker.step().await?;
                let ended = Instant::now();
                if ended >= from && ended < to {
                    measured.done += done;
                    measured.record(ended - began);
                }
            }
        });
    }
    let (mut all, workers) = gather(running).await?;
    all.elapsed = time;
    Ok((all, workers))
}

/// Arrivals at a steady rate, taken by whichever worker is free. Each is timed from when it was to begin.
pub(super) async fn open<W: Worker>(
    workers: Vec<W>,
    per_second: f64,
    time: Duration,
) -> Result<(Measured, Vec<W>)> {
    let began = Instant::now();
    let tickets = Arc::new(AtomicU64::new(0));
    let mut running = JoinSet::new();
    for mut worker in workers {
        let tickets = Arc::clone(&tickets);
        running.spawn(async move {
            let mut measured = Measured::new()?;
            loop {
                #[allow(clippy::cast_precision_loss, reason = "a moment")]
                let after =
                    Duration::from_secs_f64(tickets.fetch_add(1, Ordering::Relaxed) as f64 / per_second);
                if after >= WARM_UP + time {
                    return anyhow::Ok((measured, worker));
                }
                tokio::time::sleep_until(began + after).await;
                let done = worker.step().await?;
                if after >= WARM_UP {
                    measured.done += done;
                    measured.record(Instant::now() - (began + after));
                }
            }
        });
    }
    let (mut all, workers) = gather(running).await?;
    all.elapsed = began.elapsed().checked_sub(WARM_UP).unwrap_or(time);
    Ok((all, workers))
}

async fn gather<W: Worker>(mut running: JoinSet<Result<(Measured, W)>>) -> Result<(Measured, Vec<W>)> {
    let mut all = Measured::new()?;
    let mut workers = Vec::new();
    while let Some(ended) = running.join_next().await {
        let (measured, worker) = ended.context("a worker of the load")??;
        all.add(&measured)?;
        workers.push(worker);
    }
    Ok((all, workers))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Takes a millisecond, but the third time a whole second.
    struct Stalls(u32);

    #[async_trait]
    impl Worker for Stalls {
        async fn step(&mut self) -> Result<u64> {
            self.0 += 1;
            let took = if self.0 == 300 { 1_000 } else { 1 };
            tokio::time::sleep(Duration::from_millis(took)).await;
            Ok(1)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_counts_for_everybody_who_would_have_come_during_it() {
        let time = Duration::from_secs(10);
        let (open, _) = open(vec![Stalls(0)], 100.0, time).await.unwrap();
        assert_eq!(open.done, 1_000);
        // 100 of 1,000 came during the second that one of them took.
        assert!(open.latency().p99_ms > 800.0, "{:?}", open.latency());
        assert!(open.latency().p50_ms < 3.0, "{:?}", open.latency());

        let (closed, _) = closed(vec![Stalls(0)], time).await.unwrap();
        assert!(closed.latency().p99_ms < 3.0, "{:?}", closed.latency());
        assert!(closed.done > 8_000 && closed.elapsed == time, "{}", closed.done);
    }
}
