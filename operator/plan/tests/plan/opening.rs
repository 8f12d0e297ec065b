//! What other network policies make of a pod's own.

use std::collections::BTreeMap;

use ccos_plan::build::names;
use ccos_plan::build::network_policy::network_policy;
use ccos_plan::opening::conflict;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};

use crate::world::{execution, operator};

fn labels() -> BTreeMap<String, String> {
    names::labels(&execution())
}

fn policy(name: &str, spec: Value) -> NetworkPolicy {
    serde_json::from_value(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "data"},
        "spec": spec,
    }))
    .unwrap()
}

/// What is said of one other policy beside the execution's own.
fn beside(own: &NetworkPolicy, spec: Value) -> Option<String> {
    let others = [own.clone(), policy("other", spec)];
    conflict(own, &labels(), &others).map(|end| {
        assert_eq!(end.reason, "ConflictingNetworkPolicy");
        let selected = end.message.strip_prefix("NetworkPolicy \"other\" selects its pod (podSelector: ").unwrap();
        selected.split_once(") and allows what the execution may not: ").unwrap().1.to_owned()
    })
}

fn own(connects: bool) -> NetworkPolicy {
    network_policy(&execution(), &operator(), connects, Vec::new())
}

const UID: &str = "e0e0e0e0-1111-2222-3333-444444444444";

#[test]
fn what_is_open_beside_a_closed_policy_opens_the_pod() {
    let cases = [
        (json!({"podSelector": {}, "egress": [{}]}), "egress to everywhere at every port"),
        (json!({"podSelector": {}, "ingress": [{}]}), "ingress from everywhere at every port"),
        // Some engines apply rules of a type that is not listed, some don't.
        (json!({"podSelector": {}, "policyTypes": ["Ingress"], "egress": [{}]}), "egress to everywhere at every port"),
        (json!({"egress": [{}]}), "egress to everywhere at every port"),
        (
            json!({"podSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "ccos"}},
                "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": 443}]}]}),
            "egress to 10.0.0.0/8 without 10.1.0.0/16 at TCP 443",
        ),
        (
            json!({"podSelector": {"matchExpressions": [{"key": "security.ccos.dev/execution-uid", "operator": "Exists"}]},
                "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "x"}}}], "ports": [{"port": "http"}]}]}),
            "ingress from pods of its namespace (app=x) at TCP \"http\"",
        ),
        (
            json!({"podSelector": {"matchLabels": {"security.ccos.dev/execution-uid": UID}},
                "egress": [{"to": [{"namespaceSelector": {}}], "ports": [{"port": 1, "endPort": 9, "protocol": "UDP"}]}]}),
            "egress to pods (all) of namespaces (all) at UDP 1-9",
        ),
        (
            json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, "egress": [{}]}),
            "egress to everywhere at every port",
        ),
        (
            json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, "egress": [{}]}),
            "egress to everywhere at every port",
        ),
        // Nobody knows a later Kubernetes' words.
        (
            json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["1"]}]}, "egress": [{}]}),
            "egress to everywhere at every port",
        ),
    ];
    for (spec, opens) in cases {
        assert_eq!(beside(&own(false), spec.clone()).as_deref(), Some(opens), "{spec}");
    }
}

#[test]
fn a_policy_that_closes_or_selects_other_pods_is_no_conflict() {
    let cases = [
        json!({"podSelector": {}}),
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []}),
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "egress": [{}]}),
        json!({"podSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "ccos", "app": "web"}}, "egress": [{}]}),
        json!({"podSelector": {"matchLabels": {"security.ccos.dev/execution-uid": "another"}}, "egress": [{}]}),
        json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}, "egress": [{}]}),
        json!({"podSelector": {"matchExpressions": [{"key": "app.kubernetes.io/managed-by", "operator": "NotIn", "values": ["ccos"]}]},
            "egress": [{}]}),
        json!({"podSelector": {"matchExpressions": [{"key": "app.kubernetes.io/managed-by", "operator": "DoesNotExist"}]},
            "ingress": [{}]}),
    ];
    for spec in cases {
        assert_eq!(beside(&own(false), spec.clone()), None, "{spec}");
    }
}

#[test]
fn only_what_its_own_does_not_allow_is_a_conflict() {
    let to = |namespace: &Value, component: &str, ports: Value| {
        json!({"podSelector": {}, "egress": [{
            "to": [{"namespaceSelector": namespace, "podSelector": {"matchLabels": {
                "app.kubernetes.io/component": component, "app.kubernetes.io/name": "ccos",
            }}}],
            "ports": ports,
        }]})
    };
    let here = json!({"matchLabels": {"kubernetes.io/metadata.name": "ccos-system"}});
    let proxy = json!([{"port": 3128}]);
    assert_eq!(beside(&own(true), to(&here, "egress", proxy.clone())), None);
    // Another word for the same.
    let same = json!({"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["ccos-system"]}, {"key": "a", "operator": "Exists"},
    ]});
    assert_eq!(beside(&own(true), to(&same, "egress", proxy.clone())), None);
    // Its own does not allow the proxy, or not at this port, or not in this namespace.
    assert!(beside(&own(false), to(&here, "egress", proxy.clone())).is_some());
    for ports in [
        json!([]),
        json!([{"protocol": "TCP"}]),
        json!([{"port": 3127, "endPort": 3128}]),
        json!([{"port": 3128, "protocol": "UDP"}]),
    ] {
        assert!(beside(&own(true), to(&here, "egress", ports.clone())).is_some(), "{ports}");
    }
    assert!(beside(&own(true), to(&json!({}), "egress", proxy.clone())).is_some());
    let more = json!({"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["ccos-system", "kube-system"]},
    ]});
    assert!(beside(&own(true), to(&more, "egress", proxy)).is_some());
}

#[test]
fn a_block_within_its_own_is_no_conflict_and_one_that_reaches_what_its_own_leaves_out_is() {
    let block = |cidr: &str, except: &[&str]| json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": cidr, "except": except}}], "ports": [{"port": 8080}]}]});
    let mut own = own(false);
    own.spec = policy("own", block("10.0.0.0/8", &["10.9.0.0/16"])).spec;
    let cases = [
        ("10.1.0.0/16", &[][..], true),
        ("10.0.0.0/8", &["10.9.0.0/16"], true),
        ("10.0.0.0/8", &["10.8.0.0/15"], true),
        ("10.0.0.0/8", &[], false),
        ("10.9.9.0/24", &[], false),
        ("10.8.0.0/14", &["10.9.1.0/24"], false),
        ("0.0.0.0/0", &["10.9.0.0/16"], false),
        ("::/0", &[], false),
        ("::ffff:10.1.0.0/112", &[], true),
        ("10.1.0.1/16", &[], false),
        ("nonsense", &[], false),
    ];
    for (cidr, except, within) in cases {
        assert_eq!(beside(&own, block(cidr, except)).is_none(), within, "{cidr} {except:?}");
    }
    // What has neither of both is not understood.
    assert!(beside(&own, json!({"podSelector": {}, "ingress": [{"from": [{}], "ports": [{"port": 8080}]}]})).is_some());
}

#[test]
fn of_several_the_first_by_name_is_told_and_no_message_is_long() {
    let many: Vec<_> = (0..200).map(|at| format!("value-{at}")).collect();
    let long = json!({"podSelector": {"matchExpressions": [
        {"key": "app", "operator": "NotIn", "values": many},
    ]}, "egress": [{}]});
    let all = [policy("z", json!({"egress": [{}]})), policy("b", long), policy("a", json!({"podSelector": {}}))];
    let end = conflict(&own(false), &labels(), &all).unwrap();
    assert!(end.message.starts_with("NetworkPolicy \"b\" ") && end.message.len() <= 700, "{}", end.message);
}
