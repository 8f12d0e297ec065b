//! The one way out: names and blocks of addresses, and connections to them, taken to the egress proxy.
//!
//! Inside, the workload has a loopback and nothing else. A name server and a listener for each granted port are opened
//! there ([`sockets`]), its loopback is given the addresses that may be connected to ([`blocks`]), and all of it is served from here, beside the supervisor, in a thread of the runner's: outside of every
//! namespace that the workload is in, with the pod's token, which the workload never sees. It decides names and ports
//! ([`names`]); the proxy decides all of it again.

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
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use tokio::sync::watch;

use names::Names;
use serve::Shared;
use traffic::{Traffic, say};
use way::Way;

/// At one time, whatever is granted: each holds two sockets and two buffers. The controller adds memory for them.
pub const MOST_CONNECTIONS: usize = 256;

/// For the init to open the sockets: as long as it has for all of its set-up.
const SOCKETS: Duration = Duration::from_secs(30);

/// For the thread to end. It bounds its own waiting.
const END: Duration = Duration::from_secs(2);

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

/// The relay at work.
#[derive(Debug)]
pub struct Relay {
    end: watch::Sender<bool>,
    ended: mpsc::Receiver<()>,
}

impl Relay {
    /// Starts it. The sockets come over `from` once the init has opened them.
    ///
    /// After the fork: a process with two threads must not be copied.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(order: Order, from: OwnedFd, traffic: Traffic) -> std::io::Result<Self> {
        let (end, ending) = watch::channel(false);
        let (done, ended) = mpsc::channel();
        std::thread::Builder::new().name("relay".to_owned()).spawn(move || {
            if let Err(error) = run(order, &from, traffic, ending) {
                // What listens is closed with it, so that connections are refused. The proof asks for a name before
                // code starts, so that this can be seen.
                say(&format!("the relay ended: {error}"));
            }
            done.send(()).ok();
        })?;
        Ok(Self { end, ended })
    }

    /// Ends it, once what the workload sent is on its way.
    pub fn finish(self) {
        self.end.send(true).ok();
        // An error: it ended before, or it hangs, and ends with this process.
        self.ended.recv_timeout(END).ok();
    }
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
