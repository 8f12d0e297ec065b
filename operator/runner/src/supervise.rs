//! The runner outside: pipes, timers, and the end of it all.
//!
//! One thread and one poll(2). Every wait has a bound, and each bound that passes leads to a harder means: a polite
//! signal, the init's kill of all its processes, the kill of the init (which ends its namespace), and a report
//! without any of them.

mod streams;

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use ccos_profile::{Delivery, End, Usage};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use crate::cpu;
use crate::init::{KILL, MOST_RESULT_BYTES, TERMINATE};
use crate::messages::{Setup, ended, setup};
use crate::outcome::{Granted, Seen, Stop, delivery};
use crate::pipes::Pipes;
use crate::report::failed;
use crate::signals::arrived;
use streams::{Collected, Forwarded};

/// Of both outputs together: logs of a node are a shared good.
pub const MOST_OUTPUT_BYTES: usize = 8 * 1024 * 1024;

/// A lock-down takes 20 ms; a view of thousands of mounts on a busy node takes seconds.
const SET_UP: Duration = Duration::from_secs(30);

/// For a workload that is told to stop: well below the 30 s that Kubernetes gives the pod.
const GRACE: Duration = Duration::from_secs(2);

/// For the init to kill, reap, measure and report. It bounds its own waiting at 1 s.
const CONCLUDE: Duration = Duration::from_secs(3);

/// For the kernel to end a killed namespace, and for logs to be taken.
const LAST: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    SettingUp,
    Running,
    /// Told to end.
    Ending,
    /// The init was told to kill.
    Killing,
    /// The init was killed.
    Killed,
    /// The init is gone; what is still in the pipes is taken.
    Draining,
}

/// The runner's side.
#[derive(Debug)]
pub struct Supervisor {
    init: Pid,
    signals: OwnedFd,
    control: OwnedFd,
    setup: Collected,
    end: Collected,
    output: Forwarded,
    error: Forwarded,
    limits: Granted,
    phase: Phase,
    deadline: Instant,
    started: Option<Instant>,
    wall_time: Option<Duration>,
    stop: Option<Stop>,
    fallback: Usage,
}

impl Supervisor {
    /// Takes over once the init exists. The ends of the pipes that are the init's are closed here.
    #[must_use]
    pub fn new(init: Pid, signals: OwnedFd, pipes: Pipes, limits: Granted) -> Self {
        let Pipes { setup, output, error, end, control } = pipes;
        Self {
            init,
            signals,
            control: control.1,
            setup: Collected::new(setup.0, 64 * 1024),
            end: Collected::new(
                end.0,
                usize::try_from(MOST_RESULT_BYTES).unwrap_or(usize::MAX).saturating_add(64 * 1024),
            ),
            output: Forwarded::new(output.0, rustix::stdio::stdout()),
            error: Forwarded::new(error.0, rustix::stdio::stderr()),
            limits,
            phase: Phase::SettingUp,
            deadline: Instant::now() + SET_UP,
            started: None,
            wall_time: None,
            stop: None,
            fallback: Usage::default(),
        }
    }

    /// Until the end, whatever that is.
    #[must_use]
    pub fn run(mut self) -> Delivery {
        while !self.is_over() {
            if let Err(errno) = self.wait() {
                self.give_up(format!("poll: {errno}"));
                break;
            }
            self.notice_end();
            self.check_output();
            if Instant::now() >= self.deadline && !self.escalate() {
                break;
            }
        }
        self.conclude()
    }

    fn is_over(&self) -> bool {
        self.phase == Phase::Draining && self.end.is_closed() && self.output.is_done() && self.error.is_done()
    }

    fn wait(&mut self) -> Result<(), Errno> {
        let wait = Timespec::try_from(self.deadline.saturating_duration_since(Instant::now())).unwrap_or_default();
        let mut ready = vec![PollFd::new(&self.signals, PollFlags::IN)];
        for of in [&self.setup, &self.end] {
            ready.extend(of.wants());
        }
        for of in [&self.output, &self.error] {
            ready.extend(of.wants());
        }
        match poll(&mut ready, Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        drop(ready);
        self.setup.read();
        // Before the signals: a short workload starts and ends between two polls.
        self.notice_start();
        self.end.read();
        self.output.move_on();
        self.error.move_on();
        for signal in arrived(&self.signals) {
            match signal {
                libc::SIGTERM | libc::SIGINT => self.cancel(),
                _ => self.reap(),
            }
        }
        Ok(())
    }

    /// The set-up pipe closes when the command executes.
    fn notice_start(&mut self) {
        if self.phase == Phase::SettingUp && self.setup.is_closed() {
            if matches!(setup(self.setup.bytes()), Some(Setup::Proven(_))) {
                let now = Instant::now();
                self.started = Some(now);
                self.enter(Phase::Running, self.limits.wall_time);
            } else {
                self.order(KILL, Phase::Killing, CONCLUDE);
            }
        }
    }

    fn notice_end(&mut self) {
        if self.wall_time.is_none() && (self.end.is_closed() || !self.end.bytes().is_empty()) {
            self.wall_time = self.started.map(|started| started.elapsed());
            if matches!(self.phase, Phase::Running | Phase::Ending) {
                self.enter(Phase::Killing, CONCLUDE);
            }
        }
    }

    fn check_output(&mut self) {
        let total = self.output.total().saturating_add(self.error.total());
        if total > MOST_OUTPUT_BYTES && self.stop.is_none() {
            self.stop = Some(Stop::Output(MOST_OUTPUT_BYTES));
            self.output.stop();
            self.error.stop();
            self.order(KILL, Phase::Killing, CONCLUDE);
        }
    }

    fn cancel(&mut self) {
        match self.phase {
            Phase::SettingUp => {
                self.stop = Some(Stop::Cancelled);
                self.order(KILL, Phase::Killing, CONCLUDE);
            }
            Phase::Running => {
                self.stop = Some(Stop::Cancelled);
                self.order(TERMINATE, Phase::Ending, GRACE);
            }
            Phase::Ending | Phase::Killing | Phase::Killed | Phase::Draining => {}
        }
    }

    /// The present bound has passed. Whether there is anything left to do.
    fn escalate(&mut self) -> bool {
        match self.phase {
            Phase::SettingUp => {
                self.stop = Some(Stop::Broken(format!("set-up: expected it to take at most {SET_UP:?}")));
                self.order(KILL, Phase::Killing, CONCLUDE);
            }
            Phase::Running => {
                self.stop = Some(Stop::WallTime);
                self.order(KILL, Phase::Killing, CONCLUDE);
            }
            Phase::Ending => self.order(KILL, Phase::Killing, CONCLUDE),
            Phase::Killing => {
                self.kill_init();
                self.enter(Phase::Killed, LAST);
            }
            Phase::Killed | Phase::Draining => return false,
        }
        true
    }

    fn enter(&mut self, phase: Phase, bound: Duration) {
        self.phase = phase;
        // A wall time of centuries is no overflow, just never.
        self.deadline =
            Instant::now().checked_add(bound).unwrap_or_else(|| Instant::now() + Duration::from_secs(u32::MAX.into()));
    }

    fn order(&mut self, order: u8, phase: Phase, bound: Duration) {
        self.enter(phase, bound);
        // An init that is still building, or gone, takes no orders.
        let taken = self.started.is_some() && rustix::io::write(&self.control, &[order]).is_ok();
        if !taken {
            self.kill_init();
        }
    }

    /// Ends the whole namespace. Before the init is reaped its number can't be another's.
    fn kill_init(&self) {
        if self.phase != Phase::Draining {
            // ESRCH: gone already, which is what is wanted.
            rustix::process::kill_process(self.init, Signal::KILL).ok();
            // The namespace may be the pod's, which does not end with the init.
            kill_everyone();
        }
    }

    /// As process 1 of the container, the runner reaps whatever is handed to it.
    fn reap(&mut self) {
        loop {
            let mut status = 0;
            // SAFETY: all zero is a valid rusage; wait4 writes the two values that are passed.
            let (pid, usage) = unsafe {
                let mut usage: libc::rusage = std::mem::zeroed();
                (libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage), usage)
            };
            if pid == self.init.as_raw_nonzero().get() {
                let (time, peak) = cpu::of(&usage);
                self.fallback.cpu_time_millis = time.as_millis().try_into().unwrap_or(u64::MAX);
                self.fallback.peak_memory_bytes = peak;
                self.enter(Phase::Draining, LAST);
            }
            if pid <= 0 {
                return;
            }
        }
    }

    /// The runner sees to it that it is alone before it reports.
    fn sweep(&mut self) {
        let until = Instant::now() + LAST;
        while kill_everyone() {
            if Instant::now() >= until {
                self.stop.get_or_insert(Stop::Broken("processes of the workload survived it".to_owned()));
                return;
            }
            self.reap();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn give_up(&mut self, why: String) {
        self.kill_init();
        self.stop.get_or_insert(Stop::Broken(why));
    }

    fn conclude(mut self) -> Delivery {
        self.reap();
        self.sweep();
        let Self { setup: told, end, output, error, limits, stop, started, wall_time, fallback, .. } = self;
        let proven = match setup(told.bytes()) {
            Some(Setup::Proven(proven)) if started.is_some() => proven,
            Some(Setup::Failed { end, message }) => return failed(end, message),
            // It died between two lines: not one of them says that the confinement holds.
            Some(Setup::Proven(_)) | None => {
                return match stop {
                    Some(Stop::Cancelled) => failed(End::Cancelled, "told to stop before the start".to_owned()),
                    Some(Stop::Broken(why)) => failed(End::InternalError, why),
                    Some(Stop::WallTime | Stop::Output(_)) | None => {
                        failed(End::ConfinementFailed, "the set-up ended without a word".to_owned())
                    }
                };
            }
        };
        let (ended, result_file) = match ended(end.bytes()) {
            Some((ended, bytes)) => (Some(ended), bytes.to_vec()),
            None => (None, Vec::new()),
        };
        let wall_time = wall_time.or(started.map(|started| started.elapsed())).unwrap_or_default();
        let (output, output_cut) = output.kept();
        delivery(Seen {
            proven,
            stop,
            ended,
            result_file,
            output,
            output_cut,
            error_tail: error.tail(),
            wall_time,
            fallback,
            limits,
        })
    }
}

/// As process 1 of its container, the runner may: it reaches nobody outside. Anywhere else "all processes" would be the
/// machine's. Whether there was anybody.
fn kill_everyone() -> bool {
    // SAFETY: kill takes no pointers.
    rustix::process::getpid() == Pid::INIT && unsafe { libc::kill(-1, libc::SIGKILL) } == 0
}
