//! Others in the cluster connect to code that they were granted to: at the granted ports, from the granted sources, and the
//! code has no more of the network for it.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use ccos_e2e::cluster::{WORLD_A as A, WORLD_B as B};
use ccos_e2e::fixture::{Execution, pod};
use ccos_e2e::{EndReason, Namespace, Reason, Running, cluster, context, execution, namespace, until};
use serde_json::{Value, json};

/// Answers everybody at both ports with the address that they come from, until somebody asks for `/end`. At 8082 of its
/// loopback, too.
const SERVER: &str = r"
import http.server, json, threading
ended = threading.Event()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.client_address[0].encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if self.path == '/end':
            ended.set()
    def log_message(self, *_):
        pass
for at in ('0.0.0.0', 8080), ('0.0.0.0', 8081), ('127.0.0.1', 8082):
    threading.Thread(target=http.server.ThreadingHTTPServer(at, Handler).serve_forever, daemon=True).start()
ended.wait()
print(json.dumps('asked to end'))
";

const PROBE: &str = include_str!("probes/network.py");

fn friends(ports: &[u16]) -> Value {
    let ports: Vec<Value> = ports.iter().map(|port| json!({"port": port})).collect();
    json!({"podSelector": {"matchLabels": {"app": "friend"}}, "ports": ports})
}

fn block(cidr: &str) -> Value {
    json!({"cidr": cidr, "ports": [{"port": 8080}]})
}

fn server(name: &str) -> Execution {
    execution(name).python(SERVER).limit("wallTime", "3m")
}

/// A pod that runs the server without us.
fn plain(ns: &Namespace, name: &str) -> IpAddr {
    let start = "import os;exec(os.environ['CODE'])";
    let command = ["/usr/bin/python3", "-c", start];
    ns.apply(pod(name, &cluster::image("CCOS_PYTHON_IMAGE"), &command, &[("CODE", SERVER)]));
    ns.kubectl(["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=60s"]);
    ip(ns, name)
}

fn ip(ns: &Namespace, pod: &str) -> IpAddr {
    ns.get(&format!("pod/{pod}"))["status"]["podIP"].as_str().unwrap().parse().unwrap()
}

fn runs(ns: &Namespace, execution: Execution) -> (Running<'_>, IpAddr) {
    let runs = ns.accepts(execution);
    runs.starts();
    let ip = ip(ns, &runs.child());
    (runs, ip)
}

/// Whoever visits, one after the other: what is answered at each place, or `refused`. The first place is tried until it
/// answers: a server takes its time.
fn visit(ns: &Namespace, name: &str, app: &str, places: &[(IpAddr, u16, &str)]) -> Vec<String> {
    let ask = |(ip, port, path): &(IpAddr, u16, &str)| {
        format!("a=$(printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {ip} {port} 2>/dev/null)")
    };
    let first =
        format!("i=0; while [ $i -lt 20 ]; do {}; [ -z \"$a\" ] || break; sleep 1; i=$((i+1)); done", ask(&places[0]));
    let others = places[1..].iter().map(ask);
    let script: Vec<String> =
        std::iter::once(first).chain(others).map(|asked| format!("{asked}; echo \"@@$a\"")).collect();
    let mut object = pod(name, &cluster::image("CCOS_BUSYBOX_IMAGE"), &["/bin/sh", "-c", &script.join("; ")], &[]);
    object["metadata"]["labels"] = json!({"app": app});
    ns.apply(object);
    ns.kubectl(["wait", "--for=jsonpath={.status.phase}=Succeeded", &format!("pod/{name}"), "--timeout=120s"]);
    let log = ns.kubectl(["logs", name]);
    let answers = log.split("@@").skip(1).map(|answer| answer.trim().lines().last().unwrap_or("refused").to_owned());
    answers.collect()
}

#[test]
fn granted_pods_reach_the_code_at_granted_ports_and_nobody_else_does() {
    let (ns, elsewhere) = (namespace("inbound"), namespace("inbound-elsewhere"));
    ns.apply(context("analysts").set("permissions.network.inbound", json!([friends(&[8080, 8082, 9000])])));
    let control = plain(&ns, "control");
    let (runs, code) = runs(&ns, server("server").visited(friends(&[8080, 8082, 9000])));
    let friend = visit(
        &ns,
        "friend",
        "friend",
        &[(code, 8080, "/"), (code, 8082, "/"), (code, 8081, "/"), (code, 9000, "/"), (control, 8081, "/")],
    );
    // Listened at on the loopback: reached. Not granted, and granted with nobody there: not. All come from the loopback.
    assert_eq!(friend[..4], ["127.0.0.1", "127.0.0.1", "refused", "refused"], "{friend:?}");
    assert_ne!(friend[4], "refused", "the cluster itself keeps pods apart");
    // By then the code listens: who is refused is refused by the policy. The twin: all of them reach the same server in a
    // plain pod.
    for (from, name, app) in [(&ns, "stranger", "stranger"), (&elsewhere, "namesake", "friend")] {
        let seen = visit(from, name, app, &[(control, 8080, "/"), (code, 8080, "/")]);
        assert_ne!(seen[0], "refused", "{name}: the attack itself does not work");
        assert_eq!(seen[1], "refused", "{name}");
    }
    assert_eq!(visit(&ns, "last", "friend", &[(code, 8080, "/end")]), ["127.0.0.1"]);
    let ended = runs.completes();
    assert_eq!(ended.result(), &json!("asked to end"));
    let usage = &ended.object["status"]["usage"];
    assert_eq!((&usage["connectionsIn"], &usage["connections"]), (&json!(3), &json!(0)), "{usage:#}");
    assert!(ended.bytes("bytesSent") > 3 * 9 && ended.bytes("bytesReceived") > 3 * 9, "{usage:#}");
    let enforcement = ended.object["status"]["enforcement"].as_array().unwrap();
    assert!(
        enforcement.iter().any(|one| one["field"] == "permissions.network.inbound"),
        "not among what was proven: {enforcement:?}"
    );
}

/// From an address of the machine, which is outside of the cluster.
fn ask_from(own: &str, to: SocketAddr) -> bool {
    let asks = || -> std::io::Result<String> {
        // The standard library binds no address before it connects.
        let found = Command::new("python3")
            .args(["-c", "import socket,sys;s=socket.create_connection((sys.argv[2],int(sys.argv[3])),3,(sys.argv[1],0));s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n');print(s.recv(15).decode())"])
            .args([own, &to.ip().to_string(), &to.port().to_string()])
            .output()?;
        Ok(String::from_utf8_lossy(&found.stdout).into_owned())
    };
    asks().unwrap().starts_with("HTTP/1.")
}

#[test]
fn a_block_of_addresses_outside_reaches_the_code_and_what_is_beside_or_blocked_does_not() {
    let ns = namespace("inbound-block");
    let world = "10.245.0.8/29";
    ns.apply(
        context("analysts")
            .set("permissions.network.inbound", json!([block(world)]))
            .set("permissions.network.blocked", json!([{"cidr": format!("{B}/32")}])),
    );
    let control = SocketAddr::new(plain(&ns, "control"), 8080);
    let (one, one_ip) = runs(&ns, server("one").visited(block(&format!("{A}/32"))));
    let at = SocketAddr::new(one_ip, 8080);
    until("the granted address to be answered", 30, || ask_from(A, at).then_some(()));
    until("the other address to be answered by a plain pod", 30, || ask_from(B, control).then_some(()));
    assert!(!ask_from(B, at), "an address beside the block was let in");
    one.desire("Cancelled");
    // What is blocked wins over what is granted.
    ns.rejects(server("whole").visited(block(world)))
        .with(Reason::InboundDenied, "requires.permissions.network.inbound[0]");
    let without = server("part")
        .visited(block(world))
        .set("requires.permissions.network.blocked", json!([{"cidr": format!("{B}/32")}]));
    let (part, part_ip) = runs(&ns, without);
    let at = SocketAddr::new(part_ip, 8080);
    until("the rest of the block to be answered", 30, || ask_from(A, at).then_some(()));
    assert!(!ask_from(B, at), "a blocked address was let in");
    part.desire("Cancelled");
}

#[test]
fn code_that_is_connected_to_connects_to_nothing() {
    let ns = namespace("inbound-out");
    ns.apply(context("analysts").set("permissions.network.inbound", json!([friends(&[8080])])));
    let there = plain(&ns, "there");
    let targets = json!([
        ["tcp", there, 8080],
        ["tcp", "10.96.0.1", 443],
        ["tcp", "10.245.0.2", 6443],
        ["tcp", "127.0.0.1", 8080],
        ["udp", "10.96.0.10", 53],
    ]);
    let ended = ns
        .accepts(execution("curious").python(PROBE).set("inputs.targets", targets).visited(friends(&[8080])))
        .completes();
    for (target, answer) in ended.result().as_object().unwrap() {
        let refused =
            matches!(answer[0].as_str().unwrap(), "ENETUNREACH" | "ECONNREFUSED") && answer[1].as_u64() < Some(100);
        assert!(refused, "{target}: {answer}");
    }
}

#[test]
fn a_policy_that_lets_in_more_is_a_conflict_and_one_that_lets_in_as_much_is_none() {
    let ns = namespace("inbound-conflict");
    ns.apply(context("analysts").set("permissions.network.inbound", json!([friends(&[8080])])));
    let policy = |name: &str, app: &str| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name},
            "spec": {
                "podSelector": {}, "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": app}}}], "ports": [{"port": 8080}]}],
            },
        })
    };
    ns.apply(policy("as-much", "friend"));
    let (runs, code) = runs(&ns, server("server").visited(friends(&[8080])));
    assert_eq!(visit(&ns, "friend", "friend", &[(code, 8080, "/")]), ["127.0.0.1"]);
    ns.apply(policy("more", "stranger"));
    let stopped = runs.ends(EndReason::ConflictingNetworkPolicy);
    let expected = "allows what the execution may not: ingress from pods of its namespace (app=stranger) at TCP 8080";
    assert!(stopped.message().contains("\"more\"") && stopped.message().ends_with(expected), "{}", stopped.message());
    // And before the start: never a pod.
    let refused = ns.accepts(server("refused").visited(friends(&[8080]))).ends(EndReason::ConflictingNetworkPolicy);
    assert_eq!(refused.object["status"]["attempts"], Value::Null);
}

#[test]
fn a_policy_of_its_own_that_somebody_widens_ends_it() {
    let ns = namespace("inbound-widened");
    ns.apply(context("analysts").set("permissions.network.inbound", json!([friends(&[8080])])));
    let (runs, _) = runs(&ns, server("server").visited(friends(&[8080])));
    let all = ns.list("networkpolicy");
    let own = all.iter().find(|policy| policy["spec"]["ingress"] != Value::Null).expect("its own policy");
    let name = own["metadata"]["name"].as_str().unwrap();
    let wider = json!([{"op": "add", "path": "/spec/ingress/0/ports/-", "value": {"port": 8081, "protocol": "TCP"}}]);
    ns.kubectl(["patch", "networkpolicy", name, "--type=json", "-p", &wider.to_string()]);
    let ended = runs.ends(EndReason::ConfinementFailed);
    assert!(ended.message().contains("its network policy was changed"), "{}", ended.message());
    until("its policy is as it was", 30, || {
        let ports = ns.get(&format!("networkpolicy/{name}"))["spec"]["ingress"][0]["ports"].as_array().map(Vec::len);
        (ports == Some(1)).then_some(())
    });
}
