//! What is said, as values: text and JSON are written from the same.

use ccos_crds::execution::{
    Attempt, CapabilityExecutionStatus, DesiredState, Enforcement, Refusal, ResultStatus, Usage,
};
use ccos_crds::security_context::Isolation;
use ccos_crds::{CapabilityExecution, RECEIPT_ANNOTATION, conditions};
use ccos_plan::advice;
use ccos_plan::object::{context_display, provider_kind};
use ccos_plan::receipt::{self, Claims, ReceiptError};
use kube::ResourceExt as _;
use serde::Serialize;

use super::cluster::{Found, KeysFound};

/// All that is known of an execution.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// `namespace/name`.
    pub execution: String,
    /// The capability and its provider.
    pub capability: String,
    /// The context.
    pub context: String,
    /// What it runs in; absent: not decided by the controller yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// What the user wants, where that is not `Running`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired_state: Option<DesiredState>,
    /// Who admitted it.
    pub receipt: ReceiptSeen,
    /// Each condition, in the order of a run.
    pub conditions: Vec<ConditionSeen>,
    /// Why it ended, or what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// What held which restriction.
    pub enforcement: Vec<Enforcement>,
    /// Each pod.
    pub attempts: Vec<Attempt>,
    /// What was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it tried and was refused.
    pub denials: Vec<Refusal>,
    /// What the code answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<ResultStatus>,
}

/// The webhook's receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptSeen {
    /// Whether it can be relied on.
    pub verified: Verified,
    /// Why not, where it can't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Who asked, as the receipt says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    /// When it was decided, as the receipt says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admitted_at: Option<String>,
    /// Digest of the decision, as the receipt says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_digest: Option<String>,
}

/// Whether a receipt can be relied on. Not a boolean: not knowing is not the same as no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verified {
    /// Its signature is good, and it is this object's.
    Yes,
    /// It is not.
    No,
    /// The keys could not be read.
    Unknown,
}

/// A condition and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionSeen {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Since when.
    pub since: String,
    /// The question that it answers.
    pub meaning: &'static str,
}

/// Why it ended, or what it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Whether it is over.
    pub finished: bool,
    /// The reason.
    pub reason: String,
    /// What happened.
    pub message: String,
    /// What to do; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<&'static str>,
}

/// The conditions in the order of a run, and the question that each answers.
const CONDITIONS: [(&str, &str); 6] = [
    (conditions::ADMITTED, "is its receipt valid, and is it still granted?"),
    (conditions::QUEUED, "does it wait for its turn?"),
    (conditions::ISOLATED, "does what confines it exist, and was it proven?"),
    (conditions::STARTED, "did its code start?"),
    (conditions::SUCCEEDED, "did it do its work?"),
    (conditions::FINISHED, "is it over, either way?"),
];

/// Explains an execution.
#[must_use]
pub fn explanation(found: &Found) -> Explanation {
    let Found { object, keys } = found;
    let capability = &object.spec.capability_ref;
    let reference = &object.spec.context_ref;
    let status = object.status.clone().unwrap_or_default();
    let state = state(&status);
    let conditions = conditions(&status);
    let CapabilityExecutionStatus {
        observed_generation: _,
        conditions: _,
        decision,
        enforcement,
        result,
        usage,
        denials,
        denied_more: _,
        attempts,
    } = status;
    Explanation {
        execution: format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any()),
        capability: format!("{} of {} {:?}", capability.id, provider_kind(capability.kind), capability.name),
        context: context_display(reference.kind, &reference.name),
        isolation: decision.map(|decision| decision.isolation),
        desired_state: object.spec.desired_state,
        receipt: receipt_seen(object, keys),
        conditions,
        state,
        enforcement,
        attempts,
        usage,
        denials,
        result,
    }
}

fn conditions(status: &CapabilityExecutionStatus) -> Vec<ConditionSeen> {
    CONDITIONS
        .iter()
        .filter_map(|(kind, meaning)| {
            let one = status.conditions.iter().find(|one| one.type_ == *kind)?;
            Some(ConditionSeen {
                kind: one.type_.clone(),
                status: one.status.clone(),
                reason: one.reason.clone(),
                message: one.message.clone(),
                since: one.last_transition_time.0.to_string(),
                meaning,
            })
        })
        .collect()
}

fn state(status: &CapabilityExecutionStatus) -> Option<State> {
    let condition = |kind: &str| status.conditions.iter().find(|one| one.type_ == kind);
    let finished = condition(conditions::FINISHED).is_some_and(|one| one.status == "True");
    let waits = condition(conditions::QUEUED).filter(|one| one.status == "True" && !finished);
    let one = waits.or_else(|| condition(conditions::SUCCEEDED))?;
    Some(State {
        finished,
        reason: one.reason.clone(),
        message: one.message.clone(),
        advice: advice::named(&one.reason),
    })
}

fn receipt_seen(object: &CapabilityExecution, keys: &KeysFound) -> ReceiptSeen {
    let text = object.annotations().get(RECEIPT_ANNOTATION);
    let (verified, why) = match (text, keys) {
        (None, _) => (Verified::No, Some(ReceiptError::Missing.to_string())),
        (Some(_), KeysFound::Unreadable(why)) => (Verified::Unknown, Some(why.clone())),
        // Whether its nonce was used elsewhere takes all executions to tell; the controller looks.
        (Some(_), KeysFound::Read(keys)) => match receipt::check(object, keys, |_| false) {
            Ok(_) => (Verified::Yes, None),
            Err(error) => (Verified::No, Some(error.to_string())),
        },
    };
    let claims = text.and_then(|text| claims(text));
    ReceiptSeen {
        verified,
        why,
        requester: claims.as_ref().map(|claims| claims.requester.user.clone()),
        admitted_at: claims.as_ref().map(|claims| claims.admitted_at.to_string()),
        decision_digest: claims.map(|claims| claims.decision_digest),
    }
}

/// What a receipt says, genuine or not.
fn claims(text: &str) -> Option<Claims> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    serde_json::from_value(value.get("claims")?.clone()).ok()
}
