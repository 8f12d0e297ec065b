//! From the first connection to the last.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::Proxy;
use crate::identify::Identify;
use crate::pin::Pin;
use crate::resolve::Resolve;

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
                    // Failing here means that the client is gone.
                    let _ = client.set_nodelay(true);
                    let proxy = Arc::clone(&proxy);
                    connections.spawn(async move { proxy.connection(client, from.ip().to_canonical()).await });
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
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
