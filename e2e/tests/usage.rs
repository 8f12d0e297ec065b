//! What status says was used is what an observer outside saw: the node's cgroup of the pod, and the kubelet's clock.
//!
//! Of version 1 of cgroups, as the local cluster has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ccos_e2e::{EndReason, Namespace, context, execution, namespace, until};
use jiff::Timestamp;

/// How often the observer looks, who sees nothing of what comes after its last look.
const LOOK: Duration = Duration::from_millis(10);

const MIB: u64 = 1 << 20;

/// What the node counted.
#[derive(Debug, Default)]
struct Observed {
    cpu: Duration,
    memory: u64,
}

/// The folder of a pod below that of a controller, however the kubelet names it.
fn cgroup(controller: &str, uid: &str) -> Option<PathBuf> {
    let names = [format!("pod{uid}"), format!("pod{}", uid.replace('-', "_"))];
    let mut folders = vec![Path::new("/sys/fs/cgroup").join(controller)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            if names.iter().any(|wanted| name.trim_end_matches(".slice").ends_with(wanted)) {
                return Some(entry.path());
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    None
}

/// Looks until the pod's cgroup is gone. The CPU time is that since now: the start of a sandbox is not the code's.
fn observe(uid: &str) -> Observed {
    let found = |controller| until("the pod has a cgroup", 60, || cgroup(controller, uid));
    let (cpu, memory) = (found("cpuacct").join("cpuacct.usage"), found("memory").join("memory.max_usage_in_bytes"));
    let number = |file: &Path| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let mut observed = Observed::default();
    let before = number(&cpu).expect("the pod's cgroup");
    while let (Some(nanos), Some(bytes)) = (number(&cpu), number(&memory)) {
        observed = Observed { cpu: Duration::from_nanos(nanos - before), memory: bytes };
        std::thread::sleep(LOOK);
    }
    observed
}

/// A processor for 25 seconds, beside which a sandbox's own start is little, 300 MiB of memory and 32 MiB of scratch space.
/// A whole one, since what is told is bounded by the limit, and the pod may use its RuntimeClass's overhead besides: of 500m, a tenth.
fn uses_what_is_observed(ns: &Namespace, isolation: &str) {
    let attacks = [
        ("eat:300".to_owned(), (300 * MIB).to_string()),
        ("spin:25000".to_owned(), "ok".to_owned()),
        ("fill:/tmp".to_owned(), (32 * MIB).to_string()),
    ];
    let attacks: Vec<_> = attacks.iter().map(|(attack, answer)| (attack.as_str(), answer.as_str())).collect();
    let program = execution(&isolation.to_lowercase()).attacks(&attacks).set("isolation", isolation);
    let limits = [("memory", "512Mi"), ("cpu", "1"), ("cpuTime", "60s"), ("disk", "32Mi")];
    let running = ns.accepts(limits.into_iter().fold(program, |one, (name, amount)| one.limit(name, amount)));
    let pod = until("it has a pod", 60, || {
        ns.list("pods").into_iter().find(|pod| pod["metadata"]["name"] == running.child().as_str())
    });
    running.starts();
    let observed = observe(pod["metadata"]["uid"].as_str().unwrap());
    let ended = running.ends(EndReason::Completed);
    assert_eq!(*ended.result(), serde_json::json!({"as expected": 3}));
    let at = |field: &str| ended.attempt()[field].as_str().unwrap().parse::<Timestamp>().unwrap();
    let clock = Duration::try_from(at("finishedAt").duration_since(at("startedAt"))).unwrap();
    let (cpu, wall) = (ended.time("cpuTime"), ended.time("wallTime"));
    let (memory, disk) = (ended.bytes("peakMemory"), ended.bytes("diskWritten"));
    println!("{isolation}: cpu {cpu:?} of {observed:?}, memory {memory}, wall {wall:?} of {clock:?}, disk {disk}");
    let is_near = |what: &str, told: f64, seen: f64| {
        assert!((told / seen - 1.0).abs() <= 0.1, "{isolation}: {what}: told {told}, observed {seen}");
    };
    #[allow(clippy::cast_precision_loss, reason = "less than 2^52")]
    is_near("peakMemory", memory as f64, observed.memory as f64);
    is_near("cpuTime", cpu.as_secs_f64(), observed.cpu.as_secs_f64());
    is_near("wallTime", wall.as_secs_f64(), clock.as_secs_f64());
    assert_eq!(disk, 32 * MIB, "{isolation}: what the workload itself counted");
}

#[test]
#[ignore = "alone: it measures time"]
fn usage_is_what_an_observer_outside_saw() {
    let ns = namespace("usage");
    let context = context("analysts").set("limits.memory", "512Mi").set("limits.disk", "32Mi");
    ns.apply(context.set("limits.cpu", "1").set("limits.cpuTime", "60s"));
    // One after the other: on two processors, two would wait for each other.
    for isolation in ["GVisor", "Container"] {
        uses_what_is_observed(&ns, isolation);
    }
}
