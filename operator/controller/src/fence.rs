//! The network policy of a pod that lives, and what others make of it. Ours is the only controller that would notice that it
//! is gone, or that another opens what it closes.

use std::sync::Arc;

use ccos_crds::CapabilityExecution;
use ccos_plan::build::Children;
use ccos_plan::build::inbound::ingress_of;
use ccos_plan::build::names::MANAGED_BY;
use ccos_plan::build::network_policy::network_policy;
use ccos_plan::end::End;
use ccos_plan::fence::fenced;
use ccos_plan::opening::conflict;
use ccos_profile::egress;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;
use tracing::warn;

use crate::apply;
use crate::chain;
use crate::ctx::Ctx;
use crate::dereference::{self, DereferenceError};

/// Whether the policy is still there as it was applied. Where it is not, it is applied again at once, and the answer is
/// the end of the execution: fail closed, since what passed meanwhile is not known.
pub(crate) async fn breached(
    object: &CapabilityExecution,
    pod: &Pod,
    ctx: &Ctx,
) -> Result<Option<End>, DereferenceError> {
    let wanted = network_policy(object, &ctx.operator, connects(pod), ingress_of(pod));
    let (namespace, name) = (wanted.namespace().unwrap_or_default(), wanted.name_any());
    let cached = ctx.stores.network_policies.get(&ObjectRef::<NetworkPolicy>::new(&name).within(&namespace));
    if fenced(&wanted, cached.as_deref()).is_ok() {
        return Ok(None);
    }
    // The cache may be behind what was just applied.
    let live = dereference::live_policy(&ctx.client, &namespace, &name).await?;
    let Err(end) = fenced(&wanted, live.as_ref()) else { return Ok(None) };
    // Where this fails, such as in a namespace that is being deleted, the pod is ended all the same.
    if let Err(error) = apply::network_policy(&ctx.client, &wanted).await {
        warn!(namespace, name, error = chain(&error), "cannot apply a network policy again; its pod is ended");
    }
    Ok(Some(end))
}

/// What other policies would make of a pod.
pub(crate) enum Others {
    /// Nothing.
    Nothing,
    /// They would open it.
    Open(End),
    /// The cache has one that would, and the API server does not: it was deleted, and the cache will hear of it. A pod that
    /// is made before that would be ended for it.
    Unsure,
}

/// What other policies would make of the pod that is about to be made. Asked of the API server, since a cache may be behind, and
/// of the cache for what is labelled as ours. What comes after this, or was missed, wakes us by the watch.
pub(crate) async fn others(children: &Children, ctx: &Ctx) -> Result<Others, DereferenceError> {
    let Children { network_policy, pod, profile: _ } = children;
    let namespace = pod.namespace().unwrap_or_default();
    let live = dereference::others_policies(&ctx.client, &namespace).await?;
    let (ours, others): (Vec<_>, Vec<_>) = cached(&namespace, ctx).into_iter().partition(|policy| is_labelled(policy));
    let look =
        |policies: &[Arc<NetworkPolicy>]| conflict(network_policy, pod.labels(), policies.iter().map(AsRef::as_ref));
    Ok(match conflict(network_policy, pod.labels(), &live).or_else(|| look(&ours)) {
        Some(end) => Others::Open(end),
        None if look(&others).is_some() => Others::Unsure,
        None => Others::Nothing,
    })
}

/// As `others_policies` leaves it out.
fn is_labelled(policy: &NetworkPolicy) -> bool {
    let (label, ours) = MANAGED_BY;
    policy.labels().get(label).is_some_and(|value| value == ours)
}

/// Whether another policy opens a pod that lives, by the labels that it has now.
pub(crate) fn opened(object: &CapabilityExecution, pod: &Pod, ctx: &Ctx) -> Option<End> {
    let own = network_policy(object, &ctx.operator, connects(pod), ingress_of(pod));
    let cached = cached(&pod.namespace().unwrap_or_default(), ctx);
    conflict(&own, pod.labels(), cached.iter().map(AsRef::as_ref))
}

/// All policies of a namespace, as far as the cache knows.
fn cached(namespace: &str, ctx: &Ctx) -> Vec<Arc<NetworkPolicy>> {
    let mut all = ctx.stores.network_policies.state();
    all.retain(|policy| policy.metadata.namespace.as_deref() == Some(namespace));
    all
}

/// Whether a pod has a way to the proxy. Its annotation is what the proxy goes by: without it, the way there leads nowhere.
fn connects(pod: &Pod) -> bool {
    pod.annotations().contains_key(egress::ANNOTATION)
}
