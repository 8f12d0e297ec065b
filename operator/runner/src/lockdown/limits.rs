//! Limits of each process, inherited by all that it starts.

use crate::kernel::{Limit, Resource};
use crate::request::Request;

/// Processes of the workload's uid that are not the workload: the runner outside, and the init inside.
/// `RLIMIT_NPROC` counts them too (measured in gVisor), and the relay's thread.
const OWN_PROCESSES: u64 = 2;

/// The limits for a request.
#[must_use]
pub fn limits(request: &Request) -> Vec<Limit> {
    let exactly = |resource, value| Limit { resource, soft: value, hard: value };
    let cpu_seconds = request.cpu_time.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX - 1);
    vec![
        exactly(Resource::CoreBytes, 0), // a core file would be memory content on disk
        exactly(Resource::FileDescriptors, request.file_descriptors),
        exactly(
            Resource::Processes,
            request.threads.saturating_add(OWN_PROCESSES + u64::from(request.egress.is_some())),
        ),
        // One second between SIGXCPU and SIGKILL, for a message. One process alone; the init sums the tree.
        Limit { resource: Resource::CpuSeconds, soft: cpu_seconds, hard: cpu_seconds + 1 },
        exactly(Resource::FileBytes, request.disk_bytes),
    ]
}
