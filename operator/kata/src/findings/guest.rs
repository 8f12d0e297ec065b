//! Inside the guest.

use super::{At, Report, is_set};
use crate::findings::Basis::{Documented, Measured};
use crate::findings::Verdict::{Holds, Refused, Weak};
use crate::user_namespaces as can_make_user_namespaces;

/// The view of files needs user namespaces, which `RuntimeDefault` takes.
pub(super) fn user_namespaces(report: &mut Report<'_>) {
    let at = At::Runtime("disable_guest_seccomp");
    if can_make_user_namespaces(report.kata) {
        report.add(
            at,
            (Holds, Measured),
            "file rules hold: processes in the guest can make user namespaces. A pod's own seccomp profile is not applied there; executions don't rely on it, the runner installs its own filter",
            "",
        );
    } else {
        report.add(
            at,
            (Refused, Measured),
            "file rules can't be held: the guest applies RuntimeDefault, under which processes can't make user namespaces",
            "set it to true on nodes for executions, or isolations.Kata.userNamespaces to false, with which admission refuses them",
        );
    }
}

/// Ways in for who is on the node.
pub(super) fn debugging(report: &mut Report<'_>) {
    let agent = report.kata.agent().map(|(_, agent)| agent.clone()).unwrap_or_default();
    let hypervisor = report.kata.hypervisor.clone();
    let runtime = report.kata.configuration.runtime.clone();
    if agent.debug_console_enabled == Some(true) {
        let why = "a root shell in each guest, for whoever may speak to its vsock on the node";
        report.add(At::Agent("debug_console_enabled"), (Weak, Documented), why, "set it to false");
    }
    let console = |word: &str| word == "agent.debug_console" || word.starts_with("agent.debug_console_vport=");
    if hypervisor.kernel_params.as_deref().unwrap_or_default().split_whitespace().any(console) {
        let why = "the guest's kernel is told to open a root shell, for whoever may speak to its vsock on the node";
        report.add(At::Hypervisor("kernel_params"), (Weak, Documented), why, "take agent.debug_console out");
    }
    let logs = "logs of the guest and of requests go to the node's journal, with what processes are called with";
    for (on, at, why) in [
        (hypervisor.enable_debug, At::Hypervisor("enable_debug"), logs),
        (agent.enable_debug, At::Agent("enable_debug"), logs),
        (runtime.enable_debug, At::Runtime("enable_debug"), logs),
        (runtime.enable_pprof, At::Runtime("enable_pprof"), "the shim serves its profile on a socket of the node"),
        (
            runtime.enable_tracing,
            At::Runtime("enable_tracing"),
            "what happens in pods is sent to a collector of traces",
        ),
        (agent.enable_tracing, At::Agent("enable_tracing"), "what happens in guests is sent to a collector of traces"),
    ] {
        if on == Some(true) {
            report.add(at, (Weak, Documented), why, "set it to false");
        }
    }
    if is_set(hypervisor.extra_monitor_socket.as_ref()) {
        let why = "a second control socket for each virtual machine, with all rights over it";
        report.add(At::Hypervisor("extra_monitor_socket"), (Weak, Documented), why, "leave it empty");
    }
    if is_set(hypervisor.guest_memory_dump_path.as_ref()) {
        let why = "the memory of a guest that panics, with all that is in it, is written to the node";
        report.add(At::Hypervisor("guest_memory_dump_path"), (Weak, Documented), why, "leave it empty");
    }
}

/// Programs and folders that every container gets.
pub(super) fn hooks(report: &mut Report<'_>) {
    let runtime = report.kata.configuration.runtime.clone();
    if is_set(report.kata.hypervisor.guest_hook_path.as_ref()) {
        let why = "programs of the guest's image run for each container, outside what the runner confines";
        report.add(At::Hypervisor("guest_hook_path"), (Weak, Documented), why, "leave it empty");
    }
    let mounts = runtime.sandbox_bind_mounts.unwrap_or_default();
    if !mounts.is_empty() {
        let why = "these folders of the node are in each guest: out of an execution's sight, but not out of reach of code that escapes into the guest";
        report.add(At::Runtime("sandbox_bind_mounts"), (Weak, Documented), why, "leave it empty");
    }
    if !runtime.experimental.unwrap_or_default().is_empty() {
        let why = "features that upstream calls experimental, which nobody has looked at here";
        report.add(At::Runtime("experimental"), (Weak, Documented), why, "leave it empty");
    }
}
