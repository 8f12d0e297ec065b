//! What to do next with an execution, from what was found. The controller does it and looks again.

use std::net::SocketAddr;

use ccos_crds::execution::DesiredState;
use ccos_crds::{CapabilityExecution, conditions};
use ccos_policy::{Decision, Denials, OnExpiry, Reason, Use};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::ResourceExt as _;

use crate::build::{self, Operator, Order};
use crate::cluster::ClusterProfile;
use crate::end::{End, EndReason, WaitReason};
use crate::object::{AnyContext, provider_kind};
use crate::receipt::{self, Claims, Keys, ReceiptError};
use crate::review::{References, Verdict, rejection, review};
use crate::status::{self, Granted};
use crate::trust::{self, Trust};
use crate::wire;

/// Before there is a pod: may it run at all?
#[derive(Debug)]
pub enum Permit {
    /// Never: it ends so.
    Refused(End),
    /// Yes, if it is its turn.
    Granted(Box<Granted>),
}

/// Looks at the receipt: the first thing, before anything else is believed of the object.
///
/// # Errors
/// The end of an execution without a valid one.
pub fn receipt(
    object: &CapabilityExecution,
    keys: &Keys,
    nonce_is_used: impl FnOnce(&str) -> bool,
) -> Result<Claims, End> {
    receipt::check(object, keys, nonce_is_used).map_err(|error| receipt_end(&error))
}

fn receipt_end(error: &ReceiptError) -> End {
    End::new(EndReason::ReceiptInvalid, format!("the webhook's receipt does not allow it: {error}"))
}

/// Decides again, with what is there now.
#[must_use]
pub fn permit(
    object: &CapabilityExecution,
    claims: Claims,
    found: &References,
    cluster: &ClusterProfile,
    now: Timestamp,
) -> Permit {
    if cancelled(object) {
        return Permit::Refused(End::new(EndReason::Cancelled, "cancelled before it started"));
    }
    let admitted = match review(object, found, &cluster.isolations, now) {
        // The webhook would not have let it through.
        Verdict::Invalid(errors) => {
            return Permit::Refused(End::new(EndReason::ReceiptInvalid, format!("it can't be understood: {errors}")));
        }
        Verdict::Decided(Decision::Denied(denials)) => {
            let reason = denials.first().map_or(Reason::Unenforceable, ccos_policy::Denial::reason);
            return Permit::Refused(match reason {
                Reason::UseForbidden => End::new(EndReason::UseRevoked, rejection(object, &denials)),
                Reason::ContextExpired => End::new(EndReason::ContextExpired, rejection(object, &denials)),
                other => End::denied(other, rejection(object, &denials)),
            });
        }
        Verdict::Decided(Decision::Admitted(admitted)) => admitted,
    };
    let (Some(context), Some(provider)) = (&found.context, &found.provider) else {
        // `review` denies without them.
        return Permit::Refused(End::new(EndReason::InternalError, "admitted without its references"));
    };
    if let Err(error) = receipt::check_references(&claims, context, provider, &object.spec.capability_ref.id) {
        return Permit::Refused(receipt_end(&error));
    }
    let context_generation = context.metadata().generation.unwrap_or_default();
    match crate::digest::sha256(&admitted) {
        // Only a changed context may make another decision.
        Ok(digest) if context_generation != claims.context_generation || digest == claims.decision_digest => {
            Permit::Granted(Box::new(Granted { claims, admitted, context_generation, digest }))
        }
        Ok(_) => Permit::Refused(End::new(
            EndReason::ReceiptInvalid,
            "the same objects were decided otherwise by the webhook: do webhook and controller have the same version and profile?",
        )),
        Err(error) => Permit::Refused(End::new(EndReason::InternalError, error.to_string())),
    }
}

/// The end of an execution whose requester can't read any more what it would be given.
#[must_use]
pub fn unreadable(object: &CapabilityExecution, denials: &Denials) -> End {
    End::denied(Reason::UseForbidden, rejection(object, denials))
}

/// The objects of a granted execution's attempt.
#[must_use]
pub fn children(
    object: &CapabilityExecution,
    granted: &Granted,
    found: &References,
    cluster: &ClusterProfile,
    (operator, proxy): (&Operator, Option<SocketAddr>),
) -> Option<build::Children> {
    let context = found.context.as_ref()?;
    let provider = found.provider.as_ref()?;
    let capability =
        provider.spec().capabilities.iter().find(|capability| capability.id == object.spec.capability_ref.id)?;
    // Not the provider's own words: a tag would be looked up again, by the node.
    let image = trust::source(provider).image?;
    let admitted = &granted.admitted;
    let order = Order { object, admitted, context, capability, image: &image, cluster, operator, proxy };
    Some(build::children(order))
}

/// Whether a node can run this isolation: its RuntimeClass exists, and a ready node has its handler.
///
/// # Errors
/// What is missing.
pub fn runtime<'a>(
    class: Option<&str>,
    classes: &'a [impl AsRef<RuntimeClass>],
    nodes: &[impl AsRef<Node>],
) -> Result<Option<&'a RuntimeClass>, String> {
    let Some(name) = class else { return Ok(None) };
    let Some(class) = classes.iter().map(AsRef::as_ref).find(|class| class.metadata.name.as_deref() == Some(name))
    else {
        return Err(format!("RuntimeClass {name:?} does not exist"));
    };
    let selector =
        class.scheduling.as_ref().and_then(|scheduling| scheduling.node_selector.clone()).unwrap_or_default();
    let able = nodes.iter().map(AsRef::as_ref).any(|node| {
        let labels = node.labels();
        let status = node.status.as_ref();
        let ready = status
            .and_then(|status| status.conditions.as_ref())
            .is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"));
        // Kubelets before 1.30, and runtimes that say nothing, list no handlers: they are believed.
        let handlers = status.and_then(|status| status.runtime_handlers.as_deref()).unwrap_or_default();
        let has = handlers.is_empty() || handlers.iter().any(|handler| handler.name.as_deref() == Some(&class.handler));
        ready && has && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    });
    if able {
        Ok(Some(class))
    } else {
        Err(format!("no ready node has the runtime {:?} of RuntimeClass {name:?}", class.handler))
    }
}

/// Why a live attempt has to stop, if it has to.
#[must_use]
pub fn stop(object: &CapabilityExecution, found: &References, cluster: &ClusterProfile, now: Timestamp) -> Option<End> {
    if cancelled(object) {
        return Some(End::new(EndReason::Cancelled, "cancelled by desiredState"));
    }
    if let Some(end) = turned_malicious(found) {
        return Some(end);
    }
    let Some(context) = &found.context else {
        return Some(End::new(EndReason::ContextChanged, "its context was deleted"));
    };
    let ends = wire::context(context, now).ok().map(|context| context.expiry);
    let expired = ends.and_then(|expiry| expiry.at).filter(|at| now >= *at);
    if let Some(at) = expired.filter(|_| ends.is_none_or(|expiry| expiry.on_expiry == OnExpiry::Stop)) {
        return Some(End::new(EndReason::ContextExpired, format!("{} expired at {at}", context.display())));
    }
    if let Use::Forbidden(requester) = &found.may_use {
        let why = format!("{requester} may no longer use {}: the right was taken away", context.display());
        return Some(End::new(EndReason::UseRevoked, why));
    }
    let decision = object.status.as_ref()?.decision.as_ref();
    let by = decision.map(|decision| (decision.context_uid.as_str(), decision.context_generation));
    let metadata = context.metadata();
    if metadata.uid.as_deref().zip(metadata.generation) == by {
        return None;
    }
    if found.provider.is_none() {
        return Some(End::new(
            EndReason::ContextChanged,
            "its context changed, and its provider is gone, by which it could be decided again",
        ));
    }
    match review(object, found, &cluster.isolations, now) {
        Verdict::Invalid(_) | Verdict::Decided(Decision::Admitted(_)) => None,
        Verdict::Decided(Decision::Denied(denials)) => {
            // It drains: only what else was taken from it stops it.
            let others = denials.iter().any(|denial| denial.reason() != Reason::ContextExpired);
            others.then(|| End::new(EndReason::ContextChanged, rejection(object, &denials)))
        }
    }
}

/// A provider that a list speaks of by now ends what it runs. One whose signature no longer verifies does not: what runs
/// was signed when it was admitted.
fn turned_malicious(found: &References) -> Option<End> {
    let (Some(provider), Trust::Cluster(watchlist)) = (&found.provider, &found.trust) else { return None };
    let listed: Vec<String> = trust::listed(provider, watchlist).iter().map(ToString::to_string).collect();
    let name = provider.metadata().name.as_deref().unwrap_or_default();
    (!listed.is_empty()).then(|| {
        let message = format!("{} {name:?} is {}", provider_kind(provider.kind()), listed.join("; "));
        End::denied(Reason::ProviderInvalid, message)
    })
}

/// Whether a pod that has not started has used up its time.
#[must_use]
pub fn overdue(pod: &Pod, cluster: &ClusterProfile, now: Timestamp) -> bool {
    start_by(pod, cluster).is_some_and(|by| now >= by)
}

/// The end of a pod that did not start in time. `warning` is the reason and the message of the last event that warned of
/// it: the pod itself only says that its container is being created.
#[must_use]
pub fn did_not_start(pod: &Pod, why: &str, warning: Option<(&str, &str)>, cluster: &ClusterProfile) -> End {
    let deadline = &cluster.start_deadline;
    let (reason, why) = match (status::start_failure(pod), warning) {
        (EndReason::StartDeadlineExceeded, Some(("FailedMount" | "FailedAttachVolume", message))) => {
            (EndReason::VolumeUnavailable, message)
        }
        (EndReason::StartDeadlineExceeded, Some(("FailedCreatePodSandBox", message))) => {
            (EndReason::RuntimeUnavailable, message)
        }
        (EndReason::StartDeadlineExceeded, Some((_, message))) => (EndReason::StartDeadlineExceeded, message),
        (reason, _) => (reason, why),
    };
    let why = if why.is_empty() { "the kubelet says nothing" } else { why };
    End::new(reason, format!("its container did not start within {deadline}: {why}"))
}

/// Until when a pod has to start.
#[must_use]
pub fn start_by(pod: &Pod, cluster: &ClusterProfile) -> Option<Timestamp> {
    after(pod.creation_timestamp()?.0, cluster)
}

/// The moment that lies one start deadline after another.
#[must_use]
pub fn after(moment: Timestamp, cluster: &ClusterProfile) -> Option<Timestamp> {
    let millis = i64::try_from(cluster.start_deadline_millis().ok()?).ok()?;
    moment.checked_add(SignedDuration::from_millis(millis)).ok()
}

/// When a finished execution is deleted; `None`: never.
#[must_use]
pub fn delete_at(object: &CapabilityExecution) -> Option<Timestamp> {
    let seconds = object.spec.ttl_seconds_after_finished?;
    let finished = object.status.as_ref()?.conditions.iter().find(|one| one.type_ == conditions::FINISHED)?;
    finished.last_transition_time.0.checked_add(SignedDuration::from_secs(i64::from(seconds))).ok()
}

/// Whether it is to end by the user's will.
#[must_use]
pub fn cancelled(object: &CapabilityExecution) -> bool {
    object.spec.desired_state == Some(DesiredState::Cancelled)
}

/// Whether it waits by the user's will.
#[must_use]
pub fn suspended(object: &CapabilityExecution) -> bool {
    object.spec.desired_state == Some(DesiredState::Suspended)
}

/// Whether it waits for its turn, or has not been looked at: it is ahead of those that came later. One that waits for
/// something else holds nobody up.
#[must_use]
pub fn queues(object: &CapabilityExecution) -> bool {
    let queued =
        object.status.as_ref().and_then(|status| status.conditions.iter().find(|one| one.type_ == conditions::QUEUED));
    object.metadata.deletion_timestamp.is_none()
        && !suspended(object)
        && queued.is_none_or(|queued| queued.reason == WaitReason::CapacityExhausted.as_str())
}

/// Whether it waits for this already.
#[must_use]
pub fn waits(object: &CapabilityExecution, reason: WaitReason) -> bool {
    let all = object.status.as_ref().map_or(&[][..], |status| &status.conditions);
    all.iter().any(|one| one.type_ == conditions::QUEUED && one.status == "True" && one.reason == reason.as_str())
}

/// What one that waits for its turn was told.
#[must_use]
pub fn waiting_for(object: &CapabilityExecution) -> Option<&str> {
    let queued = object.status.as_ref()?.conditions.iter().find(|one| one.type_ == conditions::QUEUED)?;
    (queued.reason == WaitReason::CapacityExhausted.as_str()).then_some(queued.message.as_str())
}

/// When the context ends, if that lies ahead.
#[must_use]
pub fn expires(found: &References, now: Timestamp) -> Option<Timestamp> {
    expires_at(found.context.as_ref()?, now).filter(|at| *at > now)
}

/// When a context ends, or ended.
#[must_use]
pub fn expires_at(context: &AnyContext, now: Timestamp) -> Option<Timestamp> {
    wire::context(context, now).ok()?.expiry.at
}
