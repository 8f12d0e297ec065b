//! Code reaches the names that it requires, as if they were there, and nothing else; what it tried is in its status.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use ccos_e2e::cluster::{WORLD_A as A, WORLD_B as B};
use ccos_e2e::fixture::to;
use ccos_e2e::fixture::{Context, pod};
use ccos_e2e::{Reason, cluster, context, execution, kubectl, namespace};
use serde_json::{Value, json};

const PROBE: &str = include_str!("probes/network.py");

/// Asks `to`, and prints the start of the answer.
const TALK: &str = r"
import json, socket
with socket.create_connection(to) as one:
    try:
        one.sendall(b'GET / HTTP/1.1\r\nHost: %s\r\n\r\n' % to[0].encode())
        print(json.dumps(one.recv(9).decode()))
    except ConnectionResetError:
        print(json.dumps('reset'))
";

/// Where names are reached in the same way.
const ISOLATIONS: [&str; 2] = ["GVisor", "Container"];

const AT_ONCE_MILLIS: u64 = 100;

/// An HTTP server of the world outside: answers with what it was asked for, as JSON. Its port.
fn world(address: &str) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).ok()?;
                    request.push(byte[0]);
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let host = request.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap_or("nobody");
                let body = json!({"host": host}).to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).ok()
            });
        }
    });
    port
}

fn grants(destinations: &[Value]) -> Context {
    context("analysts").set("permissions.network.outbound", json!(destinations))
}

#[test]
fn granted_names_are_reached_by_programs_that_know_nothing_of_proxies() {
    let ns = namespace("names");
    let port = world(A);
    let there = to("world-a.test", port);
    ns.apply(grants(&[to("*.test", port)]));
    let url = format!("http://world-a.test:{port}/");
    let busybox = execution("wget").runs(&["/bin/wget", "-q", "-O", "-", &url]).connects(there.clone());
    let code = format!("import urllib.request\nprint(urllib.request.urlopen('{url}', timeout=10).read().decode())");
    let urllib = execution("urllib").python(&code).connects(there.clone());
    let wildcard = execution("wildcard").runs(&["/bin/wget", "-q", "-O", "-", &url]).connects(to("*.test", port));
    let contained = execution("contained").runs(&["/bin/wget", "-q", "-O", "-", &url]).connects(there.clone());
    let contained_urllib = execution("contained-urllib").python(&code).connects(there);
    let contained = [contained, contained_urllib].map(|one| one.set("isolation", "Container"));
    for one in [busybox, urllib, wildcard].into_iter().chain(contained) {
        let name = one.name().to_owned();
        let ended = ns.accepts(one).completes();
        assert_eq!(ended.result(), &json!({"host": format!("world-a.test:{port}")}), "{name}");
        let status = &ended.object["status"];
        assert_eq!(status["usage"]["connections"], json!(1), "{name}: {status:#}");
        assert!(status["usage"]["bytesSent"].is_string() && status["usage"]["bytesReceived"].is_string(), "{status:#}");
        assert_eq!(status.get("denials"), None, "{name}: {status:#}");
        let held = status["enforcement"].as_array().unwrap().iter().map(|one| one["field"].as_str().unwrap());
        assert!(held.into_iter().any(|field| field == "permissions.network.outbound"), "{status:#}");
    }
}

#[test]
#[ignore = "alone: it measures time"]
fn everything_else_is_refused_at_once_and_said() {
    let ns = namespace("else");
    let (port, other) = (world(A), world(B));
    ns.apply(grants(&[to("world-a.test", port), to("world-b.test", other)]));
    let proxy: Value =
        serde_json::from_str(&kubectl(["get", "service", "ccos-egress", "-o", "json"]).inside("ccos-system").run().out)
            .unwrap();
    let targets = json!([
        ["tcp", A, port],
        ["tcp", B, other],
        ["tcp", proxy["spec"]["clusterIP"], 3128],
        ["tcp", cluster::API_SERVER.parse::<SocketAddr>().unwrap().ip(), 443],
        ["tcp", "169.254.169.254", 80],
        ["udp", "10.96.0.10", 53],
        ["tcp", "world-a.test", 22],
        ["name", "world-b.test", other],
        ["name", "c2VjcmV0.exfiltrated.example.com", 443],
        ["name", "kubernetes.default.svc.cluster.local", 443],
    ]);
    // What only the network policy keeps from the code in Container, which uses the pod's network: the granted port of other addresses,
    // and packets. It says nothing.
    let silent = [format!("tcp {A}:{port}"), "udp 10.96.0.10:53".to_owned()];
    for isolation in ISOLATIONS {
        let name = format!("curious-{}", isolation.to_lowercase());
        let curious = execution(&name).python(PROBE).set("inputs.targets", targets.clone()).set("isolation", isolation);
        let ended = ns.accepts(curious.connects(to("world-a.test", port))).completes();
        let answers: BTreeMap<String, (String, u64)> = serde_json::from_value(ended.result().clone()).unwrap();
        assert_eq!(answers.len(), targets.as_array().unwrap().len());
        for (target, (answer, millis)) in &answers {
            let known: &[&str] = match isolation {
                "Container" if silent.contains(target) => &["timeout"],
                "Container" => &["EACCES", "unknown"],
                _ => &["ENETUNREACH", "ECONNREFUSED", "unknown"],
            };
            let at_once = *millis < AT_ONCE_MILLIS || answer == "timeout";
            assert!(known.contains(&answer.as_str()) && at_once, "{isolation}: {target}: {answer} after {millis} ms");
        }
        let status = &ended.object["status"];
        let denials: Vec<_> =
            status["denials"].as_array().unwrap().iter().map(|one| one["target"].as_str().unwrap()).collect();
        for name in ["world-b.test.", "c2VjcmV0.exfiltrated.example.com."] {
            assert!(denials.contains(&format!("{name}: not-granted").as_str()), "{status:#}");
        }
        assert_eq!(status["denials"][0]["kind"], "NetworkDenied");
        assert_eq!(status["usage"]["connections"], json!(0), "{status:#}");
    }
}

/// Holds some connections at once, and prints how many there were.
const HOLDS: &str = r"
import json, socket, time
held = []
for _ in range(4):
    one = socket.create_connection(to)
    one.settimeout(5)
    try:
        one.sendall(b'G')
        time.sleep(0.5)
        one.sendall(b'E')
        held.append(one)
    except OSError:
        pass
print(json.dumps(len(held)))
";

#[test]
fn no_more_connections_at_one_time_than_granted() {
    let ns = namespace("connections");
    let port = world(A);
    ns.apply(grants(&[to("world-a.test", port)]).set("permissions.network.maxConnections", 2));
    let script = format!("to = ('world-a.test', {port})\n{HOLDS}");
    for isolation in ISOLATIONS {
        let one = execution(&isolation.to_lowercase()).python(&script).set("isolation", isolation);
        let ended = ns.accepts(one.connects(to("world-a.test", port))).completes();
        let status = &ended.object["status"];
        assert_eq!(ended.result(), 2, "{isolation}: {status:#}");
        let denial = &status["denials"][0];
        let expected = (json!(format!("world-a.test:{port}: too-many-connections")), json!(2));
        assert_eq!((denial["target"].clone(), denial["count"].clone()), expected, "{isolation}: {status:#}");
    }
}

#[test]
fn a_name_that_leads_to_a_blocked_address_is_refused_by_the_proxy() {
    let ns = namespace("blocked");
    let port = world(B);
    let script = format!("to = ('world-b.test', {port})\n{TALK}");
    let one = |name: &str| execution(name).python(&script).connects(to("world-b.test", port));
    ns.apply(grants(&[to("world-b.test", port)]));
    // The twin: without the block it is reached.
    assert_eq!(ns.accepts(one("reached")).completes().result(), "HTTP/1.1 ");
    ns.apply(
        grants(&[to("world-b.test", port)]).set("permissions.network.blocked", json!([{"cidr": format!("{B}/32")}])),
    );
    for isolation in ISOLATIONS {
        let one = one(&format!("refused-{}", isolation.to_lowercase())).set("isolation", isolation);
        let refused = ns.accepts(one).completes();
        assert_eq!(refused.result(), "reset");
        let status = &refused.object["status"];
        assert_eq!(status["denials"][0]["target"], json!(format!("world-b.test:{port}: blocked")), "{status:#}");
        assert_eq!(status["usage"]["connections"], json!(0), "{status:#}");
    }
}

fn at(cidr: &str, port: u16) -> Value {
    json!({"cidr": cidr, "ports": [{"port": port}]})
}

#[test]
fn what_the_proxy_cuts_later_is_in_status_too() {
    let ns = namespace("cut");
    let port = world(A);
    ns.apply(grants(&[to("world-a.test", port)]));
    let script = format!("to = ('world-a.test', {port})\n{}", TALK.replace("to[0].encode()", "b'world-b.test'"));
    for isolation in ISOLATIONS {
        let one = execution(&isolation.to_lowercase()).python(&script).set("isolation", isolation);
        let fronts = ns.accepts(one.connects(to("world-a.test", port))).completes();
        assert!(fronts.result() == "reset" || fronts.result() == "", "{}", fronts.result());
        let status = &fronts.object["status"];
        let denial = &status["denials"][0];
        assert_eq!(denial["target"], json!(format!("world-a.test:{port}: host-mismatch")), "{status:#}");
        assert_eq!((&denial["kind"], &denial["count"]), (&json!("NetworkDenied"), &json!(1)), "{status:#}");
    }
}

#[test]
fn granted_addresses_are_reached_and_counted_and_those_beside_them_are_not() {
    let ns = namespace("address");
    let port = world(A);
    // .8 to .11: B is beside it.
    let block = "10.245.0.8/30";
    ns.apply(grants(&[at(block, port), at("10.245.0.2/32", 6443)]).set("permissions.network.maxConnections", 4));
    let script = format!("to = ('{A}', {port})\n{TALK}");
    let ended = ns.accepts(execution("reaches").python(&script).connects(at(block, port))).completes();
    assert_eq!(ended.result(), "HTTP/1.1 ");
    let status = &ended.object["status"];
    assert_eq!((&status["usage"]["connections"], status.get("denials")), (&json!(1), None), "{status:#}");
    let held = status["enforcement"].as_array().unwrap().iter().map(|one| one["field"].as_str().unwrap());
    assert!(held.into_iter().any(|field| field == "permissions.network.outbound"), "{status:#}");

    let targets = json!([
        ["tcp", B, port],
        ["tcp", cluster::API_SERVER.parse::<SocketAddr>().unwrap().ip(), 443],
        ["tcp", A, 22],
        ["name", "world-a.test", port],
    ]);
    let beside = execution("beside").python(PROBE).set("inputs.targets", targets.clone()).connects(at(block, port));
    let answers: BTreeMap<String, (String, u64)> =
        serde_json::from_value(ns.accepts(beside).completes().result().clone()).unwrap();
    assert_eq!(answers.len(), targets.as_array().unwrap().len());
    for (target, (answer, millis)) in &answers {
        let refused = matches!(answer.as_str(), "ENETUNREACH" | "ECONNREFUSED" | "unknown");
        assert!(refused && *millis < AT_ONCE_MILLIS, "{target}: {answer} after {millis} ms");
    }
}

#[test]
fn an_address_of_the_cluster_is_reached_by_no_grant_and_one_of_ipv6_is_refused_at_admission() {
    let ns = namespace("cluster-address");
    let six = json!({"cidr": "2001:db8::/32", "ports": [{"port": 443}]});
    ns.apply(grants(&[at("10.245.0.2/32", 6443), six.clone()]));
    let script = format!("to = ('10.245.0.2', 6443)\n{TALK}");
    let refused = ns.accepts(execution("node").python(&script).connects(at("10.245.0.2/32", 6443))).completes();
    assert_eq!(refused.result(), "reset");
    let status = &refused.object["status"];
    assert_eq!(status["denials"][0]["target"], json!("10.245.0.2:6443: address-refused"), "{status:#}");
    let field = "requires.permissions.network.outbound[0]";
    ns.rejects(execution("six").connects(six)).with(Reason::Unenforceable, field);
    let contained = execution("contained").connects(at("10.245.0.2/32", 6443)).set("isolation", "Container");
    ns.rejects(contained).with(Reason::Unenforceable, field);
}

/// A token for the proxy says who a pod is, and nothing else believes it. Any other would be a way to the API server.
#[test]
fn the_controllers_token_makes_no_pods_with_tokens_but_those_for_the_proxy() {
    let ns = namespace("tokens");
    let with = |audience: &str| {
        let mut one = pod("tokens", &cluster::image("CCOS_BUSYBOX_IMAGE"), &["/bin/true"], &[]);
        one["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "security.ccos.dev/v1alpha1", "kind": "CapabilityExecution", "name": "made-up", "uid": "made-up",
            "controller": true,
        }]);
        one["spec"]["runtimeClassName"] = json!("gvisor");
        let token = json!({"serviceAccountToken": {"audience": audience, "path": "token"}});
        one["spec"]["volumes"] = json!([{"name": "token", "projected": {"sources": [token]}}]);
        let who =
            ["--as", "system:serviceaccount:ccos-system:ccos-controller", "create", "--dry-run=server", "-f", "-"];
        kubectl(who).inside(&ns.name).input(one.to_string()).run()
    };
    let refused = with("https://kubernetes.default.svc.cluster.local");
    assert!(!refused.ok && refused.err.contains("the controller makes only pods without tokens"), "{refused:?}");
    assert!(with("ccos-egress").ok, "the egress proxy's may be there");
}

/// It has to be able to patch pods. With that alone it could make any pod of the cluster run anything.
#[test]
fn the_controllers_token_changes_the_deadline_of_an_executions_pod_and_nothing_else() {
    let ns = namespace("deadline");
    ns.apply(context("analysts"));
    let runs = ns.accepts(execution("runs").sleeps(60));
    runs.starts();
    ns.apply(pod("bystander", &cluster::image("CCOS_BUSYBOX_IMAGE"), &["/bin/sleep", "60"], &[]));
    let patch = |pod: &str, patch: Value| {
        let who =
            ["--as", "system:serviceaccount:ccos-system:ccos-controller", "patch", "pod", pod, "--dry-run=server"];
        kubectl([&who[..], &["--type=merge", "-p", &patch.to_string()]].concat()).inside(&ns.name).run()
    };
    let child = runs.child();
    let deadline = json!({"spec": {"activeDeadlineSeconds": 5}});
    assert!(patch(&child, deadline.clone()).ok, "its own, which is how it ends one");
    let refused = patch("bystander", deadline);
    assert!(!refused.ok && refused.err.contains("only children of CapabilityExecutions"), "{refused:?}");
    let mut containers = ns.get(&format!("pod/{child}"))["spec"]["containers"].clone();
    containers[0]["image"] = json!(cluster::image("CCOS_PYTHON_IMAGE"));
    for other in [
        json!({"spec": {"containers": containers}}),
        json!({"metadata": {"labels": {"more": "yes"}}}),
        json!({"metadata": {"annotations": {"security.ccos.dev/egress": "{}"}}}),
        json!({"metadata": {"ownerReferences": []}}),
    ] {
        let refused = patch(&child, other);
        assert!(!refused.ok && refused.err.contains("ValidatingAdmissionPolicy 'ccos-controller'"), "{refused:?}");
    }
}
