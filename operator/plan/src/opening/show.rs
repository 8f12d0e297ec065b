//! What a policy opens, for people. Names and values were written by others, but are names of Kubernetes: they can't hold what
//! would break a line.

use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::selector::{Ask, asks};
use super::{Part, Way};

/// Such as "egress to 10.0.0.0/8 at TCP 443".
pub(super) fn opened(way: Way, (to, at): Part<'_>) -> String {
    let way = match way {
        Way::Ingress => "ingress from",
        Way::Egress => "egress to",
    };
    format!(
        "{way} {} at {}",
        to.map_or_else(|| "everywhere".to_owned(), peer),
        at.map_or_else(|| "every port".to_owned(), port)
    )
}

fn peer(NetworkPolicyPeer { ip_block, namespace_selector, pod_selector }: &NetworkPolicyPeer) -> String {
    match (ip_block, namespace_selector) {
        (Some(IPBlock { cidr, except }), _) => match except.as_deref().unwrap_or_default() {
            [] => cidr.clone(),
            except => format!("{cidr} without {}", except.join(", ")),
        },
        (None, None) => format!("pods of its namespace ({})", selector(pod_selector.as_ref())),
        (None, Some(namespaces)) => {
            format!("pods ({}) of namespaces ({})", selector(pod_selector.as_ref()), selector(Some(namespaces)))
        }
    }
}

fn port(NetworkPolicyPort { port, end_port, protocol }: &NetworkPolicyPort) -> String {
    let protocol = protocol.as_deref().unwrap_or("TCP");
    match (port, end_port) {
        (None, _) => format!("every port of {protocol}"),
        (Some(IntOrString::Int(first)), Some(last)) => format!("{protocol} {first}-{last}"),
        (Some(IntOrString::Int(port)), None) => format!("{protocol} {port}"),
        (Some(IntOrString::String(name)), _) => format!("{protocol} {name:?}"),
    }
}

/// As kubectl writes selectors.
pub(super) fn selector(of: Option<&LabelSelector>) -> String {
    let all: Vec<String> = asks(of).iter().map(ask).collect();
    if all.is_empty() { "all".to_owned() } else { all.join(",") }
}

fn ask(ask: &Ask<'_>) -> String {
    match ask {
        Ask::In(key, values) => match values.as_slice() {
            [value] => format!("{key}={value}"),
            values => format!("{key} in ({})", values.join(",")),
        },
        Ask::NotIn(key, values) => format!("{key} notin ({})", values.join(",")),
        Ask::Exists(key) => (*key).to_owned(),
        Ask::DoesNotExist(key) => format!("!{key}"),
        Ask::Unknown(key, operator) => format!("{key} {operator}"),
    }
}
