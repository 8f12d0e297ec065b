//! What can be granted and required: the same lists on both sides.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amounts::{Duration, Quantity};

/// Permissions. A list that is absent grants nothing, and in an execution's `requires` inherits the capability's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Permissions {
    /// Files, by path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<Filesystem>,
    /// Networks, by name or address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Programs and processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<System>,
    /// Environment variables, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Inter-process communication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipc: Option<Ipc>,
}

/// Files by path. Each pattern means what it matches and all that lies below: `/data` and `/data/**` are that path and
/// all below it, `/data/*` is each entry of it with all below. `*` and `?` match within a segment, `**` is a whole segment
/// and matches any number of them. Paths are absolute; `.` and `..`, empty segments and `[ ] { } \` are refused. At most
/// 32 segments and 4 wildcards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Filesystem {
    /// Paths that may be read; a folder may be listed. `/data` is that path and all below it, and so is `/data/**`;
    /// `/data/*.csv` is each such file, and if there is a folder of such a name, all below it. A context may have any
    /// wildcards. What is required with others than a trailing `/**` is expanded once, before the start, to at most 1,024
    /// paths: so only where files don't change, in the image and in read-only volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 1024)))]
    pub read: Option<Vec<String>>,
    /// May be created, changed, deleted and renamed; reading is `read`. Without a volume there, an empty folder that
    /// lives as long as the execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 1024)))]
    pub write: Option<Vec<String>>,
    /// Programs and shared objects that may be executed, besides the image's library folders.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 1024)))]
    pub execute: Option<Vec<String>>,
    /// Out of reach; wins over all of the above. With wildcards, what is required is expanded once, as in `read`: only in
    /// the image, and not in `Container`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 1024)))]
    pub blocked: Option<Vec<String>>,
}

/// Networks. TCP only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// May be connected to: by name, through the egress proxy, as if it were there, by programs that know nothing of it.
    /// No other name exists for the code, and no other address can be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub outbound: Option<Vec<Outbound>>,
    /// May connect in, in isolations GVisor and Kata: to code that listens at the port, at `0.0.0.0` or `127.0.0.1`. Connect to
    /// the address of its pod. The code sees all of them come from 127.0.0.1. At most 256 at one time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub inbound: Option<Vec<Inbound>>,
    /// Out of reach; wins over `outbound`, also when a granted name resolves to a blocked address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub blocked: Option<Vec<Peer>>,
    /// Concurrent connections out. Absent: not bounded by a context, inherited by an execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub max_connections: Option<i32>,
    /// Headers that the egress proxy adds to requests; the code never sees their values. Of contexts only. The code speaks plain
    /// HTTP to a granted host and port, such as `http://api.example.com:443/v1/items`, and the proxy goes on by TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub credentials: Option<Vec<Credential>>,
}

/// A destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.host) != has(self.cidr)").message("give exactly one of host and cidr"))]
pub struct Outbound {
    /// A name, such as `api.example.com`, or `*.example.com`, which is `example.com` and every name below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
    /// A block of addresses outside the cluster, such as `203.0.113.0/24`. One of IPv6 can be granted, but not required; in
    /// isolation Container none can be required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub cidr: Option<String>,
    /// TCP ports. An execution may require at most 64 different ones of all its destinations.
    #[schemars(length(min = 1, max = 32))]
    pub ports: Vec<Port>,
}

/// A name or a block of addresses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.host) != has(self.cidr)").message("give exactly one of host and cidr"))]
pub struct Peer {
    /// A name, or `*.` and a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
    /// A block of addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub cidr: Option<String>,
}

/// A source of connections in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.cidr) != (has(self.namespaceSelector) || has(self.podSelector))")
    .message("give either cidr, or podSelector and namespaceSelector, not both and not neither"))]
pub struct Inbound {
    /// A block of addresses, outside of the cluster: pods are selected by labels. One of IPv6 can be granted, but not required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub cidr: Option<String>,
    /// Namespaces of the pods; absent: the execution's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Pods; absent: all of those namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// TCP ports of the execution: at most 64 different ones of all its sources, and none that it connects to.
    #[schemars(length(min = 1, max = 32))]
    pub ports: Vec<Port>,
}

/// TCP ports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.endPort) || self.endPort >= self.port").message("endPort must not be below port"))]
pub struct Port {
    /// The port, or the first of a range.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The last of the range. Absent: only `port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub end_port: Option<i32>,
    /// Absent: `TCP`. `UDP` is not enforceable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
}

/// A transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "they explain themselves")]
pub enum Protocol {
    #[serde(rename = "TCP")]
    Tcp,
    #[serde(rename = "UDP")]
    Udp,
}

/// A header that is added for the code, which never sees its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// For requests to this granted name; no wildcard.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// And with a path below this, by whole segments. Absent: all paths. A path that could be read in two ways, such as one with
    /// `..`, gets no header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub path_prefix: Option<String>,
    /// The header, such as `Authorization`. The code's own header of that name is dropped.
    #[schemars(length(min = 1, max = 128))]
    pub header: String,
    /// Its value, all of it, such as `Bearer abc`: a Secret in the namespace of the execution, which the egress proxy is let `get` by
    /// a Role. Whoever writes the context must be able to `get` it, too.
    pub secret_key_ref: KeyRef,
}

/// A key of a Secret or ConfigMap of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its key.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// Programs and processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct System {
    /// Programs that may be executed besides the capability's own command, by path. Each is a file: `/app/fetch` is that
    /// file, `/app/*` each file directly in `/app`, `/app/**` all below it. A path that is a folder ends the execution. In
    /// this release only contexts may have wildcards; what is required names each program, or ends in `/**`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 1024)))]
    pub commands: Option<Vec<String>>,
    /// Whether new processes may be made; threads always may. Absent: `Denied`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_creation: Option<ProcessCreation>,
}

/// Whether new processes may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "they explain themselves")]
pub enum ProcessCreation {
    Allowed,
    Denied,
}

/// Environment variables by name; `*` and `?` are wildcards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Variables that the code may be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 1024)))]
    pub read: Option<Vec<String>>,
    /// Variables that an execution's `env` may set for it. Code can always change its own copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 1024)))]
    pub write: Option<Vec<String>>,
}

/// Inter-process communication.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ipc {
    /// Unix sockets, by path as in `filesystem`. A sandbox lets none of the node's or of other pods' through, so only the
    /// execution's own can be required, in `/tmp`, `/dev/shm` and what only it writes; it may connect to those without.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 1024)))]
    pub connect: Option<Vec<String>>,
}

/// Bounds of each attempt. Nothing is ever unlimited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Memory, such as `512Mi`. More than 1Gi only where the context names as much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// CPU cores at one time, such as `500m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// CPU time of the whole process tree, such as `60s`. More than 5m only where the context names as much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_time: Option<Duration>,
    /// Time from start to end, such as `5m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_time: Option<Duration>,
    /// Space for files that live as long as the execution, `/tmp` included. In GVisor and Kata they lie in memory, and
    /// count as memory too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Quantity>,
    /// Open file descriptors of each process.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 1_048_576))]
    pub file_descriptors: Option<i64>,
    /// Threads and processes, together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32_768))]
    pub threads: Option<i64>,
    /// Bytes per second, each way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_bytes_per_second: Option<Quantity>,
}

/// What code needs to do its work. It gets this and no more, however much its context grants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requires {
    /// Permissions that it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
    /// Limits that it needs. Absent: the capability's, else the context's, else the level's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}
