//! An upstream proxy by the chart's values: all connections of executions go by it, and no other way.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use ccos_e2e::cluster::{WORLD_A as A, WORLD_B as B};
use ccos_e2e::fixture::to;
use ccos_e2e::kubectl::helm;
use ccos_e2e::{Namespace, cluster, context, execution, kubectl, namespace, until};
use serde_json::{Value, json};

/// What the upstream proxy is told of who asks.
const AUTHORIZATION: &str = "Basic dXBzdHJlYW06aHVzaA==";

/// A name that leads into the cluster.
const INSIDE: &str = "kubernetes.default.svc.cluster.local";

/// How addresses of the cluster's pods begin.
const PODS: &str = "10.244.";

/// Who speaks to a server of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// A pod of the cluster, such as our proxy's.
    Pod,
    /// The machine, on which the upstream proxy is.
    Upstream,
}

/// Asks each of `targets` once; the start of each answer, or that there was none.
const TALK: &str = r"
import json, socket
answers = []
for host, port in targets:
    try:
        with socket.create_connection((host, port), timeout=20) as one:
            one.sendall(b'GET / HTTP/1.1\r\nHost: %s\r\n\r\n' % host.encode())
            answers.append(one.recv(12).decode() or 'refused')
    except ConnectionError:
        answers.append('refused')
print(json.dumps(answers))
";

/// A server of the world outside, which notes who speaks to it.
fn world() -> (u16, Arc<Mutex<Vec<From>>>) {
    let listener = TcpListener::bind((A, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let from = Arc::<Mutex<Vec<From>>>::default();
    let noted = Arc::clone(&from);
    std::thread::spawn(move || {
        while let Ok((mut stream, from)) = listener.accept() {
            noted.lock().unwrap().push(if from.ip().to_string().starts_with(PODS) {
                From::Pod
            } else {
                From::Upstream
            });
            std::thread::spawn(move || {
                let _request = stream.read(&mut [0; 4096]).ok()?;
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()
            });
        }
    });
    (port, from)
}

/// The upstream proxy: outside of the cluster, and open to whom it knows.
struct Upstream {
    port: u16,
    /// The targets that it was asked for.
    asked: Arc<Mutex<Vec<String>>>,
    /// Whether it takes connections.
    up: Arc<Mutex<bool>>,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind((B, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let it = Self { port, asked: Arc::default(), up: Arc::new(Mutex::new(true)) };
        let (asked, up) = (Arc::clone(&it.asked), Arc::clone(&it.up));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if *up.lock().unwrap() {
                    let asked = Arc::clone(&asked);
                    std::thread::spawn(move || tunnel(stream, &asked));
                }
            }
        });
        it
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn tunnel(mut client: TcpStream, asked: &Mutex<Vec<String>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let target = head.strip_prefix("CONNECT ")?.split(' ').next()?;
    asked.lock().unwrap().push(target.to_owned());
    if !head.contains(&format!("\r\nProxy-Authorization: {AUTHORIZATION}\r\n")) {
        return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").ok();
    }
    let Ok(server) = TcpStream::connect(target) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").ok();
    };
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let (mut from_client, mut to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    std::thread::spawn(move || {
        std::io::copy(&mut from_client, &mut to_server).ok();
        to_server.shutdown(std::net::Shutdown::Write).ok()
    });
    std::io::copy(&mut &server, &mut client).ok()?;
    client.shutdown(std::net::Shutdown::Both).ok()
}

/// The installation with an upstream proxy, until it is dropped: then it is the one that it was.
struct Behind {
    revision: String,
}

impl Behind {
    fn new(port: u16) -> Self {
        let history =
            helm(["history", "ccos", "--namespace", cluster::OPERATOR, "--max", "1", "-o", "json"]).succeeds();
        let history: Value = serde_json::from_str(&history).unwrap();
        let behind = Self { revision: history[0]["revision"].to_string() };
        let authorization = format!("--from-literal=authorization={AUTHORIZATION}");
        kubectl(["create", "secret", "generic", "upstream", &authorization]).inside(cluster::OPERATOR).succeeds();
        let chart = cluster::root().join("charts/ccos");
        // By its name: it is asked of the same name servers as those of executions.
        let address = format!("egress.upstream.address=world-b.test:{port}");
        let chart = ["upgrade", "ccos", chart.to_str().unwrap(), "--namespace", cluster::OPERATOR, "--reuse-values"];
        let values = ["--set", &address, "--set", "egress.upstream.authorizationSecret=upstream"];
        helm([&chart[..], &values, &["--wait", "--timeout", "3m"]].concat()).succeeds();
        replicas_all(true);
        behind
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        let Self { revision } = self;
        let back = ["rollback", "ccos", revision, "--namespace", cluster::OPERATOR, "--wait", "--timeout", "3m"];
        let answer = helm(back).run();
        let secret = kubectl(["delete", "secret", "upstream"]).inside(cluster::OPERATOR).run();
        assert!(answer.ok && secret.ok || std::thread::panicking(), "{answer:?} {secret:?}");
        if answer.ok {
            replicas_all(false);
        }
    }
}

/// Waits until all replicas that are left go by an upstream proxy, or all don't.
fn replicas_all(upstream: bool) {
    let selector = ["--selector", "app.kubernetes.io/component=egress", "-o", "json"];
    until("the replicas before it gone", 60, || {
        let found = kubectl(["get", "pods"].into_iter().chain(selector)).inside(cluster::OPERATOR).json();
        let has = |pod: &Value| pod["spec"]["containers"][0]["args"].to_string().contains("--upstream=");
        let all = found["items"].as_array().unwrap();
        (!all.is_empty() && all.iter().all(|pod| has(pod) == upstream)).then_some(())
    });
}

/// What code hears that asks for these; and what was refused.
fn ask(ns: &Namespace, name: &str, targets: &[(&str, u16)]) -> (Value, Vec<String>) {
    let script = format!("targets = {}\n{TALK}", json!(targets));
    let mut asks = execution(name).python(&script);
    for (host, port) in targets.iter().copied().collect::<std::collections::BTreeSet<_>>() {
        asks = asks.connects(to(host, port));
    }
    let ended = ns.accepts(asks).completes();
    let denials = ended.object["status"]["denials"].as_array().cloned().unwrap_or_default();
    let denials = denials.iter().map(|one| one["target"].as_str().unwrap().to_owned());
    (ended.result().clone(), denials.collect())
}

/// What the replicas' logs say of this.
fn logged(what: &str) -> bool {
    let selector = ["--selector", "app.kubernetes.io/component=egress", "--tail=-1", "--prefix"];
    let logs = kubectl(["logs"].into_iter().chain(selector)).inside(cluster::OPERATOR).succeeds();
    logs.contains(what)
}

#[test]
#[ignore = "alone: it changes the installation, and changes it back"]
fn all_connections_go_by_the_upstream_proxy_and_none_where_it_is_down() {
    let ns = namespace("upstream");
    let (port, from) = world();
    let upstream = Upstream::start();
    let (there, inside) = (("world-a.test", port), (INSIDE, 443));
    let granted = json!([to(there.0, there.1), to(inside.0, inside.1)]);
    ns.apply(context("analysts").set("permissions.network.outbound", granted));
    let heard = || std::mem::take(&mut *from.lock().unwrap());

    // The twin: without it, the server is spoken to by the proxy's pod.
    let (answers, _) = ask(&ns, "before", &[there]);
    assert_eq!(answers, json!(["HTTP/1.1 200"]));
    assert_eq!(heard(), [From::Pod]);
    assert_eq!(upstream.asked(), [""; 0]);

    let behind = Behind::new(upstream.port);
    let (answers, denials) = ask(&ns, "behind", &[there, there, there]);
    assert_eq!(answers, json!(vec!["HTTP/1.1 200"; 3]), "{denials:?}");
    // For the address, not for the name; and the server hears of nobody else.
    assert_eq!(upstream.asked(), vec![format!("{A}:{port}"); 3]);
    assert_eq!(heard(), [From::Upstream; 3]);

    // What leads into the cluster is refused before it is asked.
    let (answers, denials) = ask(&ns, "inside", &[inside, there]);
    assert_eq!(answers, json!(["refused", "HTTP/1.1 200"]), "{denials:?}");
    assert!(denials.contains(&format!("{INSIDE}:443: address-refused")), "{denials:?}");
    assert_eq!(upstream.asked(), [format!("{A}:{port}")]);
    heard();

    // Where it takes connections and drops them, as one that fails does.
    *upstream.up.lock().unwrap() = false;
    let (answers, denials) = ask(&ns, "down", &[there]);
    assert_eq!((answers, heard()), (json!(["refused"]), vec![]));
    assert_eq!(denials, [""; 0], "it is granted: that it can't be reached is no denial");
    let why = format!("world-a.test:{port} is not reached: the upstream proxy ");
    until("the log says why", 10, || logged(&why).then_some(()));
    *upstream.up.lock().unwrap() = true;
    let (answers, _) = ask(&ns, "up-again", &[there]);
    assert_eq!((answers, heard()), (json!(["HTTP/1.1 200"]), vec![From::Upstream]));

    drop(behind);
    upstream.asked();
    let (answers, _) = ask(&ns, "after", &[there]);
    assert_eq!((answers, upstream.asked(), heard()), (json!(["HTTP/1.1 200"]), vec![], vec![From::Pod]));
}
