//! The operator, as the pods of executions see it.

use std::collections::BTreeMap;

use ccos_profile::{ReportTo, digest, place};
use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The port of the endpoint of reports, in the controller's pods: as charts/ccos has it.
pub const REPORT_PORT: u16 = 8443;

/// What the controller found out about its own installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Where its pods are.
    pub namespace: String,
    /// Where runners report.
    pub report: ReportTo,
    /// What only its controllers know.
    pub secret: String,
}

impl Operator {
    /// The way from a pod to the endpoint of reports.
    pub(super) fn reports(&self) -> NetworkPolicyEgressRule {
        self.way_to("controller", REPORT_PORT)
    }

    /// The way from a pod to a component of the operator. By labels: policies are held where a Service is already one of
    /// its pods, and an `ipBlock` of its address would match nothing.
    pub(super) fn way_to(&self, component: &str, port: u16) -> NetworkPolicyEgressRule {
        NetworkPolicyEgressRule {
            ports: Some(vec![NetworkPolicyPort {
                port: Some(IntOrString::Int(port.into())),
                protocol: Some("TCP".to_owned()),
                end_port: None,
            }]),
            to: Some(vec![self.pods(component)]),
        }
    }

    /// Where a pod has its runner, if that is not all of its image: nobody knows before there is the pod.
    pub(super) fn runner_volume(&self, pod: &ObjectMeta) -> String {
        let of = |text: &Option<String>| text.clone().unwrap_or_default();
        let text = format!("{}/{}/{}", self.secret, of(&pod.namespace), of(&pod.name));
        let unknown = digest(text.as_bytes()).trim_start_matches("sha256:").chars().take(32).collect::<String>();
        place::runner_volume(&unknown)
    }

    fn pods(&self, component: &str) -> NetworkPolicyPeer {
        let selector = |labels: &[(&str, &str)]| LabelSelector {
            match_labels: Some(
                labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>(),
            ),
            match_expressions: None,
        };
        NetworkPolicyPeer {
            ip_block: None,
            namespace_selector: Some(selector(&[("kubernetes.io/metadata.name", &self.namespace)])),
            pod_selector: Some(selector(&[
                ("app.kubernetes.io/component", component),
                ("app.kubernetes.io/name", "ccos"),
            ])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_runner_is_another_in_each_pod_and_without_the_secret_unknown() {
        let place = |secret: &str, namespace: &str, name: &str| {
            let report = ReportTo { address: ([10, 96, 1, 2], REPORT_PORT).into(), certificate: String::new() };
            let operator = Operator { namespace: String::new(), report, secret: secret.to_owned() };
            let text = |text: &str| Some(text.to_owned());
            operator.runner_volume(&ObjectMeta {
                namespace: text(namespace),
                name: text(name),
                ..ObjectMeta::default()
            })
        };
        let one = place("s", "data", "a");
        assert_eq!(one, place("s", "data", "a"));
        for other in [place("t", "data", "a"), place("s", "other", "a"), place("s", "data", "b")] {
            assert_ne!(one, other);
        }
        let unknown = one.strip_prefix("/ccos-").and_then(|rest| rest.split('/').next()).unwrap_or_default();
        assert!(unknown.len() == 32 && unknown.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
    }
}
