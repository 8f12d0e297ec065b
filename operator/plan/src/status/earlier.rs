//! What an earlier status says of where its execution stands.

use ccos_crds::{CapabilityExecution, conditions};
use ccos_policy::Reason;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::STOPPING;
use crate::end::{End, EndReason};

/// The end for which a pod is being stopped, as an earlier status has it.
#[must_use]
pub fn stopping(object: &CapabilityExecution) -> Option<End> {
    let condition = condition(object, conditions::SUCCEEDED).filter(|one| one.reason == STOPPING)?;
    let (reason, message) = condition.message.split_once(": ")?;
    let denial = || Reason::ALL.iter().find(|one| one.as_str() == reason).map(|one| End::denied(*one, message));
    EndReason::named(reason).map(|reason| End::new(reason, message)).or_else(denial)
}

/// Whether an execution is over.
#[must_use]
pub fn finished(object: &CapabilityExecution) -> bool {
    condition(object, conditions::FINISHED).is_some_and(|one| one.status == "True")
}

/// The pod of the attempt that runs, or of the last one of an execution that is over, as an earlier status has it.
#[must_use]
pub fn attempted(object: &CapabilityExecution) -> Option<&str> {
    let last = object.status.as_ref()?.attempts.last()?;
    (last.reason.is_none() || finished(object)).then_some(last.pod_name.as_str())
}

/// The number of the attempt that runs, or of the next where none does, or of the last of an execution that is over. From 1.
#[must_use]
pub fn attempt_number(object: &CapabilityExecution) -> usize {
    let attempts = object.status.as_ref().map_or(&[][..], |status| &status.attempts);
    let next = attempts.last().is_some_and(|last| last.reason.is_some()) && !finished(object);
    attempts.len().max(1) + usize::from(next)
}

fn condition<'a>(object: &'a CapabilityExecution, kind: &str) -> Option<&'a Condition> {
    object.status.as_ref()?.conditions.iter().find(|one| one.type_ == kind)
}
