//! The lock-down, in its one order.
//!
//! Two processes do it. The first of the new namespaces builds the view and stays as their init
//! ([`isolate`]); its child gives up the rest and becomes the workload ([`lock_down`]). `order.txt` beside this file
//! is the log of both, checked by a test.
//!
//! In the pod's own namespaces, where none can be made (isolation Container), the runner hides first ([`shelter`]), and
//! Landlock takes the place of the view: `order-in-pod.txt`.

mod files;
mod limits;
mod namespaces;
pub mod syscalls;

use std::net::SocketAddr;

use ccos_profile::End;
use rustix::io::Errno;
use seccompiler::BpfProgram;
use thiserror::Error;

pub use limits::limits;
pub use namespaces::NAMESPACES;

use self::syscalls::Namespaces;
use crate::grants::Grant;
use crate::kernel::{Call, Kernel, Reach};
use crate::path::AbsolutePath;
use crate::relay::blocks::Address;
use crate::view::Step;

/// A step of the lock-down failed; nothing after it was tried.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LockdownError {
    /// The profile's, not the lock-down's fault.
    #[error("workingDir {path}: expected a folder in the view, but found: {errno}; list it in `files`")]
    WorkingDir {
        /// In the view.
        path: AbsolutePath,
        /// What the kernel said.
        errno: Errno,
    },
    /// Any other.
    #[error("lock-down: {call}: {errno}")]
    Step {
        /// Which step.
        call: String,
        /// What the kernel said.
        errno: Errno,
    },
}

impl LockdownError {
    /// Why, for machines: a folder that isn't there is no failure of the confinement.
    #[must_use]
    pub const fn end(&self) -> End {
        match self {
            Self::WorkingDir { .. } => End::NonZeroExit,
            Self::Step { .. } => End::ConfinementFailed,
        }
    }
}

/// What the init does.
#[derive(Debug)]
pub enum Isolation {
    /// Namespaces of its own, and the view.
    View {
        /// Mapped to itself: the workload has the uid that the pod gave it, and no other exists.
        uid: u32,
        /// Likewise.
        gid: u32,
        /// The size of all scratch space.
        disk_bytes: u64,
        /// What of the relay is opened inside; `None`: the workload has no network.
        relay: Option<Inside>,
        /// From [`crate::view::plan::plan`].
        steps: Vec<Step>,
    },
    /// The pod's namespaces, in which it takes the place of an init.
    Pod {
        /// The input document's file.
        input: AbsolutePath,
        /// All of it.
        text: String,
        /// What of the relay is opened beside the workload; `None`: the workload has no network.
        relay: Option<Beside>,
    },
}

/// What of the relay is in the pod's network namespace, where the workload is, too.
#[derive(Debug)]
pub struct Beside {
    /// What is listened on, for connections from this very pod.
    pub ports: Vec<u16>,
    /// The socket over which listeners are handed out.
    pub to: i32,
    /// The proxy, by which it is seen that the pod's network policy holds.
    pub proxy: SocketAddr,
}

/// What of the relay is in the workload's network namespace.
#[derive(Debug)]
pub struct Inside {
    /// What `lo` is given.
    pub addresses: Vec<Address>,
    /// What is listened on.
    pub ports: Vec<u16>,
    /// The socket over which listeners are handed out.
    pub to: i32,
}

/// What the workload's process does after that.
#[derive(Debug)]
pub struct Confinement {
    /// The input document, in the view.
    pub input: AbsolutePath,
    /// Pipes to the runner, for the two outputs.
    pub outputs: (i32, i32),
    /// The pipe over which this process reports until it executes.
    pub setup: i32,
    /// From [`limits`].
    pub limits: Vec<crate::kernel::Limit>,
    /// In the view.
    pub working_dir: AbsolutePath,
    /// What Landlock allows; nothing where a view says what there is.
    pub landlock: Option<Vec<Grant>>,
    /// Ports that Landlock allows to connect to.
    pub connects: Vec<u16>,
    /// From [`syscalls::compile`], in this order.
    pub filters: Vec<(&'static str, BpfProgram)>,
}

/// All of the lock-down holds for this process; nothing is proven yet.
#[derive(Debug)]
#[must_use]
pub struct Confined(());

fn run(kernel: &mut dyn Kernel, calls: impl IntoIterator<Item = Call>) -> Result<(), LockdownError> {
    let failed = |call: Call, errno| match call {
        Call::EnterFolder(path) => LockdownError::WorkingDir { path, errno },
        call => LockdownError::Step { call: call.to_string(), errno },
    };
    calls.into_iter().try_for_each(|call| kernel.call(&call).map_err(|errno| failed(call, errno)))
}

/// Keeps the runner itself out of reach, where it shares the workload's namespaces. Before there is any other process:
/// all that are made have it from their beginning.
///
/// # Errors
/// [`LockdownError`]: there must be no workload.
pub fn shelter(kernel: &mut dyn Kernel) -> Result<(), LockdownError> {
    run(kernel, [Call::Hide])
}

/// Makes the namespaces a place of their own and moves into the view, for the first process of [`NAMESPACES`]; or takes
/// the place of an init in the pod's.
///
/// # Errors
/// [`LockdownError`]: the process must end.
pub fn isolate(kernel: &mut dyn Kernel, isolation: &Isolation) -> Result<(), LockdownError> {
    match isolation {
        Isolation::View { uid, gid, disk_bytes, relay, steps } => {
            // First: without a mapping this process has no rights in its own namespaces.
            run(kernel, namespaces::identity(*uid, *gid))?;
            run(kernel, namespaces::settle())?;
            // While a port below 1024 may be listened on, and before anybody else is here who could.
            if let Some(Inside { addresses, ports, to }) = relay {
                run(kernel, addresses.iter().map(|address| Call::Loopback(*address)))?;
                run(kernel, [Call::Listen { ports: ports.clone(), to: *to, from: Reach::Everyone }])?;
            }
            run(kernel, files::enter_view(*disk_bytes, steps))
        }
        // First: an orphan that goes past the init is in nobody's sum.
        Isolation::Pod { input, text, relay } => {
            run(kernel, [Call::Subreaper, Call::Input { at: input.clone(), text: text.clone() }])?;
            // Before anybody else is here who could listen there.
            let listen =
                |Beside { ports, to, .. }: &Beside| Call::Listen { ports: ports.clone(), to: *to, from: Reach::Pod };
            run(kernel, relay.as_ref().map(listen))
        }
    }
}

/// Gives up what the init keeps no longer than it has to: what [`lock_down`] does about rights, but for the filters,
/// since it must go on reaping and killing.
///
/// # Errors
/// [`LockdownError`]: the process must end.
pub fn renounce(kernel: &mut dyn Kernel, namespaces: Namespaces, but: Vec<i32>) -> Result<(), LockdownError> {
    // Hidden: the workload has the same uid, and this process's descriptors lead out.
    run(kernel, [Call::CloseDescriptors { but }, Call::Hide, Call::NoNewPrivileges])?;
    drop_capabilities(kernel, namespaces)
}

/// Confines this process, which will execute the command, for good.
///
/// # Errors
/// [`LockdownError`]: the process must end.
pub fn lock_down(kernel: &mut dyn Kernel, confinement: Confinement) -> Result<Confined, LockdownError> {
    let Confinement { input, outputs: (output, error), setup, limits, working_dir, landlock, connects, filters } =
        confinement;
    run(
        kernel,
        [
            Call::NewSession,
            Call::DefaultSignals,
            // Before descriptors are closed: the pipes are among them.
            Call::StandardStreams { input, output, error },
            Call::CloseDescriptors { but: vec![setup] },
        ],
    )?;
    // Before the filters, one of which refuses prlimit(2) for other processes; a soft limit of descriptors below
    // what is open would not close anything, so after the closing.
    run(kernel, limits.into_iter().map(Call::Limit))?;
    // In the view, and with no right that the workload won't have in it but capabilities, which open no folder here:
    // none of its files belongs to anybody else who is mapped.
    run(kernel, [Call::EnterFolder(working_dir), Call::Hide, Call::NoNewPrivileges])?;
    drop_capabilities(
        kernel,
        if landlock.is_some() { Namespaces::Pod { connects: !connects.is_empty() } } else { Namespaces::Own },
    )?;
    // After the folder was entered and the input opened, and before the filters, which count on it.
    if let Some(grants) = landlock {
        run(kernel, [Call::Handle])?;
        run(kernel, grants.into_iter().map(Call::Allow))?;
        run(kernel, connects.into_iter().map(Call::AllowConnect))?;
        run(kernel, [Call::Restrict])?;
    }
    // Last: they refuse what the steps above do.
    run(kernel, filters.into_iter().map(|(name, program)| Call::Filter { name, program }))?;
    Ok(Confined(()))
}

/// The bounding set first: dropping from it takes a capability, of which a namespace of one's own gives all. The pod's
/// has none, and an empty bounding set, which the proof reads.
fn drop_capabilities(kernel: &mut dyn Kernel, namespaces: Namespaces) -> Result<(), LockdownError> {
    match namespaces {
        Namespaces::Own => run(kernel, [Call::DropBounding])?,
        Namespaces::Pod { .. } => {}
    }
    run(kernel, [Call::ClearAmbient, Call::DropCapabilities])
}

#[cfg(test)]
mod tests;
