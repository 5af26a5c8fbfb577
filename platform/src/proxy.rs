//! A TCP proxy between two parts under test, which forwards faithfully until it is told to misbehave.
//! It can lose exactly the request or exactly the answer that holds given bytes, which is how a test
//! makes an outcome unknown; [`Proxy::cuts`] says whether the fault really happened.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Forwards connections to one upstream. Dropping it cuts them and stops listening.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server: requests.
    ToServer,
    /// From the server to the client: answers.
    ToClient,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Forward,
    Refuse,
    Hold,
    LoseAnswers,
    Delay(Duration),
}

/// A fault that happens once, to the first connection that meets it.
#[derive(Debug)]
enum Plan {
    CutAfter { direction: Direction, bytes_left: usize },
    LoseRequest { holding: Vec<u8> },
    LoseAnswer { to: Vec<u8> },
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    mode: watch::Sender<Mode>,
    plan: Mutex<Option<Plan>>,
    /// Cancelled to cut all connections of now; those to come get a new one.
    connections: Mutex<CancellationToken>,
    cuts: AtomicU64,
}

/// What to do with bytes that have just arrived.
enum Verdict {
    Pass,
    PassThenCut(usize),
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1, in front of `upstream`.
    pub async fn before(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            mode: watch::Sender::new(Mode::Forward),
            plan: Mutex::new(None),
            connections: Mutex::new(CancellationToken::new()),
            cuts: AtomicU64::new(0),
        });
        let stop = CancellationToken::new();
        tokio::spawn({
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            async move {
                stop.run_until_cancelled(accept(listener, Arc::clone(&shared))).await;
                lock(&shared.connections).cancel();
            }
        });
        Ok(Self { address, shared, _stop: stop.drop_guard() })
    }

    /// Where to connect instead of to the upstream.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards again as it should.
    pub fn forward(&self) {
        self.shared.mode.send_replace(Mode::Forward);
    }

    /// Resets every connection of now, and those to come as soon as they are made.
    pub fn refuse(&self) {
        self.shared.mode.send_replace(Mode::Refuse);
        self.cut();
    }

    /// Lets nothing through in either direction, while connections stay open: a network that swallows.
    pub fn hold(&self) {
        self.shared.mode.send_replace(Mode::Hold);
    }

    /// Lets every request through and no answer: the connection is reset instead, and whoever called does
    /// not know what became of it, however often it asks.
    pub fn lose_answers(&self) {
        self.shared.mode.send_replace(Mode::LoseAnswers);
    }

    /// Lets everything through, each piece this much later.
    pub fn delay(&self, by: Duration) {
        self.shared.mode.send_replace(Mode::Delay(by));
    }

    /// Resets every connection of now; new ones are forwarded.
    pub fn cut(&self) {
        let live = std::mem::take(&mut *lock(&self.shared.connections));
        live.cancel();
    }

    /// Resets, once, the connection on which this many more bytes have gone that way.
    pub fn cut_after(&self, bytes: usize, direction: Direction) {
        self.plan(Plan::CutAfter { direction, bytes_left: bytes });
    }

    /// Resets, once, a connection on which a request holds these bytes, before the server gets them.
    pub fn lose_request(&self, holding: &[u8]) {
        self.plan(Plan::LoseRequest { holding: holding.to_owned() });
    }

    /// Resets, once, a connection on which a request held these bytes, when the server has answered it:
    /// the effect is there, and the client does not know.
    pub fn lose_answer(&self, to: &[u8]) {
        self.plan(Plan::LoseAnswer { to: to.to_owned() });
    }

    /// How many requests, answers and connections were lost as planned.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    fn plan(&self, plan: Plan) {
        *lock(&self.shared.plan) = Some(plan);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        if *shared.mode.borrow() == Mode::Refuse {
            let _ = client.set_zero_linger();
            continue;
        }
        let cut = lock(&shared.connections).child_token();
        tokio::spawn(carry(client, Arc::clone(&shared), cut));
    }
}

/// Carries one connection until either side closes it or it is cut; cut means reset, not closed.
async fn carry(client: TcpStream, shared: Arc<Shared>, cut: CancellationToken) {
    let Ok(server) = TcpStream::connect(shared.upstream).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let line =
        Line { shared, cut: cut.clone(), answer_is_doomed: AtomicBool::new(false), seen: Mutex::default() };
    let (client, server) = tokio::join!(
        line.pump(from_client, to_server, Direction::ToServer),
        line.pump(from_server, to_client, Direction::ToClient),
    );
    if cut.is_cancelled() {
        for half in [&client, &server] {
            let _ = half.0.as_ref().set_zero_linger();
            let _ = half.1.as_ref().set_zero_linger();
        }
    }
}

struct Line {
    shared: Arc<Shared>,
    cut: CancellationToken,
    answer_is_doomed: AtomicBool,
    /// The end of what the client sent, so that bytes split over two pieces are still found.
    seen: Mutex<Vec<u8>>,
}

impl Line {
    /// The halves come back, so that a reset waits until both directions have ended.
    async fn pump(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        direction: Direction,
    ) -> (OwnedReadHalf, OwnedWriteHalf) {
        let forwarding = async {
            let mut piece = vec![0; 16 * 1024];
            loop {
                let length = match from.read(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(length) => length,
                };
                self.wait_for_the_way_to_be_free().await;
                match self.judge(direction, &piece[..length]) {
                    Verdict::Pass => {
                        if to.write_all(&piece[..length]).await.is_err() {
                            break;
                        }
                    }
                    Verdict::PassThenCut(passing) => {
                        let _ = to.write_all(&piece[..passing]).await;
                        self.shared.cuts.fetch_add(1, Ordering::SeqCst);
                        self.cut.cancel();
                    }
                }
            }
            let _ = to.shutdown().await;
        };
        self.cut.run_until_cancelled(forwarding).await;
        (from, to)
    }

    async fn wait_for_the_way_to_be_free(&self) {
        let mut mode = self.shared.mode.subscribe();
        let now = match mode.wait_for(|mode| *mode != Mode::Hold).await {
            Ok(mode) => *mode,
            Err(_) => return,
        };
        match now {
            Mode::Delay(by) => tokio::time::sleep(by).await,
            Mode::Forward | Mode::Refuse | Mode::Hold | Mode::LoseAnswers => {}
        }
    }

    fn judge(&self, direction: Direction, piece: &[u8]) -> Verdict {
        let mut slot = lock(&self.shared.plan);
        let loses_all = *self.shared.mode.borrow() == Mode::LoseAnswers;
        if direction == Direction::ToClient && (loses_all || self.answer_is_doomed.load(Ordering::SeqCst)) {
            return Verdict::PassThenCut(0);
        }
        match &mut *slot {
            Some(Plan::CutAfter { direction: planned, bytes_left }) if *planned == direction => {
                if piece.len() < *bytes_left {
                    *bytes_left -= piece.len();
                    return Verdict::Pass;
                }
                let passing = *bytes_left;
                *slot = None;
                Verdict::PassThenCut(passing)
            }
            Some(Plan::LoseRequest { holding }) if direction == Direction::ToServer => {
                if !self.has_now_seen(holding, piece) {
                    return Verdict::Pass;
                }
                *slot = None;
                Verdict::PassThenCut(0)
            }
            Some(Plan::LoseAnswer { to }) if direction == Direction::ToServer => {
                if self.has_now_seen(to, piece) {
                    *slot = None;
                    self.answer_is_doomed.store(true, Ordering::SeqCst);
                }
                Verdict::Pass
            }
            Some(Plan::CutAfter { .. } | Plan::LoseRequest { .. } | Plan::LoseAnswer { .. }) | None => {
                Verdict::Pass
            }
        }
    }

    fn has_now_seen(&self, wanted: &[u8], piece: &[u8]) -> bool {
        let mut seen = lock(&self.seen);
        seen.extend_from_slice(piece);
        let found = seen.windows(wanted.len().max(1)).any(|window| window == wanted);
        let useless = seen.len().saturating_sub(wanted.len());
        seen.drain(..useless);
        found
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
