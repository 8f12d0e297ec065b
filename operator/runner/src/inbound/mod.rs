//! The ways in: connections from others in the cluster, carried to the code's own loopback.
//!
//! Who may connect, the pod's network policy holds, which is seen to hold before anything starts ([`fence`]). The runner
//! listens in the pod's network at the granted ports alone, and takes each connection to the same port of the code's network
//! namespace, through a socket that is made there and handed out ([`sockets`]). The code has none of the pod's network, and
//! nothing that leads there but the connections that others opened.

mod carry;
pub mod fence;
pub mod order;
pub mod sockets;

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrV4, SocketFlags, SocketType, bind, listen, socket_with};

use crate::relay::traffic::Traffic;
use crate::side::Side;
pub use order::{Order, OrderError};
use sockets::Sockets;

/// At one time, whatever is granted: each holds two sockets and two buffers. The controller adds memory for them.
pub const MOST_CONNECTIONS: usize = 256;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// The ports of the pod, taken but not listened on yet.
#[derive(Debug)]
pub struct Ports(Vec<(u16, OwnedFd)>);

impl Ports {
    /// Takes them, so that nothing starts where that fails.
    ///
    /// # Errors
    /// The port, and what the kernel says.
    pub fn take(order: &Order) -> Result<Self, String> {
        let taken = order.ports().iter().map(|port| {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let bound = || -> Result<OwnedFd, Errno> {
                let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
                bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, *port))?;
                Ok(socket)
            };
            bound().map(|socket| (*port, socket)).map_err(|errno| format!("inbound port {port}: {errno}"))
        });
        taken.collect::<Result<_, _>>().map(Self)
    }
}

/// Begins to listen, and to carry what comes. `questions` leads to the init, which makes sockets.
///
/// # Errors
/// If there can be no thread, or no listening.
pub fn start(order: Order, Ports(ports): Ports, questions: OwnedFd, traffic: Traffic) -> std::io::Result<Side> {
    ports.iter().try_for_each(|(_, socket)| listen(socket, BACKLOG))?;
    Side::start("inbound", "connections in", move |ending| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        runtime.block_on(async {
            let shared = carry::Shared { order, sockets: Sockets::new(questions)?, traffic, ended: ending };
            carry::serve(ports, shared).await
        })
    })
}
