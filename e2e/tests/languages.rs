//! Programs in the usual languages do their honest work under a tight context, in both isolations: files of a granted tree,
//! threads, JSON, timers, a program where processes are allowed, a result. Their sources are in `e2e/programs`.

use ccos_e2e::{Context, EndReason, Execution, Namespace, Running, cluster, context, execution, namespace};
use serde_json::{Value, json};

const PYTHON: &[&str] = &["/usr/bin/python3", "/programs/work.py"];
const NODE: &[&str] = &["/usr/bin/node", "/programs/work.js"];
/// Debian keeps a part of Node's own code there; upstream's program has all of it inside.
const NODE_LIBRARIES: &str = "/usr/share/nodejs";
const GO: &[&str] = &["/programs/work-go"];
const RUST: &[&str] = &["/programs/work-rust"];
/// What a JVM has by default follows the machine's memory, not the grant.
const JAVA: &[&str] = &[
    "/usr/lib/jvm/bin/java",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx32m",
    "-Xss512k",
    "-cp",
    "/programs",
    "Work",
];
const BUSYBOX: &[&str] = &["/bin/busybox", "sh", "-c", include_str!("../programs/work.sh")];

/// By which isolation, and what beyond reading.
#[derive(Clone, Copy)]
struct Work {
    isolation: &'static str,
    writes: bool,
    starts: bool,
}

fn grants() -> Context {
    let numbers: Vec<u32> = (1..=100).collect();
    let files = [("numbers.json", json!(numbers).to_string()), ("other", "not read".to_owned())];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    context("analysts")
        .config_map("data", "/data", &files)
        .reads("/data/**")
        .reads("/programs/**")
        .reads(NODE_LIBRARIES)
        .writes("/work/**")
        .commands("/bin/busybox")
        .commands("/usr/lib/jvm/lib/jspawnhelper")
        .processes()
}

/// Tight: what this work needs and nothing else.
fn work(name: &str, command: &[&str], how: Work) -> Execution {
    let program = execution(name)
        .provider("source.image.reference", cluster::image("CCOS_LANGUAGES_IMAGE"))
        .set("isolation", how.isolation)
        .set("inputs", json!({"name": name, "writes": how.writes, "starts": how.starts}))
        .runs(command)
        .reads("/data")
        .reads("/programs")
        .limit("memory", "160Mi")
        .limit("cpu", "500m")
        .limit("threads", 32)
        .limit("fileDescriptors", 64);
    let program = if how.writes { program.writes("/work") } else { program };
    let program = if how.starts { program.processes().commands("/bin/busybox") } else { program };
    let program = if command == NODE { program.reads(NODE_LIBRARIES) } else { program };
    // Java starts its children by a program of its own.
    if how.starts && command == JAVA { program.commands("/usr/lib/jvm/lib/jspawnhelper") } else { program }
}

fn result(name: &str, how: Work) -> Value {
    let mut result = json!({"name": name, "sum": 5050, "files": ["numbers.json", "other"], "timer": true});
    if how.writes {
        result["file"] = json!("written");
    }
    if how.starts {
        result["child"] = json!("hello");
    }
    result
}

/// Two at one time: half a processor each, and the node has two.
fn all_work(ns: &Namespace, how: Work, programs: &[(&str, &[&str])]) {
    for two in programs.chunks(2) {
        let running: Vec<_> = two.iter().map(|(name, command)| ns.accepts(work(name, command, how))).collect();
        for one in &running {
            did_its_work(one, how);
        }
    }
}

fn did_its_work(one: &Running<'_>, how: Work) {
    let ended = one.completes();
    assert_eq!(ended.result(), &result(one.name(), how), "{}", one.name());
    let proven = ended.object["status"]["enforcement"].as_array().unwrap();
    assert!(!proven.is_empty() && proven.iter().all(|one| one["proven"] == "True"), "{proven:#?}");
    assert_eq!(ended.object["status"]["decision"]["isolation"], how.isolation);
}

#[test]
fn they_work_in_gvisor_without_processes_and_without_a_place_to_write() {
    let ns = namespace("languages-tight");
    ns.apply(grants());
    let how = Work { isolation: "GVisor", writes: false, starts: false };
    all_work(&ns, how, &[("python", PYTHON), ("node", NODE), ("go", GO), ("java", JAVA), ("rust", RUST)]);
}

#[test]
fn they_work_in_gvisor_with_processes_and_files_that_they_write() {
    let ns = namespace("languages-gvisor");
    ns.apply(grants());
    let how = Work { isolation: "GVisor", writes: true, starts: true };
    let all = [("python", PYTHON), ("node", NODE), ("go", GO), ("java", JAVA), ("rust", RUST), ("busybox", BUSYBOX)];
    all_work(&ns, how, &all);
}

#[test]
fn they_work_in_a_container_without_processes_and_without_a_place_to_write() {
    let ns = namespace("languages-container");
    ns.apply(grants());
    let how = Work { isolation: "Container", writes: false, starts: false };
    all_work(&ns, how, &[("python", PYTHON), ("node", NODE), ("go", GO), ("java", JAVA), ("rust", RUST)]);
}

#[test]
fn static_programs_write_in_a_container_and_others_are_told_to_use_gvisor() {
    let ns = namespace("languages-static");
    ns.apply(grants());
    let how = Work { isolation: "Container", writes: true, starts: true };
    all_work(&ns, how, &[("go", GO), ("rust", RUST), ("busybox", BUSYBOX)]);
    // Their loader would run what they wrote: so they start others, but have no place to write.
    let starts = Work { writes: false, ..how };
    all_work(&ns, starts, &[("python", PYTHON), ("node", NODE), ("java", JAVA)]);
    let writes = Work { starts: false, ..how };
    let refused = [("python-writes", PYTHON), ("node-writes", NODE), ("java-writes", JAVA)];
    let running = refused.map(|(name, command)| ns.accepts(work(name, command, writes)));
    for one in running {
        let ended = one.ends(EndReason::ConfinementFailed);
        assert!(ended.message().contains("use isolation GVisor"), "{}", ended.message());
    }
}
