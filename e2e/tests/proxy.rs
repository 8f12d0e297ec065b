//! The egress proxy in the cluster: whose tokens it takes, for how long, and where it leads. Spoken to as a runner does, through
//! a port-forward, so that the test can send what no runner would.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use ccos_e2e::cluster::WORLD_A as A;
use ccos_e2e::fixture::pod;
use ccos_e2e::fixture::to;
use ccos_e2e::{EndReason, Namespace, cluster, context, execution, kubectl, namespace, until};
use serde_json::{Value, json};

/// A way to each replica's port that no policy sees. Ends with it.
struct Way(Vec<(Child, SocketAddr)>);

impl Drop for Way {
    fn drop(&mut self) {
        for (child, _) in &mut self.0 {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// The replicas' pods.
fn replicas() -> Vec<Value> {
    let found = kubectl(["get", "pods", "--selector", "app.kubernetes.io/component=egress", "-o", "json"])
        .inside(cluster::OPERATOR)
        .json();
    found["items"].as_array().unwrap().clone()
}

fn way() -> Way {
    let forward = |pod: &Value| {
        let name = format!("pod/{}", pod["metadata"]["name"].as_str().unwrap());
        let mut child = cluster::tool("kubectl")
            .args(["port-forward", "--namespace", cluster::OPERATOR, &name, ":3128"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        // "Forwarding from 127.0.0.1:41234 -> 3128"
        let address = line.split(' ').nth(2).unwrap_or_else(|| panic!("kubectl port-forward: {line}"));
        (child, address.parse().unwrap())
    };
    Way(replicas().iter().map(forward).collect())
}

impl Way {
    /// Asks for a tunnel, of the replica that serves the execution: the stream, or the reason and the line for people.
    fn connect(&self, token: &str, target: &str) -> Result<TcpStream, (String, String)> {
        let mut answers = self.0.iter().map(|(_, address)| Self::connect_to(*address, token, target));
        let first = answers.find(|answer| !matches!(answer, Err((reason, _)) if reason == "elsewhere"));
        first.expect("one of the replicas serves the execution")
    }

    fn connect_to(address: SocketAddr, token: &str, target: &str) -> Result<TcpStream, (String, String)> {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Bearer {token}\r\n\r\n")
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap_or_else(|error| panic!("{target}: {error}"));
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        if head.starts_with("HTTP/1.1 200 ") {
            return Ok(stream);
        }
        let mut body = String::new();
        stream.read_to_string(&mut body).unwrap();
        let reason =
            head.lines().find_map(|line| line.strip_prefix("ccos-reason: ")).unwrap_or_else(|| panic!("{head}"));
        Err((reason.to_owned(), body))
    }

    fn refuses(&self, token: &str, target: &str, reason: &str) {
        match self.connect(token, target) {
            Ok(_) => panic!("{target} was reached"),
            Err((found, body)) => assert_eq!(found, reason, "{target}: {body}"),
        }
    }
}

/// An HTTP server of the world outside. Its port.
fn world() -> u16 {
    let listener = TcpListener::bind((A, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{:02}", read % 100);
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

fn token(ns: &Namespace, arguments: &[&str]) -> String {
    ns.kubectl([&["create", "token", "default"], arguments].concat()).trim().to_owned()
}

fn of_pod<'a>(pod: &'a str, audience: &'a str) -> [&'a str; 6] {
    ["--bound-object-kind", "Pod", "--bound-object-name", pod, "--audience", audience]
}

fn get(stream: &mut TcpStream, host: &str) -> Option<String> {
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").ok()?;
    let mut answer = [0; 4096];
    match stream.read(&mut answer) {
        Ok(0) | Err(_) => None,
        Ok(read) => Some(String::from_utf8_lossy(&answer[..read]).into_owned()),
    }
}

#[test]
fn a_token_opens_what_its_execution_requires_as_long_as_it_runs() {
    let ns = namespace("proxy");
    let port = world();
    let inside = "kubernetes.default.svc.cluster.local";
    let required = [to("world-a.test", port), to(inside, 443)];
    ns.apply(context("analysts").set("permissions.network.outbound", json!(required)));
    let [first, second] = required;
    let runs = ns.accepts(execution("runs").sleeps(120).connects(first).connects(second));
    runs.starts();
    let own = token(&ns, &of_pod(&runs.child(), "ccos-egress"));
    let (way, target) = (way(), format!("world-a.test:{port}"));

    let mut stream = way.connect(&own, &target).unwrap();
    assert!(get(&mut stream, "world-a.test").unwrap().starts_with("HTTP/1.1 200 OK"));
    let mut fronting = way.connect(&own, &target).unwrap();
    assert_eq!(get(&mut fronting, "world-b.test"), None, "another name of the same server");

    way.refuses(&own, &format!("world-b.test:{port}"), "not-granted");
    way.refuses(&own, &format!("{A}:{port}"), "not-granted");
    way.refuses(&own, "10.96.0.1:443", "not-granted");
    way.refuses(&own, "169.254.169.254:80", "not-granted");
    // Granted, and it leads into the cluster.
    way.refuses(&own, &format!("{inside}:443"), "address-refused");

    // Of the same account and even the same pod, but for another service; of no pod; of a pod that is no execution.
    way.refuses(&token(&ns, &of_pod(&runs.child(), "https://kubernetes.default.svc")), &target, "unidentified");
    way.refuses(&token(&ns, &["--audience", "ccos-egress"]), &target, "unidentified");
    ns.apply(pod("bystander", &cluster::image("CCOS_BUSYBOX_IMAGE"), &["/bin/sleep", "60"], &[]));
    ns.kubectl(["wait", "--for=condition=Ready", "pod/bystander", "--timeout=60s"]);
    way.refuses(&token(&ns, &of_pod("bystander", "ccos-egress")), &target, "unidentified");
    let mut forged = own.clone();
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    way.refuses(&forged, &target, "unidentified");

    runs.desire("Cancelled");
    let asked = Instant::now();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut rest = [0; 1];
    assert!(matches!(stream.read(&mut rest), Ok(0) | Err(_)), "bytes after the end");
    assert!(asked.elapsed() < Duration::from_secs(5), "cut {:?} after it was cancelled", asked.elapsed());
    way.refuses(&own, &target, "unidentified");
    runs.ends(EndReason::Cancelled);
}

#[test]
fn only_executions_reach_the_proxy_and_its_metrics_tell_of_refusals() {
    let ns = namespace("proxy-ports");
    let replica = replicas().swap_remove(0);
    let address = replica["status"]["podIP"].as_str().unwrap().to_owned();
    let reach = |name: &str, port: &str| {
        let script = format!("nc -w 3 {address} {port} </dev/null >/dev/null 2>&1 && echo reached || echo refused");
        ns.apply(pod(name, &cluster::image("CCOS_BUSYBOX_IMAGE"), &["/bin/sh", "-c", &script], &[]));
        ns.kubectl(["wait", "--for=jsonpath={.status.phase}=Succeeded", &format!("pod/{name}"), "--timeout=60s"]);
        ns.kubectl(["logs", name]).trim().to_owned()
    };
    assert_eq!(reach("to-the-proxy", "3128"), "refused");
    assert_eq!(reach("to-its-metrics", "8080"), "reached");
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}:8080/proxy/metrics",
        cluster::OPERATOR,
        replica["metadata"]["name"].as_str().unwrap()
    );
    let metrics = until("metrics", 20, || {
        let answer = kubectl(["get", "--raw", &path]).run();
        answer.out.contains("ccos_egress_refused_total{reason=\"not-granted\"}").then_some(answer.out)
    });
    assert!(metrics.contains("ccos_egress_watch_age_seconds"), "{metrics}");
}
