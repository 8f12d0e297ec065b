//! How large a pod's virtual machine becomes, and what its RuntimeClass must add to the pod for it.

use crate::model::Hypervisor;
use crate::read::Kata;

/// What QEMU, virtiofsd and the shim hold on the node beside the guest's memory, in MiB: 65 MB were measured (4.0.0, under
/// emulation).
const VMM_MIB: u64 = 64;

/// What the guest's kernel and agent hold of the machine's memory, in MiB: about that much was measured.
pub(crate) const GUEST_MIB: u64 = 100;

/// What `overhead.podFixed` of the RuntimeClass should have. With less, the pod's cgroup is smaller than its virtual machine,
/// and the node's out-of-memory killer ends the machine; the kubelet then says only that it can't connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overhead {
    /// Below this, pods that use their memory don't live, in MiB.
    pub least_memory_mib: u64,
    /// What to write, in MiB: kata-deploy's own where that is more.
    pub memory_mib: u64,
    /// What to write, in millicores: kata-deploy's own, or `overhead_vcpus` where that is more.
    pub cpu_millis: u64,
}

/// The overhead for a configuration.
#[must_use]
pub fn overhead(kata: &Kata) -> Overhead {
    let hypervisor = &kata.hypervisor;
    let (memory, cpu) = shipped(&kata.hypervisor_name, hypervisor);
    let inside = match kata.configuration.runtime.static_sandbox_resource_mgmt {
        // The machine has the pod's limits and this: it can't hold more.
        Some(true) => u64::from(hypervisor.overhead_memory.unwrap_or(0)),
        // It begins with default_memory and is given the limits on top. What it holds besides them is kernel and agent.
        Some(false) | None => GUEST_MIB,
    };
    let least = inside.saturating_add(VMM_MIB);
    let vcpus = hypervisor.overhead_vcpus.map_or(0, crate::model::Number::millis);
    Overhead { least_memory_mib: least, memory_mib: memory.max(least), cpu_millis: cpu.max(vcpus) }
}

/// `overhead.podFixed` of kata-deploy 4.1.0, in MiB and millicores. It goes by the name of the shim, which the file does not
/// have: where two fit, this is the greater one.
fn shipped(name: &str, hypervisor: &Hypervisor) -> (u64, u64) {
    let gpu = hypervisor.cold_plug_vfio.as_deref() == Some("root-port");
    match (name, hypervisor.confidential_guest) {
        ("qemu", _) if gpu => (10_240, 1000),
        ("qemu", Some(true)) => (2048, 1000),
        ("qemu", _) => (320, 250),
        ("remote", _) => (120, 250),
        _ => (130, 250),
    }
}
