//! ExecutionPolicy: what nobody may run, whatever is granted.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A text in Cedar that forbids executions which their contexts grant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "security.ccos.dev",
    version = "v1alpha1",
    kind = "ExecutionPolicy",
    plural = "executionpolicies",
    shortname = "expol",
    category = "ccos",
    status = "ExecutionPolicyStatus",
    derive = "PartialEq",
    doc = "ExecutionPolicy forbids executions that are otherwise granted, by policies in the Cedar language, in every namespace.",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Policies", type_ = "integer", json_path = ".status.policies"),
    printcolumn(name = "Valid", type_ = "string", json_path = ".status.conditions[?(@.type==\"Valid\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionPolicySpec {
    /// What is done about an execution that a policy forbids. `Enforce`: it is denied, with the reason `PolicyDenied`.
    /// `Warn`: it passes, and whoever creates it is told. `Audit`: it passes, and it is written down.
    pub mode: Mode,
    /// Policies in the Cedar language, such as `@id("signed") @advice("sign the image") forbid(principal, action, resource)
    /// unless { resource.signature == Signature::"Verified" };`. Each is a `forbid`: what a context grants is permitted.
    /// They are held to the schema that `ccos policy-schema` prints. At most 65536 bytes, and 262144 of all
    /// ExecutionPolicies together.
    #[schemars(length(min = 1, max = 65_536))]
    pub cedar: String,
}

/// What is done about an execution that a policy forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// It is denied.
    Enforce,
    /// It passes, with a warning.
    Warn,
    /// It passes, and it is written down.
    Audit,
}

/// What the controller observed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionPolicyStatus {
    /// The generation of the spec that this was observed of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many policies the text has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policies: Option<i64>,
    /// `Valid`: `True` with the reason `Valid` when the text can be held; `False` with the reason `Invalid` when this
    /// release can't understand it: then nothing runs while its mode is `Enforce`, and the message says what to correct.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
}
