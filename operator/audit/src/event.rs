//! What a line tells. Names, reasons and digests: never an input, a result, or the value of a variable.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::line::Head;

/// How many of what a user can make many of are listed in a line; a count says how many more there were.
pub const LISTED: usize = 64;

/// How much is written of what happens under a context. Each level has all of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Registrations, decisions, starts and ends: who, what, which reasons.
    Minimal,
    /// Also what was required and granted, and what is about to be stopped.
    Standard,
    /// Also digests of inputs, names of variables, groups, usage, and what is waited for.
    Comprehensive,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Event {
    /// A process began its chain.
    Open(Open),
    /// A context, a provider or a policy was written, or was refused.
    Registration(Registration),
    /// An execution was admitted or denied, or a change of one was.
    Decision(Box<Decision>),
    /// What is wanted of an admitted execution changed.
    Change(Change),
    /// An attempt is about to have a pod: what has no such line never had one.
    Start(Start),
    /// What runs is about to be stopped.
    Stop(Stop),
    /// An attempt is over, and there will be another.
    Retry(Retry),
    /// An execution is over.
    End(End),
    /// An execution waits.
    Wait(Wait),
    /// The process ended its chain in order.
    Close(Close),
}

/// The first line of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Open {
    /// The pod.
    pub instance: String,
    /// The program's version.
    pub version: String,
    /// Chains that lay on the volume, each as long as it was then at least. So a chain that is taken away is missed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Head>,
}

/// The last line of a chain whose process ended in order. A chain without it is still written, or its process died.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {}

/// Who asked for it, as the API server knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requester {
    /// Their name.
    pub user: String,
    /// Their UID, where the authenticator has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Their groups, from level `Comprehensive` on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// An object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// Its kind.
    pub kind: String,
    /// Its namespace; absent for one of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name, or the start of one that is still to be made up.
    pub name: String,
    /// Its UID, where it has one already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// What the webhook said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they explain themselves")]
pub enum Outcome {
    Admitted,
    Denied,
}

/// One reason why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// For machines.
    pub reason: String,
    /// The field to blame; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What it required, from level `Standard` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<String>,
}

/// A context or a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// Which.
    pub object: Object,
    /// `CREATE` or `UPDATE`.
    pub operation: String,
    /// Whether it was let in.
    pub outcome: Outcome,
    /// By whom it was written.
    pub requester: Requester,
    /// Digest of its spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_digest: Option<String>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Further causes that are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub causes_more: u64,
}

/// What an execution refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct References {
    /// Kind of its context.
    pub context_kind: String,
    /// Name of its context.
    pub context: String,
    /// Kind of its provider.
    pub provider_kind: String,
    /// Name of its provider.
    pub provider: String,
    /// Id of its capability.
    pub capability: String,
}

/// What the receipt of an admitted execution says; see there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "explained at the receipt")]
pub struct Receipt {
    pub nonce: String,
    pub admitted_at: Timestamp,
    #[serde(rename = "contextUID")]
    pub context_uid: String,
    pub context_generation: i64,
    pub volumes_digest: String,
    #[serde(rename = "providerUID")]
    pub provider_uid: String,
    pub provider_generation: i64,
    pub source_digest: String,
    pub capability_digest: String,
    pub spec_digest: String,
    pub decision_digest: String,
}

/// A decision of the webhook on an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Which execution.
    pub object: Object,
    /// `CREATE` or `UPDATE`.
    pub operation: String,
    /// What was decided.
    pub outcome: Outcome,
    /// Who asked for it.
    pub requester: Requester,
    /// Absent if the execution could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<References>,
    /// If it was admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// If it was denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Further causes that are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub causes_more: u64,
    /// Digest of `spec.inputs`, at level `Comprehensive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs_digest: Option<String>,
    /// Names of the variables that it sets, at level `Comprehensive`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
}

/// A change of `desiredState`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Which execution.
    pub object: Object,
    /// By whom.
    pub requester: Requester,
    /// What is wanted now.
    pub desired_state: String,
}

/// A pod is about to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// Which execution.
    pub object: Object,
    /// Of its receipt.
    pub nonce: String,
    /// The pod.
    pub pod: String,
    /// Generation of the context by which it was decided again.
    pub context_generation: i64,
    /// Digest of that decision.
    pub decision_digest: String,
    /// That decision: isolation, permissions and limits, whose canonical JSON has the digest above. From level `Standard`
    /// on, unless it is longer than [`LONGEST_DECISION`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Value>,
}

/// The longest decision that is written in full, in bytes: collectors cut long lines.
pub const LONGEST_DECISION: usize = 8 * 1024;

/// What runs is about to be stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// Which execution.
    pub object: Object,
    /// Why.
    pub reason: String,
}

/// An attempt is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Which execution.
    pub object: Object,
    /// The attempt's pod.
    pub pod: String,
    /// Why it ended.
    pub reason: String,
}

/// It is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// Which execution.
    pub object: Object,
    /// Of its receipt, if that is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Why.
    pub reason: String,
    /// Of its command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What it used, at level `Comprehensive`, as status has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Value>,
    /// What it was refused over the network, at level `Standard` and above: as status has it, as far as it fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<Value>,
    /// Refusals that are not among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_more: Option<i64>,
}

/// The longest list of denials that is written, in bytes.
pub const LONGEST_DENIALS: usize = 4 * 1024;

/// It waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// Which execution.
    pub object: Object,
    /// For what.
    pub reason: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}
