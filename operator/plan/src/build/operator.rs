//! The operator, as the pods of executions see it.

use std::collections::BTreeMap;

use ccos_profile::ReportTo;
use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
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
