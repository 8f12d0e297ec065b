//! What may connect to the workload, as the runner reads it. A NetworkPolicy holds all of it but what is blocked among pods;
//! the runner holds ports and addresses once more.

use serde::{Deserialize, Serialize};

use crate::egress::Ports;

/// Connections in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inbound {
    /// From where, and to which ports.
    pub sources: Vec<Source>,
    /// Blocks of addresses that may not, whatever else names them.
    pub blocked: Vec<String>,
}

/// A source, and the ports of the workload that it may connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// A block of addresses; absent: pods, by labels that the runner does not see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// TCP ports; none: none.
    pub ports: Vec<Ports>,
}
