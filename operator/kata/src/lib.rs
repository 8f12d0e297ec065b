//! Kata's `configuration.toml`, and what an execution may rely on with it. Files come in as text and findings go out as
//! values: nothing here reads a node.
//!
//! A node's runtime ignores in silence much of what its administrator wrote: keys of the other runtime, annotations that are
//! not enabled, rate limits that nobody reads, a policy whose disk the guest has no driver for. So each finding says what
//! follows from a setting, and whether that was seen on a running Kata or read in its sources.

mod annotations;
mod findings;
pub mod model;
mod read;
mod sizing;

pub use annotations::{PREFIX, admitted};
pub use findings::{Basis, Finding, Verdict, findings};
pub use read::{DROP_INS_LIMIT, FILE_LIMIT, Kata, ReadError, Shim, Source, read};
pub use sizing::{Overhead, overhead};

/// Whether a process without privileges can make user namespaces in a guest, under the seccomp profile that executions
/// have (`RuntimeDefault`): what their view of files needs.
#[must_use]
pub fn user_namespaces(kata: &Kata) -> bool {
    kata.configuration.runtime.disable_guest_seccomp == Some(true)
}
