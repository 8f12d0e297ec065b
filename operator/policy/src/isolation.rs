//! The isolations, and what the cluster's can hold.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What separates an execution from its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Isolation {
    /// A kernel in user space.
    GVisor,
    /// A virtual machine: the seed's `MicroVM`.
    Kata,
    /// A container of the node's kernel.
    Container,
    /// WebAssembly in the runner.
    Wasm,
}

/// What the cluster's isolations can do: from Helm values, so that the CLI decides the same offline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Isolations(pub BTreeMap<Isolation, IsolationProfile>);

/// One isolation of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IsolationProfile {
    /// The name of its `RuntimeClass`; absent: the node's default runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class: Option<String>,
    /// Whether a process without privileges may make user and mount namespaces in it: what the view needs.
    pub user_namespaces: bool,
    /// Whether what runs in it reaches destinations by name, through the cluster's egress proxy. Absent: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub egress: bool,
    /// The ABI of Landlock that every node has at least (`landlock_create_ruleset(2)`); absent: none that can be relied
    /// on. What holds file rules in Container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landlock_abi: Option<u32>,
    /// Whether its pods can have user namespaces of their own (`hostUsers: false`): what bounds threads in Container, where
    /// the kernel counts them by user.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pod_user_namespaces: bool,
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GVisor => "GVisor",
            Self::Kata => "Kata",
            Self::Container => "Container",
            Self::Wasm => "Wasm",
        })
    }
}
