//! CapabilityExecution: run this capability, with these inputs, under that context.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::amounts::{Duration, Quantity, any_json};
use crate::json::Json;
use crate::permissions::{KeyRef, Requires};
use crate::security_context::Isolation;

/// Runs one capability once, confined to what it requires. The name is the idempotency key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "security.ccos.dev",
    version = "v1alpha1",
    kind = "CapabilityExecution",
    plural = "capabilityexecutions",
    shortname = "capex",
    category = "ccos",
    namespaced,
    status = "CapabilityExecutionStatus",
    derive = "PartialEq",
    doc = "CapabilityExecution runs a capability once, with exactly the rights that it requires, under a context that grants them.",
    printcolumn(name = "Context", type_ = "string", json_path = ".spec.contextRef.name"),
    printcolumn(name = "Capability", type_ = "string", json_path = ".spec.capabilityRef.id"),
    printcolumn(name = "Isolation", type_ = "string", json_path = ".status.decision.isolation"),
    printcolumn(
        name = "Succeeded",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Succeeded\")].status"
    ),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Succeeded\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Succeeded\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.contextRef) == has(oldSelf.contextRef) && (!has(self.contextRef) || self.contextRef == oldSelf.contextRef) && self.capabilityRef == oldSelf.capabilityRef")
    .message("what was admitted can't be changed, but for desiredState: create a new CapabilityExecution"))]
// On the spec, not on the field: a transition rule isn't run when its field is removed, and removing it would undo a cancel.
#[x_kube(validation = Rule::new("!has(oldSelf.desiredState) || oldSelf.desiredState != 'Cancelled' || (has(self.desiredState) && self.desiredState == 'Cancelled')")
    .message("Cancelled is final: create a new CapabilityExecution"))]
pub struct CapabilityExecutionSpec {
    /// The grant to run under. The requester needs the RBAC verb `use` on it. Absent: the one that the namespace's label
    /// `security.ccos.dev/default-context` names, else the cluster's that `security.ccos.dev/default-cluster-context`
    /// names; it is filled in at admission, and refused where there is neither.
    // Not an Option: what is stored has one, and everything but admission would have to ask for it.
    #[serde(default, skip_serializing_if = "ContextRef::is_absent")]
    pub context_ref: ContextRef,
    /// What to run.
    pub capability_ref: CapabilityRef,
    /// What the code works on: any JSON, at most 256 KiB. Absent: `{}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Json>,
    /// Top-level fields of the inputs whose text comes from Secrets and ConfigMaps of the namespace; `inputs` must be an
    /// object then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub inputs_from: Vec<InputFrom>,
    /// Environment variables. Each name must be in `environment.read` or `environment.write` of what is required.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub env: Vec<EnvVar>,
    /// Narrows what the capability requires, never widens it. A list that is absent is the capability's own, an empty
    /// one is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires: Option<Requires>,
    /// `GVisor`, `Kata`, `Container` or `Wasm`. Absent: the context's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// When to try again. Absent: never. Each attempt has a pod of its own, waits its turn again, and needs the right to
    /// `use` the context again. The code must stand being run more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    /// Deletes it so many seconds after its end. Absent: it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub ttl_seconds_after_finished: Option<i32>,
    /// `Suspended` works before the start only; `Cancelled` is final: what runs is told to stop, and its log,
    /// its usage and what it was refused are kept. Absent: `Running`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired_state: Option<DesiredState>,
}

/// A grant, by kind and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContextRef {
    /// `SecurityContext`, of the same namespace, or `ClusterSecurityContext`.
    pub kind: ContextKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

impl ContextRef {
    /// Whether none was given. No schema lets an empty name through.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.name.is_empty()
    }
}

/// The kinds of grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "they explain themselves")]
pub enum ContextKind {
    #[default]
    SecurityContext,
    ClusterSecurityContext,
}

/// A capability of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CapabilityRef {
    /// `CapabilityProvider`, of the same namespace, or `ClusterCapabilityProvider`.
    pub kind: ProviderKind,
    /// The provider's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The capability's id, such as `weather.fetch`.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
}

/// The kinds of providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "they explain themselves")]
pub enum ProviderKind {
    CapabilityProvider,
    ClusterCapabilityProvider,
}

/// A field of the inputs whose text comes from elsewhere: exactly one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.configMapKeyRef) != has(self.secretKeyRef)")
    .message("give exactly one of configMapKeyRef and secretKeyRef"))]
pub struct InputFrom {
    /// From a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
    /// From a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// The field of the inputs; its value is the text, as a JSON string.
    #[serde(rename = "as")]
    #[schemars(length(min = 1, max = 253))]
    pub field: String,
}

/// An environment variable: exactly one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.value) != has(self.secretKeyRef)").message("give exactly one of value and secretKeyRef"))]
pub struct EnvVar {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32_768))]
    pub value: Option<String>,
    /// A Secret that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
}

/// When to try again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// How often at most. Absent: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9))]
    pub limit: Option<i32>,
    /// After these ends, besides `Evicted`, `PodLost`, `NodeLost` and `RuntimeUnavailable`, which always count:
    /// `NonZeroExit`, `Signaled`, `WallTimeExceeded`, `CPUTimeExceeded`, `MemoryExceeded`, `DiskExceeded`,
    /// `OutputTooLarge`, `InvalidResult`, `ResultTooLarge`, `ImagePullFailed`, `VolumeUnavailable`,
    /// `StartDeadlineExceeded`, `InternalError`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    pub on: Option<Vec<String>>,
}

/// What the user wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "explained at the field")]
pub enum DesiredState {
    Running,
    Suspended,
    Cancelled,
}

/// What the controller observed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CapabilityExecutionStatus {
    /// The generation that the rest speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Admitted`, `Queued`, `Isolated`, `Started`, `Succeeded`, `Finished`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
    /// What was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionStatus>,
    /// What holds which restriction, and that a probe of it was refused before the code started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["field".to_owned()]))]
    pub enforcement: Vec<Enforcement>,
    /// What the code answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<ResultStatus>,
    /// What it used, as measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it tried over the network and was refused, at most 32 kinds; fewer where a long result takes their room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub denials: Vec<Refusal>,
    /// Refusals that found no room among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied_more: Option<i64>,
    /// Each pod, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub attempts: Vec<Attempt>,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionStatus {
    /// What it runs in.
    pub isolation: Isolation,
    /// The context that granted it.
    #[serde(rename = "contextUID")]
    pub context_uid: String,
    /// That context's generation, by which it was decided.
    pub context_generation: i64,
    /// SHA-256 of the decision by which it runs.
    pub digest: String,
}

/// A restriction and what holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Enforcement {
    /// The field that is held.
    pub field: String,
    /// By what.
    pub mechanism: String,
    /// `True` where the runner's probe was refused before the code started.
    pub proven: String,
}

/// What the code answered: exactly one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResultStatus {
    /// The result itself, up to 2 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_json")]
    pub inline: Option<Value>,
    /// An immutable ConfigMap with a larger one, of up to 1 MiB, in its entry `result.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ConfigMapRef>,
    /// SHA-256 of that text, in lower-case hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A ConfigMap of the execution's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigMapRef {
    /// Its name.
    pub name: String,
}

/// What an attempt used, as measured. What could not be measured is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// CPU time of the whole process tree: never less than there was; in a sandbox, up to the share of two periods (200 ms)
    /// more, and what its threads waited for a busy node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_time: Option<Duration>,
    /// The most memory that counted against the limit, with the sandbox's own; where neither the sandbox nor a cgroup tells,
    /// the largest resident memory of one process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<Quantity>,
    /// From start to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_time: Option<Duration>,
    /// Scratch space in use at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_written: Option<Quantity>,
    /// Sent over all connections. Absent where it may connect to nothing, and nobody to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_sent: Option<Quantity>,
    /// Received over all connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_received: Option<Quantity>,
    /// Connections out that were established.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<i64>,
    /// Connections of others to it that were carried. Absent where there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_in: Option<i64>,
}

/// Something that the code tried and was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The kind, by the reason that a denial at admission would have had.
    pub kind: String,
    /// Of what and why, such as `db.example.com:5432: not-granted`; escaped and cut at 256 characters.
    pub target: String,
    /// How often.
    pub count: i64,
    /// When first.
    pub first_seen: Time,
}

/// One pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its name.
    pub pod_name: String,
    /// Why it ended; absent: it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The code's exit status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// When its container started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}
