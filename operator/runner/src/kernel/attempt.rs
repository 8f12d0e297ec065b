//! What the proof tries, and the answers that count as a refusal.
//!
//! Each attempt has its own list of refusals. "Some error" is not enough: a probe that fails because it ran out of
//! descriptors, or timed out, proves nothing.

use std::ffi::CString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, open, openat, unlink};
use rustix::io::{Errno, write};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, listen, recv, send, sendto,
    socket_with,
};

use super::linux::{fork, last};
use crate::path::AbsolutePath;

/// For an answer: a busy node takes seconds to start a thread.
const ANSWER_SECONDS: i64 = 10;

/// Any port of the pod's loopback.
const LOOPBACK: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);

/// Something that must fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Opening something for reading.
    Open(AbsolutePath),
    /// Creating a file.
    Create(AbsolutePath),
    /// Creating a file and executing it.
    Execute(AbsolutePath),
    /// Creating a file and mapping it as code.
    MapCode(AbsolutePath),
    /// A file that is nowhere, which could be written and executed.
    AnonymousFile,
    /// A connection.
    Connect(SocketAddr),
    /// A connection to a port of one's own loopback at which nobody listens.
    ConnectClosed(SocketAddr),
    /// A connection from the pod's own network, to a port that is not granted.
    ConnectHere(SocketAddr),
    /// The same, with what is to be sent: by a call that Landlock does not see.
    FastOpen(SocketAddr),
    /// A port of one's own, in the pod's network.
    BindHere,
    /// Being connected to there.
    Listen,
    /// A connection by several ways, which Landlock does not take for TCP.
    MultipathSocket,
    /// Any protocol.
    RawSocket,
    /// A packet.
    Send(SocketAddr),
    /// Raw packets, below any address.
    PacketSocket,
    /// Shared memory that exists outside under this key.
    SharedMemory(i32),
    /// All capabilities, in a namespace of one's own.
    NewUserNamespace,
    /// A mount.
    Mount(AbsolutePath),
    /// A child process.
    Fork,
    /// A signal that does nothing, to this process.
    Signal(i32),
    /// A message queue.
    MessageQueue,
}

impl Attempt {
    /// The errors that mean "refused".
    #[must_use]
    pub fn refusals(&self) -> &'static [Errno] {
        match self {
            Self::Open(_) => &[Errno::NOENT, Errno::ACCESS, Errno::NOTDIR, Errno::PERM, Errno::LOOP],
            // By a read-only mount, or by Landlock.
            Self::Create(_) => &[Errno::ROFS, Errno::ACCESS],
            Self::Execute(_) | Self::ConnectHere(_) | Self::BindHere => &[Errno::ACCESS],
            Self::MapCode(_) => &[Errno::PERM, Errno::ACCESS],
            // By a network that leads nowhere, or without any kind of socket.
            Self::Connect(_) | Self::Send(_) => &[Errno::NETUNREACH, Errno::HOSTUNREACH, Errno::AFNOSUPPORT],
            Self::ConnectClosed(_) => &[Errno::CONNREFUSED],
            Self::PacketSocket | Self::MultipathSocket | Self::RawSocket => &[Errno::AFNOSUPPORT],
            // In a namespace where it isn't, or by a filter.
            Self::SharedMemory(_) => &[Errno::NOENT, Errno::PERM],
            Self::AnonymousFile
            | Self::FastOpen(_)
            | Self::Listen
            | Self::NewUserNamespace
            | Self::Mount(_)
            | Self::Fork
            | Self::Signal(_)
            | Self::MessageQueue => &[Errno::PERM],
        }
    }

    /// Tries it for real.
    pub(super) fn try_it(&self) -> Result<(), Errno> {
        match self {
            Self::Open(path) => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                open(path.as_str(), flags, Mode::empty()).map(drop)
            }
            Self::Create(path) => {
                create(path, 0)?;
                unlink(path.as_str())
            }
            Self::Execute(path) => {
                create(path, 0)?;
                let answer = execute(path);
                unlink(path.as_str())?;
                answer
            }
            Self::MapCode(path) => {
                let file = create(path, 4096)?;
                let answer = map_code(file.as_raw_fd());
                unlink(path.as_str())?;
                answer
            }
            Self::AnonymousFile => rustix::fs::memfd_create("probe", rustix::fs::MemfdFlags::CLOEXEC).map(drop),
            Self::Connect(to) | Self::ConnectHere(to) => connect(socket(family(to), SocketType::STREAM)?, to),
            // Blocking: on a loopback there is no waiting.
            Self::ConnectClosed(to) => {
                connect(socket_with(family(to), SocketType::STREAM, SocketFlags::CLOEXEC, None)?, to)
            }
            Self::Send(to) => sendto(socket(family(to), SocketType::DGRAM)?, b"ccos", SendFlags::empty(), to).map(drop),
            Self::FastOpen(to) => {
                let flags = SendFlags::from_bits_retain(libc::MSG_FASTOPEN.unsigned_abs());
                sendto(socket(family(to), SocketType::STREAM)?, b"ccos", flags, to).map(drop)
            }
            Self::BindHere => bind(socket(AddressFamily::INET, SocketType::STREAM)?, &LOOPBACK),
            // Without a port of its own: the kernel would choose one.
            Self::Listen => listen(socket(AddressFamily::INET, SocketType::STREAM)?, 1),
            Self::MultipathSocket => numbered(libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
            Self::RawSocket => numbered(libc::SOCK_RAW, libc::IPPROTO_RAW),
            Self::PacketSocket => socket(AddressFamily::PACKET, SocketType::RAW).map(drop),
            Self::SharedMemory(key) => {
                // SAFETY: shmget takes no pointers.
                last(i64::from(unsafe { libc::shmget(*key, 0, 0) })).map(drop)
            }
            Self::NewUserNamespace => {
                // SAFETY: unshare takes no pointers; this process has one thread.
                last(i64::from(unsafe { libc::unshare(libc::CLONE_NEWUSER) })).map(drop)
            }
            Self::Mount(at) => {
                rustix::mount::mount("tmpfs", at.as_str(), "tmpfs", rustix::mount::MountFlags::empty(), None)?;
                rustix::mount::unmount(at.as_str(), rustix::mount::UnmountFlags::DETACH)
            }
            Self::Signal(process) => {
                // SAFETY: kill takes no pointers.
                last(i64::from(unsafe { libc::kill(*process, 0) })).map(drop)
            }
            Self::MessageQueue => {
                // SAFETY: msgget takes no pointers.
                let queue = last(i64::from(unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) }))?;
                let queue = i32::try_from(queue).map_err(|_| Errno::OVERFLOW)?;
                // SAFETY: IPC_RMID ignores the pointer.
                last(i64::from(unsafe { libc::msgctl(queue, libc::IPC_RMID, std::ptr::null_mut()) })).map(drop)
            }
            Self::Fork => match fork()? {
                // SAFETY: _exit ends the child at once.
                None => unsafe { libc::_exit(0) },
                Some(child) => rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty()).map(drop),
            },
        }
    }
}

/// One packet, and one answer to it.
pub(super) fn ask(server: SocketAddr, question: &[u8]) -> Result<Vec<u8>, Errno> {
    let socket = socket(family(&server), SocketType::DGRAM)?;
    // An answer of anybody else is no answer.
    connect(&socket, &server)?;
    send(&socket, question, SendFlags::empty())?;
    let wait = Timespec { tv_sec: ANSWER_SECONDS, tv_nsec: 0 };
    if poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&wait))? == 0 {
        return Err(Errno::TIMEDOUT);
    }
    let mut answer = vec![0; 4096];
    let (length, _) = recv(&socket, answer.as_mut_slice(), RecvFlags::empty())?;
    answer.truncate(length);
    Ok(answer)
}

fn create(path: &AbsolutePath, bytes: usize) -> Result<std::os::fd::OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(CWD, path.as_str(), flags, Mode::from_raw_mode(0o755))?;
    if bytes > 0 {
        write(&file, &vec![0; bytes])?;
    }
    Ok(file)
}

/// An empty file: where it may be executed at all, the kernel finds no program in it (`ENOEXEC`), and this process
/// lives on to say so.
fn execute(path: &AbsolutePath) -> Result<(), Errno> {
    let path = CString::new(path.as_str()).map_err(|_| Errno::INVAL)?;
    let none = [std::ptr::null()];
    // SAFETY: `path` ends with NUL, and both lists end with a null pointer.
    last(i64::from(unsafe { libc::execve(path.as_ptr(), none.as_ptr(), none.as_ptr()) })).map(drop)
}

fn map_code(file: i32) -> Result<(), Errno> {
    // SAFETY: the kernel chooses the address, so no other mapping is touched; it is never jumped to.
    let at = unsafe {
        libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE, file, 0)
    };
    if at == libc::MAP_FAILED {
        return last(-1).map(drop);
    }
    // SAFETY: this is the mapping from above, which nothing refers to.
    last(i64::from(unsafe { libc::munmap(at, 4096) })).map(drop)
}

/// Not blocking: a refusal comes at once, and what does not come at once got through.
fn socket(family: AddressFamily, kind: SocketType) -> Result<std::os::fd::OwnedFd, Errno> {
    socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

/// One of IPv4.
fn numbered(kind: i32, protocol: i32) -> Result<(), Errno> {
    // SAFETY: socket takes no pointers.
    let socket = last(i64::from(unsafe { libc::socket(libc::AF_INET, kind | libc::SOCK_CLOEXEC, protocol) }))?;
    let socket = i32::try_from(socket).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: it was just made, and nothing else has it.
    drop(unsafe { OwnedFd::from_raw_fd(socket) });
    Ok(())
}

fn family(address: &SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(path) => write!(f, "open {path}"),
            Self::Create(path) => write!(f, "create {path}"),
            Self::Execute(path) => write!(f, "create and execute {path}"),
            Self::MapCode(path) => write!(f, "create {path} and map it as code"),
            Self::AnonymousFile => f.write_str("memfd_create"),
            Self::Connect(to) | Self::ConnectClosed(to) => write!(f, "connect to {to}"),
            Self::Send(to) => write!(f, "send to {to}"),
            Self::ConnectHere(to) => write!(f, "connect to {to}, a port that is not granted"),
            Self::FastOpen(to) => write!(f, "send to {to} what opens a connection"),
            Self::BindHere => f.write_str("a port of its own"),
            Self::Listen => f.write_str("listen"),
            Self::MultipathSocket => f.write_str("multipath socket"),
            Self::RawSocket => f.write_str("raw socket"),
            Self::PacketSocket => f.write_str("packet socket"),
            Self::SharedMemory(key) => write!(f, "shared memory {key:#x}"),
            Self::NewUserNamespace => f.write_str("unshare user namespace"),
            Self::Mount(at) => write!(f, "mount on {at}"),
            Self::Fork => f.write_str("fork"),
            Self::Signal(process) => write!(f, "signal to process {process}"),
            Self::MessageQueue => f.write_str("message queue"),
        }
    }
}
