//! Connections, from the pod's network to the code's loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::sockets::Sockets;
use super::{MOST_CONNECTIONS, Order};
use crate::relay::serve::{accept, copy, reset};
use crate::relay::traffic::Traffic;

/// For a socket and its connection, both within one machine: whoever hangs here has its processes stopped.
const CONNECT: Duration = Duration::from_secs(10);

/// For what the workload sent before it ended.
const FLUSH: Duration = Duration::from_secs(1);

/// What all tasks share.
pub(super) struct Shared {
    pub(super) order: Order,
    pub(super) sockets: Sockets,
    pub(super) traffic: Traffic,
    /// Becomes true when the workload has ended.
    pub(super) ended: watch::Receiver<bool>,
}

/// Until the workload has ended, and what it sent before that is sent.
pub(super) async fn serve(ports: Vec<(u16, OwnedFd)>, shared: Shared) -> io::Result<()> {
    let mut ended = shared.ended.clone();
    let shared = Arc::new(shared);
    let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut tasks = JoinSet::new();
    for (port, socket) in ports {
        let listener = TcpListener::from_std(socket.into())?;
        tasks.spawn(take(listener, port, Arc::clone(&shared), Arc::clone(&connections)));
    }
    // An error: whoever would say it is gone.
    ended.wait_for(|ended| *ended).await.ok();
    // Nobody is left to answer: connections are refused from here on.
    tasks.shutdown().await;
    let all = u32::try_from(MOST_CONNECTIONS).unwrap_or(u32::MAX);
    timeout(FLUSH, connections.acquire_many(all)).await.map(drop).ok();
    Ok(())
}

/// Takes connections to one port. One that may not be, or that nobody in there listens for, is closed at once.
async fn take(listener: TcpListener, port: u16, shared: Arc<Shared>, connections: Arc<Semaphore>) {
    loop {
        let peer = accept(&listener).await;
        let allowed = peer.peer_addr().is_ok_and(|from| shared.order.allows(from.ip(), port));
        let permit = Arc::clone(&connections).try_acquire_owned().ok().filter(|_| allowed);
        let Some(permit) = permit else {
            reset(&peer);
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            match timeout(CONNECT, inside(port, &shared.sockets)).await {
                Ok(Ok(code)) => carry(peer, code, &shared).await,
                Ok(Err(_)) | Err(_) => reset(&peer),
            }
            drop(permit);
        });
    }
}

/// A connection to the code.
async fn inside(port: u16, sockets: &Sockets) -> io::Result<TcpStream> {
    let socket = TcpSocket::from_std_stream(sockets.get().await?);
    socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

/// Both ways, until both have ended. A failure of one is a reset of the other: what was cut must not look complete.
async fn carry(mut peer: TcpStream, mut code: TcpStream, shared: &Shared) {
    shared.traffic.connected_in();
    peer.set_nodelay(true).ok();
    code.set_nodelay(true).ok();
    let mut ended = shared.ended.clone();
    let (mut from_peer, mut to_peer) = peer.split();
    let (mut from_code, mut to_code) = code.split();
    let down = async {
        tokio::select! {
            done = copy(&mut from_peer, &mut to_code, |bytes| shared.traffic.received(bytes)) => done,
            // There is nobody left to read it.
            _ = ended.wait_for(|ended| *ended) => Ok(()),
        }
    };
    let up = copy(&mut from_code, &mut to_peer, |bytes| shared.traffic.sent(bytes));
    if tokio::try_join!(down, up).is_err() {
        reset(&peer);
        reset(&code);
    }
}
