//! All that the lock-down asks of the kernel, as values.
//!
//! A call is data, so that a test can keep one log of all of them in their order: the order is what holds, and a
//! recorder with a list for each kind of call would lose it. The snapshot of that log, `lockdown/order.txt`, is the
//! specification of the lock-down.

mod attempt;
mod landlock;
mod linux;
mod loopback;
#[cfg(test)]
pub(crate) mod recorder;
#[cfg(feature = "sabotage")]
pub mod sabotage;
mod view;

use std::fmt;
use std::net::SocketAddr;

use rustix::io::Errno;
use seccompiler::BpfProgram;

pub use attempt::Attempt;
pub use landlock::landlock_abi;
pub(crate) use linux::last;
pub use linux::{Linux, fork, fork_into};

use crate::grants::Grant;
use crate::path::AbsolutePath;
use crate::relay::blocks::Address;
use crate::view::Step;

/// A resource with a limit for each process or uid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `RLIMIT_NOFILE`.
    FileDescriptors,
    /// `RLIMIT_NPROC`.
    Processes,
    /// `RLIMIT_CPU`, in seconds.
    CpuSeconds,
    /// `RLIMIT_FSIZE`, in bytes.
    FileBytes,
    /// `RLIMIT_CORE`, in bytes.
    CoreBytes,
}

/// A limit, as set and as read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Of what.
    pub resource: Resource,
    /// Where a signal or error comes.
    pub soft: u64,
    /// Where the end comes; no process without capabilities can raise it.
    pub hard: u64,
}

/// The space of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What is left.
    pub free: u64,
}

/// One change that the lock-down makes.
#[derive(Clone, Debug)]
pub enum Call {
    /// Writes the identity map of the new user namespace, or forbids setgroups in it.
    Map {
        /// Of `/proc/self`.
        file: &'static str,
        /// What is written.
        text: String,
    },
    /// Names the machine.
    HostName(&'static str),
    /// Brings `lo` up, where it isn't yet.
    LoopbackUp,
    /// Gives `lo` an address, and with it all of its block: no more than a part of this network namespace.
    Loopback(Address),
    /// Opens the sockets of the relay in this network namespace, and hands them out.
    Listen {
        /// Besides the name server's.
        ports: Vec<u16>,
        /// A socket of a pair.
        to: i32,
        /// From where connections come.
        from: Reach,
    },
    /// Keeps mounts from spreading to other namespaces.
    PrivateMounts,
    /// An empty root for the view, as a tmpfs.
    MountView {
        /// A folder outside of the view.
        at: &'static str,
        /// Its size: the view's own files, and little more.
        bytes: u64,
    },
    /// The one tmpfs that bounds all scratch space together.
    MountScratch {
        /// Its size.
        bytes: u64,
    },
    /// A step of the view's plan.
    Build(Step),
    /// Takes the scratch space's own root out of the view: its folders stay.
    HideScratchRoot,
    /// Makes the view the root, and takes the old root away.
    Pivot,
    /// Makes the view's root read-only.
    SealRoot,
    /// A session without terminal.
    NewSession,
    /// No signal is blocked, ignored or handled.
    DefaultSignals,
    /// The input document as standard input, the two pipes as outputs.
    StandardStreams {
        /// In the view.
        input: AbsolutePath,
        /// A descriptor.
        output: i32,
        /// A descriptor.
        error: i32,
    },
    /// Sets a limit.
    Limit(Limit),
    /// The working directory.
    EnterFolder(AbsolutePath),
    /// Closes every descriptor but the standard streams and these.
    CloseDescriptors {
        /// Sorted.
        but: Vec<i32>,
    },
    /// Keeps others of the same uid out of this process's memory and descriptors.
    Hide,
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivileges,
    /// Empties the bounding set.
    DropBounding,
    /// Empties the ambient set.
    ClearAmbient,
    /// Empties the effective, permitted and inheritable sets.
    DropCapabilities,
    /// Orphans below this process become its children.
    Subreaper,
    /// The input document, where there is no view that holds it.
    Input {
        /// Where.
        at: AbsolutePath,
        /// All of it.
        text: String,
    },
    /// TCP to this port stays allowed, at whatever address.
    AllowConnect(u16),
    /// From [`Call::Restrict`] on, nothing of files, TCP, signals and abstract sockets is allowed but what is said next.
    Handle,
    /// What stays allowed.
    Allow(Grant),
    /// Confines this process and all that it will ever start.
    Restrict,
    /// Installs a seccomp filter for this process and all that it will ever start.
    Filter {
        /// What it answers.
        name: &'static str,
        /// The filter.
        program: BpfProgram,
    },
}

/// From where a socket is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// From all of the network namespace, where nobody else is in it.
    Everyone,
    /// By the loopback only: the pod's network has other ways in.
    Pod,
}

/// The kernel, or a test's idea of it.
pub trait Kernel {
    /// Makes one change.
    ///
    /// # Errors
    /// What the kernel says.
    fn call(&mut self, call: &Call) -> Result<(), Errno>;

    /// Tries what must fail; what it did is undone at once where it succeeds.
    ///
    /// # Errors
    /// How it was refused. `Ok` means that it got through.
    fn attempt(&mut self, attempt: &Attempt) -> Result<(), Errno>;

    /// Sends one packet to an address and waits a while for the answer.
    ///
    /// # Errors
    /// What the kernel says; `TIMEDOUT` if there is no answer.
    fn ask(&mut self, server: SocketAddr, question: &[u8]) -> Result<Vec<u8>, Errno>;

    /// Reads a small file of the view.
    ///
    /// # Errors
    /// What the kernel says.
    fn read(&mut self, path: &str) -> Result<String, Errno>;

    /// Reads a limit back.
    fn limit(&mut self, resource: Resource) -> Limit;

    /// Reads the space back.
    ///
    /// # Errors
    /// What the kernel says.
    fn space(&mut self, at: &AbsolutePath) -> Result<Space, Errno>;

    /// Whose a file is.
    ///
    /// # Errors
    /// What the kernel says.
    fn owner(&mut self, path: &str) -> Result<u32, Errno>;

    /// The process id of this process and of its parent, as it sees them.
    fn identity(&mut self) -> (i32, i32);
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map { file, text } => write!(f, "write {file} {text:?}"),
            Self::HostName(name) => write!(f, "host name {name}"),
            Self::LoopbackUp => f.write_str("lo up"),
            Self::Loopback(Address { address, prefix }) => write!(f, "lo has {address}/{prefix}"),
            Self::Listen { ports, from, .. } => {
                let from = match from {
                    Reach::Everyone => "",
                    Reach::Pod => " of this pod alone",
                };
                write!(f, "listen for names and on {} ports{from}, hand out", ports.len())
            }
            Self::AllowConnect(port) => write!(f, "landlock allows tcp to port {port}"),
            Self::PrivateMounts => f.write_str("private mounts"),
            Self::MountView { at, bytes } => write!(f, "mount view {at} {bytes} bytes"),
            Self::MountScratch { bytes } => write!(f, "mount scratch {bytes} bytes"),
            Self::Build(step) => write!(f, "{step}"),
            Self::HideScratchRoot => f.write_str("hide scratch root"),
            Self::Pivot => f.write_str("pivot into view, detach old root"),
            Self::SealRoot => f.write_str("root read-only"),
            Self::NewSession => f.write_str("new session"),
            Self::DefaultSignals => f.write_str("default signals"),
            Self::StandardStreams { input, .. } => write!(f, "standard streams: {input}, pipe, pipe"),
            Self::Limit(Limit { resource, soft, hard }) => write!(f, "limit {resource:?} {soft} {hard}"),
            Self::EnterFolder(path) => write!(f, "enter {path}"),
            Self::CloseDescriptors { but } => write!(f, "close descriptors from 3 but {}", but.len()),
            Self::Hide => f.write_str("not dumpable"),
            Self::NoNewPrivileges => f.write_str("no new privileges"),
            Self::DropBounding => f.write_str("drop bounding set"),
            Self::ClearAmbient => f.write_str("clear ambient set"),
            Self::DropCapabilities => f.write_str("drop capabilities"),
            Self::Subreaper => f.write_str("reaps orphans"),
            // The length only, as for the texts of a view.
            Self::Input { at, text } => write!(f, "input {at} ({} bytes)", text.len()),
            Self::Handle => f.write_str("landlock handles files, tcp, signals, abstract sockets"),
            Self::Allow(grant) => write!(f, "landlock allows {grant}"),
            Self::Restrict => f.write_str("landlock restricts"),
            Self::Filter { name, .. } => write!(f, "filter {name}"),
        }
    }
}
