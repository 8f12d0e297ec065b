//! CPU time of the whole tree.
//!
//! `RLIMIT_CPU` counts one process, and the kernel adds a dead child's time to its parent only when the parent waits
//! for it. So two sums, and the larger counts: what was waited for (exact), and what was last seen of each process
//! (misses at most one interval of each, but can't be lost by a parent that ignores its children). A process that
//! lives for less than an interval under such a parent is in neither. Where the kernel counts for the whole container,
//! that count has it (see [`Group`]); elsewhere wall time and the pod's CPU bound those.
//!
//! gVisor takes a thread that waits for its quota for one that runs, and counts up to three times too much (measured). What
//! the quota can't have let through is not counted: see [`Quota`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::kernel::Kernel;

/// `_SC_CLK_TCK`, in which Linux and gVisor write `/proc/PID/stat`.
const TICK: Duration = Duration::from_millis(10);

/// In which the kernel gives a group its share (`cpu.cfs_period_us`, as every runtime sets it).
const PERIOD: Duration = Duration::from_millis(100);

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Meter {
    alive: BTreeMap<i32, Duration>,
    gone: Duration,
    quota: Option<Quota>,
    group: Option<Group>,
}

/// What the container's cgroup counts: all that ever ran in it, whoever waited for whom.
#[derive(Debug)]
struct Group {
    /// What of it was the runner's before there was a workload.
    before: Duration,
}

impl Group {
    /// From here on: nothing where the cgroup can't be read.
    fn new(kernel: &mut dyn Kernel) -> Option<Self> {
        let before = of_container(kernel)?.saturating_sub(of_runner(kernel)?);
        Some(Self { before })
    }

    /// Of all but the runner's processes.
    fn used(&self, kernel: &mut dyn Kernel) -> Option<Duration> {
        let all = of_container(kernel)?;
        Some(all.saturating_sub(of_runner(kernel)?).saturating_sub(self.before))
    }
}

/// By version 2 of cgroups, in microseconds, and by version 1, in nanoseconds.
fn of_container(kernel: &mut dyn Kernel) -> Option<Duration> {
    if let Ok(text) = kernel.read("/sys/fs/cgroup/cpu.stat") {
        let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
        return micros.trim().parse().ok().map(Duration::from_micros);
    }
    let nanos = kernel.read("/sys/fs/cgroup/cpuacct/cpuacct.usage").ok()?;
    nanos.trim().parse().ok().map(Duration::from_nanos)
}

/// Of this process, and of process 1.
fn of_runner(kernel: &mut dyn Kernel) -> Option<Duration> {
    let of = |text: Result<String, Errno>| text.ok().and_then(|text| parse(&text)).map(|times| times.own);
    Some(of(kernel.read("/proc/self/stat"))? + of(kernel.read("/proc/1/stat"))?)
}

/// The most CPU time that there can have been under a quota: never less than there was, and at most the share of two
/// periods more, since one moment may see the end of one and the beginning of the next.
#[derive(Debug)]
struct Quota {
    /// Of a second.
    millis: u64,
    /// What may have been used at once.
    left: Duration,
    at: Instant,
    /// By the sandbox.
    counted: Duration,
    used: Duration,
}

impl Quota {
    fn new(millis: u64, now: Instant) -> Self {
        let full = Self::share(millis, PERIOD * 2);
        Self { millis, left: full, at: now, counted: Duration::ZERO, used: Duration::ZERO }
    }

    fn share(millis: u64, of: Duration) -> Duration {
        let nanos = of.as_nanos().saturating_mul(millis.into()) / 1000;
        Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX))
    }

    fn limited(&mut self, counted: Duration, now: Instant) -> Duration {
        let since = Self::share(self.millis, now.saturating_duration_since(self.at));
        self.left = self.left.saturating_add(since).min(Self::share(self.millis, PERIOD * 2).max(since));
        let used = counted.saturating_sub(self.counted).min(self.left);
        (self.at, self.counted) = (now, self.counted.max(counted));
        (self.left, self.used) = (self.left.saturating_sub(used), self.used.saturating_add(used));
        self.used
    }
}

/// The times of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Its own.
    pub own: Duration,
    /// Of its children, those that it waited for.
    pub waited: Duration,
}

impl Meter {
    /// Under the quota of so many thousandths of a processor, if there is one that the count does not know of.
    #[must_use]
    pub fn new(cpu_millis: Option<u64>) -> Self {
        Self { quota: cpu_millis.map(|millis| Quota::new(millis, Instant::now())), ..Self::default() }
    }

    /// In a container whose process 1 is the runner, of which this process is the other one, and whose kernel counts for
    /// all of it. Called when there is nobody else yet.
    #[must_use]
    pub fn of_container(self, kernel: &mut dyn Kernel) -> Self {
        Self { group: Group::new(kernel), ..self }
    }

    /// The time of all processes but this one, so far; never less than before.
    ///
    /// # Errors
    /// Where the kernel can't be asked: the caller must not take that for "nothing was used".
    pub fn total(&mut self, kernel: &mut dyn Kernel) -> Result<Duration, Errno> {
        let mut now = BTreeMap::new();
        let mut waited = Duration::ZERO;
        for pid in processes()? {
            match kernel.read(&format!("/proc/{pid}/stat")) {
                Ok(text) => {
                    let times = parse(&text).ok_or(Errno::ILSEQ)?;
                    now.insert(pid, times.own);
                    waited += times.waited;
                }
                Err(Errno::NOENT | Errno::SRCH) => {} // ended since
                Err(errno) => return Err(errno),
            }
        }
        let of_group = self.group.as_ref().and_then(|group| group.used(kernel)).unwrap_or_default();
        let counted = self.add(now, waited, reaped().0).max(of_group);
        Ok(self.quota.as_mut().map_or(counted, |quota| quota.limited(counted, Instant::now())))
    }

    fn add(&mut self, now: BTreeMap<i32, Duration>, waited: Duration, reaped: Duration) -> Duration {
        let alive: Duration = now.values().sum();
        // A smaller time under the same number is another process.
        let gone = self.alive.iter().filter(|(pid, before)| now.get(pid).is_none_or(|after| after < *before));
        self.gone += gone.map(|(_, time)| *time).sum::<Duration>();
        self.alive = now;
        (reaped + waited + alive).max(self.gone + alive)
    }
}

/// The time of all descendants that were waited for, and the largest resident set of one, in bytes.
#[must_use]
pub fn reaped() -> (Duration, u64) {
    // SAFETY: all zero is a valid rusage, and getrusage writes one.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    of(&usage)
}

/// CPU time and largest resident set of a resource usage.
#[must_use]
pub fn of(usage: &libc::rusage) -> (Duration, u64) {
    let time = |time: libc::timeval| {
        let micros = u64::try_from(time.tv_usec).unwrap_or(0);
        Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0)) + Duration::from_micros(micros)
    };
    (time(usage.ru_utime) + time(usage.ru_stime), u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024))
}

/// The numbers of all processes of this namespace but this one and its process 1, which are the runner's.
fn processes() -> Result<Vec<i32>, Errno> {
    let entries = std::fs::read_dir("/proc").map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let own = rustix::process::getpid().as_raw_nonzero().get();
    Ok(numbers.filter(|pid| *pid != 1 && *pid != own).collect())
}

/// Parses `/proc/PID/stat` (proc(5)). The name of the program, in parentheses, is the workload's choice and may hold any text.
#[must_use]
pub fn parse(stat: &str) -> Option<Times> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u32>().ok().map(|ticks| TICK * ticks);
    Some(Times { own: ticks(11)? + ticks(12)?, waited: ticks(13)? + ticks(14)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::recorder::Recorder;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_program_name_cannot_forge_its_times() {
        let stat = "7 (a) R 0 0 0 0 0 0 0 0 0 0 0 9 9 9 9 (b) S 1 7 7 0 0 0 0 0 0 0 1 2 3 4 20 0 1 0 3 9285632";
        assert_eq!(parse(stat), Some(Times { own: ms(30), waited: ms(70) }));
        assert_eq!(parse("7 (a) R 0"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_container_s_count_has_what_no_sum_has() {
        let stat = |ticks: u32| format!("7 (a) R 0 0 0 0 0 0 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 3 9285632");
        let kernel = |usage: (&str, &str), own: u32, first: u32| Recorder {
            files: [usage, ("/proc/self/stat", &stat(own)), ("/proc/1/stat", &stat(first))]
                .map(|(path, text)| (path.to_owned(), text.to_owned()))
                .into(),
            ..Recorder::default()
        };
        for (path, before, after) in [
            ("/sys/fs/cgroup/cpu.stat", "usage_usec 90000\nuser_usec 1\n", "usage_usec 1590000\nuser_usec 1\n"),
            ("/sys/fs/cgroup/cpuacct/cpuacct.usage", "90000000\n", "1590000000\n"),
        ] {
            // 60 ms of the runner's, and 30 of what has ended since: then 40 ms more of the runner's.
            let group = Group::new(&mut kernel((path, before), 2, 4)).unwrap();
            assert_eq!(group.used(&mut kernel((path, after), 3, 7)), Some(ms(1460)), "{path}");
        }
        assert!(Group::new(&mut kernel(("/other", "1"), 2, 4)).is_none());
    }

    #[test]
    fn children_that_nobody_waits_for_are_counted_by_their_last_sight() {
        let mut meter = Meter::default();
        assert_eq!(meter.add([(2, ms(10)), (3, ms(500))].into(), ms(0), ms(0)), ms(510));
        assert_eq!(meter.add([(2, ms(20))].into(), ms(0), ms(0)), ms(520));
        assert_eq!(meter.add([(2, ms(20)), (3, ms(100))].into(), ms(0), ms(0)), ms(620));
    }

    #[test]
    fn what_a_quota_did_not_let_through_is_not_counted() {
        let start = Instant::now();
        let at = |millis| start + ms(millis);
        // Half a processor, of which a sandbox counts the whole.
        let mut quota = Quota::new(500, start);
        for step in 1..=40_u32 {
            let used = quota.limited(ms(250) * step, at(u64::from(step) * 250));
            let exact = ms(125) * step;
            assert!((exact..=exact + ms(100)).contains(&used), "{step}: {used:?}");
        }
        // What is less than the quota is as it was counted, and waiting earns no more than two periods.
        let mut quota = Quota::new(500, start);
        assert_eq!(quota.limited(ms(10), at(1000)), ms(10));
        assert_eq!(quota.limited(ms(10), at(60_000)), ms(10));
        assert_eq!(quota.limited(ms(1010), at(60_001)), ms(110));
        assert_eq!(quota.limited(ms(1010), at(90_000)), ms(110));
    }

    #[test]
    fn children_that_were_waited_for_are_counted_exactly() {
        let mut meter = Meter::default();
        assert_eq!(meter.add([(2, ms(10)), (3, ms(500))].into(), ms(0), ms(0)), ms(510));
        assert_eq!(meter.add([(2, ms(20))].into(), ms(700), ms(5)), ms(725));
    }
}
