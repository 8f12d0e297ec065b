//! From creation to deletion: what waits, what runs, what stops, and what is left.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ccos_e2e::fixture::{Fixture as _, pod, yaml};
use ccos_e2e::running::child;
use ccos_e2e::{
    Context, EndReason, Namespace, Reason, WaitReason, cluster, context, execution, kubectl, namespace, until,
};
use serde_json::{Value, json};

/// The pod that the plan makes of a Kata execution, as its own tests have it.
const KATA_POD: &str = include_str!("../../operator/plan/tests/plan/snapshots/plan__children__kata-pod.snap");

#[test]
fn kubectl_shows_what_matters() {
    let ns = namespace("columns");
    ns.apply(context("analysts").capacity(3).set("limits.memory", "256Mi"));
    ns.accepts(execution("paris")).completes();
    let table = |what: &str| -> Vec<Vec<String>> {
        let text = ns.kubectl(["get", what]);
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let executions = table("capex");
    assert_eq!(executions[0], ["NAME", "CONTEXT", "CAPABILITY", "ISOLATION", "SUCCEEDED", "REASON", "AGE"]);
    assert_eq!(executions[1][..6], ["paris", "analysts", "tools.run", "GVisor", "True", "Completed"]);
    let contexts = table("secctx");
    assert_eq!(contexts[0], ["NAME", "LEVEL", "ISOLATION", "MEMORY", "CAPACITY", "RUNNING", "VALID", "EXPIRES", "AGE"]);
    assert_eq!(contexts[1][..2], ["analysts", "Controlled"]);
    assert!(contexts[1].contains(&"True".to_owned()), "{contexts:?}");
    assert_eq!(table("capprov").len(), 2);
    let all = ns.kubectl(["get", "ccos", "-o", "name"]);
    assert_eq!(all.lines().count(), 3, "{all}");
}

#[test]
fn kubectl_explains_the_kinds() {
    let explained = |what: &str| kubectl(["explain", what]).succeeds();
    let requires = explained("capex.spec.requires");
    assert!(requires.contains("Narrows what the capability requires, never widens it."), "{requires}");
    assert!(requires.contains("permissions") && requires.contains("limits"), "{requires}");
    assert!(explained("secctx.spec.permissions.filesystem.blocked").contains("wins over all of the above"));
    for what in ["secctx", "csecctx", "capprov", "ccapprov", "capex", "expol"] {
        assert!(explained(what).contains("DESCRIPTION"), "{what}");
    }
}

#[test]
fn children_are_made_in_the_namespace_and_go_with_their_execution() {
    let ns = namespace("children");
    ns.apply(context("analysts").capacity(2));
    let ran = ns.accepts(execution("paris"));
    ran.completes();
    let (object, name) = (ran.object(), ran.child());
    for kind in ["networkpolicy", "configmap", "pod"] {
        let made = ns.get(&format!("{kind}/{name}"));
        let owner = &made["metadata"]["ownerReferences"][0];
        assert_eq!(
            (&owner["kind"], &owner["uid"]),
            (&json!("CapabilityExecution"), &object["metadata"]["uid"]),
            "{made:#}"
        );
        assert_eq!(made["metadata"]["ownerReferences"].as_array().unwrap().len(), 1, "{made:#}");
        assert_eq!(made["metadata"]["labels"]["security.ccos.dev/execution-uid"], object["metadata"]["uid"]);
    }
    let policy = ns.get(&format!("networkpolicy/{name}"));
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!((&policy["spec"]["ingress"], &policy["spec"]["egress"]), (&Value::Null, &only_reports()));
    let pod = ns.get(&format!("pod/{name}"));
    assert_eq!(pod["spec"]["runtimeClassName"], "gvisor");
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    assert_eq!(pod["spec"]["restartPolicy"], "Never");
    let quota = ns.get("resourcequota/ccos-executions");
    assert_eq!(quota["spec"]["hard"]["pods"], "2", "{quota:#}");
    ns.kubectl(["delete", "capex", "paris"]);
    for kind in ["networkpolicy", "configmap", "pod"] {
        ns.kubectl(["wait", "--for=delete", &format!("{kind}/{name}"), "--timeout=60s"]);
    }
    ns.kubectl(["delete", "secctx", "analysts"]);
    ns.kubectl(["wait", "--for=delete", "resourcequota/ccos-executions", "--timeout=60s"]);
}

#[test]
fn a_name_runs_once() {
    let ns = namespace("once");
    ns.apply(context("analysts"));
    ns.accepts(execution("paris")).completes();
    ns.rejects(execution("paris")).code(409);
    assert_eq!(ns.ever("pods").len(), 1);
}

#[test]
fn an_execution_may_come_right_after_its_namespace() {
    let ns = namespace("folder");
    // As `kubectl apply -f folder` does it: all at once, before the namespace has so much as a ServiceAccount.
    let all = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("{}-new", ns.name)}});
    let (fixture, run) = (context("analysts"), execution("paris"));
    let texts = [yaml(&all), fixture.manifest(), run.manifest()]
        .map(|text| text.replace("metadata:\n", &format!("metadata:\n  namespace: {}-new\n", ns.name)));
    let text = texts.join("---\n").replacen(&format!("  namespace: {}-new\n", ns.name), "", 1);
    let created = kubectl(["apply", "-f", "-"]).input(&text).run();
    let waited = kubectl(["wait", "--for=condition=Finished", "capex/paris", "--timeout=60s"])
        .inside(&format!("{}-new", ns.name))
        .run();
    let ended = kubectl(["get", "capex", "paris"]).inside(&format!("{}-new", ns.name)).run();
    kubectl(["delete", "namespace", &format!("{}-new", ns.name), "--wait=false"]).run();
    assert!(created.ok && waited.ok && ended.out.contains("Completed"), "{created:?}\n{waited:?}\n{ended:?}");
}

#[test]
fn what_does_not_fit_waits_its_turn_and_runs_later() {
    let ns = namespace("capacity");
    ns.apply(context("analysts").capacity(3));
    let three: Vec<_> = [("a", 12), ("b", 40), ("c", 40)]
        .into_iter()
        .map(|(name, seconds)| ns.accepts(execution(name).sleeps(seconds)))
        .collect();
    for one in &three {
        one.starts();
    }
    let fourth = ns.accepts(execution("d").sleeps(3));
    fourth.waits_for(WaitReason::CapacityExhausted);
    let message = fourth.object()["status"]["conditions"].to_string();
    assert!(message.contains("3 of 3 executions of SecurityContext \\\"analysts\\\" run"), "{message}");
    // The API server tells creation in whole seconds.
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let created = now();
    until("the next second", 5, || (now() > created + 1).then_some(()));
    let fifth = ns.accepts(execution("e"));
    fifth.waits_for(WaitReason::CapacityExhausted);
    let (fourth, fifth) = (fourth.completes(), fifth.completes());
    assert!(
        fourth.attempt()["finishedAt"].as_str() <= fifth.attempt()["startedAt"].as_str(),
        "one place, and first come first served: {} {}",
        fourth.attempt(),
        fifth.attempt()
    );
    for one in &three[1..] {
        one.desire("Cancelled");
        one.ends(EndReason::Cancelled);
    }
}

#[test]
fn suspended_holds_it_before_the_start_and_running_lets_it_go() {
    let ns = namespace("suspended");
    ns.apply(context("analysts"));
    let held = ns.accepts(execution("held").set("desiredState", "Suspended"));
    held.waits_for(WaitReason::Suspended);
    assert!(ns.ever("pods").is_empty());
    held.desire("Running");
    held.completes();
    assert_eq!(ns.ever("pods").len(), 1);
}

#[test]
fn suspended_comes_too_late_once_it_has_started() {
    let ns = namespace("too-late");
    ns.apply(context("analysts"));
    let runs = ns.accepts(execution("runs").sleeps(30));
    runs.starts();
    let answer = ns.merge(None, "runs", &json!({"spec": {"desiredState": "Suspended"}}));
    ccos_e2e::Refused { answer, manifest: String::new() }.invalid("spec.desiredState").saying("use Cancelled");
    runs.desire("Cancelled");
    runs.ends(EndReason::Cancelled);
}

#[test]
fn cancelled_ends_what_runs_and_what_waits() {
    let ns = namespace("cancelled");
    ns.apply(context("analysts").capacity(1));
    let runs = ns.accepts(execution("runs").sleeps(40));
    runs.starts();
    let waits = ns.accepts(execution("waits"));
    waits.waits_for(WaitReason::CapacityExhausted);
    waits.desire("Cancelled");
    waits.ends(EndReason::Cancelled);
    runs.desire("Cancelled");
    let ended = runs.ends(EndReason::Cancelled);
    assert_eq!(ended.attempt()["reason"], "Cancelled");
    assert_eq!(ns.ever("pods").len(), 1);
    // Its place is free again.
    ns.accepts(execution("next")).completes();
}

const HALF: &str = "echo half of it; while true; do :; done";

/// What was printed until then, and what was used.
#[test]
fn what_was_cancelled_keeps_its_log_and_its_usage() {
    let ns = namespace("kept-log");
    ns.apply(context("analysts"));
    let isolations = ["GVisor", "Container"];
    let spins = |isolation: &&str| execution(&isolation.to_lowercase()).shell(HALF).set("isolation", *isolation);
    let running: Vec<_> = isolations.iter().map(|isolation| ns.accepts(spins(isolation))).collect();
    for one in running {
        one.starts();
        let log = || ns.kubectl(["logs", &one.child()]);
        until("it has printed", 30, || (log() == "half of it\n").then_some(()));
        one.desire("Cancelled");
        let ended = one.ends(EndReason::Cancelled);
        let (cpu, wall) = (ended.time("cpuTime"), ended.time("wallTime"));
        assert!(cpu > Duration::from_millis(1) && wall < Duration::from_mins(1), "{cpu:?} {wall:?}");
        assert!(!ended.object["status"]["enforcement"].as_array().unwrap().is_empty(), "{ended:#?}");
        let pod = until("its pod has ended", 30, || {
            let pod = ns.get(&format!("pod/{}", one.child()));
            (pod["status"]["phase"] == "Failed").then_some(pod)
        });
        assert_eq!(pod["metadata"]["deletionTimestamp"], json!(null));
        assert_eq!(log(), "half of it\n");
    }
}

#[test]
fn a_context_that_expires_leaves_the_log_of_what_it_ends() {
    let ns = namespace("expired-log");
    ns.apply(context("analysts").set("expiry", json!({"type": "After", "after": "12s"})));
    let one = ns.accepts(execution("late").shell(HALF));
    let ended = one.ends(EndReason::ContextExpired);
    assert!(ended.time("wallTime") < Duration::from_mins(1), "{ended:#?}");
    assert_eq!(ns.kubectl(["logs", &one.child()]), "half of it\n");
}

#[test]
fn a_change_after_the_end_is_observed() {
    let ns = namespace("after");
    ns.apply(context("analysts"));
    let ran = ns.accepts(execution("ran"));
    ran.completes();
    ran.desire("Cancelled");
    // kubectl believes a condition only of the present generation, and would wait for ever.
    ran.completes();
}

#[test]
fn it_is_deleted_when_its_time_to_live_is_over() {
    let ns = namespace("ttl");
    ns.apply(context("analysts"));
    let kept = ns.accepts(execution("kept"));
    let gone = ns.accepts(execution("gone").set("ttlSecondsAfterFinished", 2));
    gone.is_deleted();
    kept.completes();
}

#[test]
fn expiry_stops_what_runs_and_admits_nothing_after() {
    let ns = namespace("expiry");
    let expires =
        |name: &str, how: &str| context(name).set("expiry", json!({"type": "After", "after": "12s", "onExpiry": how}));
    ns.apply(expires("stops", "Stop"));
    ns.apply(expires("drains", "Drain"));
    let stops = ns.accepts(execution("stops").under("stops").sleeps(40));
    let drains = ns.accepts(execution("drains").under("drains").sleeps(14));
    let ended = stops.ends(EndReason::ContextExpired);
    assert!(ended.message().contains("expired at"), "{}", ended.message());
    drains.completes();
    for name in ["stops", "drains"] {
        ns.rejects(execution("after").under(name)).with(Reason::ContextExpired, "contextRef");
    }
}

#[test]
fn a_context_that_is_narrowed_stops_what_it_no_longer_grants() {
    let ns = namespace("narrowed");
    let grants = |paths: &[&str]| paths.iter().fold(context("analysts"), |context, path| context.reads(path));
    ns.apply(grants(&["/data", "/other"]));
    let data = ns.accepts(execution("data").sleeps(40).reads("/data"));
    let other = ns.accepts(execution("other").sleeps(12).reads("/other"));
    let held = ns.accepts(execution("held").reads("/data").set("desiredState", "Suspended"));
    held.waits_for(WaitReason::Suspended);
    data.starts();
    other.starts();
    ns.apply(grants(&["/other", "/third"]));
    let ended = data.ends(EndReason::ContextChanged);
    assert!(
        ended.message().contains("requires.permissions.filesystem.read[0] \"/data\": not granted"),
        "{}",
        ended.message()
    );
    let refused = held.finishes();
    assert_eq!(refused.reason(), Reason::FileReadDenied.as_str());
    other.completes();
}

#[test]
fn a_context_that_is_deleted_stops_what_runs_under_it() {
    let ns = namespace("deleted-context");
    ns.apply(context("analysts"));
    let runs = ns.accepts(execution("runs").sleeps(40));
    runs.starts();
    ns.kubectl(["delete", "secctx", "analysts"]);
    runs.ends(EndReason::ContextChanged);
}

#[test]
fn the_right_to_use_is_asked_for_again_before_the_start() {
    let ns = namespace("revoked");
    ns.apply(context("analysts"));
    ns.allow("ann", &[]);
    let held = execution("held").set("desiredState", "Suspended");
    let held =
        ns.user("ann").rejects_at_first(&held, Reason::UseForbidden, "contextRef", || ns.allow("ann", &["analysts"]));
    held.waits_for(WaitReason::Suspended);
    ns.kubectl(["delete", "rolebindings", "--all"]);
    until("ann may not use it", 20, || {
        let may = kubectl(["auth", "can-i", "use", "securitycontexts.security.ccos.dev/analysts", "--as", "ann"]);
        (!may.inside(&ns.name).run().ok).then_some(())
    });
    held.desire("Running");
    held.ends(EndReason::UseRevoked);
    assert!(ns.ever("pods").is_empty());
}

/// What a Secret holds now is not what its reader was allowed to see: it may have been rotated since.
#[test]
fn the_right_to_read_what_it_is_given_is_asked_for_again_before_the_start() {
    let ns = namespace("unreadable");
    ns.apply(context("analysts").environment("TOKEN"));
    ns.kubectl(["create", "secret", "generic", "keys", "--from-literal=key=s3cret"]);
    ns.role(
        "ann",
        &json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["keys"], "verbs": ["get"]}]),
    );
    let reads: Vec<String> = ns.list("rolebindings").iter().map(|one| one["metadata"]["name"].to_string()).collect();
    ns.allow("ann", &["analysts"]);
    let given = |name: &str| {
        let key = json!([{"name": "TOKEN", "secretKeyRef": {"name": "keys", "key": "key"}}]);
        execution(name).requires_variable("TOKEN").set("env", key).set("desiredState", "Suspended")
    };
    until("ann may read and use", 20, || {
        (ns.create(Some("ann"), &given("dry"), "?dryRun=All").code == 201).then_some(())
    });
    let (held, twin) = (ns.user("ann").accepts(given("held")), ns.user("ann").accepts(given("twin")));
    held.waits_for(WaitReason::Suspended);
    twin.desire("Running");
    twin.completes();
    for name in reads {
        ns.kubectl(["delete", "rolebinding", name.trim_matches('"')]);
    }
    until("ann may not read it", 20, || {
        let may = kubectl(["auth", "can-i", "get", "secrets/keys", "--as", "ann"]);
        (!may.inside(&ns.name).run().ok).then_some(())
    });
    let pods = ns.ever("pods");
    held.desire("Running");
    let ended = held.finishes();
    assert_eq!(ended.reason(), "UseForbidden", "{}", ended.message());
    assert!(ended.message().contains("may not get Secret \"keys\""), "{}", ended.message());
    assert_eq!(ns.ever("pods"), pods);
}

/// Whoever can keep an object of his own from leaving shows another's receipt on it, and the other seems to be a replay.
#[test]
fn a_receipt_that_is_copied_onto_an_object_on_its_way_out_ends_nobody() {
    let ns = namespace("copied");
    ns.apply(context("analysts"));
    let leaving = ns.accepts(execution("leaving").set("desiredState", "Suspended"));
    let finalizer = json!({"metadata": {"finalizers": ["e2e.ccos.dev/hold"]}});
    assert_eq!(ns.merge(None, "leaving", &finalizer).code, 200);
    ns.kubectl(["delete", "capex", "leaving", "--wait=false"]);
    let waits = ns.accepts(execution("waits").set("desiredState", "Suspended"));
    waits.waits_for(WaitReason::Suspended);
    let receipt = waits.object()["metadata"]["annotations"]["security.ccos.dev/receipt"].clone();
    let copied = json!({"metadata": {"annotations": {"security.ccos.dev/receipt": receipt}}});
    let before = leaving.object()["metadata"]["annotations"].clone();
    let answer = ns.merge(None, "leaving", &copied);
    assert!(answer.code == 200 || answer.code == 422, "{:#}", answer.body);
    assert_eq!(leaving.object()["metadata"]["annotations"], before);
    waits.desire("Running");
    waits.completes();
    assert_eq!(ns.merge(None, "leaving", &json!({"metadata": {"finalizers": null}})).code, 200);
    leaving.is_deleted();
}

/// Two run under one context; only the one whose requester lost the right is stopped.
#[test]
fn a_right_that_is_taken_away_stops_what_runs_and_what_waits() {
    let ns = namespace("revoked-runs");
    ns.apply(context("analysts").capacity(2));
    ns.allow("ann", &[]);
    // Longer than the rounds in which the right is asked for, on a slow machine too.
    let runs = execution("hers").sleeps(120).limit("wallTime", "3m");
    let runs =
        ns.user("ann").rejects_at_first(&runs, Reason::UseForbidden, "contextRef", || ns.allow("ann", &["analysts"]));
    let his = ns.accepts(execution("his").sleeps(35));
    runs.starts();
    his.starts();
    let waits = ns.user("ann").accepts(execution("waits"));
    waits.waits_for(WaitReason::CapacityExhausted);
    ns.kubectl(["delete", "rolebindings", "--all"]);
    let ended = runs.ends(EndReason::UseRevoked);
    assert!(
        ended.message().contains("user \"ann\" may no longer use SecurityContext \"analysts\""),
        "{}",
        ended.message()
    );
    waits.ends(EndReason::UseRevoked);
    his.completes();
}

#[test]
fn a_context_shows_what_runs_under_it_and_that_it_has_expired() {
    let ns = namespace("in-use");
    let expires = json!({"type": "After", "after": "45s", "onExpiry": "Drain"});
    ns.apply(context("analysts").capacity(1).set("expiry", expires));
    let runs = ns.accepts(execution("runs").sleeps(50).limit("wallTime", "3m"));
    runs.starts();
    let waits = ns.accepts(execution("waits"));
    waits.waits_for(WaitReason::CapacityExhausted);
    let status = || ns.get("secctx/analysts")["status"].clone();
    until("both are counted", 10, || {
        let in_use = &status()["inUse"];
        (in_use["running"] == 1 && in_use["waiting"] == 1).then_some(())
    });
    let shown = status();
    assert_eq!(shown["running"], json!([{"namespace": ns.name, "name": "runs"}]), "{shown:#}");
    // 64Mi, the runner's 16Mi and gVisor's 64Mi; 100m and gVisor's 50m.
    assert_eq!((&shown["inUse"]["memory"], &shown["inUse"]["cpu"]), (&json!("144Mi"), &json!("150m")), "{shown:#}");
    assert!(shown["expiresAt"].is_string(), "{shown:#}");
    ns.kubectl(["wait", "secctx/analysts", "--for=condition=Valid=False", "--timeout=60s"]);
    let shown = status();
    let valid = shown["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Valid").unwrap().clone();
    assert_eq!(valid["reason"], "Expired", "{shown:#}");
    // What waits is not begun any more; what runs may finish.
    waits.ends(EndReason::ContextExpired);
    runs.completes();
    until("nothing runs", 10, || (status()["inUse"]["running"] == 0).then_some(()));
    assert_eq!(status()["running"], Value::Null);
}

/// The one way out of a pod that connects to nothing: its runner's, to the controller.
fn only_reports() -> Value {
    json!([{
        "ports": [{"port": 8443, "protocol": "TCP"}],
        "to": [{
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": cluster::OPERATOR}},
            "podSelector": {"matchLabels": {
                "app.kubernetes.io/component": "controller", "app.kubernetes.io/name": "ccos",
            }},
        }],
    }])
}

/// Nobody can tell what passed while the fence was open: the pod is ended, behind a new one.
#[test]
fn a_network_policy_that_is_taken_away_or_opened_ends_its_pod_behind_a_new_one() {
    let ns = namespace("unfenced");
    ns.apply(context("analysts"));
    let open = r#"{"spec":{"egress":[{}]}}"#;
    let cases: [(&str, &[&str]); 3] = [
        ("deleted", &["delete", "networkpolicy"]),
        ("opened", &["patch", "--type=merge", "-p", open, "networkpolicy"]),
        ("hidden", &["label", "--overwrite", "networkpolicy"]),
    ];
    for (name, change) in cases {
        let runs = ns.accepts(execution(name).sleeps(90).limit("wallTime", "3m"));
        runs.starts();
        let policy = runs.child();
        let hides = (name == "hidden").then_some("app.kubernetes.io/managed-by-");
        ns.kubectl(change.iter().copied().chain([policy.as_str()]).chain(hides));
        let ended = runs.ends(EndReason::ConfinementFailed);
        assert!(ended.message().contains("network policy was"), "{}", ended.message());
        let again = ns.get(&format!("networkpolicy/{policy}"));
        assert_eq!((&again["spec"]["ingress"], &again["spec"]["egress"]), (&Value::Null, &only_reports()), "{again:#}");
        assert_eq!(again["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    }
    // Its twin, left alone.
    ns.accepts(execution("alone").sleeps(3)).completes();
}

#[test]
fn kata_without_its_runtime_ends_as_runtime_unavailable() {
    let ns = namespace("kata");
    ns.apply(context("analysts"));
    let kata = ns.accepts(execution("kata").set("isolation", "Kata"));
    kata.waits_for(WaitReason::RuntimeUnavailable);
    let ended = kata.ends(EndReason::RuntimeUnavailable);
    assert!(
        ended.message().contains("no ready node has the runtime \"kata\" of RuntimeClass \"kata\""),
        "{}",
        ended.message()
    );
    assert!(ns.ever("pods").is_empty());
}

#[test]
fn the_pod_of_a_kata_execution_passes_a_server_side_dry_run() {
    let ns = namespace("kata-pod");
    let (_, text) = KATA_POD[3..].split_once("---\n").unwrap();
    let mut object: Value = serde_saphyr::from_str(text).unwrap();
    assert_eq!(object["spec"]["runtimeClassName"], "kata");
    object["metadata"]["namespace"] = json!(ns.name);
    let dry_run = |object: &Value| {
        kubectl(["create", "--dry-run=server", "-f", "-"]).inside(&ns.name).input(object.to_string()).run()
    };
    let answer = dry_run(&object);
    assert!(answer.ok && answer.err.is_empty(), "{answer:?}");
    // The twin: this API server does refuse pods, by Pod Security and by a RuntimeClass that is not there.
    let mut privileged = object.clone();
    privileged["spec"]["containers"][0]["securityContext"]["privileged"] = json!(true);
    privileged["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
    let answer = dry_run(&privileged);
    assert!(!answer.ok && answer.err.contains("violates PodSecurity \"restricted"), "{answer:?}");
    object["spec"]["runtimeClassName"] = json!("none");
    assert!(dry_run(&object).err.contains("RuntimeClass \"none\" not found"));
}

#[test]
fn a_pod_that_somebody_deletes_is_lost() {
    let ns = namespace("lost");
    ns.apply(context("analysts"));
    let politely = ns.accepts(execution("politely").sleeps(40));
    let at_once = ns.accepts(execution("at-once").sleeps(40));
    politely.starts();
    at_once.starts();
    ns.kubectl(["delete", "pod", &politely.child(), "--wait=false"]);
    ns.kubectl(["delete", "pod", &at_once.child(), "--force", "--grace-period=0"]);
    politely.ends(EndReason::PodLost);
    at_once.ends(EndReason::PodLost);
    assert_eq!(ns.ever("pods").len(), 2);
}

#[test]
fn an_image_that_does_not_exist_is_an_image_pull_that_failed() {
    let ns = namespace("image");
    ns.apply(context("analysts"));
    let reference = format!("10.245.0.2:5000/none@sha256:{}", "0".repeat(64));
    let ended =
        ns.accepts(execution("none").provider("source.image.reference", reference)).ends(EndReason::ImagePullFailed);
    assert!(ended.message().contains("/none@sha256"), "{}", ended.message());
}

#[test]
fn a_volume_that_does_not_exist_ends_it_by_the_start_deadline() {
    let ns = namespace("no-volume");
    let missing = context("analysts").volume("missing", "/data", json!({"configMap": {"name": "missing"}}));
    ns.apply(missing.reads("/data"));
    let ended = ns.accepts(execution("missing").reads("/data")).finishes();
    let one_of = [EndReason::VolumeUnavailable, EndReason::StartDeadlineExceeded].map(EndReason::as_str);
    assert!(one_of.contains(&ended.reason()), "{}: {}", ended.reason(), ended.message());
}

#[test]
fn a_pod_whose_labels_are_changed_is_stopped() {
    let ns = namespace("drift");
    ns.apply(context("analysts"));
    for (name, label) in
        [("moved", "security.ccos.dev/execution-uid=other"), ("hidden", "app.kubernetes.io/managed-by-")]
    {
        let runs = ns.accepts(execution(name).sleeps(40));
        runs.starts();
        ns.kubectl(["label", "pod", &runs.child(), label, "--overwrite"]);
        runs.ends(EndReason::ConfinementFailed);
    }
}

#[test]
fn a_name_that_is_taken_by_somebody_else_is_not_taken_over() {
    let ns = namespace("taken");
    ns.apply(context("analysts"));
    let held = ns.accepts(execution("held").set("desiredState", "Suspended"));
    held.waits_for(WaitReason::Suspended);
    // A pod of the same name, without the confinement.
    let name = child(&held.object());
    ns.apply(pod(&name, &cluster::image("CCOS_BUSYBOX_IMAGE"), &["/bin/sleep", "60"], &[]));
    held.desire("Running");
    let ended = held.ends(EndReason::InternalError);
    assert!(ended.message().contains("belongs to something else"), "{}", ended.message());
    assert_eq!(ns.ever("pods").len(), 1);
    // Nor did it use up the quota, trying.
    ns.accepts(execution("next")).completes();
}

#[test]
fn the_quota_counts_what_the_contexts_grant() {
    let ns = namespace("quota");
    let small =
        |name: &str| -> Context { context(name).capacity(2).set("limits", json!({"memory": "64Mi", "cpu": "100m"})) };
    ns.apply(small("one"));
    ns.apply(small("two"));
    let hard = until("the quota of both", 30, || quota(&ns).filter(|hard| hard["pods"] == "4"));
    // Each 64Mi, the runner's 16Mi and gVisor's 64Mi; 100m and gVisor's 50m.
    assert_eq!(
        (&hard["limits.memory"], &hard["limits.cpu"]),
        (&json!(((4_u64 * 144) << 20).to_string()), &json!("600m"))
    );
    ns.kubectl(["delete", "secctx", "two"]);
    until("the quota of one", 30, || quota(&ns).filter(|hard| hard["pods"] == "2"));
}

fn quota(ns: &Namespace) -> Option<Value> {
    ns.list("resourcequotas").first().map(|quota| quota["spec"]["hard"].clone())
}
