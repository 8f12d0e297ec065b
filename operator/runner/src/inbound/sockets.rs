//! Sockets of the code's network namespace, one for each connection that is carried there.
//!
//! A socket stays in the namespace that it was made in, whoever holds it. The init is in that namespace for as long as the
//! code, out of its reach: the runner asks it, over a pair that nobody else has, and it answers with a new socket. It keeps
//! none, connects none, and takes nothing else from there.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg, socket_with,
};
use tokio::io::Interest;
use tokio::sync::Mutex;

/// A socket is asked for.
const ASK: u8 = b'?';

/// It comes with this.
const HERE: u8 = b'!';

/// There is none.
const NONE: u8 = b'-';

/// The pair over which sockets are asked for: the runner's end, and the init's.
///
/// # Errors
/// What socketpair(2) says.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    UnixStream::pair().map(|(runner, init)| (runner.into(), init.into()))
}

/// The init's side: answers what has been asked. Whether more may come.
#[must_use]
pub fn answer(asked: BorrowedFd<'_>) -> bool {
    let mut question = [0];
    match recv(asked, &mut question, RecvFlags::DONTWAIT) {
        Ok((1, _)) if question == [ASK] => {}
        Err(Errno::AGAIN | Errno::INTR) => return true,
        Ok(_) | Err(_) => return false,
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let answered = match socket_with(AddressFamily::INET, SocketType::STREAM, flags, None) {
        Ok(socket) => hand_out(asked, &socket),
        Err(_) => send(asked, &[NONE], SendFlags::NOSIGNAL | SendFlags::DONTWAIT),
    };
    answered.is_ok()
}

fn hand_out(to: BorrowedFd<'_>, socket: &OwnedFd) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let all = [socket.as_fd()];
    if !control.push(SendAncillaryMessage::ScmRights(&all)) {
        return Err(Errno::MSGSIZE);
    }
    sendmsg(to, &[IoSlice::new(&[HERE])], &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

/// The runner's side.
#[derive(Debug)]
pub(super) struct Sockets(Mutex<tokio::net::UnixStream>);

impl Sockets {
    pub(super) fn new(asker: OwnedFd) -> io::Result<Self> {
        let asker = UnixStream::from(asker);
        asker.set_nonblocking(true)?;
        Ok(Self(Mutex::new(tokio::net::UnixStream::from_std(asker)?)))
    }

    /// A new one, not connected.
    pub(super) async fn get(&self) -> io::Result<TcpStream> {
        // One at a time, so that an answer is the asker's own. Whoever gives up waiting for the lock has asked nothing.
        let asker = self.0.lock().await;
        asker.async_io(Interest::WRITABLE, || Ok(send(&*asker, &[ASK], SendFlags::NOSIGNAL)?)).await?;
        asker.async_io(Interest::READABLE, || receive(asker.as_fd())).await
    }
}

fn receive(from: BorrowedFd<'_>) -> io::Result<TcpStream> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let message = recvmsg(from, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(sockets) => sockets.collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    match (message.bytes, byte, sockets.next()) {
        (1, [HERE], Some(socket)) => Ok(TcpStream::from(socket)),
        (0, ..) => Err(Errno::PIPE.into()),
        _ => Err(Errno::NFILE.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_question_is_answered_by_a_new_socket() {
        let (runner, init) = pair().unwrap();
        let answering = std::thread::spawn(move || {
            let mut count = 0;
            loop {
                let mut ready = [rustix::event::PollFd::new(&init, rustix::event::PollFlags::IN)];
                rustix::event::poll(&mut ready, None).unwrap();
                if !answer(init.as_fd()) {
                    return count;
                }
                count += 1;
            }
        });
        let sockets = Sockets::new(runner).unwrap();
        let (one, two) = (sockets.get().await.unwrap(), sockets.get().await.unwrap());
        assert_eq!(one.peer_addr().unwrap_err().kind(), io::ErrorKind::NotConnected);
        assert!(two.local_addr().unwrap().ip().is_unspecified());
        drop(sockets);
        assert_eq!(answering.join().unwrap(), 2);
    }

    #[tokio::test]
    async fn an_init_that_is_gone_or_has_none_is_an_error() {
        let (runner, init) = pair().unwrap();
        let sockets = Sockets::new(runner).unwrap();
        send(&init, &[NONE], SendFlags::empty()).unwrap();
        assert!(sockets.get().await.is_err());
        drop(init);
        assert!(sockets.get().await.is_err());
    }

    #[test]
    fn what_is_no_question_ends_it() {
        let (runner, init) = pair().unwrap();
        assert!(answer(init.as_fd()), "nothing was asked");
        send(&runner, b"x", SendFlags::empty()).unwrap();
        assert!(!answer(init.as_fd()));
    }
}
