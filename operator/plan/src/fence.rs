//! What holds a live pod from outside: whether it is still as it was applied.

use ccos_crds::CapabilityExecution;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use kube::ResourceExt as _;

use crate::build;
use crate::end::{End, EndReason};

/// Whether the network policy of a live pod is there, as it was applied. `None` is one that is gone.
///
/// # Errors
/// The end of the execution. It is not enough to apply the policy again: nobody can tell what passed meanwhile.
pub fn fenced(wanted: &NetworkPolicy, found: Option<&NetworkPolicy>) -> Result<(), End> {
    let breach = |what: &str| {
        let why =
            format!("its network policy was {what}; it was applied again, but what passed meanwhile is not known");
        End::new(EndReason::ConfinementFailed, why)
    };
    let Some(found) = found else { return Err(breach("deleted")) };
    let labelled = wanted.labels().iter().all(|(key, value)| found.labels().get(key) == Some(value));
    // The labels are those by which it is known as ours.
    if labelled && rules(wanted) == rules(found) { Ok(()) } else { Err(breach("changed")) }
}

/// What a policy says; the API server may write an empty list where there is none.
fn rules(policy: &NetworkPolicy) -> Option<NetworkPolicySpec> {
    policy.spec.clone().map(|spec| NetworkPolicySpec {
        ingress: spec.ingress.filter(|rules| !rules.is_empty()),
        egress: spec.egress.filter(|rules| !rules.is_empty()),
        ..spec
    })
}

/// How annotations begin by which runtimes are told to confine a pod less. What is built has none of them, so that whatever
/// is found was written by somebody else: no gate of a node's own is trusted. Kata's `enable_annotations` lets those of its
/// runtime and its agent through whatever it says, and they turn seccomp off, or take the pod out of its cgroup and its
/// network.
pub const RUNTIME_ANNOTATIONS: [&str; 2] = ["io.katacontainers.", "dev.gvisor."];

/// A pod whose labels were changed has left the network policy that selects it; one that was given annotations for its
/// runtime may be confined less than was built.
#[must_use]
pub fn drifted(object: &CapabilityExecution, pod: &Pod) -> Option<End> {
    let for_the_runtime = |name: &&String| RUNTIME_ANNOTATIONS.iter().any(|prefix| name.starts_with(prefix));
    if let Some(name) = pod.annotations().keys().find(for_the_runtime) {
        let why = format!("somebody gave its pod the annotation {name:?}, which its runtime may obey");
        return Some(End::new(EndReason::ConfinementFailed, why));
    }
    let labels = pod.labels();
    let drifted = build::names::labels(object).iter().any(|(key, value)| labels.get(key) != Some(value));
    drifted.then(|| {
        End::new(
            EndReason::ConfinementFailed,
            "the labels of its pod were changed, by which its network policy selects it",
        )
    })
}
