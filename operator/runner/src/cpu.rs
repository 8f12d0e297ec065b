//! CPU time of the whole tree.
//!
//! `RLIMIT_CPU` counts one process, and the kernel adds a dead child's time to its parent only when the parent waits
//! for it. So two sums, and the larger counts: what was waited for (exact), and what was last seen of each process
//! (misses at most one interval of each, but can't be lost by a parent that ignores its children). A process that
//! lives for less than an interval under such a parent is in neither; wall time and the pod's CPU bound those.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::io::Errno;

use crate::kernel::Kernel;

/// `_SC_CLK_TCK`, in which Linux and gVisor write `/proc/PID/stat`.
const TICK: Duration = Duration::from_millis(10);

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Meter {
    alive: BTreeMap<i32, Duration>,
    gone: Duration,
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
        Ok(self.add(now, waited, reaped().0))
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
    fn children_that_nobody_waits_for_are_counted_by_their_last_sight() {
        let mut meter = Meter::default();
        assert_eq!(meter.add([(2, ms(10)), (3, ms(500))].into(), ms(0), ms(0)), ms(510));
        assert_eq!(meter.add([(2, ms(20))].into(), ms(0), ms(0)), ms(520));
        assert_eq!(meter.add([(2, ms(20)), (3, ms(100))].into(), ms(0), ms(0)), ms(620));
    }

    #[test]
    fn children_that_were_waited_for_are_counted_exactly() {
        let mut meter = Meter::default();
        assert_eq!(meter.add([(2, ms(10)), (3, ms(500))].into(), ms(0), ms(0)), ms(510));
        assert_eq!(meter.add([(2, ms(20))].into(), ms(700), ms(5)), ms(725));
    }
}
