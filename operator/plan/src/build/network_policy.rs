//! The fence around the pod.

use ccos_crds::CapabilityExecution;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt as _;
use std::collections::BTreeMap;

use super::{Operator, egress, names};

/// Denies everything, both ways, but the runner's report, the way to the egress proxy if the code `connects` to
/// anything, and what may connect in (`ingress`). In GVisor and Kata the workload has a network namespace of its own besides, which knows neither way; this is
/// the second line, and the first around the runner.
///
/// One for all attempts: policies are a union, so that an earlier attempt's would open a later one's pod.
#[must_use]
pub fn network_policy(
    object: &CapabilityExecution,
    operator: &Operator,
    connects: bool,
    ingress: Vec<NetworkPolicyIngressRule>,
) -> NetworkPolicy {
    let proxy = connects.then(|| egress::rule(operator));
    let selector = BTreeMap::from([(names::UID_LABEL.to_owned(), object.uid().unwrap_or_default())]);
    NetworkPolicy {
        metadata: names::metadata(object, names::shared(object)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector { match_labels: Some(selector), match_expressions: None }),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            // Empty, not absent: to apply the policy must also take away what somebody else has put there.
            ingress: Some(ingress),
            egress: Some(proxy.into_iter().chain([operator.reports()]).collect()),
        }),
    }
}
