//! Namespaces of the workload's own.

use crate::kernel::Call;

/// All that there are but time and cgroup, which hold nothing here: clocks can't be set without a capability of the
/// machine, and no cgroup file system is in the view.
pub const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUTS;

/// setgroups first: an unprivileged process may map its gid only after it can no longer drop groups, since a file may
/// be closed to a group (`user_namespaces(7)`).
pub(super) fn identity(uid: u32, gid: u32) -> [Call; 3] {
    [
        Call::Map { file: "/proc/self/setgroups", text: "deny".to_owned() },
        Call::Map { file: "/proc/self/uid_map", text: format!("{uid} {uid} 1") },
        Call::Map { file: "/proc/self/gid_map", text: format!("{gid} {gid} 1") },
    ]
}

pub(super) fn settle() -> [Call; 3] {
    // The pod's name is the machine's, and the workload needs to know neither.
    [Call::HostName("ccos"), Call::LoopbackUp, Call::PrivateMounts]
}
