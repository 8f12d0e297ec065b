//! Sockets that are opened inside the workload's network namespace and served outside of it.
//!
//! A socket stays in the namespace that it was made in, whoever holds it. So the init opens them while it may, hands them
//! out over a socket pair, and keeps none: nothing of the workload's leads to them but connections.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use ccos_profile::MAX_PORTS;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, bind, listen, recvmsg, sendmsg, socket_with, socketpair,
};

use super::dns;
use crate::kernel::{Reach, last};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// The name server's two, and one for each port.
const MOST: usize = MAX_PORTS + 2;

/// The sockets, as they are served.
#[derive(Debug)]
pub struct Sockets {
    /// Questions in packets.
    pub packets: OwnedFd,
    /// Questions over connections.
    pub questions: OwnedFd,
    /// Connections to some port of any name.
    pub ports: Vec<OwnedFd>,
}

/// The pair over which the sockets are handed out: the relay's end, and the init's.
///
/// # Errors
/// What socketpair(2) says.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    // Packets: one message is all sockets or none.
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Opens all sockets and hands them out. Nothing of them stays with this process.
///
/// # Errors
/// What the kernel says.
pub fn open_and_send(ports: &[u16], to: BorrowedFd<'_>, from: Reach) -> Result<(), Errno> {
    let SocketAddr::V4(server) = dns::SERVER else { return Err(Errno::AFNOSUPPORT) };
    let packets = socket(SocketType::DGRAM, server, from)?;
    let mut sockets = vec![packets, listener(server, from)?];
    for port in ports {
        // Of all loopback addresses: which name is meant, the address says that was connected to.
        sockets.push(listener(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, *port), from)?);
    }
    let all: Vec<BorrowedFd<'_>> = sockets.iter().map(|socket| socket.as_fd()).collect();
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&all)) {
        return Err(Errno::MSGSIZE);
    }
    sendmsg(to, &[IoSlice::new(b"s")], &mut control, SendFlags::NOSIGNAL).map(drop)
}

/// Receives them, if they come in time.
///
/// # Errors
/// `PIPE` if the init ended without sending, `TIMEDOUT`, `BADMSG` if they are not as many as there are ports, or what the
/// kernel says.
pub fn receive(from: BorrowedFd<'_>, ports: usize, within: Duration) -> Result<Sockets, Errno> {
    let wait = Timespec::try_from(within).map_err(|_| Errno::INVAL)?;
    if poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&wait))? == 0 {
        return Err(Errno::TIMEDOUT);
    }
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let message = recvmsg(from, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if message.bytes == 0 {
        return Err(Errno::PIPE);
    }
    let mut sockets = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(sockets) => sockets.collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    let (Some(packets), Some(questions)) = (sockets.next(), sockets.next()) else { return Err(Errno::BADMSG) };
    let sockets = Sockets { packets, questions, ports: sockets.collect() };
    if sockets.ports.len() == ports { Ok(sockets) } else { Err(Errno::BADMSG) }
}

fn listener(at: SocketAddrV4, from: Reach) -> Result<OwnedFd, Errno> {
    let socket = socket(SocketType::STREAM, at, from)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn socket(kind: SocketType, at: SocketAddrV4, from: Reach) -> Result<OwnedFd, Errno> {
    let socket = socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    match from {
        Reach::Everyone => {}
        Reach::Pod => only_from_loopback(&socket)?,
    }
    bind(&socket, &at)?;
    Ok(socket)
}

/// The node reaches its pods, whatever their policies: it has no business here.
fn only_from_loopback(socket: &OwnedFd) -> Result<(), Errno> {
    const LO: &[u8] = b"lo";
    let length = libc::socklen_t::try_from(LO.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the kernel reads as many bytes as are said.
    let answer = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_BINDTODEVICE, LO.as_ptr().cast(), length)
    };
    last(answer.into()).map(drop)
}
