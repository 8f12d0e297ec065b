//! The way out of a pod: through the egress proxy, to the names that are required.

use ccos_policy::{Admitted, Bytes, Outbound, Peer, PortRange};
use ccos_profile::credential::{Credential, SecretKey};
use ccos_profile::egress::{self, CidrRule, HostRule, Ports, Rules};
use ccos_profile::{Egress, place};
use k8s_openapi::api::networking::v1::NetworkPolicyEgressRule;

use super::token::Token;
use super::{Operator, Order, RUNNER_MEMORY};

/// Memory of the runner's relay of one direction, beside the runner's own: two buffers of 16 KiB for each of at most 256
/// connections.
const RELAY_MEMORY: Bytes = Bytes(16 << 20);

/// How long a token is good for, in seconds: the least that Kubernetes gives. The kubelet renews it before.
const TOKEN_SECONDS: i64 = 600;

/// Whether an execution connects to anything.
#[must_use]
pub fn is_required(admitted: &Admitted) -> bool {
    !admitted.permissions().network.outbound.is_empty()
}

/// What the runner's own processes may use, with a way out and in or without.
pub(super) fn runner_memory(outbound: bool, inbound: bool) -> Bytes {
    Bytes(RUNNER_MEMORY.0 + RELAY_MEMORY.0 * (u64::from(outbound) + u64::from(inbound)))
}

/// What the proxy and the runner read; `None` where nothing is required. Without a proxy there is none either, so that the
/// runner gives no network: the controller does not come here without one.
pub(super) fn egress(order: Order<'_>) -> Option<Egress> {
    let proxy = order.proxy.filter(|_| is_required(order.admitted))?;
    Some(Egress { proxy, rules: rules(order) })
}

/// What is required, and all that is blocked: by the execution itself, and by the context that granted it, since a name may
/// lead to an address that is blocked.
fn rules(order: Order<'_>) -> Rules {
    let network = &order.admitted.permissions().network;
    let mut blocked: Vec<egress::Peer> = network.blocked.iter().map(peer).collect();
    let of_context = order.context.spec().permissions.as_ref().and_then(|permissions| permissions.network.as_ref());
    for one in of_context.and_then(|network| network.blocked.as_deref()).unwrap_or_default() {
        let ccos_crds::permissions::Peer { host, cidr } = one;
        let host = host.clone().map(egress::Peer::Host);
        blocked.extend(host.or_else(|| cidr.clone().map(egress::Peer::Cidr)).filter(|one| !blocked.contains(one)));
    }
    Rules {
        outbound: network.outbound.iter().map(outbound).collect(),
        blocked,
        max_connections: network.max_connections,
        bytes_per_second: order.admitted.limits().network_bytes_per_second.map(|bytes| bytes.0),
        credentials: credentials(order),
    }
}

/// Those of the context whose host is required: of the others, nothing is to be sent anywhere.
fn credentials(order: Order<'_>) -> Vec<Credential> {
    let outbound = &order.admitted.permissions().network.outbound;
    let permissions = order.context.spec().permissions.as_ref();
    let given = permissions.and_then(|permissions| permissions.network.as_ref()?.credentials.as_deref());
    let required = |credential: &&ccos_crds::permissions::Credential| {
        credential.host.parse().is_ok_and(|name| {
            outbound.iter().any(|one| matches!(&one.peer, Peer::Host(pattern) if pattern.matches(&name)))
        })
    };
    let of = |credential: &ccos_crds::permissions::Credential| {
        let ccos_crds::permissions::Credential { host, path_prefix, header, secret_key_ref } = credential.clone();
        let secret = SecretKey { name: secret_key_ref.name, key: secret_key_ref.key };
        Credential { host, path_prefix: path_prefix.unwrap_or_else(|| "/".to_owned()), header, secret }
    };
    given.unwrap_or_default().iter().filter(required).map(of).collect()
}

fn outbound(Outbound { peer, ports }: &Outbound) -> egress::Outbound {
    let range = |range: &PortRange| Ports { port: range.first(), end_port: range.last() };
    let ports = ports.iter().map(range).collect();
    match peer {
        Peer::Host(host) => egress::Outbound::Host(HostRule { host: host.to_string(), ports }),
        Peer::Cidr(cidr) => egress::Outbound::Cidr(CidrRule { cidr: cidr.to_string(), ports }),
    }
}

fn peer(peer: &Peer) -> egress::Peer {
    match peer {
        Peer::Host(host) => egress::Peer::Host(host.to_string()),
        Peer::Cidr(cidr) => egress::Peer::Cidr(cidr.to_string()),
    }
}

/// Who the pod is, for the proxy and for nobody else.
pub(super) const TOKEN: Token = Token {
    name: "egress",
    path: place::EGRESS_TOKEN,
    audience: egress::AUDIENCE,
    seconds: TOKEN_SECONDS,
    mode: Some(0o440),
};

/// To the proxy's pods and nowhere else.
pub(super) fn rule(operator: &Operator) -> NetworkPolicyEgressRule {
    operator.way_to(egress::COMPONENT, egress::PORT)
}
