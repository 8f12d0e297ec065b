//! What a connection through the egress proxy costs, beside squid and tinyproxy (Debian's packages; without them their rows are
//! left out, and said so). All on loopback, one after the other in the same run, each as a process of its own, whose processor
//! time and memory are what the kernel counts for it.
//!
//! Bias: ours asks a double for the cluster who it is, and another for the name's address; it decides by rules, counts, and holds
//! the request back until it names the host. The peers allow everything, and are given an address.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_macros,
    clippy::cast_precision_loss,
    reason = "a benchmark is a test, too"
)]

mod load;
mod peers;

use std::time::Duration;

use peers::{Peer, SERVE};

/// Of new connections at one time.
const WORKERS: usize = 32;

/// How long each proxy is loaded.
const FOR: Duration = Duration::from_secs(5);

/// Long answers at one time.
const TUNNELS: usize = 8;

/// Connections that are held open together.
const HELD: usize = 1000;

#[tokio::main]
async fn main() {
    if let Some(port) = std::env::var_os(SERVE) {
        return peers::serve_ours(port.to_str().unwrap().parse().unwrap()).await;
    }
    let (origin, source) = (load::origin().await, load::source().await);
    println!(
        "| proxy | connections for each CPU-second | each second | p50 | p99 | resident with {HELD} connections | MiB each second | MiB for each CPU-second |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    row(Peer::ours(origin).await, source).await;
    row(Peer::squid(origin).await, source).await;
    row(Peer::tinyproxy(origin).await, source).await;
}

async fn row(peer: Result<Peer, String>, source: u16) {
    let peer = match peer {
        Ok(peer) => peer,
        Err(missing) => return println!("| {missing} |"),
    };
    load::churn(&peer, WORKERS, Duration::from_secs(1)).await; // warm
    let before = peer.cpu();
    let mut times = load::churn(&peer, WORKERS, FOR).await;
    let spent = peer.cpu().saturating_sub(before);
    let held = load::hold(&peer, HELD).await;
    let resident = peer.resident();
    drop(held);
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    let (each, second) = (times.len() as f64 / spent.as_secs_f64(), times.len() as f64 / FOR.as_secs_f64());
    let before = peer.cpu();
    let took = load::bulk(&peer, source, TUNNELS).await;
    let spent = peer.cpu().saturating_sub(before);
    let mib = (TUNNELS * (load::BULK >> 20)) as f64;
    println!(
        "| {} | {each:.0} | {second:.0} | {:.1} ms | {:.1} ms | {} MiB | {:.0} | {:.0} |",
        peer.name,
        at(50),
        at(99),
        resident / 1024,
        mib / took.as_secs_f64(),
        mib / spent.as_secs_f64()
    );
}
