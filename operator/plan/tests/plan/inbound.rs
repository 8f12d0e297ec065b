//! Who may connect to an execution: in the policy, in the profile, and in the pod's own words.

use ccos_crds::security_context::Isolation;
use ccos_plan::build::Children;
use ccos_plan::build::inbound::ingress_of;
use ccos_plan::build::network_policy::network_policy;
use ccos_plan::fence;
use ccos_plan::opening::conflict;
use ccos_plan::step;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};

use crate::world::{cluster, context, execution, found, granted, operator, provider};

/// One to which others may connect, under a context that blocks a part of where they are.
fn visited(inbound: &Value) -> Children {
    let (mut context, mut provider, mut object) = (context(), provider(), execution());
    let network =
        |blocked: Value| Some(serde_json::from_value(json!({"inbound": inbound, "blocked": blocked})).unwrap());
    context.spec.permissions.as_mut().unwrap().network = network(json!([{"cidr": "10.9.0.0/16"}, {"host": "a.test"}]));
    let required = provider.spec.capabilities[0].requires.as_mut().unwrap();
    required.permissions.as_mut().unwrap().network =
        network(json!([{"cidr": "10.9.0.0/16"}, {"cidr": "10.1.1.0/24"}, {"cidr": "192.0.2.0/24"}]));
    object.spec.isolation = Some(Isolation::GVisor);
    let found = found(context, provider);
    step::children(&object, &granted(&object, &found), &found, &cluster(), (&operator(), None)).unwrap()
}

fn many() -> Children {
    visited(&json!([
        {"podSelector": {"matchLabels": {"app": "friend"}}, "ports": [{"port": 8080}, {"port": 8443, "endPort": 8445}]},
        {"podSelector": {}, "namespaceSelector": {"matchLabels": {}, "matchExpressions": [
            {"key": "team", "operator": "In", "values": ["b", "a"]}, {"key": "old", "operator": "DoesNotExist", "values": []},
        ]}, "ports": [{"port": 8080}]},
        {"namespaceSelector": {}, "ports": [{"port": 8080}]},
        {"cidr": "10.0.0.0/8", "ports": [{"port": 8080}]},
        {"cidr": "192.0.2.0/25", "ports": [{"port": 8080}]},
    ]))
}

fn ingress(policy: &NetworkPolicy) -> Value {
    json!(policy.spec.as_ref().unwrap().ingress)
}

#[test]
fn the_policy_lets_in_who_is_required_without_what_is_blocked() {
    let Children { network_policy, profile, .. } = many();
    let at = |from: Value| json!({"from": [from], "ports": [{"port": 8080, "protocol": "TCP"}]});
    let expected = json!([
        {"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}],
            "ports": [{"port": 8080, "protocol": "TCP"}, {"port": 8443, "endPort": 8445, "protocol": "TCP"}]},
        // As the API server gives it back: nothing empty, which would look like a change.
        at(json!({"podSelector": {}, "namespaceSelector": {"matchExpressions": [
            {"key": "old", "operator": "DoesNotExist"}, {"key": "team", "operator": "In", "values": ["a", "b"]},
        ]}})),
        at(json!({"podSelector": {}, "namespaceSelector": {}})),
        at(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.1.0/24", "10.9.0.0/16"]}})),
        // The last is blocked as a whole.
    ]);
    assert_eq!(ingress(&network_policy), expected);
    let text = profile.data.unwrap().remove("profile.json").unwrap();
    let profile: Value = serde_json::from_str(&text).unwrap();
    let port = json!({"port": 8080, "endPort": 8080});
    let expected = json!({
        "sources": [
            {"ports": [port, {"port": 8443, "endPort": 8445}]}, {"ports": [port]}, {"ports": [port]},
            {"cidr": "10.0.0.0/8", "ports": [port]}, {"cidr": "192.0.2.0/25", "ports": [port]},
        ],
        "blocked": ["10.1.1.0/24", "10.9.0.0/16", "192.0.2.0/24"],
    });
    assert_eq!(profile["inbound"], expected);
}

#[test]
fn the_pod_says_who_was_let_in_where_nobody_can_change_it() {
    let Children { network_policy: applied, pod, .. } = many();
    let of_pod = || network_policy(&execution(), &operator(), false, ingress_of(&pod));
    assert_eq!(of_pod(), applied);
    assert_eq!(fence::fenced(&of_pod(), Some(&applied)), Ok(()));
    let mut wider = applied.clone();
    wider.spec.as_mut().unwrap().ingress.as_mut().unwrap()[2].ports = None;
    assert_eq!(fence::fenced(&of_pod(), Some(&wider)).unwrap_err().reason, "ConfinementFailed");
    // One whose words can't be read lets in nobody.
    let mut other = pod.clone();
    other.spec.as_mut().unwrap().containers[0].args = Some(vec!["[{".to_owned()]);
    assert_eq!(ingress_of(&other), Vec::new());
    // Memory for what is carried.
    let memory = |pod: &k8s_openapi::api::core::v1::Pod| {
        pod.spec.as_ref().unwrap().containers[0].resources.as_ref().unwrap().limits.as_ref().unwrap()["memory"]
            .0
            .clone()
    };
    let none = visited(&json!([])).pod;
    assert_eq!(none.spec.as_ref().unwrap().containers[0].args, None);
    let difference = memory(&pod).parse::<u64>().unwrap() - memory(&none).parse::<u64>().unwrap();
    assert_eq!(difference, 16 << 20);
}

#[test]
fn what_is_let_in_is_no_conflict_and_more_is() {
    let Children { network_policy: own, pod, .. } = many();
    let labels = pod.metadata.labels.unwrap();
    let beside = |from: Value, port: u16| {
        let other = serde_json::from_value(json!({
            "metadata": {"name": "other"},
            "spec": {"podSelector": {}, "ingress": [{"from": [from], "ports": [{"port": port}]}]},
        }));
        conflict(&own, &labels, [&other.unwrap()]).is_some()
    };
    let friends = json!({"podSelector": {"matchLabels": {"app": "friend", "tier": "web"}}});
    for (from, port, conflicts) in [
        (friends.clone(), 8080, false),
        (friends.clone(), 8444, false),
        (friends.clone(), 8446, true),
        (json!({"podSelector": {"matchLabels": {"app": "other"}}}), 8443, true),
        (json!({"ipBlock": {"cidr": "10.2.0.0/16"}}), 8080, false),
        (json!({"ipBlock": {"cidr": "10.9.1.0/24"}}), 8080, true),
        (json!({"ipBlock": {"cidr": "192.0.2.0/25"}}), 8080, true),
        (json!({"ipBlock": {"cidr": "0.0.0.0/0"}}), 8080, true),
    ] {
        assert_eq!(beside(from.clone(), port), conflicts, "{from} {port}");
    }
}
