//! Memory, CPU, storage and rates.

use super::{At, Report};
use crate::findings::Basis::{Documented, Measured};
use crate::findings::Verdict::{Holds, Refused, Weak};
use crate::model::Number;
use crate::read::Shim;
use crate::sizing::GUEST_MIB;

/// Whose cgroup counts the machine.
pub(super) fn cgroup(report: &mut Report<'_>) {
    let at = At::Runtime("sandbox_cgroup_only");
    if report.kata.configuration.runtime.sandbox_cgroup_only == Some(true) {
        let why =
            "hypervisor, file server and shim are in the pod's cgroup, so that its limits and its usage are theirs";
        report.add(at, (Holds, Measured), why, "");
    } else {
        report.add(
            at,
            (Refused, Measured),
            "the hypervisor and its helpers leave the pod's cgroup for /kata_overhead: memory and CPU of the virtual machine are neither bounded nor counted",
            "set it to true",
        );
    }
}

/// How large the machine is.
pub(super) fn size(report: &mut Report<'_>) {
    let hypervisor = report.kata.hypervisor.clone();
    let at = At::Runtime("static_sandbox_resource_mgmt");
    let vcpus = hypervisor.default_vcpus.unwrap_or(Number::Integer(1));
    if report.kata.configuration.runtime.static_sandbox_resource_mgmt == Some(true) {
        let extra = hypervisor.overhead_memory.unwrap_or(0);
        let why = format!(
            "the virtual machine has the pod's limits and {extra} MiB, for its whole life; no annotation is needed for that"
        );
        report.add(at, (Holds, Measured), why, "");
        if report.kata.shim == Shim::RuntimeRs && u64::from(extra) < GUEST_MIB {
            let why = format!(
                "the guest's kernel and agent need about {GUEST_MIB} MiB: with {extra} MiB they take the rest out of limits.memory, and an execution that uses all of it ends as MemoryExceeded before it has"
            );
            report.add(
                At::Hypervisor("overhead_memory"),
                (Weak, Measured),
                why,
                "set it to 128 or more, and overhead.podFixed of the RuntimeClass accordingly",
            );
        }
    } else {
        let memory = hypervisor.default_memory.map_or_else(|| "its default".to_owned(), |mib| format!("{mib} MiB"));
        let why = format!(
            "a virtual machine begins with {vcpus} CPUs and {memory}, and is given the pod's limits on top by hotplug, which was not tried here"
        );
        report.add(at, (Weak, Documented), why, "set it to true");
        let unbounded = [
            ("default_maxvcpus", hypervisor.default_maxvcpus.map(u64::from)),
            ("default_maxmemory", hypervisor.default_maxmemory),
        ];
        for (key, most) in unbounded {
            if most.unwrap_or(0) == 0 {
                let why = "a virtual machine can grow to all that the node has; the pod's cgroup alone bounds it";
                report.add(At::Hypervisor(key), (Weak, Documented), why, "give a number");
            }
        }
    }
}

/// Where emptyDirs are.
pub(super) fn empty_dirs(report: &mut Report<'_>) {
    let mode = report.kata.configuration.runtime.emptydir_mode.clone().unwrap_or_default();
    let at = At::Runtime("emptydir_mode");
    if matches!(mode.as_str(), "" | "shared-fs") {
        let why = "limits.disk holds, since the runner mounts it with a size. Of an emptyDir of medium Memory the guest ignores sizeLimit: an execution that needs to write to one is refused at admission";
        report.add(at, (Holds, Measured), why, "");
    } else {
        let why = format!(
            "emptyDirs are {mode}, which was not tried: whether the kubelet sees what is written there, and evicts, is not known"
        );
        report.add(at, (Weak, Documented), why, "set it to \"shared-fs\", or use no emptyDir in contexts");
    }
}

/// Rates that are set and perhaps not kept.
pub(super) fn rates(report: &mut Report<'_>) {
    let hypervisor = report.kata.hypervisor.clone();
    let is_qemu = report.kata.hypervisor_name == "qemu";
    let is_go_clh = report.kata.hypervisor_name == "clh" && report.kata.shim == Shim::Go;
    let positive = |rate: Option<i64>| rate.is_some_and(|rate| rate > 0);
    if report.kata.shim == Shim::RuntimeRs {
        for (key, rate) in [
            ("rx_rate_limiter_max_rate", hypervisor.rx_rate_limiter_max_rate),
            ("tx_rate_limiter_max_rate", hypervisor.tx_rate_limiter_max_rate),
        ] {
            if rate.unwrap_or(0) > 0 {
                let why = "runtime-rs parses this rate and applies it nowhere";
                report.add(
                    At::Hypervisor(key),
                    (Weak, Documented),
                    why,
                    "shape the pod's interface on the node, or grant hosts: the proxy keeps networkBytesPerSecond",
                );
            }
        }
    }
    for (key, rate) in [
        ("disk_rate_limiter_bw_max_rate", hypervisor.disk_rate_limiter_bw_max_rate),
        ("disk_rate_limiter_ops_max_rate", hypervisor.disk_rate_limiter_ops_max_rate),
    ] {
        if positive(rate) && is_qemu {
            let why = "neither runtime applies rates of disks with QEMU";
            report.add(At::Hypervisor(key), (Weak, Documented), why, "rely on no rate of disks here");
        }
    }
    for (key, rate) in [
        ("net_rate_limiter_bw_max_rate", hypervisor.net_rate_limiter_bw_max_rate),
        ("net_rate_limiter_ops_max_rate", hypervisor.net_rate_limiter_ops_max_rate),
    ] {
        if positive(rate) && !is_go_clh {
            let why = "only the Go runtime with Cloud Hypervisor applies this rate";
            report.add(At::Hypervisor(key), (Weak, Documented), why, "shape the pod's interface on the node");
        }
    }
}
