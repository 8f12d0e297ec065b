//! SecurityContext and ClusterSecurityContext: what a platform team grants.

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource, SecretVolumeSource,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amounts::{Duration, Quantity};
use crate::permissions::{Limits, Permissions};

/// A grant. Whoever has the RBAC verb `use` on it may run executions under it, each with what it requires and no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "security.ccos.dev",
    version = "v1alpha1",
    kind = "SecurityContext",
    plural = "securitycontexts",
    shortname = "secctx",
    category = "ccos",
    namespaced,
    status = "SecurityContextStatus",
    derive = "PartialEq",
    doc = "SecurityContext grants rights to executions of its namespace: files, networks, commands, environment, IPC and limits.",
    printcolumn(name = "Level", type_ = "string", json_path = ".spec.level"),
    printcolumn(name = "Isolation", type_ = "string", json_path = ".spec.isolation.default"),
    printcolumn(name = "Memory", type_ = "string", json_path = ".spec.limits.memory"),
    printcolumn(name = "Capacity", type_ = "integer", json_path = ".spec.capacity.executions"),
    printcolumn(name = "Running", type_ = "integer", json_path = ".status.inUse.running"),
    printcolumn(name = "Valid", type_ = "string", json_path = ".status.conditions[?(@.type==\"Valid\")].status"),
    printcolumn(name = "Expires", type_ = "string", format = "date-time", json_path = ".status.expiresAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.level != 'Pure' || !has(self.permissions)")
    .message("level Pure grants nothing: remove permissions, or use level Controlled"))]
#[x_kube(validation = Rule::new("self.level != 'Sandboxed' || !has(self.audit) || self.audit.level == 'Comprehensive'")
    .message("level Sandboxed is audited in full: write Comprehensive, or remove audit"))]
#[x_kube(validation = Rule::new("self.level != 'Sandboxed' || !has(self.isolation) || !has(self.isolation.allowed) || !('Container' in self.isolation.allowed)")
    .message("level Sandboxed allows GVisor, Kata and Wasm only: remove Container from isolation.allowed, or use level Controlled"))]
pub struct SecurityContextSpec {
    /// `Pure`: inputs in, output out, and nothing else. `Controlled`: exactly what is listed; lives 1 h unless `expiry`
    /// says otherwise. `Sandboxed`: for untrusted code: exactly what is listed, in GVisor, Kata or Wasm, under strict
    /// limits; lives 10 min. `Full`: all that is not blocked; needs the RBAC verb `escalate` on securitycontexts.
    pub level: Level,
    /// What is granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
    /// Bounds of each attempt of each execution. Absent ones are the level's. Memory, CPU, CPU time, wall time, disk,
    /// descriptors, threads: `Pure` 128Mi, 500m, 10s, 30s, 16Mi, 64, 16; `Controlled` 256Mi, 500m, 1m, 5m, 64Mi, 256, 64;
    /// `Sandboxed` 128Mi, 500m, 30s, 1m, 32Mi, 128, 32; `Full` 1Gi, 1, 5m, 1h, 256Mi, 1024, 256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Bounds of all executions at one time. What does not fit waits its turn. Absent: 16 executions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// Which isolations may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<IsolationRule>,
    /// Volumes that executions may see, at the paths that they require.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub volumes: Vec<Volume>,
    /// How much is written to the audit trail. Absent: `Standard`, and `Comprehensive` for level `Sandboxed`, which has no
    /// other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// When the grant ends. Absent: the level's, shown in `status.expiresAt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Expiry>,
}

// A newtype, since a kind needs a spec of its own; the wire is that of `SecurityContextSpec`.
/// The same as a `SecurityContext`'s spec; what it names is of the execution's namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "security.ccos.dev",
    version = "v1alpha1",
    kind = "ClusterSecurityContext",
    plural = "clustersecuritycontexts",
    shortname = "csecctx",
    category = "ccos",
    status = "SecurityContextStatus",
    derive = "PartialEq",
    doc = "ClusterSecurityContext is a SecurityContext that can be used from any namespace.",
    printcolumn(name = "Level", type_ = "string", json_path = ".spec.level"),
    printcolumn(name = "Isolation", type_ = "string", json_path = ".spec.isolation.default"),
    printcolumn(name = "Memory", type_ = "string", json_path = ".spec.limits.memory"),
    printcolumn(name = "Capacity", type_ = "integer", json_path = ".spec.capacity.executions"),
    printcolumn(name = "Running", type_ = "integer", json_path = ".status.inUse.running"),
    printcolumn(name = "Valid", type_ = "string", json_path = ".status.conditions[?(@.type==\"Valid\")].status"),
    printcolumn(name = "Expires", type_ = "string", format = "date-time", json_path = ".status.expiresAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(transparent)]
pub struct ClusterSecurityContextSpec(pub SecurityContextSpec);

/// How much trust the author puts into the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "explained at the field")]
pub enum Level {
    Pure,
    Controlled,
    Full,
    Sandboxed,
}

/// Bounds of all executions of the context at one time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// How many. Absent: 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub executions: Option<i32>,
    /// Their memory, the runner's and the runtime's overhead included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Their CPU, overhead included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
}

/// What separates an execution from its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "explained at the fields")]
pub enum Isolation {
    GVisor,
    Kata,
    Container,
    Wasm,
}

/// Which isolations may be used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.allowed) || !has(self.default) || self.default in self.allowed")
    .message("default must be one of allowed"))]
pub struct IsolationRule {
    /// `GVisor`: a kernel in user space. `Kata`: a virtual machine. `Container`: the node's kernel, held by Landlock. `Wasm`: WebAssembly.
    /// Absent: all that the level allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    pub allowed: Option<Vec<Isolation>>,
    /// Of executions that name none. Absent: `GVisor`, so name one where `allowed` leaves that out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Isolation>,
}

/// A volume, of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.persistentVolumeClaim) ? 1 : 0) + (has(self.configMap) ? 1 : 0) + (has(self.secret) ? 1 : 0) + (has(self.emptyDir) ? 1 : 0) == 1")
    .message("give exactly one of persistentVolumeClaim, configMap, secret and emptyDir"))]
pub struct Volume {
    /// Its name within the context.
    #[schemars(length(min = 1, max = 48), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Where executions see it, if they require paths there. An absolute path without wildcards of at most 8 segments, of no
    /// other volume, and not the runner's own: not `/`, `/tmp`, `/proc`, `/dev` or below those two. In `Container` without
    /// symbolic links of the image.
    #[schemars(length(min = 2, max = 1024))]
    pub mount_path: String,
    /// A claim of the execution's namespace. A claim has one place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
    /// A ConfigMap of the execution's namespace; can't be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// A Secret of the execution's namespace; can't be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolumeSource>,
    /// An empty folder, shared by nobody, that lives as long as the attempt. It needs the medium `Memory` and a
    /// `sizeLimit`; all of them together have at most `limits.disk`, and what is in them counts as memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirVolumeSource>,
}

/// How much is written to the audit trail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// `Minimal`: who registered, asked for, was granted or denied what, and how it ended. `Standard`: what was required,
    /// and what stopped it, too. `Comprehensive`: inputs by digest, names of variables, groups, usage and waiting, too.
    pub level: AuditLevel,
}

/// How much is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "explained at the field")]
pub enum AuditLevel {
    Minimal,
    Standard,
    Comprehensive,
}

/// When the grant ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.after) == (self.type == 'After')").message("give after with type After, and only there"))]
#[x_kube(validation = Rule::new("has(self.at) == (self.type == 'At')").message("give at with type At, and only there"))]
pub struct Expiry {
    /// `After`: so long after the context was created. `At`: at that moment. `Never`.
    #[serde(rename = "type")]
    pub kind: ExpiryKind,
    /// With type `After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Duration>,
    /// With type `At`, such as `2030-01-31T12:00:00Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// What happens to what still runs then: `Stop` ends it, `Drain` lets it finish. Absent: `Stop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_expiry: Option<OnExpiry>,
}

/// How the end is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "explained at the field")]
pub enum ExpiryKind {
    After,
    At,
    Never,
}

/// What happens to what still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "explained at the field")]
pub enum OnExpiry {
    Stop,
    Drain,
}

/// What the controller observed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecurityContextStatus {
    /// The generation that the rest speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the grant ends; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// What its executions hold now. At most two seconds old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_use: Option<InUse>,
    /// Those that run now, the first that started first; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub running: Vec<RunningExecution>,
    /// `Valid`, `WithinCeiling`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
}

/// What the executions of a context hold of its capacity, the runner's and the runtime's overhead included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InUse {
    /// How many have a pod.
    pub running: i32,
    /// How many wait for their turn.
    pub waiting: i32,
    /// Memory of those that have a pod.
    pub memory: Quantity,
    /// CPU of those that have a pod.
    pub cpu: Quantity,
}

/// An execution that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunningExecution {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}
