//! What a probe pod of `ccos doctor --probe` tells: what its runner saw of the node, before any rule holds.

use serde::{Deserialize, Serialize};

/// The first argument of the runner that makes it a probe, and nothing else.
pub const LOOK: &str = "probe";
/// The first argument of the runner that makes it the other end of a probe's canary connection.
pub const LISTEN: &str = "probe-listen";

/// Where the other end listens.
pub const PORT: u16 = 8080;

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seen {
    /// The kernel's release, as uname(2) says.
    pub kernel: String,
    /// Whether the kernel's log, as far as it may be read, is that of gVisor.
    pub gvisor_log: bool,
    /// The ABI of Landlock; absent: there is none.
    pub landlock_abi: Option<u32>,
    /// Why a process without privileges can't make user and mount namespaces; absent: it can.
    pub no_user_namespaces: Option<String>,
    /// Whether user ids are mapped: the pod has a user namespace of its own.
    pub maps_users: bool,
    /// Whether a seccomp filter was there from the start.
    pub filtered: bool,
    /// What came of the canary connection, where one was asked for.
    pub canary: Option<Canary>,
}

/// What came of a canary connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Canary {
    /// The attempt that got through, from 1; absent: none did.
    pub passed: Option<u32>,
    /// How many there were.
    pub attempts: u32,
    /// What the last that did not get through was told.
    pub refused: Option<String>,
}
