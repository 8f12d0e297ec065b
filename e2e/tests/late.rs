//! A network policy engine that is late: what it has not been told of yet must not be what holds the code.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ccos_e2e::fixture::{pod, to};
use ccos_e2e::{Execution, Namespace, agent, cluster, context, execution, namespace, until};
use serde_json::json;

/// Of the world outside.
const WORLD: &str = cluster::WORLD_A;

/// Who said a word at a port of the world outside.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn listen(&self) -> u16 {
        let listener = TcpListener::bind((WORLD, 0)).unwrap();
        let (port, heard) = (listener.local_addr().unwrap().port(), self.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let heard = heard.clone();
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                    let mut word = String::new();
                    stream.take(16).read_to_string(&mut word).ok();
                    heard.0.lock().unwrap().push(word.trim().to_owned());
                });
            }
        });
        port
    }

    fn times(&self, word: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|heard| *heard == word).count()
    }

    /// Hears it from now on, or does not.
    fn goes_on(&self, word: &str) -> bool {
        let before = self.times(word);
        std::thread::sleep(Duration::from_secs(3));
        self.times(word) > before
    }
}

/// Says a word to the world outside as soon as it runs, again and again, and prints what came of it.
fn speaks(name: &str, port: u16) -> Execution {
    let code = format!(
        "
import errno, json, socket, time
answers, end = set(), time.monotonic() + 3
while time.monotonic() < end:
    try:
        with socket.create_connection(('{WORLD}', {port}), timeout=0.3) as one:
            one.sendall(b'code')
            answers.add('reached')
    except TimeoutError:
        answers.add('timeout')
    except OSError as error:
        answers.add(errno.errorcode.get(error.errno, str(error)))
print(json.dumps(sorted(answers)))
"
    );
    execution(name).python(&code)
}

/// A pod that nobody holds but a network policy.
fn twin(ns: &Namespace, port: u16) {
    let script = format!("while true; do echo twin | nc -w 1 {WORLD} {port} >/dev/null 2>&1; sleep 0.3; done");
    let mut twin = pod("twin", &cluster::image("CCOS_BUSYBOX_IMAGE"), &["/bin/sh", "-c", &script], &[]);
    twin["metadata"]["labels"] = json!({"late": "twin"});
    ns.apply(twin);
    ns.kubectl(["wait", "--for=condition=Ready", "pod/twin", "--timeout=60s"]);
}

#[test]
#[ignore = "alone: it stops Cilium's agent"]
fn with_the_policy_engine_stopped_while_the_pod_is_made_no_byte_of_the_code_gets_out() {
    let ns = namespace("late");
    let heard = Heard::default();
    let port = heard.listen();
    ns.apply(context("analysts").set("permissions.network.outbound", json!([to("world-a.test", port)])));
    twin(&ns, port);
    until("the twin", 30, || (heard.times("twin") > 0).then_some(()));

    let stopped = agent::stop();
    ns.apply(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "late"},
        "spec": {"podSelector": {"matchLabels": {"late": "twin"}}, "policyTypes": ["Egress"]},
    }));
    // What a policy is worth while its engine is late.
    assert!(heard.goes_on("twin"), "the engine is not late: nothing is shown");
    let in_the_pod = |name: &str| speaks(name, port).set("isolation", "Container");
    // At the port of the world outside that it speaks to: nothing but the policy keeps it from there.
    let all =
        [speaks("gvisor", port), in_the_pod("container"), in_the_pod("connects").connects(to("world-a.test", port))];
    let all = all.map(|one| ns.accepts(one));
    std::thread::sleep(Duration::from_secs(6));
    for one in &all {
        let status = &one.object()["status"];
        let started = status["conditions"].as_array().and_then(|all| all.iter().find(|one| one["type"] == "Started"));
        assert!(started.is_none_or(|one| one["status"] != "True"), "{status:#}");
    }
    drop(stopped);

    let [gvisor, container, connects] = all.map(|one| one.completes());
    assert_eq!(gvisor.result(), &json!(["ENETUNREACH"]));
    assert_eq!(container.result(), &json!(["EAFNOSUPPORT"]));
    assert_eq!(connects.result(), &json!(["timeout"]));
    assert_eq!(heard.times("code"), 0, "{heard:?}");
    // The engine is back.
    until("the twin's policy", 60, || (!heard.goes_on("twin")).then_some(()));
}
