//! What can be granted and required. The wire's lists, parsed.

use std::fmt;

use serde::Serialize;

use crate::pattern::{Cidr, HostPattern, List, NamePattern, PathPattern, PortRange, Selectors};

/// What a context grants, or what an execution requires once inheritance is resolved. An empty list is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Permissions {
    /// Files.
    pub filesystem: Filesystem,
    /// Networks.
    pub network: Network,
    /// Programs and processes.
    pub system: System,
    /// Environment variables.
    pub environment: Environment,
    /// Inter-process communication.
    pub ipc: Ipc,
}

/// Files by path: each pattern means what it matches and all below it ([`Reach::Below`](crate::Reach::Below)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Filesystem {
    /// Reading; of a folder: listing it.
    pub read: List<PathPattern>,
    /// Creating, changing, deleting and renaming; not reading.
    pub write: List<PathPattern>,
    /// Programs and shared objects outside the baseline.
    pub execute: List<PathPattern>,
    /// Wins over all of the above, and over commands and sockets, with all that lies below its matches.
    pub blocked: List<PathPattern>,
}

/// Networks by name and by address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Connections out.
    pub outbound: List<Outbound>,
    /// Connections in.
    pub inbound: List<Inbound>,
    /// Wins over `outbound`, and blocks of addresses over `inbound`, too.
    pub blocked: List<Peer>,
    /// Concurrent connections; `None` is absent. A bound, not a list: granted when not above the context's.
    pub max_connections: Option<u32>,
}

/// A destination with its TCP ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outbound {
    /// Where to.
    pub peer: Peer,
    /// Which ports; never empty.
    pub ports: Vec<PortRange>,
}

/// A name or a block of addresses: two separate languages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Peer {
    /// By name.
    Host(HostPattern),
    /// By address.
    Cidr(Cidr),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
            Self::Cidr(cidr) => cidr.fmt(f),
        }
    }
}

impl fmt::Display for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.peer, Ports(&self.ports))
    }
}

/// `port 443` or `ports 80, 8000-8080`.
struct Ports<'a>(&'a [PortRange]);

impl fmt::Display for Ports<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        let single = matches!(self.0, [range] if range.first() == range.last());
        write!(f, "{} {}", if single { "port" } else { "ports" }, ports.join(", "))
    }
}

/// Who may connect in, and to which TCP ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inbound {
    /// From a block of addresses, or from pods by selectors.
    pub from: InboundPeer,
    /// To which ports of the execution; never empty.
    pub ports: Vec<PortRange>,
}

/// The source of a connection in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum InboundPeer {
    /// By address.
    Cidr(Cidr),
    /// By the labels of pods and of their namespaces.
    Selectors(Selectors),
}

impl fmt::Display for InboundPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cidr(cidr) => cidr.fmt(f),
            Self::Selectors(selectors) => selectors.fmt(f),
        }
    }
}

impl fmt::Display for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.from, Ports(&self.ports))
    }
}

/// Programs and processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct System {
    /// What execve accepts besides the capability's own command: files, so that a pattern without a trailing `/**` means
    /// its matches and nothing below them ([`Reach::Itself`](crate::Reach::Itself)).
    pub commands: List<PathPattern>,
    /// Whether new processes may be made.
    pub process_creation: ProcessCreation,
}

/// Whether new processes may be made. Threads always may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum ProcessCreation {
    /// No.
    #[default]
    Denied,
    /// Yes.
    Allowed,
}

/// Environment variables by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Those that the code may be given.
    pub read: List<NamePattern>,
    /// Those that may be set for it.
    pub write: List<NamePattern>,
}

/// Inter-process communication.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ipc {
    /// Unix sockets by path.
    pub connect: List<PathPattern>,
}

/// Required permissions before inheritance: a list that is `None` is absent and inherits, an empty one is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the one of the same name in Permissions")]
pub struct RequiredPermissions {
    pub read: Option<List<PathPattern>>,
    pub write: Option<List<PathPattern>>,
    pub execute: Option<List<PathPattern>>,
    pub blocked: Option<List<PathPattern>>,
    pub outbound: Option<List<Outbound>>,
    pub inbound: Option<List<Inbound>>,
    pub network_blocked: Option<List<Peer>>,
    pub max_connections: Option<u32>,
    pub commands: Option<List<PathPattern>>,
    pub process_creation: Option<ProcessCreation>,
    pub environment_read: Option<List<NamePattern>>,
    pub environment_write: Option<List<NamePattern>>,
    pub ipc_connect: Option<List<PathPattern>>,
}
