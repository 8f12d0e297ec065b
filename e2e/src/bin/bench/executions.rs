//! Whole executions beside Jobs and bare Pods.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::{Duration, Instant};

use ccos_e2e::api::{Api, path};
use ccos_e2e::fixture::{Fixture as _, pod};
use ccos_e2e::{Namespace, cluster, context, execution, namespace, until};
use serde_json::{Value, json};

use crate::{millis, percentile};

/// Executions, Jobs and Pods.
const RUNS: usize = 10;

/// Of each. With much less, all of them mostly wait for the next period of their quota, the sandbox of gVisor first.
const CPU: &str = "500m";

/// How often the kubelet looks what became of its containers.
const TICK: Duration = Duration::from_secs(1);

/// From create to the end, and what the controller writes for it.
pub(crate) fn measure() {
    let ns = namespace("bench");
    ns.apply(context("analysts").reads("/data/**").capacity(4));
    ns.apply(ccos_e2e::provider("tools").capability("requires.limits.cpu", CPU));
    let audit = Audit::open();
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    // The first of each pulls images and fills caches.
    for number in 0..=RUNS {
        let took = [run_execution(&ns, number), run_job(&ns, number), run_pod(&ns, number)];
        if number > 0 {
            times.iter_mut().zip(took).for_each(|(times, took)| times.push(took));
        }
    }
    let [ours, jobs, pods] = times.map(|mut times| {
        times.sort_unstable();
        times
    });
    println!("\n| from create to the end, {RUNS} each, taking turns | median | worst |\n|---|---|---|");
    for (what, times) in [
        ("CapabilityExecution of `true`, until `Finished`", &ours),
        ("Job of the same image, RuntimeClass and limits, until `Complete`", &jobs),
        ("Pod of the same, until its container is `terminated`", &pods),
    ] {
        println!("| {what} | {} | {} |", millis(percentile(times, 50)), millis(times[RUNS - 1]));
    }
    let ratio = |peer: &[Duration]| percentile(&ours, 50).as_secs_f64() / percentile(peer, 50).as_secs_f64();
    println!(
        "\nAn execution takes {:.2} of the time of a Job, whose controller batches for a second, and {:.2} of a bare Pod's.",
        ratio(&jobs),
        ratio(&pods)
    );

    match audit {
        None => println!("\nAPI writes per execution: not counted, there is no audit log."),
        Some(audit) => {
            let writes = audit.writes(&ns.name);
            let total: usize = writes.iter().map(|(_, count)| count).sum();
            let each =
                |count: usize| f64::from(u32::try_from(count).unwrap()) / f64::from(u32::try_from(RUNS + 1).unwrap());
            println!("\n| writes of the controller per execution | {:.1} |\n|---|---|", each(total));
            for (what, count) in writes {
                println!("| {what} | {:.1} |", each(count));
            }
        }
    }
}

fn run_execution(ns: &Namespace, number: usize) -> Duration {
    let name = format!("bench-{number}");
    let object = execution(&name).of("CapabilityProvider", "tools").object().clone();
    let finished = |object: &Value| condition(object, "Finished");
    let took = timed(number, &path("CapabilityExecution", &ns.name), &object, finished);
    let ended = ns.get(&format!("capex/{name}"));
    assert!(condition(&ended, "Succeeded"), "{ended:#}");
    ns.kubectl(["delete", "capex", &name]);
    gone(ns);
    took
}

/// What an execution's pod is, but for the runner, and with the token that pods have unless they say otherwise.
fn peer(name: &str) -> Value {
    let mut peer = pod(name, &cluster::image("CCOS_BUSYBOX_IMAGE"), &["/bin/true"], &[]);
    peer["spec"]["runtimeClassName"] = json!("gvisor");
    peer["spec"]["containers"][0]["resources"]["limits"] = json!({"cpu": CPU, "memory": "80Mi"});
    peer["spec"].as_object_mut().unwrap().remove("automountServiceAccountToken");
    peer
}

fn run_job(ns: &Namespace, number: usize) -> Duration {
    let name = format!("bench-{number}");
    let object = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": peer(&name)["spec"]}},
    });
    let complete = |object: &Value| condition(object, "Complete");
    let path = format!("/apis/batch/v1/namespaces/{}/jobs", ns.name);
    let took = timed(number, &path, &object, complete);
    ns.kubectl(["delete", "job", &name, "--cascade=foreground"]);
    gone(ns);
    took
}

fn run_pod(ns: &Namespace, number: usize) -> Duration {
    let name = format!("bench-{number}");
    // Not the phase: the kubelet reports `Succeeded` only after it has taken the sandbox down, and the operator does not wait for
    // that either.
    let ended = |object: &Value| object["status"]["containerStatuses"][0]["state"]["terminated"].is_object();
    let path = format!("/api/v1/namespaces/{}/pods", ns.name);
    let took = timed(number, &path, &peer(&name), ended);
    ns.kubectl(["delete", "pod", &name]);
    gone(ns);
    took
}

/// From create until a watch says that it is so.
fn timed(number: usize, path: &str, object: &Value, so: impl Fn(&Value) -> bool) -> Duration {
    let api = Api::new();
    // The last one's pods went at a tick of the kubelet, so that without this every run of a kind would begin at the same
    // moment of its second, and be a whole second better or worse than another kind for no reason of its own.
    std::thread::sleep(TICK * u32::try_from(number).unwrap() / u32::try_from(RUNS).unwrap());
    let start = Instant::now();
    let answer = api.create(path, object, None);
    assert_eq!(answer.code, 201, "{:#}", answer.body);
    let version = answer.body["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let name = object["metadata"]["name"].as_str().unwrap();
    let took = api.watch(
        &format!("{path}?watch=1&fieldSelector=metadata.name={name}&resourceVersion={version}&timeoutSeconds=60"),
        |event| so(&event["object"]).then(|| start.elapsed()),
    );
    took.unwrap_or_else(|| panic!("{path}/{name}: not so after a minute"))
}

fn condition(object: &Value, kind: &str) -> bool {
    let all = object["status"]["conditions"].as_array();
    all.into_iter().flatten().any(|one| one["type"] == kind && one["status"] == "True")
}

/// The node is free for the next one.
fn gone(ns: &Namespace) {
    until("the pods are gone", 60, || ns.list("pods").is_empty().then_some(()));
}

/// The API server's audit log, from here on.
struct Audit {
    file: std::fs::File,
}

impl Audit {
    fn open() -> Option<Self> {
        let path = std::env::var("CCOS_AUDIT_LOG").unwrap_or_else(|_| "/var/lib/ccos-e2e/log/audit.log".to_owned());
        let mut file = std::fs::File::open(path).ok()?;
        file.seek(SeekFrom::End(0)).unwrap();
        Some(Self { file })
    }

    /// What the controller wrote about executions of this namespace: verb and resource, and how often.
    fn writes(mut self, namespace: &str) -> Vec<(String, usize)> {
        let mut text = String::new();
        self.file.read_to_string(&mut text).unwrap();
        let user = format!("system:serviceaccount:{}:ccos-controller", cluster::OPERATOR);
        let mut counts = std::collections::BTreeMap::new();
        for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let reference = &event["objectRef"];
            // What is asked of the authorizer has no namespace in its reference, and is no write; it is told apart.
            let here = reference["namespace"] == namespace || reference["resource"] == "subjectaccessreviews";
            // Of contexts and providers, once and not for each execution.
            let ours = reference["resource"] != "securitycontexts" && reference["resource"] != "capabilityproviders";
            if event["user"]["username"] == user.as_str() && here && ours {
                let part = |name: &str| reference[name].as_str().unwrap_or_default().to_owned();
                let sub = reference["subresource"].as_str().map_or_else(String::new, |sub| format!("/{sub}"));
                let what = format!("{} {}{sub}", event["verb"].as_str().unwrap_or_default(), part("resource"));
                *counts.entry(what).or_default() += 1;
            }
        }
        counts.into_iter().collect()
    }
}
