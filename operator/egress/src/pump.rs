//! Bytes both ways, until both sides have ended, one of them fails, or nothing moves any more.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::count::Account;
use crate::gate::{Cut, Look, MAX_HELD};
use crate::metrics::Metrics;

/// Why it is over.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Both sides have ended.
    Closed,
    /// Nothing moved for too long.
    Idle,
    /// A side is gone.
    Failed,
    /// The client named another host.
    Cut(Cut),
    /// The client did not say in time what it wants.
    Undecided,
}

/// What a tunnel is about.
pub(crate) struct Tunnel<'a, L> {
    /// Bytes that the client sent behind its request.
    pub early: Vec<u8>,
    /// What looks at its bytes.
    pub gate: L,
    /// Whose they are.
    pub account: &'a Account,
    /// What counts them for all.
    pub metrics: &'a Metrics,
    /// How long nothing may move.
    pub idle: Duration,
    /// How long bytes may be held back.
    pub decide_within: Duration,
}

/// Pumps until it is over.
pub(crate) async fn pump<L: Look>(client: &mut TcpStream, server: &mut TcpStream, tunnel: Tunnel<'_, L>) -> End {
    let (from_server, to_server) = server.split();
    pump_halves(client, from_server, to_server, tunnel).await
}

/// The same to a server that is spoken to in two halves.
pub(crate) async fn pump_halves<L: Look>(
    client: &mut TcpStream,
    from_server: impl AsyncRead + Unpin,
    to_server: impl AsyncWrite + Unpin,
    tunnel: Tunnel<'_, L>,
) -> End {
    let (from_client, to_client) = client.split();
    let moved = Moved::now();
    let idle = tunnel.idle;
    let (account, metrics) = (tunnel.account, tunnel.metrics);
    let both = async {
        let up = up(from_client, to_server, tunnel, &moved);
        tokio::try_join!(up, down(from_server, to_client, account, metrics, &moved))
    };
    tokio::select! {
        ended = both => ended.err().unwrap_or(End::Closed),
        () = moved.stopped_for(idle) => End::Idle,
    }
}

async fn up<L: Look>(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    tunnel: Tunnel<'_, L>,
    moved: &Moved,
) -> Result<(), End> {
    let Tunnel { early, mut gate, account, metrics, idle: _, decide_within } = tunnel;
    let mut held = Vec::with_capacity(MAX_HELD);
    held.extend(early);
    let mut since = None;
    loop {
        let (cleared, bytes) = gate.look(&held).map_err(End::Cut)?;
        if !bytes.is_empty() {
            account.sending.take(bytes.len()).await;
            to.write_all(&bytes).await.map_err(|_| End::Failed)?;
            to.flush().await.map_err(|_| End::Failed)?;
            account.sent(bytes.len());
            metrics.sent(bytes.len());
            moved.note();
            drop(bytes);
            held.drain(..cleared);
        }
        since = if held.is_empty() { None } else { since.or(Some(Instant::now())) };
        let room = MAX_HELD.saturating_sub(held.len()).min(account.sending.chunk()).max(1);
        let mut limited = (&mut from).take(room as u64);
        let read = limited.read_buf(&mut held);
        let read = match since {
            None => read.await,
            Some(since) => timeout_at(since + decide_within, read).await.map_err(|_| End::Undecided)?,
        };
        if read.map_err(|_| End::Failed)? == 0 {
            // What is still held back is half of something, and says nothing to a server.
            return to.shutdown().await.map_err(|_| End::Failed);
        }
    }
}

async fn down(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    account: &Account,
    metrics: &Metrics,
    moved: &Moved,
) -> Result<(), End> {
    let mut bytes = Vec::with_capacity(MAX_HELD);
    loop {
        let mut limited = (&mut from).take(account.receiving.chunk() as u64);
        if limited.read_buf(&mut bytes).await.map_err(|_| End::Failed)? == 0 {
            return to.shutdown().await.map_err(|_| End::Failed);
        }
        account.receiving.take(bytes.len()).await;
        to.write_all(&bytes).await.map_err(|_| End::Failed)?;
        account.received(bytes.len());
        metrics.received(bytes.len());
        moved.note();
        bytes.clear();
    }
}

/// When bytes moved last, either way: one side may be silent for as long as the other talks.
struct Moved {
    start: Instant,
    millis: AtomicU64,
}

impl Moved {
    fn now() -> Self {
        Self { start: Instant::now(), millis: AtomicU64::new(0) }
    }

    fn note(&self) {
        self.millis.store(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    async fn stopped_for(&self, idle: Duration) {
        loop {
            let until = self.start + Duration::from_millis(self.millis.load(Relaxed)) + idle;
            if Instant::now() >= until {
                return;
            }
            sleep_until(until).await;
        }
    }
}
