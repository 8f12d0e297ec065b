//! Executions: the decision, its receipt, and what may change afterwards.

use ccos_crds::CapabilityExecution;
use ccos_crds::RECEIPT_ANNOTATION;
use ccos_crds::execution::DesiredState;
use ccos_plan::receipt::{Claims, Keys, spec_digest};
use ccos_plan::review::{References, Verdict as Reviewed, rejection, review_parsed, warnings};
use ccos_plan::wire::{FieldError, FieldErrors};
use ccos_plan::{ParsedContexts, Policing, Trust};
use ccos_policy::{Admitted, Decision, Denials, Isolations, Use};
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{Allowed, Refusal, Verdict};
use crate::admission::{Change, Request};
use crate::receipt;
use crate::references::Found;
use crate::rights::{Question, Verb};

/// What decides besides the objects: what the cluster can hold, what policies say, and what was parsed of contexts.
pub type Rules<'a> = (&'a Isolations, &'a Policing, &'a ParsedContexts);

/// Decides an execution that is being created. `refused` are the questions about the requester that were answered with
/// no: all reasons are collected, so that a user fixes a file once.
///
/// # Errors
/// Why it may not run.
pub fn decide(
    object: &CapabilityExecution,
    requester: &str,
    found: &Found,
    trust: &Trust,
    refused: &[Question],
    (isolations, policing, contexts): Rules<'_>,
    now: Timestamp,
) -> Result<Admitted, Refusal> {
    let Found { context, provider } = found.clone();
    let (may_use, may_read): (Vec<&Question>, Vec<&Question>) =
        refused.iter().partition(|question| question.verb == Verb::Use);
    let may_use = if may_use.is_empty() { Use::Allowed } else { Use::Forbidden(requester.to_owned()) };
    let forbidden = Denials::from_vec(may_read.iter().map(|question| question.denial(requester)).collect());
    let (policing, trust) = (policing.clone(), trust.clone());
    let references = References { context, provider, may_use, policing, trust };
    let denials = match review_parsed(object, &references, contexts, isolations, now) {
        Reviewed::Invalid(errors) => return Err(Refusal::Invalid(errors)),
        Reviewed::Decided(Decision::Admitted(admitted)) => match forbidden {
            None => return Ok(admitted),
            Some(forbidden) => forbidden,
        },
        Reviewed::Decided(Decision::Denied(denials)) => match forbidden {
            None => denials,
            Some(forbidden) => denials.and(forbidden),
        },
    };
    Err(Refusal::Denied { message: rejection(object, &denials), denials })
}

/// The mutating webhook's answer to what was admitted: a receipt of its own instead of whatever the client sent, over the
/// object with the context that was filled in where `given` has none.
///
/// # Errors
/// If no receipt can be made.
pub fn stamped(
    given: &CapabilityExecution,
    object: &CapabilityExecution,
    request: &Request,
    found: &Found,
    admitted: &Admitted,
    key: &SigningKey,
    now: Timestamp,
) -> Verdict {
    let (Some(context), Some(provider)) = (&found.context, &found.provider) else {
        // `review` denies without them.
        return Err(Refusal::TryAgain("admitted without its references".to_owned()));
    };
    let receipt = receipt::stamp(object, request, (context, provider), admitted, key, now)
        .map_err(|error| Refusal::try_again(&error))?;
    let context = given.spec.context_ref.is_absent().then(|| Change::Add {
        path: "/spec/contextRef".to_owned(),
        value: serde_json::json!(object.spec.context_ref),
    });
    let changes = context.into_iter().chain(receipt::change(object, Some(&receipt))).collect();
    Ok(Allowed { changes, ..Allowed::default() })
}

/// The mutating webhook's answer to a change: the receipt stays what it was.
pub fn restored(old: &CapabilityExecution, new: &CapabilityExecution) -> Allowed {
    let receipt = old.annotations().get(RECEIPT_ANNOTATION).map(String::as_str);
    Allowed { changes: receipt::change(new, receipt).into_iter().collect(), ..Allowed::default() }
}

/// The receipt of an object that is being created, before anything is fetched for it.
///
/// # Errors
/// If it is not this request's.
pub fn receipt_of(
    object: &CapabilityExecution,
    request: &Request,
    keys: &Keys,
    now: Timestamp,
) -> Result<Claims, Refusal> {
    receipt::read(object, request, keys, now).map_err(|error| Refusal::Receipt(error.to_string()))
}

/// The validating webhook's answer: decided again, on the object as it will be stored.
///
/// # Errors
/// Why it may not run.
pub fn confirmed(
    object: &CapabilityExecution,
    requester: &str,
    claims: &Claims,
    found: &Found,
    trust: &Trust,
    (isolations, policing, contexts): Rules<'_>,
    now: Timestamp,
) -> Verdict {
    // Nobody is asked again what the requester may do: the receipt is ours, moments old, and of this requester, this
    // spec and this context, so the question would be the same one.
    let admitted = decide(object, requester, found, trust, &[], (isolations, policing, contexts), now)?;
    let (Some(context), Some(provider)) = (&found.context, &found.provider) else {
        return Err(Refusal::TryAgain("admitted without its references".to_owned()));
    };
    if !receipt::same_state(claims, Some(context), Some(provider)) {
        return Err(Refusal::TryAgain("its context or its provider changed meanwhile".to_owned()));
    }
    receipt::fits(claims, (context, provider), &object.spec.capability_ref.id, &admitted)
        .map_err(|error| Refusal::Receipt(error.to_string()))?;
    // Here alone: said by both webhooks, they would be said twice.
    let (warnings, remarks) = (warnings(&admitted, Some(context)), admitted.remarks().to_vec());
    Ok(Allowed { warnings, remarks, ..Allowed::default() })
}

/// What may change of an execution: `desiredState`, and metadata but for the receipt.
///
/// # Errors
/// All fields that may not.
pub fn changed(old: &CapabilityExecution, new: &CapabilityExecution) -> Verdict {
    let mut errors = Vec::new();
    let mut add = |field: &str, message: &str| {
        errors.push(FieldError { field: field.to_owned(), message: message.to_owned() });
    };
    if let (Ok(before), Ok(after)) = (spec_digest(&old.spec), spec_digest(&new.spec)) {
        if before != after {
            for field in differing(old, new) {
                add(&field, "can't be changed, since it was admitted as it is: create a new CapabilityExecution");
            }
        }
    } else {
        add("spec", "can't be compared with what was admitted: it can't be written as JSON");
    }
    let started = old.status.as_ref().is_some_and(|status| !status.attempts.is_empty());
    match (old.spec.desired_state, new.spec.desired_state) {
        (Some(DesiredState::Cancelled), Some(DesiredState::Running | DesiredState::Suspended) | None) => {
            add("spec.desiredState", "Cancelled is final: create a new CapabilityExecution");
        }
        (Some(DesiredState::Running) | None, Some(DesiredState::Suspended)) if started => {
            add("spec.desiredState", "Suspended works before the start only, and it has started: use Cancelled");
        }
        (_, _) => {}
    }
    if old.annotations().get(RECEIPT_ANNOTATION) != new.annotations().get(RECEIPT_ANNOTATION) {
        add(receipt::FIELD, "is the webhook's: leave it as it is");
    }
    if errors.is_empty() { Ok(Allowed::default()) } else { Err(Refusal::Invalid(FieldErrors(errors))) }
}

/// The fields of the spec that differ, but for `desiredState`.
fn differing(old: &CapabilityExecution, new: &CapabilityExecution) -> Vec<String> {
    let (Ok(old), Ok(new)) = (serde_json::to_value(&old.spec), serde_json::to_value(&new.spec)) else {
        return vec!["spec".to_owned()];
    };
    let keys: std::collections::BTreeSet<&String> =
        [&old, &new].into_iter().filter_map(serde_json::Value::as_object).flat_map(serde_json::Map::keys).collect();
    let differs = |key: &&String| *key != "desiredState" && old.get(key.as_str()) != new.get(key.as_str());
    keys.into_iter().filter(differs).map(|key| format!("spec.{key}")).collect()
}
