//! What webhook and controller do, as lines of the audit trail; and the lines that there must be for an execution.
//!
//! Names, reasons and digests only. Neither inputs nor results nor values of variables come in here; of what code tried to reach,
//! the hosts do.

use std::sync::Arc;

use ccos_audit::event::{
    Cause, Change, Decision, End, LISTED, LONGEST_DECISION, LONGEST_DENIALS, Object, Outcome, Receipt, References,
    Registration, Requester, Retry, Start, Stop, Wait,
};
use ccos_audit::verify::{Expected, Finished};
use ccos_audit::{Event, Level};
use ccos_crds::execution::{CapabilityExecutionStatus, DesiredState};
use ccos_crds::security_context::{self, AuditLevel};
use ccos_crds::{CapabilityExecution, RECEIPT_ANNOTATION, conditions};
use ccos_policy::{Denials, Reason};
use kube::ResourceExt as _;
use serde_json::Value;

use crate::digest;
use crate::end::{EndReason, WaitReason};
use crate::object::{AnyContext, context_kind, provider_kind};
use crate::receipt::{self, Claims, Keys};
use crate::status::Granted;

/// The longest name that is written, in bytes: a user's or a group's may have any length.
const NAME_LIMIT: usize = 256;

/// The reason of what was deleted before it was over. No status can have it.
const DELETED: &str = "Deleted";

/// How much is written of what happens under a context. Of one that can't be found: everything.
#[must_use]
pub fn level(context: Option<&AnyContext>) -> Level {
    let Some(spec) = context.map(AnyContext::spec) else { return Level::Comprehensive };
    match (spec.level, &spec.audit) {
        (security_context::Level::Sandboxed, _) => Level::Comprehensive,
        (_, None) => Level::Standard,
        (_, Some(audit)) => match audit.level {
            AuditLevel::Minimal => Level::Minimal,
            AuditLevel::Standard => Level::Standard,
            AuditLevel::Comprehensive => Level::Comprehensive,
        },
    }
}

/// Who asked.
#[must_use]
pub fn requester(requester: &receipt::Requester, level: Level) -> Requester {
    let receipt::Requester { user, groups, uid, extra: _ } = requester;
    let groups = if level >= Level::Comprehensive { groups.as_slice() } else { &[] };
    Requester { user: cut(user), uid: cut(uid), groups: groups.iter().take(LISTED).map(|group| cut(group)).collect() }
}

/// Why not.
#[must_use]
pub fn causes(denials: &Denials, level: Level) -> Vec<Cause> {
    let each = denials.iter().map(|denial| Cause {
        reason: denial.reason().as_str().to_owned(),
        field: cut(denial.field.as_str()),
        // Of inputs nothing is written, at no level.
        required: denial
            .required()
            .filter(|_| level >= Level::Standard && denial.reason() != Reason::InvalidInputs)
            .map(|text| cut(&text)),
    });
    each.collect()
}

/// An admission review, as far as a line needs it.
#[derive(Clone, Copy, Debug)]
pub struct Review<'a> {
    /// The kind of its object.
    pub kind: &'a str,
    /// The object's namespace.
    pub namespace: Option<&'a str>,
    /// The object's name.
    pub name: &'a str,
    /// The object, as it came.
    pub object: Option<&'a Value>,
    /// `CREATE` or `UPDATE`.
    pub operation: &'a str,
    /// Who asked.
    pub requester: &'a receipt::Requester,
    /// How much is written.
    pub level: Level,
}

impl Review<'_> {
    fn object(&self) -> Object {
        let uid = self.object.and_then(|object| object.pointer("/metadata/uid")).and_then(Value::as_str);
        Object {
            kind: self.kind.to_owned(),
            namespace: self.namespace.map(str::to_owned),
            name: cut(self.name),
            uid: uid.map(cut),
        }
    }

    /// A context or a provider was let in, or refused for these causes.
    #[must_use]
    pub fn registered(&self, causes: Vec<Cause>) -> Event {
        let (outcome, causes, causes_more) = listed(causes);
        let spec = self.object.and_then(|object| object.get("spec"));
        Event::Registration(Registration {
            object: self.object(),
            operation: self.operation.to_owned(),
            outcome,
            // Whoever decides what is granted is written down in full.
            requester: requester(self.requester, Level::Comprehensive),
            spec_digest: spec.and_then(|spec| digest::sha256(spec).ok()),
            causes,
            causes_more,
        })
    }

    /// An execution was admitted by a receipt, or denied for these causes. `execution` is absent where it can't be read.
    #[must_use]
    pub fn decided(
        &self,
        execution: Option<&CapabilityExecution>,
        decided: Result<Option<&Claims>, Vec<Cause>>,
    ) -> Event {
        let (claims, causes) = match decided {
            Ok(claims) => (claims, Vec::new()),
            Err(causes) => (None, causes),
        };
        let (outcome, causes, causes_more) = listed(causes);
        let comprehensive = execution.filter(|_| self.level >= Level::Comprehensive);
        Event::Decision(Box::new(Decision {
            object: self.object(),
            operation: self.operation.to_owned(),
            outcome,
            requester: requester(self.requester, self.level),
            references: execution.map(references),
            receipt: claims.map(of_receipt),
            causes,
            causes_more,
            inputs_digest: comprehensive
                .and_then(|execution| execution.spec.inputs.as_ref())
                .and_then(|inputs| digest::sha256(inputs).ok()),
            environment: comprehensive
                .map(|execution| execution.spec.env.iter().map(|variable| variable.name.clone()).collect())
                .unwrap_or_default(),
        }))
    }

    /// What is wanted of an execution was changed; `None`: it was not, or that is not written at this level.
    #[must_use]
    pub fn changed(&self, old: &CapabilityExecution, new: &CapabilityExecution) -> Option<Event> {
        let wanted = |object: &CapabilityExecution| object.spec.desired_state.unwrap_or(DesiredState::Running);
        (self.level >= Level::Standard && wanted(old) != wanted(new)).then(|| {
            let desired_state = match wanted(new) {
                DesiredState::Running => "Running",
                DesiredState::Suspended => "Suspended",
                DesiredState::Cancelled => "Cancelled",
            };
            Event::Change(Change {
                object: self.object(),
                requester: requester(self.requester, self.level),
                desired_state: desired_state.to_owned(),
            })
        })
    }
}

fn listed(mut causes: Vec<Cause>) -> (Outcome, Vec<Cause>, u64) {
    let outcome = if causes.is_empty() { Outcome::Admitted } else { Outcome::Denied };
    let more = causes.len().saturating_sub(LISTED);
    causes.truncate(LISTED);
    (outcome, causes, u64::try_from(more).unwrap_or(u64::MAX))
}

fn references(execution: &CapabilityExecution) -> References {
    let (context, capability) = (&execution.spec.context_ref, &execution.spec.capability_ref);
    References {
        context_kind: context_kind(context.kind).to_owned(),
        context: cut(&context.name),
        provider_kind: provider_kind(capability.kind).to_owned(),
        provider: cut(&capability.name),
        capability: cut(&capability.id),
    }
}

fn of_receipt(claims: &Claims) -> Receipt {
    let Claims {
        version: _,
        void: _,
        nonce,
        admitted_at,
        namespace: _,
        name: _,
        requester: _,
        context_uid,
        context_generation,
        volumes_digest,
        provider_uid,
        provider_generation,
        source_digest,
        capability_digest,
        spec_digest,
        decision_digest,
    } = claims.clone();
    Receipt {
        nonce,
        admitted_at,
        context_uid,
        context_generation,
        volumes_digest,
        provider_uid,
        provider_generation,
        source_digest,
        capability_digest,
        spec_digest,
        decision_digest,
    }
}

fn object(execution: &CapabilityExecution) -> Object {
    Object {
        kind: "CapabilityExecution".to_owned(),
        namespace: execution.namespace(),
        name: execution.name_any(),
        uid: execution.uid(),
    }
}

/// A pod is about to be made.
#[must_use]
pub fn start(execution: &CapabilityExecution, granted: &Granted, pod: &str, level: Level) -> Event {
    let Granted { claims, admitted, context_generation, digest } = granted;
    let decision = serde_json::to_value(admitted).ok().filter(|decision| {
        level >= Level::Standard && digest::canonical(decision).is_ok_and(|text| text.len() <= LONGEST_DECISION)
    });
    Event::Start(Start {
        object: object(execution),
        nonce: claims.nonce.clone(),
        pod: pod.to_owned(),
        context_generation: *context_generation,
        decision_digest: digest.clone(),
        decision,
    })
}

/// What runs is about to be stopped; `None`: that is not written at this level.
#[must_use]
pub fn stop(execution: &CapabilityExecution, end: &crate::end::End, level: Level) -> Option<Event> {
    let stop = || Event::Stop(Stop { object: object(execution), reason: end.reason.to_owned() });
    (level >= Level::Standard).then(stop)
}

/// An attempt is over, and there will be another.
#[must_use]
pub fn retry(execution: &CapabilityExecution, pod: &str, end: &crate::end::End) -> Event {
    Event::Retry(Retry { object: object(execution), pod: pod.to_owned(), reason: end.reason.to_owned() })
}

/// It is over, and its status will be this one.
#[must_use]
pub fn end(
    execution: &CapabilityExecution,
    status: &CapabilityExecutionStatus,
    end: &crate::end::End,
    keys: &Keys,
    level: Level,
) -> Event {
    let usage = status.usage.as_ref().filter(|_| level >= Level::Comprehensive);
    let (denials, denied_more) = if level >= Level::Standard { denials(status) } else { (Vec::new(), None) };
    Event::End(End {
        object: object(execution),
        nonce: signed(execution, end, keys),
        reason: end.reason.to_owned(),
        exit_code: status.attempts.last().and_then(|attempt| attempt.exit_code),
        usage: usage.and_then(|usage| serde_json::to_value(usage).ok()),
        denials,
        denied_more,
    })
}

/// As many denials as fit, and how many refusals are in none of them.
fn denials(status: &CapabilityExecutionStatus) -> (Vec<Value>, Option<i64>) {
    let (mut written, mut room, mut more) = (Vec::new(), LONGEST_DENIALS, status.denied_more.unwrap_or_default());
    for denial in &status.denials {
        let value = serde_json::to_value(denial).unwrap_or_default();
        match room.checked_sub(value.to_string().len()) {
            Some(left) if !value.is_null() => {
                room = left;
                written.push(value);
            }
            Some(_) | None => more = more.saturating_add(denial.count),
        }
    }
    (written, (more > 0).then_some(more))
}

/// It was deleted before it was over; `None`: it was over.
#[must_use]
pub fn deleted(execution: &CapabilityExecution, keys: &Keys, level: Level) -> Option<Event> {
    let status = execution.status.clone().unwrap_or_default();
    let deleted = crate::end::End { reason: DELETED, message: String::new() };
    (!crate::status::finished(execution)).then(|| end(execution, &status, &deleted, keys, level))
}

/// It waits; `None`: that is not written at this level.
#[must_use]
pub fn wait(execution: &CapabilityExecution, reason: WaitReason, level: Level) -> Option<Event> {
    let wait = || Event::Wait(Wait { object: object(execution), reason: reason.as_str().to_owned() });
    (level >= Level::Comprehensive).then(wait)
}

/// The lines that there must be for an execution of the cluster.
#[must_use]
pub fn expected(execution: &CapabilityExecution, keys: &Keys) -> Expected {
    let (namespace, name) = (execution.namespace().unwrap_or_default(), execution.name_any());
    let status = execution.status.as_ref();
    let finished = status.and_then(|status| {
        let finished = status.conditions.iter().find(|one| one.type_ == conditions::FINISHED && one.status == "True");
        finished.map(|one| Finished { reason: one.reason.clone(), at: one.last_transition_time.0 })
    });
    Expected {
        display: format!("CapabilityExecution {namespace}/{name}"),
        receipt: own_receipt(execution, keys).as_ref().map(of_receipt),
        pods: status
            .iter()
            .flat_map(|status| &status.attempts)
            .map(|attempt| (attempt.pod_name.clone(), attempt.started_at.as_ref().map(|time| time.0)))
            .collect(),
        uid: execution.uid().unwrap_or_default(),
        namespace,
        name,
        finished,
    }
}

/// The nonce of its receipt, if that is signed. No more is checked here: who ends it may have it without its inputs, over
/// which the receipt is too.
fn signed(execution: &CapabilityExecution, end: &crate::end::End, keys: &Keys) -> Option<String> {
    if end.reason == EndReason::ReceiptInvalid.as_str() {
        return None;
    }
    let claims = receipt::verify(execution.annotations().get(RECEIPT_ANNOTATION)?, keys).ok()?;
    (Some(claims.namespace.as_str()) == execution.metadata.namespace.as_deref()).then_some(claims.nonce)
}

/// Its receipt, if that is valid and its own. A copy of another's nonce is nobody's: the controller ends it.
fn own_receipt(execution: &CapabilityExecution, keys: &Keys) -> Option<Claims> {
    execution.annotations().get(RECEIPT_ANNOTATION)?;
    receipt::check(execution, keys, |_| false).ok()
}

/// The start of a text, in whole characters.
fn cut(text: &str) -> String {
    let end = (0..=NAME_LIMIT.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

/// The cluster's executions, each with the lines that there must be. Of several that show one receipt, the first has it:
/// so the controller judges as well.
#[must_use]
pub fn all_expected(executions: &[Arc<CapabilityExecution>], keys: &Keys) -> Vec<Expected> {
    let mut sorted: Vec<&Arc<CapabilityExecution>> = executions.iter().collect();
    sorted.sort_by_cached_key(|execution| crate::capacity::Ticket::of(execution));
    let mut nonces = std::collections::BTreeSet::new();
    let each = sorted.into_iter().map(|execution| {
        let mut expected = expected(execution, keys);
        expected.receipt = expected.receipt.filter(|receipt| nonces.insert(receipt.nonce.clone()));
        expected
    });
    each.collect()
}
