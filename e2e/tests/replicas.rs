//! A replica of the egress proxy is killed while code opens connections.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use ccos_e2e::cluster::WORLD_A as A;
use ccos_e2e::fixture::to;
use ccos_e2e::{EndReason, cluster, context, execution, kubectl, namespace, until};
use serde_json::{Value, json};

/// The replicas' pods.
fn replicas() -> Vec<Value> {
    let found = kubectl(["get", "pods", "--selector", "app.kubernetes.io/component=egress", "-o", "json"])
        .inside(cluster::OPERATOR)
        .json();
    found["items"].as_array().unwrap().clone()
}

/// Opens connections as fast as it can, and more than it may, for some seconds; how many there were.
const BUSY: &str = r"
import json, socket, threading, time
end, opened = time.monotonic() + 25, []
def run():
    while time.monotonic() < end:
        try:
            with socket.create_connection(to, timeout=10) as one:
                for _ in range(3):
                    one.sendall(b'GET / HTTP/1.1\r\nHost: world-a.test\r\n\r\n')
                    if not one.recv(4096):
                        break
                    time.sleep(0.1)
                else:
                    opened.append(1)
        except OSError:
            time.sleep(0.05)
threads = [threading.Thread(target=run) for _ in range(6)]
for one in threads:
    one.start()
for one in threads:
    one.join()
print(json.dumps(len(opened)))
";

/// Whether the other end has not closed it: nothing to read is no end.
fn is_open(stream: &TcpStream) -> bool {
    match stream.peek(&mut [0]) {
        Ok(bytes) => bytes > 0,
        Err(error) => is_idle(&error),
    }
}

fn is_idle(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// What a metric of one replica is.
fn metric(replica: &Value, name: &str) -> u64 {
    let pod = replica["metadata"]["name"].as_str().unwrap();
    let path = format!("/api/v1/namespaces/{}/pods/{pod}:8080/proxy/metrics", cluster::OPERATOR);
    let text = kubectl(["get", "--raw", &path]).run().out;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} of {pod}: {text}"))
}

#[test]
#[ignore = "alone: it kills a replica of the proxy"]
fn a_killed_replica_is_replaced_within_3_seconds_and_max_connections_hold_all_the_time() {
    const MOST: usize = 4;
    let ns = namespace("proxy-killed");
    let listener = TcpListener::bind((A, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, accepted) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut all: Vec<TcpStream> = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let now = Instant::now();
            stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            // Each was open before this one was taken, so those that still are were open together with it at that moment.
            all.push(stream.try_clone().unwrap());
            all.retain(is_open);
            told.send((now, all.len())).ok();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                loop {
                    match stream.read(&mut buffer) {
                        Ok(1..) => {}
                        Err(error) if is_idle(&error) => continue,
                        // Not only dropped: the other handle of it would keep it open.
                        Ok(0) | Err(_) => return stream.shutdown(Shutdown::Both).unwrap_or_default(),
                    }
                    if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
                        return;
                    }
                }
            });
        }
    });
    let there = to("world-a.test", port);
    let network = context("analysts").set("permissions.network.outbound", json!([there]));
    ns.apply(network.set("permissions.network.maxConnections", json!(MOST)));
    let script = format!("to = ('world-a.test', {port})\n{BUSY}");
    let busy = execution("busy").python(&script).connects(there);
    let busy = ns.accepts(busy.set("requires.permissions.network.maxConnections", json!(MOST)));
    busy.starts();
    let next = |wait| accepted.recv_timeout(Duration::from_secs(wait)).expect("a connection");
    let mut seen: Vec<(Instant, usize)> = (0..20).map(|_| next(30)).collect();
    let owner = until("the replica that serves it", 10, || {
        replicas().into_iter().find(|replica| metric(replica, "ccos_egress_connections_open") > 0)
    });
    seen.extend(accepted.try_iter());
    cluster::kill_processes_of(owner["metadata"]["uid"].as_str().unwrap());
    let killed = Instant::now();
    busy.ends(EndReason::Completed);
    seen.extend(accepted.try_iter());
    let after = seen.iter().map(|(at, _)| *at).filter(|at| *at > killed + Duration::from_millis(20));
    let after: Vec<Instant> = after.collect();
    let gap = after.first().expect("connections after it was killed").duration_since(killed);
    println!(
        "{} connections, {} of them after one was killed, the first of these {gap:?} after it",
        seen.len(),
        after.len()
    );
    assert!(gap < Duration::from_secs(3), "new connections {gap:?} after a replica was killed");
    assert!(after.len() > 20, "{} connections in the rest of the time", after.len());
    let most = seen.iter().map(|(_, open)| *open).max();
    assert_eq!(most, Some(MOST), "open at one time");
    let replaced = until("the killed one back", 60, || {
        let all = replicas();
        let ready = |pod: &Value| pod["status"]["containerStatuses"][0]["ready"] == true;
        all.iter().all(ready).then_some(all)
    });
    assert_eq!(replaced.len(), 2);
}
