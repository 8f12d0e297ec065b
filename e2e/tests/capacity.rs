//! Who waits, in which order, and that never more run than may.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ccos_e2e::api::{Api, OURS};
use ccos_e2e::fixture::Fixture as _;
use ccos_e2e::namespace::unique;
use ccos_e2e::{Ended, Execution, Namespace, WaitReason, context, execution, namespace, provider, until};
use serde_json::Value;

/// What a watch of pods saw, in the order in which it happened.
#[derive(Debug, Default)]
struct Seen {
    /// The most that were alive at one time.
    most: usize,
    /// How often each execution got a pod.
    pods: BTreeMap<String, BTreeSet<String>>,
}

/// Whether a pod holds a place still: the API server's order of events is the order in which that changes.
fn lives(pod: &Value) -> bool {
    let terminated = pod.pointer("/status/containerStatuses/0/state/terminated").is_some();
    !terminated && !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// Watches all pods of the namespace, from where it began, until so many executions have had one that ended.
fn watch_pods(ns: &Namespace, since: &str, count: usize, ended: &AtomicUsize) -> Seen {
    let path = format!("/api/v1/namespaces/{}/pods?watch=1&resourceVersion={since}&timeoutSeconds=540", ns.name);
    let (mut seen, mut alive, mut over) = (Seen::default(), BTreeSet::new(), BTreeSet::new());
    Api::new().watch(&path, |event| {
        assert_ne!(event["type"], "ERROR", "{event}");
        let pod = &event["object"];
        let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
        let owner = pod["metadata"]["ownerReferences"][0]["name"].as_str().unwrap().to_owned();
        seen.pods.entry(owner).or_default().insert(uid.clone());
        if event["type"] != "DELETED" && lives(pod) {
            alive.insert(uid);
        } else {
            alive.remove(&uid);
            over.insert(uid);
        }
        seen.most = seen.most.max(alive.len());
        ended.store(over.len(), Ordering::Relaxed);
        (over.len() >= count).then_some(())
    });
    seen
}

fn of_tools(name: &str) -> Execution {
    execution(name).of("CapabilityProvider", "tools")
}

fn resource_version(ns: &Namespace) -> String {
    let list: Value = serde_json::from_str(&Api::new().get(&format!("/api/v1/namespaces/{}/pods", ns.name))).unwrap();
    list["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

#[test]
fn two_hundred_at_once_under_a_capacity_of_five_never_run_more_than_five_and_each_once() {
    const ALL: usize = 200;
    const CAPACITY: usize = 5;
    let ns = namespace("race");
    ns.apply(context("analysts").capacity(5));
    ns.apply(provider("tools"));
    let (since, ended) = (resource_version(&ns), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let seen = thread::scope(|threads| {
        let (ns, since) = (&ns, &since);
        let watch = threads.spawn({
            let ended = Arc::clone(&ended);
            move || watch_pods(ns, since, ALL, &ended)
        });
        // At once: from twenty clients.
        for client in 0..20 {
            threads.spawn(move || {
                let api = Api::new();
                for at in 0..ALL / 20 {
                    let object = of_tools(&format!("x{client}-{at}"));
                    let path = format!("{OURS}/namespaces/{}/capabilityexecutions", ns.name);
                    let answer = api.create(&path, object.object(), None);
                    assert_eq!(answer.code, 201, "{:#}", answer.body);
                }
            });
        }
        watch.join().unwrap()
    });
    let took = began.elapsed();
    assert!(seen.most <= CAPACITY, "{} at one time", seen.most);
    assert_eq!(seen.most, CAPACITY, "a race that fills no capacity shows nothing");
    assert_eq!(seen.pods.len(), ALL);
    let twice: Vec<_> = seen.pods.iter().filter(|(_, pods)| pods.len() != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let finished = || {
        let all = ns.list("capabilityexecutions");
        let reason = |one: &Value| {
            let conditions = one["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions
                .into_iter()
                .find(|one| one["type"] == "Finished" && one["status"] == "True")
                .map(|one| one["reason"].clone())
        };
        let reasons: Vec<Value> = all.iter().filter_map(reason).collect();
        (reasons.len() == ALL).then_some(reasons)
    };
    let reasons = until("all have finished", 60, finished);
    assert!(reasons.iter().all(|reason| reason == "Completed"), "{reasons:?}");
    eprintln!("{ALL} executions under a capacity of {CAPACITY}: {took:?}");
}

#[test]
fn a_namespace_does_not_keep_anothers_one_waiting() {
    let (many, one) = (namespace("many"), namespace("one"));
    let name = unique("shared");
    many.apply(context(&name).for_all_namespaces().capacity(1));
    for ns in [&many, &one] {
        ns.apply(provider("tools").runs(&["/bin/sleep", "2"]));
    }
    // It holds the capacity until all others wait, however slow the machine.
    let holds = many.accepts(execution("holds").sleeps(600).under_cluster(&name));
    holds.starts();
    let under = |id: &str| of_tools(id).under_cluster(&name);
    let others: Vec<_> = (0..8).map(|at| many.accepts(under(&format!("other{at}")))).collect();
    let late = one.accepts(under("late"));
    for waits in others.iter().chain([&late]) {
        waits.waits_for(WaitReason::CapacityExhausted);
    }
    holds.desire("Cancelled");
    let started = |ended: &Ended| ended.attempt()["startedAt"].as_str().unwrap().to_owned();
    let late = started(&late.completes());
    // Two of them, 2 s each, never start in the same second.
    let before = others.iter().filter(|other| started(&other.completes()) < late).count();
    assert!(before <= 1, "{before} of another namespace ran before the one that had its turn");
}

#[test]
fn who_waits_is_told_its_place_and_again_when_it_has_moved() {
    let ns = namespace("places");
    ns.apply(context("analysts").capacity(1));
    let runs = ns.accepts(execution("runs").sleeps(40));
    runs.starts();
    // The API server tells creation in whole seconds.
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let waits: Vec<_> = (0..3)
        .map(|at| {
            let one = ns.accepts(execution(&format!("waits{at}")));
            one.waits_for(WaitReason::CapacityExhausted);
            let told = now();
            until("the next second", 5, || (now() > told).then_some(()));
            one
        })
        .collect();
    let place = |at: usize| {
        let conditions = waits[at].object()["status"]["conditions"].as_array().cloned().unwrap();
        conditions.into_iter().find(|one| one["type"] == "Queued").unwrap()["message"].as_str().unwrap().to_owned()
    };
    assert!(
        place(2).contains("1 of 1 executions of SecurityContext \"analysts\" run; 3rd of 3 that wait"),
        "{}",
        place(2)
    );
    waits[0].desire("Cancelled");
    until("the last has moved", 30, || place(2).ends_with("2nd of 2 that wait").then_some(()));
    runs.desire("Cancelled");
    for one in &waits[1..] {
        one.completes();
    }
}
