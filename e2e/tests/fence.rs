//! Other network policies: policies are a union, so one that is open would open an execution's pod as well.

use std::net::SocketAddr;

use ccos_e2e::fixture::pod;
use ccos_e2e::{EndReason, Namespace, cluster, context, execution, namespace, until};
use ccos_plan::build::names::UID_LABEL;
use serde_json::{Value, json};

fn policy(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["podSelector"] = spec.get("podSelector").cloned().unwrap_or_else(|| json!({}));
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec})
}

fn open() -> Value {
    json!({"policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]})
}

/// A pod that listens, and its address.
fn server(ns: &Namespace, name: &str) -> SocketAddr {
    let httpd = ["/bin/httpd", "-f", "-p", "8080", "-h", "/etc"];
    ns.apply(pod(name, &cluster::image("CCOS_BUSYBOX_IMAGE"), &httpd, &[]));
    ns.kubectl(["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=60s"]);
    let ip = ns.get(&format!("pod/{name}"))["status"]["podIP"].as_str().unwrap().parse().unwrap();
    SocketAddr::new(ip, 8080)
}

/// Whether a plain pod under the label of a finished execution's policy reaches a server: what the union of the policies
/// makes of a pod like ours, without anybody to stop it.
fn reaches(ns: &Namespace, name: &str, uid: &str, to: SocketAddr) -> bool {
    let script = format!(
        "i=0; while [ $i -lt 5 ]; do nc -w 2 {} {} </dev/null >/dev/null 2>&1 && exec echo reached; i=$((i+1)); done; echo refused",
        to.ip(),
        to.port()
    );
    let image = cluster::image("CCOS_BUSYBOX_IMAGE");
    let mut object = pod(name, &image, &["/bin/sh", "-c", &script], &[]);
    object["metadata"]["labels"] = json!({UID_LABEL: uid});
    ns.apply(object);
    ns.kubectl(["wait", "--for=jsonpath={.status.phase}=Succeeded", &format!("pod/{name}"), "--timeout=60s"]);
    ns.kubectl(["logs", name]).trim() == "reached"
}

#[test]
fn a_policy_that_opens_all_pods_opens_this_one_too_and_keeps_it_from_starting() {
    let ns = namespace("conflict");
    ns.apply(context("analysts"));
    let there = server(&ns, "server");
    // The attack, shown on a pod that nobody stops: with the label of an execution's policy it is closed, until another
    // policy opens all.
    let first = ns.accepts(execution("first"));
    let uid = first.completes().object["metadata"]["uid"].as_str().unwrap().to_owned();
    assert!(!reaches(&ns, "closed", &uid, there), "the execution's own policy holds nothing");
    ns.apply(policy("allow-all", open()));
    assert!(reaches(&ns, "opened", &uid, there), "the attack itself does not work");

    let refused = ns.accepts(execution("refused").sleeps(30)).ends(EndReason::ConflictingNetworkPolicy);
    let message = refused.message();
    let expected = "NetworkPolicy \"allow-all\" selects its pod (podSelector: all) and allows what the execution may not: egress to everywhere at every port";
    assert_eq!(message, expected);
    assert_eq!(refused.condition("Isolated")["status"], "False");
    assert_eq!(refused.condition("Isolated")["reason"], "ConflictingNetworkPolicy");
    assert_eq!(refused.condition("Admitted")["status"], "True", "its grant is not to blame");
    assert_eq!(refused.object["status"]["attempts"], Value::Null, "there never was a pod");
    // The twin: once it is gone, the same starts.
    ns.kubectl(["delete", "networkpolicy", "allow-all"]);
    ns.accepts(execution("accepted")).completes();
}

#[test]
fn a_policy_that_opens_it_while_it_runs_stops_it() {
    let ns = namespace("opened");
    ns.apply(context("analysts"));
    let runs = ns.accepts(execution("runs").sleeps(90).limit("wallTime", "3m"));
    runs.starts();
    let pod = runs.child();
    // By the label that it does have, at one port: what is opened need not be much.
    let little = json!({
        "podSelector": {"matchExpressions": [{"key": UID_LABEL, "operator": "Exists"}]},
        "egress": [{"to": [{"ipBlock": {"cidr": "10.245.0.0/16"}}], "ports": [{"port": 443}]}],
    });
    ns.apply(policy("a-little", little));
    let stopped = runs.ends(EndReason::ConflictingNetworkPolicy);
    let message = stopped.message();
    assert!(message.contains("\"a-little\"") && message.ends_with("egress to 10.245.0.0/16 at TCP 443"), "{message}");
    assert_eq!(stopped.condition("Isolated")["status"], "False");
    // It stays for its log, and runs no more.
    until("the pod has ended", 60, || (ns.get(&format!("pod/{pod}"))["status"]["phase"] == "Failed").then_some(()));
}

#[test]
fn a_policy_that_comes_to_select_it_by_a_new_label_of_the_pod_stops_it() {
    let ns = namespace("relabelled");
    ns.apply(context("analysts"));
    let mut others = open();
    others["podSelector"] = json!({"matchLabels": {"app": "web"}});
    ns.apply(policy("of-others", others));
    // It selects other pods: no conflict.
    let runs = ns.accepts(execution("runs").sleeps(90).limit("wallTime", "3m"));
    runs.starts();
    ns.kubectl(["label", "pod", &runs.child(), "app=web"]);
    let stopped = runs.ends(EndReason::ConflictingNetworkPolicy);
    assert!(
        stopped.message().contains("\"of-others\" selects its pod (podSelector: app=web)"),
        "{}",
        stopped.message()
    );
}

#[test]
fn a_policy_that_opens_nothing_is_no_conflict_before_the_start_and_while_it_runs() {
    let ns = namespace("deny-all");
    ns.apply(context("analysts"));
    let deny = json!({"policyTypes": ["Ingress", "Egress"]});
    ns.apply(policy("default-deny", deny.clone()));
    let runs = ns.accepts(execution("runs").sleeps(8));
    runs.starts();
    ns.apply(policy("again", deny));
    // Less than its own: to the operator's endpoint at the same port, of fewer pods.
    let narrower = json!({"policyTypes": ["Egress"], "egress": [{
        "to": [{
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": cluster::OPERATOR}},
            "podSelector": {"matchLabels": {
                "app.kubernetes.io/component": "controller", "app.kubernetes.io/name": "ccos", "some": "more",
            }},
        }],
        "ports": [{"port": 8443, "protocol": "TCP"}],
    }]});
    ns.apply(policy("narrower", narrower));
    runs.completes();
}
