//! Bytes a second, from the code to the world and back, as both ends see them.

#![allow(clippy::cast_precision_loss, reason = "far fewer than 2^52 bytes")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Instant;

use ccos_e2e::cluster::WORLD_A as A;
use ccos_e2e::fixture::to;
use ccos_e2e::{Execution, Namespace, context, execution, namespace};
use serde_json::json;

/// Both ways, one after the other.
const BYTES: usize = 6 << 20;

const RATE: f64 = (1 << 20) as f64;

/// Sends and takes, and says how long the second took from its first byte on.
const TRANSFER: &str = r"
import json, socket, time
with socket.create_connection(to) as one:
    one.sendall(bytes(size))
    one.shutdown(socket.SHUT_WR)
    got, first = 0, None
    while got < size:
        part = one.recv(65536)
        assert part, got
        first = first or time.monotonic()
        got += len(part)
print(json.dumps(time.monotonic() - first))
";

/// Hears all that there is, says how long that took, and sends as much.
fn server() -> (u16, mpsc::Receiver<f64>) {
    let listener = TcpListener::bind((A, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, took) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut buffer, mut got, mut first) = (vec![0; 64 * 1024], 0, None);
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                first.get_or_insert_with(Instant::now);
                got += read;
            }
            assert_eq!(got, BYTES);
            told.send(first.unwrap().elapsed().as_secs_f64()).unwrap();
            stream.write_all(&vec![0; BYTES]).unwrap();
        }
    });
    (port, took)
}

#[test]
#[ignore = "alone: it measures time"]
fn each_way_is_within_5_percent_of_what_is_granted() {
    let ns = namespace("bandwidth");
    let (port, took) = server();
    let there = to("world-a.test", port);
    let grants = context("analysts").set("permissions.network.outbound", json!([there]));
    ns.apply(grants.set("limits.networkBytesPerSecond", "1Mi"));
    let script = format!("to, size = ('world-a.test', {port}), {BYTES}\n{TRANSFER}");
    for isolation in ["GVisor", "Container"] {
        within(&ns, isolation, |name| execution(name).python(&script).connects(there.clone()), &took);
    }
}

fn within(ns: &Namespace, isolation: &str, one: impl Fn(&str) -> Execution, took: &mpsc::Receiver<f64>) {
    let mut all = Vec::new();
    for turn in 1..=3 {
        let name = format!("{}-{turn}", isolation.to_lowercase());
        let ended = ns.accepts(one(&name).set("isolation", isolation)).completes();
        let (up, down) = (took.recv().unwrap(), ended.result().as_f64().unwrap());
        let parts = [up, down].map(|seconds| BYTES as f64 / seconds / RATE);
        println!("{name}: up {:.3}, down {:.3} of the bound", parts[0], parts[1]);
        assert!(parts.iter().all(|part| *part < 1.05), "faster than granted: {parts:?}");
        all.push(parts);
        // A busy machine can make it slower.
        if parts.iter().all(|part| *part > 0.95) {
            return;
        }
    }
    panic!("slower than granted by more than 5 percent, three times: {all:?}");
}
