//! Code without a network grant reaches nothing, and nothing reaches it; and it is told so at once.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};

use ccos_e2e::fixture::pod;
use ccos_e2e::{EndReason, Namespace, cluster, context, execution, kubectl, namespace, until};
use serde_json::{Value, json};

const PROBE: &str = include_str!("probes/network.py");

/// Beyond this it is no refusal but a timeout, for whoever waits.
const AT_ONCE_MILLIS: u64 = 100;

type Answers = BTreeMap<String, (String, u64)>;

/// A pod that listens, and its address.
fn server(ns: &Namespace, name: &str) -> SocketAddr {
    let httpd = ["/bin/httpd", "-f", "-p", "8080", "-h", "/etc"];
    ns.apply(pod(name, &cluster::image("CCOS_BUSYBOX_IMAGE"), &httpd, &[]));
    ns.kubectl(["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=60s"]);
    SocketAddr::new(ip(ns, name), 8080)
}

fn ip(ns: &Namespace, pod: &str) -> std::net::IpAddr {
    ns.get(&format!("pod/{pod}"))["status"]["podIP"].as_str().unwrap().parse().unwrap()
}

/// The same probe in a pod that is no execution.
fn control(ns: &Namespace, name: &str, targets: &Value) -> Answers {
    let inputs = json!({"targets": targets}).to_string();
    let start = "import json,os;exec(os.environ['CODE'],{'inputs':json.loads(os.environ['INPUTS'])})";
    let command = ["/usr/bin/python3", "-c", start];
    ns.apply(pod(name, &cluster::image("CCOS_PYTHON_IMAGE"), &command, &[("CODE", PROBE), ("INPUTS", &inputs)]));
    ns.kubectl(["wait", "--for=jsonpath={.status.phase}=Succeeded", &format!("pod/{name}"), "--timeout=60s"]);
    serde_json::from_str(&ns.kubectl(["logs", name])).unwrap()
}

fn tcp(address: SocketAddr) -> Value {
    json!(["tcp", address.ip(), address.port()])
}

fn refused_at_once((target, (answer, millis)): (&String, &(String, u64))) -> Option<String> {
    let refused = matches!(answer.as_str(), "ENETUNREACH" | "ECONNREFUSED" | "unknown") && *millis < AT_ONCE_MILLIS;
    (!refused).then(|| format!("{target}: {answer} after {millis} ms"))
}

#[test]
#[ignore = "alone: it measures time"]
fn code_without_a_network_grant_reaches_nothing_and_is_told_at_once() {
    let ns = namespace("outbound");
    ns.apply(context("analysts"));
    let outside = TcpListener::bind("10.245.0.11:0").unwrap();
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let targets = json!([
        tcp(server(&ns, "server")),
        tcp(address(cluster::API_SERVER)),
        tcp(address(cluster::NODE)),
        tcp(address(cluster::DNS)),
        ["udp", "10.96.0.10", 53],
        tcp(outside.local_addr().unwrap()),
    ]);
    // The twin: the cluster lets a pod of the same namespace reach all of them.
    for (target, (answer, _)) in control(&ns, "control", &targets) {
        assert_eq!(answer, "ok", "{target}");
    }
    let mut all = targets.as_array().unwrap().clone();
    all.extend([
        json!(["tcp", "169.254.169.254", 80]),
        json!(["tcp", "10.245.0.2", 10250]),
        json!(["name", "kubernetes.default.svc.cluster.local", 443]),
    ]);
    let ended = ns.accepts(execution("curious").python(PROBE).set("inputs.targets", json!(all))).completes();
    let answers: Answers = serde_json::from_value(ended.result().clone()).unwrap();
    assert_eq!(answers.len(), all.len());
    let reached: Vec<String> = answers.iter().filter_map(refused_at_once).collect();
    assert!(reached.is_empty(), "{}", reached.join("\n"));
}

#[test]
fn nothing_reaches_code_without_an_inbound_grant() {
    let ns = namespace("inbound");
    ns.apply(context("analysts"));
    let code = "import socket, time\ns = socket.create_server(('0.0.0.0', 8080)); time.sleep(40)";
    let listens = ns.accepts(execution("listens").python(code));
    listens.starts();
    let targets = json!([tcp(server(&ns, "server")), tcp(SocketAddr::new(ip(&ns, &listens.child()), 8080))]);
    let answers: Vec<String> = control(&ns, "control", &targets).into_values().map(|(answer, _)| answer).collect();
    // In the order of addresses, which are anyone's.
    assert_eq!(answers.iter().filter(|answer| *answer == "ok").count(), 1, "{answers:?}");
    assert!(
        answers.iter().any(|answer| matches!(answer.as_str(), "timeout" | "ECONNREFUSED" | "EHOSTUNREACH")),
        "{answers:?}"
    );
    listens.desire("Cancelled");
    listens.ends(EndReason::Cancelled);
}

#[test]
fn the_network_policy_holds_for_whatever_else_runs_in_the_pod() {
    let ns = namespace("second-line");
    ns.apply(context("analysts"));
    let there = server(&ns, "server");
    let runs = ns.accepts(execution("runs").sleeps(40));
    runs.starts();
    let look = |pod: &str| {
        let (host, port) = (there.ip().to_string(), there.port().to_string());
        let image = cluster::image("CCOS_BUSYBOX_IMAGE");
        let script = format!("nc -w 3 {host} {port} </dev/null >/dev/null 2>&1 && echo reached || echo refused");
        ns.kubectl([
            "debug",
            pod,
            "--image",
            &image,
            "--profile",
            "restricted",
            "--container",
            "look",
            "--attach=false",
            "--quiet",
            "--",
            "/bin/sh",
            "-c",
            &script,
        ]);
        until("the container that looks", 40, || {
            let answer = kubectl(["logs", pod, "--container", "look"]).inside(&ns.name).run();
            (answer.ok && !answer.out.is_empty()).then(|| answer.out.trim().to_owned())
        })
    };
    assert_eq!(look("server"), "reached");
    assert_eq!(look(&runs.child()), "refused");
    runs.desire("Cancelled");
    runs.ends(EndReason::Cancelled);
}
