//! Limits of each process, inherited by all that it starts.

use std::time::Duration;

use crate::kernel::{Limit, Resource};
use crate::request::Request;

/// Processes of the workload's uid that are not the workload: the runner outside, and the init inside.
/// `RLIMIT_NPROC` counts them too (measured in gVisor), and the relay's thread.
const OWN_PROCESSES: u64 = 2;

/// A core file would be memory content on disk. One byte is no file either, and, other than none, it also keeps the kernel
/// from starting a node's handler of cores (`core_pattern` with `|`), which it does whatever else the limit is (measured on Linux 6.18).
const NO_CORE: u64 = 1;

/// The limits for a request.
#[must_use]
pub fn limits(request: &Request) -> Vec<Limit> {
    let exactly = |resource, value| Limit { resource, soft: value, hard: value };
    let cpu_seconds = backstop(counted(request.cpu_time, request.threads, request.cpu_millis));
    vec![
        exactly(Resource::CoreBytes, NO_CORE),
        exactly(Resource::FileDescriptors, request.file_descriptors),
        exactly(
            Resource::Processes,
            request.threads.saturating_add(OWN_PROCESSES + u64::from(request.egress.is_some())),
        ),
        // One second between SIGXCPU and SIGKILL, for a message.
        Limit { resource: Resource::CpuSeconds, soft: cpu_seconds, hard: cpu_seconds.saturating_add(1) },
        exactly(Resource::FileBytes, request.disk_bytes),
    ]
}

/// What the sandbox may have counted when that much was used: where it takes a thread that waits for the quota for one that
/// runs, as much more as the quota is less than a processor for each thread.
fn counted(cpu_time: Duration, threads: u64, cpu_millis: Option<u64>) -> Duration {
    let Some(millis) = cpu_millis else { return cpu_time };
    let threads = u128::from(threads).saturating_mul(1000);
    let scaled = cpu_time.as_millis().saturating_mul(threads) / u128::from(millis.max(1));
    // More than 49 days is as good as none; the sum and the wall time hold it.
    Duration::from_millis(scaled.try_into().unwrap_or(u64::MAX).min(u32::MAX.into())).max(cpu_time)
}

/// In seconds, more than `cpu_time`: it is the init's sum that holds the limit, for the whole tree and exactly. This one holds
/// where that sum can't be read in time. It counts one process, in whole seconds, and Linux compares it with a time that is sampled
/// at ticks: under a CPU quota it was seen to strike at 0.89 s of 1 s.
fn backstop(cpu_time: Duration) -> u64 {
    let seconds = cpu_time.as_secs().saturating_add(1);
    seconds.saturating_add(seconds / 8).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backstop_is_above_what_a_sandbox_may_have_counted() {
        let seconds = Duration::from_secs;
        assert_eq!(counted(seconds(10), 16, None), seconds(10));
        assert_eq!(counted(seconds(10), 16, Some(500)), seconds(320));
        assert_eq!(counted(seconds(10), 1, Some(2000)), seconds(10));
        assert_eq!(counted(seconds(10), u64::MAX, Some(0)), Duration::from_millis(u32::MAX.into()));
    }
}
