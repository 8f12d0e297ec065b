//! The kernel itself.

use std::ffi::CString;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, open, openat};
use rustix::io::{Errno, read, write};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, mount_remount, unmount};
use rustix::process::Pid;

use super::attempt::ask;
use super::{Attempt, Call, Kernel, Limit, Resource, Space, loopback};
use crate::path::AbsolutePath;
use crate::relay::sockets;

/// The name of the scratch space while the view is built.
const SCRATCH: &str = ".ccos-scratch";

/// Files read here are lists of the kernel about one process.
const MOST_READ_BYTES: usize = 4 * 1024 * 1024;

/// The kernel that this process runs on.
#[derive(Debug, Default)]
pub struct Linux {
    pub(super) view: Option<OwnedFd>,
    pub(super) scratch: Option<OwnedFd>,
    pub(super) scratch_folders: u32,
    pub(super) ruleset: Option<landlock::RulesetCreated>,
}

/// The result of a system call that libc reports in `errno`.
pub(crate) fn last(answer: i64) -> Result<i64, Errno> {
    if answer < 0 {
        Err(std::io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))
    } else {
        Ok(answer)
    }
}

/// A copy of this process; nothing in the copy.
///
/// # Errors
/// What fork(2) says.
pub fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: the runner has one thread, so no lock is held by a thread that the copy lacks.
    last(i64::from(unsafe { libc::fork() })).map(|pid| i32::try_from(pid).ok().and_then(Pid::from_raw))
}

/// A copy of this process as the first process of new namespaces.
///
/// One clone(2) instead of unshare(2) and fork(2): no process is left in between, of which the workload's
/// `RLIMIT_NPROC` would have to know.
///
/// # Errors
/// What clone(2) says; `EPERM` where the runtime's seccomp profile refuses namespaces.
pub fn fork_into(namespaces: i32) -> Result<Option<Pid>, Errno> {
    let flags = libc::c_long::from(namespaces | libc::SIGCHLD);
    // SAFETY: without a stack and CLONE_VM this is fork(2); one thread, as there.
    last(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })
        .map(|pid| i32::try_from(pid).ok().and_then(Pid::from_raw))
}

impl Kernel for Linux {
    fn call(&mut self, call: &Call) -> Result<(), Errno> {
        match call {
            Call::Map { file, text } => {
                let file = openat(CWD, *file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
                write(file, text.as_bytes()).map(drop)
            }
            Call::HostName(name) => rustix::system::sethostname(name.as_bytes()),
            Call::LoopbackUp => loopback_up(),
            Call::Loopback(address) => loopback::add(*address),
            Call::Listen { ports, to, from } => {
                // SAFETY: the pair stays open until this process closes all that it does not need, which is later.
                sockets::open_and_send(ports, unsafe { BorrowedFd::borrow_raw(*to) }, *from)
            }
            Call::PrivateMounts => mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC),
            Call::MountView { at, bytes } => {
                let options = CString::new(format!("size={bytes},mode=0755")).map_err(|_| Errno::INVAL)?;
                let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
                mount("tmpfs", *at, "tmpfs", flags, options.as_c_str())?;
                self.view = Some(open(*at, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?);
                Ok(())
            }
            Call::MountScratch { bytes } => self.mount_scratch(SCRATCH, *bytes),
            Call::Build(step) => self.build(step),
            Call::HideScratchRoot => {
                self.scratch = None;
                let view = self.view.as_ref().ok_or(Errno::BADF)?;
                rustix::process::fchdir(view)?;
                unmount(SCRATCH, UnmountFlags::DETACH)?;
                rustix::fs::unlinkat(view, SCRATCH, rustix::fs::AtFlags::REMOVEDIR)
            }
            Call::Pivot => {
                let view = self.view.take().ok_or(Errno::BADF)?;
                rustix::process::fchdir(&view)?;
                // The old root lands on top of the new one, where "." still finds it.
                rustix::process::pivot_root(".", ".")?;
                unmount(".", UnmountFlags::DETACH)?;
                rustix::process::chdir("/")
            }
            Call::SealRoot => {
                let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
                mount_remount("/", MountFlags::BIND | flags, c"")
            }
            Call::NewSession => rustix::process::setsid().map(drop),
            Call::DefaultSignals => default_signals(),
            Call::StandardStreams { input, output, error } => {
                let input = open(input.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
                for (from, to) in [(input.as_raw_fd(), 0), (*output, 1), (*error, 2)] {
                    // SAFETY: 0 to 2 are the standard streams, which nothing in this process owns.
                    last(i64::from(unsafe { libc::dup2(from, to) }))?;
                }
                Ok(())
            }
            Call::Limit(limit) => set_limit(*limit),
            Call::EnterFolder(path) => rustix::process::chdir(path.as_str()),
            Call::CloseDescriptors { but } => close_descriptors(but),
            Call::Hide => prctl(libc::PR_SET_DUMPABLE, 0),
            Call::NoNewPrivileges => prctl(libc::PR_SET_NO_NEW_PRIVS, 1),
            Call::DropBounding => drop_bounding(),
            Call::ClearAmbient => prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong),
            Call::DropCapabilities => {
                let none = rustix::thread::CapabilitySet::empty();
                let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
                rustix::thread::set_capabilities(None, sets)
            }
            Call::Subreaper => prctl(libc::PR_SET_CHILD_SUBREAPER, 1),
            Call::Input { at, text } => write_input(at, text),
            Call::Handle => self.handle(),
            Call::Allow(grant) => self.allow(grant),
            Call::AllowConnect(port) => self.allow_connect(*port),
            Call::Restrict => self.restrict(),
            Call::Filter { program, .. } => {
                seccompiler::apply_filter(program).map_err(|_| last(-1).err().unwrap_or(Errno::INVAL))
            }
        }
    }

    fn attempt(&mut self, attempt: &Attempt) -> Result<(), Errno> {
        attempt.try_it()
    }

    fn ask(&mut self, server: SocketAddr, question: &[u8]) -> Result<Vec<u8>, Errno> {
        ask(server, question)
    }

    fn read(&mut self, path: &str) -> Result<String, Errno> {
        let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut all = Vec::new();
        let mut part = [0; 4096];
        loop {
            let count = read(&file, &mut part)?;
            if count == 0 {
                // A process may call itself by bytes that are no text: that must not keep anybody from looking at it.
                return Ok(String::from_utf8_lossy(&all).into_owned());
            }
            all.extend(part.iter().take(count));
            if all.len() > MOST_READ_BYTES {
                return Err(Errno::FBIG);
            }
        }
    }

    fn limit(&mut self, resource: Resource) -> Limit {
        let found = rustix::process::getrlimit(name(resource));
        // The kernel's word for "unlimited".
        let number = |value: Option<u64>| value.unwrap_or(u64::MAX);
        Limit { resource, soft: number(found.current), hard: number(found.maximum) }
    }

    fn space(&mut self, at: &AbsolutePath) -> Result<Space, Errno> {
        let found = rustix::fs::statvfs(at.as_str())?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space { total: bytes(found.f_blocks), free: bytes(found.f_bfree) })
    }

    fn owner(&mut self, path: &str) -> Result<u32, Errno> {
        rustix::fs::stat(path).map(|stat| stat.st_uid)
    }

    fn identity(&mut self) -> (i32, i32) {
        let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
        (rustix::process::getpid().as_raw_nonzero().get(), parent)
    }
}

/// Readable, since nobody else is here; not for the owner to change, and Landlock allows the workload to read alone.
fn write_input(at: &AbsolutePath, text: &str) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(CWD, at.as_str(), flags, Mode::from_raw_mode(0o444))?;
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let count = write(&file, rest)?;
        rest = rest.get(count..).unwrap_or_default();
    }
    Ok(())
}

const fn name(resource: Resource) -> rustix::process::Resource {
    match resource {
        Resource::FileDescriptors => rustix::process::Resource::Nofile,
        Resource::Processes => rustix::process::Resource::Nproc,
        Resource::CpuSeconds => rustix::process::Resource::Cpu,
        Resource::FileBytes => rustix::process::Resource::Fsize,
        Resource::CoreBytes => rustix::process::Resource::Core,
    }
}

fn set_limit(Limit { resource, soft, hard }: Limit) -> Result<(), Errno> {
    rustix::process::setrlimit(name(resource), rustix::process::Rlimit { current: Some(soft), maximum: Some(hard) })
}

fn prctl(option: i32, argument: libc::c_ulong) -> Result<(), Errno> {
    // SAFETY: none of the options used here takes a pointer; unused arguments must be zero.
    last(i64::from(unsafe {
        libc::prctl(option, argument, 0 as libc::c_ulong, 0 as libc::c_ulong, 0 as libc::c_ulong)
    }))
    .map(drop)
}

fn drop_bounding() -> Result<(), Errno> {
    for capability in 0..=63 {
        match prctl(libc::PR_CAPBSET_DROP, capability) {
            // The first number that the kernel doesn't know; there are none above.
            Err(Errno::INVAL) if capability > 0 => return Ok(()),
            answer => answer?,
        }
    }
    Ok(())
}

/// exec(2) keeps what is blocked and what is ignored, and Rust ignores SIGPIPE: a workload in a pipe would never end.
fn default_signals() -> Result<(), Errno> {
    for signal in 1..=libc::SIGRTMAX() {
        if matches!(signal, libc::SIGKILL | libc::SIGSTOP) || (32..libc::SIGRTMIN()).contains(&signal) {
            continue; // fixed by the kernel, or the C library's own
        }
        // SAFETY: SIG_DFL is no function that could be called.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            last(-1)?;
        }
    }
    // SAFETY: an empty set is a valid value, and sigemptyset writes one.
    let answer = unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut())
    };
    last(i64::from(answer)).map(drop)
}

fn close_descriptors(but: &[i32]) -> Result<(), Errno> {
    let mut first: u32 = 3;
    for keep in but.iter().filter_map(|keep| u32::try_from(*keep).ok()).chain([u32::MAX]) {
        if keep > first {
            let end = if keep == u32::MAX { keep } else { keep - 1 };
            // SAFETY: whatever is closed here is not used again: this process only goes on to exec or to wait.
            last(unsafe { libc::syscall(libc::SYS_close_range, first, end, 0) })?;
        }
        first = first.max(keep.saturating_add(1));
    }
    Ok(())
}

fn loopback_up() -> Result<(), Errno> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: all zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = from.cast_signed();
    }
    // SAFETY: SIOCGIFFLAGS reads the name and writes the flags of the ifreq that is passed, and nothing else.
    last(i64::from(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) }))?;
    // SAFETY: the kernel has just written this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    if i32::from(flags) & libc::IFF_UP != 0 {
        return Ok(()); // gVisor: up from the start, and setting it fails
    }
    request.ifr_ifru.ifru_flags = flags | i16::try_from(libc::IFF_UP).unwrap_or(0);
    // SAFETY: SIOCSIFFLAGS only reads the ifreq.
    last(i64::from(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })).map(drop)
}
