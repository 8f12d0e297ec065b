//! The ways into a pod, by which others connect to the code.

use ccos_policy::permissions::InboundPeer;
use ccos_policy::{Admitted, Cidr, Inbound, Peer, PortRange, Selectors};
use ccos_profile::egress::Ports;
use ccos_profile::inbound::{self, Source};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Order;
use crate::wire::selectors::write;

/// Whether others connect to an execution.
#[must_use]
pub fn is_required(admitted: &Admitted) -> bool {
    !admitted.permissions().network.inbound.is_empty()
}

/// What the runner reads; `None` where nobody connects in.
pub(super) fn inbound(order: Order<'_>) -> Option<inbound::Inbound> {
    is_required(order.admitted).then(|| {
        let source = |rule: &Inbound| Source {
            cidr: match &rule.from {
                InboundPeer::Cidr(cidr) => Some(cidr.to_string()),
                InboundPeer::Selectors(_) => None,
            },
            ports: rule.ports.iter().map(|range| Ports { port: range.first(), end_port: range.last() }).collect(),
        };
        inbound::Inbound {
            sources: order.admitted.permissions().network.inbound.iter().map(source).collect(),
            blocked: blocked(order).iter().map(Cidr::to_string).collect(),
        }
    })
}

/// What the network policy allows into the pod.
pub(super) fn ingress(order: Order<'_>) -> Vec<NetworkPolicyIngressRule> {
    let blocked = blocked(order);
    order.admitted.permissions().network.inbound.iter().filter_map(|rule| self::rule(rule, &blocked)).collect()
}

/// Blocks of addresses that are blocked by the execution itself, and by the context that granted it.
fn blocked(order: Order<'_>) -> Vec<Cidr> {
    let own = order.admitted.permissions().network.blocked.iter().filter_map(|peer| match peer {
        Peer::Cidr(cidr) => Some(*cidr),
        Peer::Host(_) => None,
    });
    let of_context = order.context.spec().permissions.as_ref().and_then(|permissions| permissions.network.as_ref());
    let of_context = of_context.and_then(|network| network.blocked.as_deref()).unwrap_or_default();
    let mut all: Vec<Cidr> = own.collect();
    all.extend(of_context.iter().filter_map(|peer| peer.cidr.as_deref()?.parse::<Cidr>().ok()));
    all.sort_unstable();
    all.dedup();
    all
}

fn rule(Inbound { from, ports }: &Inbound, blocked: &[Cidr]) -> Option<NetworkPolicyIngressRule> {
    let peer = match from {
        InboundPeer::Selectors(selectors) => pods(selectors),
        InboundPeer::Cidr(cidr) => block(cidr, blocked)?,
    };
    Some(NetworkPolicyIngressRule { from: Some(vec![peer]), ports: Some(ports.iter().copied().map(port).collect()) })
}

fn pods(selectors: &Selectors) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        ip_block: None,
        namespace_selector: (!selectors.is_own_namespace()).then(|| write(&selectors.of_namespaces())),
        pod_selector: Some(write(&selectors.of_pods())),
    }
}

/// Without what is blocked in it; `None` if that is all of it.
fn block(cidr: &Cidr, blocked: &[Cidr]) -> Option<NetworkPolicyPeer> {
    if blocked.iter().any(|blocked| blocked.net().contains(&cidr.net())) {
        return None;
    }
    let except: Vec<String> =
        blocked.iter().filter(|blocked| cidr.net().contains(&blocked.net())).map(Cidr::to_string).collect();
    Some(NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: cidr.to_string(), except: (!except.is_empty()).then_some(except) }),
        namespace_selector: None,
        pod_selector: None,
    })
}

fn port(range: PortRange) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(range.first().into())),
        protocol: Some("TCP".to_owned()),
        end_port: (range.last() > range.first()).then(|| range.last().into()),
    }
}

/// As the pod's arguments have it. Nobody can change those, so that whatever else is in its network policy was written by
/// somebody else.
pub(super) fn as_argument(rules: &[NetworkPolicyIngressRule]) -> Option<String> {
    (!rules.is_empty()).then(|| serde_json::to_string(rules).ok()).flatten()
}

/// What a pod's network policy allows into it, by the pod's own words. What can't be read allows nothing.
#[must_use]
pub fn ingress_of(pod: &Pod) -> Vec<NetworkPolicyIngressRule> {
    let containers = pod.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
    let text = containers.first().and_then(|container| container.args.as_ref()?.first());
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}
