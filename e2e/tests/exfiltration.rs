//! Everything that we could think of to get a secret out, from code that may reach one name at one port. A plain pod is the twin:
//! what gets out of it shows that the way leads somewhere. Tokens of others, and a token after its end, are in `proxy.rs`; what
//! name servers say the second time is in `operator/egress/tests`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

use ccos_e2e::cluster::{WORLD_A as A, WORLD_B as B};
use ccos_e2e::fixture::pod;
use ccos_e2e::fixture::to;
use ccos_e2e::namespace::unique;
use ccos_e2e::{Namespace, cluster, context, execution, kubectl, namespace};
use serde_json::{Value, json};

const PROBE: &str = include_str!("probes/exfiltration.py");

/// A service of the cluster, which is a granted name too.
const INSIDE: &str = "kubernetes.default.svc.cluster.local";

/// Ways that lead out of a plain pod, at least. Others are closed to it, too: by its seccomp profile, by the policies of the
/// operator's own pods, or since this cluster has no IPv6.
const LEAD_OUT: usize = 45;

/// What the world outside was told.
#[derive(Clone, Default)]
struct World(Arc<Mutex<Vec<u8>>>);

impl World {
    fn note(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }

    fn knows(&self, secret: &str) -> bool {
        String::from_utf8_lossy(&self.0.lock().unwrap()).contains(secret)
    }

    /// A server that says yes to anything, or sends on to where it is asked to. Its port.
    fn serve(&self, address: &str, port: u16) -> u16 {
        let listener = TcpListener::bind((address, port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let world = self.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let world = world.clone();
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(read @ 1..) = stream.read(&mut buffer) {
                        world.note(&buffer[..read]);
                        if stream.write_all(answer(&buffer[..read]).as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        port
    }

    fn hear(&self, address: &str, port: u16) {
        let socket = UdpSocket::bind((address, port)).unwrap();
        let world = self.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read) = socket.recv(&mut buffer) {
                world.note(&buffer[..read]);
            }
        });
    }
}

fn answer(request: &[u8]) -> String {
    let request = String::from_utf8_lossy(request);
    let asked = request.split(' ').nth(1).and_then(|path| path.strip_prefix("/redirect-to/")?.split_once('/'));
    match asked {
        Some((target, secret)) => {
            let secret: String = secret.chars().rev().collect();
            format!("HTTP/1.1 302 Found\r\nLocation: http://{target}/{secret}\r\nContent-Length: 0\r\n\r\n")
        }
        None => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
    }
}

/// The address of a Service, and a port of it.
fn service(name: &str, port: u16) -> Value {
    let found = kubectl(["get", "service", name, "-o", "json"]).inside(cluster::OPERATOR).json();
    json!([found["spec"]["clusterIP"], port])
}

fn admin() -> Value {
    let pods = ["get", "pods", "--selector", "app.kubernetes.io/component=egress", "-o", "json"];
    json!([kubectl(pods).inside(cluster::OPERATOR).json()["items"][0]["status"]["podIP"], 8080])
}

fn at(text: &str) -> Value {
    let address: SocketAddr = text.parse().unwrap();
    json!([address.ip(), address.port()])
}

/// The ways by which somebody's secret got out.
fn out(whose: &str, answers: &BTreeMap<String, String>, world: &World) -> BTreeSet<String> {
    // What has reached the cluster's name server has reached whomever it asks.
    let asked = kubectl(["logs", "--namespace", "kube-system", "--selector", "k8s-app=kube-dns", "--tail=-1"]).run();
    assert!(asked.ok, "{}", asked.err);
    let asked = asked.out.to_lowercase();
    let got_out = |way: &&String| {
        let secret = format!("{whose}-{way}-x");
        answers[*way] == "reached" || world.knows(&secret) || asked.contains(&secret)
    };
    answers.keys().filter(got_out).cloned().collect()
}

#[test]
fn a_secret_gets_out_by_what_is_granted_and_by_nothing_else() {
    let ns = namespace("exfiltration");
    let world = World::default();
    let port = world.serve(A, 0);
    let other = world.serve(A, 0);
    world.serve(B, port);
    for (address, port) in [(A, port), (B, port), (A, 443), (B, 53)] {
        world.hear(address, port);
    }
    let inputs = |whose: &str| {
        json!({
            "whose": whose, "granted": ["world-a.test", port], "there": A, "elsewhere": B, "other": other,
            "dns": "10.96.0.10", "api": at(cluster::API_SERVER), "kubelet": ["10.245.0.2", 10250],
            "proxy": service("ccos-egress", 3128), "admin": admin(), "report": service("ccos-report", 8443),
        })
    };

    let twin = unique("twin");
    let start = "import json,os;exec(os.environ['CODE'],{'inputs':json.loads(os.environ['INPUTS'])})";
    let environment = [("CODE", PROBE), ("INPUTS", &*inputs(&twin).to_string())];
    ns.apply(pod("twin", &cluster::image("CCOS_PYTHON_IMAGE"), &["/usr/bin/python3", "-c", start], &environment));
    ns.kubectl(["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/twin", "--timeout=90s"]);
    let answers = serde_json::from_str(&ns.kubectl(["logs", "twin"])).unwrap();
    let reached = out(&twin, &answers, &world);
    assert!(reached.len() >= LEAD_OUT, "{} of {}: {reached:?}\n{answers:#?}", reached.len(), answers.len());

    let [name, inside] = [to("world-a.test", port), to(INSIDE, 443)];
    ns.apply(context("analysts").set("permissions.network.outbound", json!([name, inside])));
    // Of all of these, Container has the pod's network: what the policy drops there is not refused at once, but gets out as little.
    for isolation in ["GVisor", "Container"] {
        nothing_else_gets_out(&ns, isolation, &world, &inputs, port);
    }
}

fn nothing_else_gets_out(ns: &Namespace, isolation: &str, world: &World, inputs: &impl Fn(&str) -> Value, port: u16) {
    let [name, inside] = [to("world-a.test", port), to(INSIDE, 443)];
    let curious = unique("curious");
    let one = execution(&isolation.to_lowercase())
        .set("isolation", isolation)
        .python(PROBE)
        .connects(name)
        .connects(inside)
        .limit("memory", "128Mi");
    let inputs = inputs(&curious).as_object().unwrap().clone();
    let one = inputs.into_iter().fold(one, |one, (name, value)| one.set(&format!("inputs.{name}"), value));
    let ran = ns.accepts(one);
    let ended = ran.completes();
    // Too long for the status.
    let result = ns.get(&format!("configmap/{}-result", ran.child()));
    let answers = serde_json::from_str(result["data"]["result.json"].as_str().unwrap()).unwrap();
    assert_eq!(out(&curious, &answers, world), BTreeSet::from(["granted".to_owned()]), "{isolation}: {answers:#?}");
    let status = &ended.object["status"];
    let denied = |target: &str| status["denials"].as_array().unwrap().iter().any(|one| one["target"] == target);
    assert!(denied("world-b.test.: not-granted"), "{status:#}");
    assert!(denied(&format!("{INSIDE}:443: address-refused")), "{status:#}");
}
