//! What other network policies let a pod do. Policies are a union: one that is open opens every pod that it selects,
//! whatever stands in the others.

mod covers;
mod selector;
mod show;

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use kube::ResourceExt as _;

use crate::end::{End, EndReason};
use crate::text::cut;
use covers::covered;

/// How long a message about a policy may be. Whoever writes policies chooses what is in them.
const MOST: usize = 700;

/// The end of an execution whose pod is opened by another policy of its namespace than its `own`. Of several the first by
/// name is told.
///
/// A policy that selects the pod and allows no more than its own, such as one that denies everything, opens nothing. Where it
/// can't be told, it does: each peer and port has to lie within one rule of its own, selectors by their words alone.
#[must_use]
pub fn conflict<'a>(
    own: &NetworkPolicy,
    labels: &BTreeMap<String, String>,
    all: impl IntoIterator<Item = &'a NetworkPolicy>,
) -> Option<End> {
    let foreign = all.into_iter().filter(|policy| policy.metadata.name != own.metadata.name);
    let (policy, opened) = foreign
        .filter_map(|policy| Some((policy, opened(own, labels, policy)?)))
        .min_by_key(|(one, _)| one.name_any())?;
    let selects = policy.spec.as_ref().map(|spec| show::selector(spec.pod_selector.as_ref())).unwrap_or_default();
    let message = format!(
        "NetworkPolicy {:?} selects its pod (podSelector: {selects}) and allows what the execution may not: {opened}",
        policy.name_any()
    );
    Some(End::new(EndReason::ConflictingNetworkPolicy, cut(&message, MOST)))
}

/// The first that a policy opens of a pod with these labels.
fn opened(own: &NetworkPolicy, labels: &BTreeMap<String, String>, policy: &NetworkPolicy) -> Option<String> {
    let spec = policy.spec.as_ref()?;
    if !selector::selects(spec.pod_selector.as_ref(), labels) {
        return None;
    }
    let own = own.spec.as_ref();
    // Whatever `policyTypes` says: what engines make of rules of a type that is not listed differs.
    [Way::Egress, Way::Ingress].into_iter().find_map(|way| {
        let ours = own.map(|spec| rules(spec, way)).unwrap_or_default();
        let (rule, open) = rules(spec, way)
            .into_iter()
            .find_map(|rule| rule.parts().find(|part| !covered(*part, &ours)).map(|part| (way, part)))?;
        Some(show::opened(rule, open))
    })
}

/// Into the pod, or out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Ingress,
    Egress,
}

/// A rule of either way. Nothing listed is everything.
#[derive(Clone, Copy, Debug)]
struct Rule<'a> {
    peers: &'a [NetworkPolicyPeer],
    ports: &'a [NetworkPolicyPort],
}

/// One peer at one port of a rule; `None` is all of them.
type Part<'a> = (Option<&'a NetworkPolicyPeer>, Option<&'a NetworkPolicyPort>);

impl<'a> Rule<'a> {
    /// Whatever the rule allows, one by one.
    fn parts(self) -> impl Iterator<Item = Part<'a>> {
        each(self.peers).flat_map(move |peer| each(self.ports).map(move |port| (peer, port)))
    }
}

fn each<T>(list: &[T]) -> impl Iterator<Item = Option<&T>> {
    let all = list.is_empty().then_some(None);
    list.iter().map(Some).chain(all)
}

fn rules(spec: &NetworkPolicySpec, way: Way) -> Vec<Rule<'_>> {
    fn rule<'a>(peers: Option<&'a Vec<NetworkPolicyPeer>>, ports: Option<&'a Vec<NetworkPolicyPort>>) -> Rule<'a> {
        Rule { peers: peers.map_or(&[], Vec::as_slice), ports: ports.map_or(&[], Vec::as_slice) }
    }
    match way {
        Way::Egress => {
            let all = spec.egress.iter().flatten();
            all.map(|NetworkPolicyEgressRule { to, ports }| rule(to.as_ref(), ports.as_ref())).collect()
        }
        Way::Ingress => {
            let all = spec.ingress.iter().flatten();
            all.map(|NetworkPolicyIngressRule { from, ports }| rule(from.as_ref(), ports.as_ref())).collect()
        }
    }
}
