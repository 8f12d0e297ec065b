//! The one way out: names and blocks of addresses, and connections to them, taken to the egress proxy.
//!
//! Inside, the workload has a loopback and nothing else. A name server and a listener for each granted port are opened
//! there ([`sockets`]), and its loopback is given the addresses that may be connected to ([`blocks`]). All of it is served
//! from here, beside the supervisor, in a thread of the runner's: outside of every namespace that the workload is in, with
//! the pod's token, which the workload never sees. It decides names and ports ([`names`]); the proxy decides all of it
//! again.

pub mod blocks;
pub mod dns;
pub mod names;
pub(crate) mod serve;
pub mod sockets;
pub mod traffic;
pub mod tunnel;
mod way;

use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;

use names::Names;
use serve::Shared;
use traffic::Traffic;
use way::Way;

use crate::side::Side;

/// At one time, whatever is granted: each holds two sockets and two buffers. The controller adds memory for them.
pub const MOST_CONNECTIONS: usize = 256;

/// For the init to open the sockets: as long as it has for all of its set-up.
const SOCKETS: Duration = Duration::from_secs(30);

/// What it relays, and to whom.
#[derive(Clone, Debug)]
pub struct Order {
    /// The names, and the blocks of addresses.
    pub names: Names,
    /// Their ports.
    pub ports: Vec<u16>,
    /// The egress proxy.
    pub proxy: SocketAddr,
    /// The file with the pod's token.
    pub token: PathBuf,
}

/// Starts the relay. The sockets come over `from` once the init has opened them.
///
/// # Errors
/// If there can be no thread.
pub fn start(order: Order, from: OwnedFd, traffic: Traffic) -> std::io::Result<Side> {
    Side::start("relay", "the relay", move |ending| run(order, &from, traffic, ending))
}

fn run(order: Order, from: &OwnedFd, traffic: Traffic, ended: watch::Receiver<bool>) -> std::io::Result<()> {
    let Order { names, ports, proxy, token } = order;
    let sockets = sockets::receive(from.as_fd(), ports.len(), SOCKETS)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(serve::serve(
        sockets,
        Shared { names: Mutex::new(names), traffic, way: Way::new(proxy, token), ended },
    ))
}
