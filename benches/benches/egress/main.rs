//! What connections through the egress proxy cost, beside squid and tinyproxy (Debian's packages): on loopback in a network of
//! their own, taking turns in the same run, each as a process whose processor time and memory are what the kernel counts for it.
//! `benches/egress.sh` runs it.
//!
//! Ours is the binary that is shipped: it looks at the token, the rules, the name's address, the first bytes, and counts. Only
//! the API server behind it is a double, which is asked once, as a real one is. Squid has rules for the same name, which it keeps
//! the address of; tinyproxy a filter for the address. Neither asks who asks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_macros,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a benchmark is a test, too"
)]

mod cluster;
mod load;
mod peers;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use cluster::Cluster;
use load::Origin;
use peers::Peer;

/// Clients that come and go, where all others are quiet.
const FEW: usize = 32;

/// Connections at one time.
const MANY: usize = 1000;

/// Turns of each proxy, and how long one is.
const TURNS: usize = 3;
const TURN: Duration = Duration::from_secs(4);

/// Long answers at one time.
const TUNNELS: usize = 8;

/// What was measured of one proxy.
#[derive(Default)]
struct Measured {
    few: Load,
    many: Load,
    bulk: (Duration, Duration),
    resident: u64,
}

/// Of one kind of load.
#[derive(Default)]
struct Load {
    times: Vec<Duration>,
    cpu: Duration,
}

#[tokio::main]
async fn main() {
    let (cluster, origin, source) = (Cluster::start().await, Origin::start(), load::source());
    cluster::names(load::WORLD).await;
    let mut rows = Vec::new();
    for turn in 0..TURNS {
        for which in 0..3 {
            let peer = match which {
                0 => Peer::ours(&cluster).await,
                1 => Peer::squid().await,
                _ => Peer::tinyproxy().await,
            };
            if turn == 0 {
                rows.push((peer.name, Measured::default()));
            }
            measure(&peer, &origin, source, &mut rows[which].1).await;
        }
    }
    // Of each process: one for the token, one for a stranger's, and what came before the first was answered.
    let reviews = cluster.reviews();
    assert!((2..=64 * TURNS as u64).contains(&reviews), "{reviews} reviews");
    table(&format!("{FEW} of {MANY} come and go"), &rows, |measured| &measured.few);
    table(&format!("all {MANY} come and go"), &rows, |measured| &measured.many);
    println!("\n| proxy | most resident | MiB each second | MiB for each CPU-second |\n|---|---|---|---|");
    for (name, Measured { bulk: (took, cpu), resident, .. }) in &rows {
        let mib = (TURNS * TUNNELS * (load::BULK >> 20)) as f64;
        let (rate, each) = (mib / took.as_secs_f64(), mib / cpu.as_secs_f64());
        println!("| {name} | {resident} MiB | {rate:.0} | {each:.0} |");
    }
}

async fn measure(peer: &Peer, origin: &Origin, source: u16, into: &mut Measured) {
    peer.refuses(origin.port).await;
    load::churn(peer, origin.port, FEW, Duration::from_secs(1)).await; // warm
    let held = load::hold(peer, origin.port, MANY - FEW).await;
    load(peer, origin, FEW, &mut into.few).await;
    drop(held);
    load(peer, origin, MANY, &mut into.many).await;
    let before = peer.cpu();
    into.bulk.0 += load::bulk(peer, source, TUNNELS).await;
    into.bulk.1 += peer.cpu().saturating_sub(before);
    into.resident = into.resident.max(peer.resident());
}

async fn load(peer: &Peer, origin: &Origin, clients: usize, into: &mut Load) {
    let (before, accepted) = (peer.cpu(), origin.accepted.load(Relaxed));
    let times = load::churn(peer, origin.port, clients, TURN).await;
    into.cpu += peer.cpu().saturating_sub(before);
    // One connection there for each here: nothing was answered in the server's place.
    assert_eq!(origin.accepted.load(Relaxed) - accepted, times.len() as u64, "{}", peer.name);
    into.times.extend(times);
}

fn table(what: &str, rows: &[(&str, Measured)], of: impl Fn(&Measured) -> &Load) {
    println!("\n| {what} | for each CPU-second | each second | p50 | p99 |\n|---|---|---|---|---|");
    for (name, measured) in rows {
        let Load { times, cpu } = of(measured);
        let mut times = times.clone();
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
        let (each, second) =
            (times.len() as f64 / cpu.as_secs_f64(), times.len() as f64 / (TURN * TURNS as u32).as_secs_f64());
        println!("| {name} | {each:.0} | {second:.0} | {:.1} ms | {:.1} ms |", at(50), at(99));
    }
}
