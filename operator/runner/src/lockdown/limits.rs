//! Limits of each process, inherited by all that it starts.

use std::time::Duration;

use crate::kernel::{Limit, Resource};
use crate::request::Request;

/// Processes of the workload's uid that are not the workload: the runner outside, and the init inside.
/// `RLIMIT_NPROC` counts them too (measured in gVisor), and the relay's thread.
const OWN_PROCESSES: u64 = 2;

/// The limits for a request.
#[must_use]
pub fn limits(request: &Request) -> Vec<Limit> {
    let exactly = |resource, value| Limit { resource, soft: value, hard: value };
    let cpu_seconds = backstop(request.cpu_time);
    vec![
        exactly(Resource::CoreBytes, 0), // a core file would be memory content on disk
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

/// In seconds, more than `cpu_time`: it is the init's sum that holds the limit, for the whole tree and exactly. This one holds
/// where that sum can't be read in time. It counts one process, in whole seconds, and Linux compares it with a time that is sampled
/// at ticks: under a CPU quota it was seen to strike at 0.89 s of 1 s.
fn backstop(cpu_time: Duration) -> u64 {
    let seconds = cpu_time.as_secs().saturating_add(1);
    seconds.saturating_add(seconds / 8).saturating_add(1)
}
