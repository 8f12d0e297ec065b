//! What `ccos doctor` says of the cluster is so, and what it says is gone is gone: annotations by which runtimes confine a
//! pod less.

use std::process::{Command, Stdio};

use ccos_e2e::kubectl::helm;
use ccos_e2e::{EndReason, Namespace, cluster, context, execution, kubectl, namespace, until};
use serde_json::{Value, json};

const REACH: &str = "who may reach into pods of executions";
const USE: &str = "who may use contexts through *";

/// A Kata that is told to leave its guests without seccomp; gVisor would leave it alone.
const ANNOTATION: &str = "io.katacontainers.config.runtime.disable_guest_seccomp";

/// Exit code and checks of `ccos doctor`, as the administrator.
fn doctor() -> (Option<i32>, Vec<Value>) {
    doctor_with(&[])
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(cluster::image("CCOS_CLI"));
    command.env("KUBECONFIG", cluster::kubeconfig()).args(["doctor", "-o", "json"]).args(arguments);
    command
}

fn doctor_with(arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = command(arguments).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code(), report["checks"].as_array().unwrap().clone())
}

/// A check by its name.
#[track_caller]
fn check<'c>(checks: &'c [Value], name: &str) -> &'c Value {
    let found = checks.iter().find(|check| check["check"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {checks:#?}"))
}

#[track_caller]
fn is(checks: &[Value], name: &str, state: &str) {
    let found = check(checks, name);
    assert_eq!(found["state"], state, "{found:#}");
}

#[test]
fn what_is_installed_is_well_and_what_is_not_there_fails() {
    let (code, checks) = doctor();
    for name in [
        "kinds",
        "mutating webhook",
        "validating webhook",
        "admission policy ccos-controller",
        "admission policy ccos-provider-status",
        "admission policy ccos-runtime-annotations",
        "receipt keys ccos-system/ccos-receipt-keys",
        "deployment ccos-system/ccos-controller",
        "deployment ccos-system/ccos-webhook",
        "PriorityClass of executions",
        "isolation GVisor",
    ] {
        is(&checks, name, "ok");
    }
    is(&checks, "enforcement of NetworkPolicies", "unknown");
    is(&checks, "configuration of Kata", "unknown");
    // There is no Kata on this node, whatever the chart's default says.
    is(&checks, "isolation Kata", "fail");
    assert_eq!(code, Some(1));
}

#[test]
fn who_may_exec_where_contexts_are_is_named_and_no_longer_when_the_right_is_gone() {
    let ns = namespace("doctor");
    ns.apply(context("analysts"));
    ns.role("doctors-eve", &json!([{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}]));
    ns.role("doctors-star", &json!([{"apiGroups": ["security.ccos.dev"], "resources": ["*"], "verbs": ["*"]}]));
    // The twin: somebody who may only look.
    ns.role("doctors-ann", &json!([{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}]));
    let (_, checks) = doctor();
    let (reach, through) = (check(&checks, REACH), check(&checks, USE));
    let found = reach["found"].as_str().unwrap();
    assert_eq!(reach["state"], "warn", "{reach:#}");
    assert!(found.contains(&format!("User \"doctors-eve\" in {}", ns.name)) && found.contains("pods/exec"), "{found}");
    assert!(!found.contains("doctors-ann") && !found.contains("doctors-star"), "{found}");
    assert!(through["found"].as_str().unwrap().contains("User \"doctors-star\""), "{through:#}");
    // kube-system's own are marked apart.
    let system = check(&checks, &format!("{REACH}: of the system"));
    assert_eq!(system["state"], "ok", "{system:#}");
    assert!(system["found"].as_str().unwrap().contains("system:masters"), "{system:#}");

    ns.kubectl(["delete", "rolebinding", "--all"]);
    let (_, checks) = doctor();
    assert!(!check(&checks, REACH)["found"].as_str().unwrap().contains("doctors-eve"));
    assert!(!check(&checks, USE)["found"].as_str().unwrap().contains("doctors-star"));
}

#[test]
fn nobody_gives_a_pod_annotations_for_its_runtime() {
    let ns = namespace("annotated");
    ns.apply(context("analysts"));
    let runs = ns.accepts(execution("runs").sleeps(5));
    runs.starts();
    let pod = runs.child();
    let annotate = |name: &str| kubectl(["annotate", "pod", &pod, &format!("{name}=true")]).inside(&ns.name).run();
    for name in [ANNOTATION, "dev.gvisor.flag.host-uds"] {
        let answer = annotate(name);
        assert!(!answer.ok && answer.err.contains("carry no annotations for their runtime"), "{answer:?}");
    }
    // Nor by taking its label away at the same time.
    let patch = json!({"metadata": {"labels": {"security.ccos.dev/execution-uid": null}, "annotations": {(ANNOTATION): "true"}}});
    let answer = kubectl(["patch", "pod", &pod, "--type=merge", "-p", &patch.to_string()]).inside(&ns.name).run();
    assert!(!answer.ok && answer.err.contains("carry no annotations for their runtime"), "{answer:?}");
    // Nor by its status.
    let status = ["--subresource=status", "--type=merge", "-p"];
    let patch = json!({"metadata": {"annotations": {(ANNOTATION): "true"}}}).to_string();
    let answer =
        kubectl(["patch", "pod", &pod].into_iter().chain(status).chain([patch.as_str()])).inside(&ns.name).run();
    assert!(!answer.ok && answer.err.contains("carry no annotations for their runtime"), "{answer:?}");
    // The twins: another annotation, and another's pod.
    let answer = annotate("example.com/team");
    assert!(answer.ok, "{answer:?}");
    runs.completes();
}

/// What probes left in a namespace.
fn left(ns: &Namespace) -> usize {
    let is_ours = |object: &Value| object["metadata"]["labels"].get("ccos.dev/doctor-probe").is_some();
    ["pods", "networkpolicies"].iter().flat_map(|kind| ns.list(kind)).filter(is_ours).count()
}

#[test]
fn probes_see_that_the_profile_is_true_and_are_taken_away() {
    let ours = || {
        let all = kubectl(["get", "namespaces", "-l", "ccos.dev/doctor-probe"]).json();
        let all = all["items"].as_array().unwrap().clone();
        all.iter().filter(|one| one["metadata"]["deletionTimestamp"].is_null()).count()
    };
    let (code, checks) = doctor_with(&["--probe"]);
    for (isolation, what) in [
        ("GVisor", "a pod runs"),
        ("GVisor", "kernel"),
        ("GVisor", "user namespaces"),
        ("Container", "a pod runs"),
        ("Container", "kernel"),
        ("Container", "Landlock"),
        ("Container", "user namespace of the pod"),
    ] {
        is(&checks, &format!("probe of isolation {isolation}: {what}"), "ok");
    }
    for isolation in ["GVisor", "Container"] {
        is(&checks, &format!("enforcement of NetworkPolicies, isolation {isolation}"), "ok");
    }
    // This cluster's containerd passes them, as the policy about annotations says it may.
    is(&checks, "probe of isolation GVisor: annotations", "warn");
    // There is no Kata, which the objects tell, and no pod waits for.
    assert_eq!(code, Some(1));
    assert!(!checks.iter().any(|one| one["check"].as_str().unwrap().starts_with("probe of isolation Kata")));
    assert_eq!(ours(), 0);
}

#[test]
fn a_profile_that_lies_is_found_and_the_probes_are_taken_away() {
    let ns = namespace("doctor-lies");
    let found = kubectl(["get", "configmap", "ccos-profile"]).inside(cluster::OPERATOR).json();
    let mut profile: Value = serde_saphyr::from_str(found["data"]["profile.yaml"].as_str().unwrap()).unwrap();
    // Of an ABI that no kernel has, and of a gVisor that is the nodes' own runtime.
    profile["isolations"]["Container"]["landlockAbi"] = json!(99);
    profile["isolations"]["GVisor"].as_object_mut().unwrap().remove("runtimeClass");
    ns.apply(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ccos-profile"},
        "data": {"profile.yaml": profile.to_string()},
    }));
    let (code, checks) = doctor_with(&["--probe", "--probe-namespace", &ns.name, "--system-namespace", &ns.name]);
    let landlock = check(&checks, "probe of isolation Container: Landlock");
    assert_eq!(landlock["state"], "fail", "{landlock:#}");
    assert!(landlock["found"].as_str().unwrap().contains("the profile promises 99"), "{landlock:#}");
    assert!(landlock["advice"].as_str().unwrap().contains("isolations.Container.landlockAbi="), "{landlock:#}");
    is(&checks, "probe of isolation GVisor: kernel", "fail");
    is(&checks, "probe of isolation GVisor: user namespaces", "fail");
    // The twin: what is true in it still is.
    is(&checks, "probe of isolation Container: user namespace of the pod", "ok");
    assert_eq!(code, Some(1));
    assert_eq!(left(&ns), 0);
}

#[test]
fn probes_that_are_interrupted_are_taken_away() {
    let ns = namespace("doctor-stops");
    let doctor = command(&["--probe", "--probe-namespace", &ns.name]).stdout(Stdio::null()).spawn();
    let mut doctor = doctor.unwrap();
    until("a probe", 30, || (left(&ns) > 2).then_some(()));
    assert!(Command::new("kill").args(["-INT", &doctor.id().to_string()]).status().unwrap().success());
    assert_eq!(doctor.wait().unwrap().code(), Some(2));
    assert_eq!(left(&ns), 0);
}

/// The chart without its policy about annotations; it comes back by Helm.
struct Unguarded;

impl Unguarded {
    fn new() -> Self {
        let unguarded = Self;
        kubectl(["delete", "validatingadmissionpolicybinding", "ccos-runtime-annotations"]).succeeds();
        unguarded
    }
}

impl Drop for Unguarded {
    fn drop(&mut self) {
        let chart = cluster::root().join("charts/ccos");
        let chart = chart.to_str().unwrap();
        let arguments = ["upgrade", "ccos", chart, "--namespace", cluster::OPERATOR, "--reuse-values"];
        let answer = helm(arguments.into_iter().chain(["--wait", "--timeout", "2m"])).run();
        assert!(answer.ok || std::thread::panicking(), "{answer:?}");
    }
}

#[test]
#[ignore = "alone: it takes a part of the chart away"]
fn without_that_policy_the_doctor_says_so_and_the_controller_ends_the_pod() {
    let ns = namespace("unguarded");
    ns.apply(context("analysts"));
    let runs = ns.accepts(execution("runs").sleeps(40));
    runs.starts();
    let pod = runs.child();
    let _unguarded = Unguarded::new();
    let (code, checks) = doctor();
    is(&checks, "admission policy ccos-runtime-annotations", "fail");
    assert_eq!(code, Some(1));
    until("the API server has forgotten the policy", 30, || {
        let answer = kubectl(["annotate", "pod", &pod, &format!("{ANNOTATION}=true")]).inside(&ns.name).run();
        answer.ok.then_some(())
    });
    let ended = runs.ends(EndReason::ConfinementFailed);
    assert!(ended.message().contains(ANNOTATION), "{}", ended.message());
}
