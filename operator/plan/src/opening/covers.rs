//! Whether what one rule allows is allowed by others anyway.

use ccos_policy::Cidr;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::selector::narrower;
use super::{Part, Rule};

/// Whether a peer at a port lies within one of these rules.
pub(super) fn covered((peer, port): Part<'_>, ours: &[Rule<'_>]) -> bool {
    ours.iter().any(|rule| {
        let peers =
            rule.peers.is_empty() || peer.is_some_and(|peer| rule.peers.iter().any(|ours| is_within(peer, ours)));
        let ports =
            rule.ports.is_empty() || port.is_some_and(|port| rule.ports.iter().any(|ours| port_is_within(port, ours)));
        peers && ports
    })
}

fn is_within(theirs: &NetworkPolicyPeer, ours: &NetworkPolicyPeer) -> bool {
    let NetworkPolicyPeer { ip_block, namespace_selector, pod_selector } = theirs;
    match (ip_block, &ours.ip_block) {
        (Some(block), Some(own)) => block_is_within(block, own),
        (Some(_), None) | (None, Some(_)) => false,
        // Both are pods. Without a namespaceSelector they are those of the policies' namespace, which is one and the same.
        (None, None) => {
            let namespaces = match (namespace_selector, &ours.namespace_selector) {
                (None, None) => true,
                (None, Some(own)) => super::selector::asks(Some(own)).is_empty(),
                (Some(_), None) => false,
                (Some(theirs), Some(own)) => narrower(Some(theirs), Some(own)),
            };
            namespaces && narrower(pod_selector.as_ref(), ours.pod_selector.as_ref())
        }
    }
}

/// A block that can't be read is not within anything; neither are addresses that ours leaves out, unless theirs does too.
fn block_is_within(theirs: &IPBlock, ours: &IPBlock) -> bool {
    let block = |text: &str| text.parse::<Cidr>().ok().map(|cidr| cidr.net());
    let (Some(cidr), Some(own)) = (block(&theirs.cidr), block(&ours.cidr)) else { return false };
    own.contains(&cidr)
        && ours.except.iter().flatten().all(|except| {
            let Some(except) = block(except) else { return false };
            let meets = except.contains(&cidr) || cidr.contains(&except);
            let mut left_out = theirs.except.iter().flatten().filter_map(|one| block(one));
            !meets || left_out.any(|one| one.contains(&except))
        })
}

fn port_is_within(theirs: &NetworkPolicyPort, ours: &NetworkPolicyPort) -> bool {
    let protocol = |port: &NetworkPolicyPort| port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
    if protocol(theirs) != protocol(ours) {
        return false;
    }
    match (range(theirs), range(ours)) {
        (_, Some(Range::All)) => true,
        (Some(Range::Of(first, last)), Some(Range::Of(own_first, own_last))) => own_first <= first && last <= own_last,
        // A name is another port in each pod.
        (Some(Range::All | Range::Of(..)) | None, _) => false,
    }
}

enum Range {
    All,
    Of(i32, i32),
}

fn range(NetworkPolicyPort { port, end_port, protocol: _ }: &NetworkPolicyPort) -> Option<Range> {
    match port {
        None => Some(Range::All),
        Some(IntOrString::Int(first)) => Some(Range::Of(*first, end_port.unwrap_or(*first))),
        Some(IntOrString::String(_)) => None,
    }
}
