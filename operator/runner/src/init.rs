//! The init of the workload's namespaces: builds the view, starts the workload's process, reaps, measures, kills. In the
//! pod's own namespaces the runner is process 1, and this process its first child: orphans come to it all the same.
//!
//! It is trusted, shares the workload's uid, and is visible to it. So it gives up its capabilities, can't be traced, and
//! takes orders from its control pipe alone: signals can be sent by anyone.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ccos_profile::{End, Usage};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};

use crate::cpu::{Meter, reaped};
use crate::inbound::sockets::answer;
use crate::kernel::{Kernel, fork};
use crate::lockdown::syscalls::Namespaces;
use crate::lockdown::{Beside, Confinement, Isolation, isolate, renounce, syscalls};
use crate::memory::Peak;
use crate::messages::{Ended, ResultFile, Setup, Status, send};
use crate::path::AbsolutePath;
use crate::pipes::{Pipe, Pipes};
use crate::prove::{Probes, fence};
use crate::view::rules::{RESULT_FILE, SHARED_SCRATCH};
use crate::workload::{self, Command};

/// The order to end politely: SIGTERM to the workload's first process.
pub const TERMINATE: u8 = b'T';

/// The order to kill all.
pub const KILL: u8 = b'K';

/// How much the CPU time may be overdrawn by each processor: often enough for that, seldom enough to cost nothing.
const SAMPLE: Duration = Duration::from_millis(250);

/// Killed processes are gone in milliseconds; the runner outside kills the namespace if they are not.
const REAP: Duration = Duration::from_secs(1);

/// A result file is read up to here; what is reported inline is less.
pub const MOST_RESULT_BYTES: u64 = 1024 * 1024;

/// Less than this left is "full": a program that can't write its next block does not try smaller ones.
const FULL_BYTES: u64 = 64 * 1024;

/// All that the inside needs.
#[derive(Debug)]
pub struct Plan {
    /// For this process.
    pub isolation: Isolation,
    /// For the workload's process.
    pub confinement: Confinement,
    /// For the proof.
    pub probes: Probes,
    /// For execve(2).
    pub command: Command,
    /// Of the whole tree.
    pub cpu_time: Duration,
    /// The quota, where the sandbox's count does not know of it.
    pub cpu_millis: Option<u64>,
}

/// All that the init does. Never returns into the runner's own code.
/// `asked` is where sockets are asked for, if others may connect in.
pub fn run(kernel: &mut dyn Kernel, plan: Plan, pipes: &Pipes, asked: Option<&OwnedFd>) -> ! {
    let (setup, end, control) = (pipes.setup.1.as_fd(), pipes.end.1.as_fd(), pipes.control.0.as_fd());
    let done = serve(kernel, plan, setup, (end, control), asked.map(OwnedFd::as_fd));
    // SAFETY: _exit ends this process; nothing of the runner's must run in it, destructors included.
    unsafe { libc::_exit(i32::from(done.is_err())) }
}

fn serve(
    kernel: &mut dyn Kernel,
    plan: Plan,
    setup: BorrowedFd<'_>,
    (end, control): (BorrowedFd<'_>, BorrowedFd<'_>),
    asked: Option<BorrowedFd<'_>>,
) -> std::io::Result<()> {
    let Plan { isolation, mut confinement, mut probes, command, cpu_time, cpu_millis } = plan;
    let failed = |message| send(Pipe(setup), &Setup::Failed { end: End::ConfinementFailed, message });
    if let Err(error) = isolate(kernel, &isolation) {
        return failed(error.to_string());
    }
    let connects = !confinement.connects.is_empty();
    let namespaces = if probes.pod.is_some() { Namespaces::Pod { connects } } else { Namespaces::Own };
    if let Some(pod) = &mut probes.pod {
        if let Isolation::Pod { relay: Some(Beside { proxy, .. }), .. } = &isolation {
            // Before there is a process of the workload's.
            match fence::wait(*proxy) {
                Ok(fenced) => pod.fenced = Some(fenced),
                Err(error) => return failed(error.to_string()),
            }
        }
        // Now that the numbers are known.
        pod.init = kernel.identity().0;
        match syscalls::guard(&[1, pod.init]) {
            Ok(guard) => confinement.filters.push(guard),
            Err(error) => return failed(error.to_string()),
        }
        pod.filters += confinement.filters.len();
    }
    let children = match children_signal() {
        Ok(children) => children,
        Err(errno) => return failed(format!("signalfd: {errno}")),
    };
    let meter = Meter::new(cpu_millis);
    let meter = if matches!(namespaces, Namespaces::Pod { .. }) { meter.of_container(kernel) } else { meter };
    let child = match fork() {
        Ok(Some(child)) => child,
        Ok(None) => {
            let told = workload::run(kernel, confinement, &probes, &command, setup);
            // SAFETY: as above.
            unsafe { libc::_exit(if told.is_ok() { 126 } else { 125 }) }
        }
        Err(errno) => return failed(format!("fork: {errno}")),
    };
    // Closes the set-up pipe too: its end must mean that the command executes.
    let mut keep = vec![end.as_raw_fd(), control.as_raw_fd(), children.as_raw_fd()];
    keep.extend(asked.map(|asked| asked.as_raw_fd()));
    keep.sort_unstable();
    if renounce(kernel, namespaces, keep).is_err() {
        kill_all();
        return Err(Errno::PERM.into());
    }
    let mut init = Init { kernel, child, status: None, meter, memory: Peak::default() };
    let exceeded = init.watch(&children, control, asked, cpu_time)?;
    init.reap_all();
    let (ended, bytes) = init.conclude(exceeded)?;
    send(Pipe(end), &ended)?;
    std::io::Write::write_all(&mut Pipe(end), &bytes)
}

struct Init<'a> {
    kernel: &'a mut dyn Kernel,
    child: Pid,
    status: Option<Status>,
    meter: Meter,
    memory: Peak,
}

impl Init<'_> {
    /// Until the first process ends, an order comes to kill, or the CPU time is used up. Then kills all.
    fn watch(
        &mut self,
        children: &OwnedFd,
        control: BorrowedFd<'_>,
        mut asked: Option<BorrowedFd<'_>>,
        cpu_time: Duration,
    ) -> std::io::Result<bool> {
        let mut exceeded = false;
        let mut sampled = Instant::now();
        while self.status.is_none() {
            let wait = Timespec::try_from(SAMPLE.saturating_sub(sampled.elapsed())).unwrap_or_default();
            let mut ready = vec![PollFd::new(children, PollFlags::IN), PollFd::new(&control, PollFlags::IN)];
            ready.extend(asked.as_ref().map(|asked| PollFd::new(asked, PollFlags::IN)));
            match poll(&mut ready, Some(&wait)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let is_ready = |at: usize| ready.get(at).is_some_and(|of| !of.revents().is_empty());
            let (ordered, is_asked) = (is_ready(1), is_ready(2));
            drop(ready);
            asked = asked.filter(|asked| !is_asked || answer(*asked));
            drain(children);
            self.reap();
            if ordered && self.obey(control) {
                break;
            }
            if sampled.elapsed() >= SAMPLE {
                sampled = Instant::now();
                self.memory.look(self.kernel);
                if self.meter.total(self.kernel)? > cpu_time {
                    exceeded = true;
                    break;
                }
            }
        }
        kill_all();
        Ok(exceeded)
    }

    /// Whether to kill all. A closed pipe is an order too: then nobody is left outside.
    fn obey(&self, control: BorrowedFd<'_>) -> bool {
        let mut order = [0];
        match rustix::io::read(control, &mut order) {
            Ok(1) if order == [TERMINATE] => {
                // It may have ended by itself, which reap() finds next.
                rustix::process::kill_process(self.child, Signal::TERM).is_err_and(|errno| errno != Errno::SRCH)
            }
            Ok(_) | Err(_) => true,
        }
    }

    /// Whether there are children left.
    fn reap(&mut self) -> bool {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.child => {
                    self.status =
                        status.terminating_signal().map(Status::Signaled).or(status.exit_status().map(Status::Exited));
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    fn reap_all(&mut self) {
        let until = Instant::now() + REAP;
        while self.reap() && Instant::now() < until {
            // Again and again: a process that was being created was not there yet.
            kill_all();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn conclude(&mut self, cpu_time_exceeded: bool) -> std::io::Result<(Ended, Vec<u8>)> {
        let cpu = self.meter.total(self.kernel)?;
        let space = self.kernel.space(&AbsolutePath::literal(SHARED_SCRATCH[0]))?;
        let (result, bytes) = result_file();
        let ended = Ended {
            // Without a status it still hangs somewhere; the runner outside kills the namespace after this.
            status: self.status.unwrap_or(Status::Signaled(libc::SIGKILL)),
            cpu_time_exceeded,
            disk_full: space.free < FULL_BYTES.min(space.total / 8),
            usage: Usage {
                cpu_time_millis: cpu.as_millis().try_into().unwrap_or(u64::MAX),
                peak_memory_bytes: self.memory.most(self.kernel, reaped().1),
                wall_time_millis: 0,
                disk_bytes: space.total.saturating_sub(space.free),
            },
            result,
        };
        Ok((ended, bytes))
    }
}

/// Every process of this namespace but the init itself: kill(2) spares the caller, and process 1.
fn kill_all() {
    // SAFETY: kill takes no pointers. ESRCH, its only error here, means that there is nobody left.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

fn children_signal() -> Result<OwnedFd, Errno> {
    crate::signals::descriptor(&[libc::SIGCHLD])
}

fn drain(signals: &OwnedFd) {
    let mut buffer = [0; 1024];
    while rustix::io::read(signals, &mut buffer).is_ok_and(|count| count > 0) {}
}

/// Reads the result file when nobody is left who could change it: no link is followed, nothing but a regular file is
/// read, and no more than fits.
fn result_file() -> (ResultFile, Vec<u8>) {
    let unreadable = |why: &dyn std::fmt::Display| (ResultFile::Unreadable(why.to_string()), Vec::new());
    // NONBLOCK: the open of a pipe would wait for somebody to write.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat(CWD, RESULT_FILE, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return (ResultFile::Absent, Vec::new()),
        Err(Errno::LOOP) => return unreadable(&"a symbolic link"),
        Err(errno) => return unreadable(&errno),
    };
    match fstat(&file) {
        Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() => {}
        Ok(_) => return unreadable(&"not a regular file"),
        Err(errno) => return unreadable(&errno),
    }
    let mut bytes = Vec::new();
    match std::io::Read::read_to_end(
        &mut std::io::Read::take(std::fs::File::from(file), MOST_RESULT_BYTES + 1),
        &mut bytes,
    ) {
        Ok(0) => (ResultFile::Absent, Vec::new()),
        Ok(_) if bytes.len() as u64 > MOST_RESULT_BYTES => (ResultFile::TooLarge, Vec::new()),
        Ok(_) => (ResultFile::Present, bytes),
        Err(error) => unreadable(&error),
    }
}
