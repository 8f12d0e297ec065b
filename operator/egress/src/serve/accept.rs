//! From the first connection to the last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::Proxy;
use crate::identify::Identify;
use crate::pin::Pin;
use crate::resolve::Resolve;

/// Connections that wait to be accepted. With the usual 128, code that opens many at once waits a second for some of them: the
/// kernel forgets their first packet.
const BACKLOG: u32 = 2048;

/// A listener for [`serve`].
/// # Errors
/// If the address can't be had.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // What is accepted has it from here: small requests and answers are most of what passes.
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until it is told to stop, then keeps what is established until its deadline.
pub async fn serve<I: Identify, R: Resolve, P: Pin>(
    listener: TcpListener,
    proxy: Arc<Proxy<I, R, P>>,
    stop: impl Future<Output = ()>,
) {
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, from)) => {
                    let proxy = Arc::clone(&proxy);
                    connections.spawn(async move { proxy.connection(client, from.ip().to_canonical()).await });
                    // Not as they end: that would wake this task for each of them.
                    while connections.try_join_next().is_some() {}
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(50)).await;
                }
            },
            () = &mut stop => break,
        }
    }
    drop(listener);
    info!(connections = connections.len(), seconds = proxy.bounds.drain.as_secs(), "drains");
    let drained = timeout(proxy.bounds.drain, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        warn!(connections = connections.len(), "cuts what is left at the deadline");
        connections.shutdown().await;
    }
}
