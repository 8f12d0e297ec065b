//! The operator comes, dies and goes without leaving anything stuck.

use std::process::Command;

use ccos_e2e::kubectl::helm;
use ccos_e2e::{Barrier, EndReason, Namespace, Running, cluster, context, execution, kubectl, namespace, until};
use serde_json::{Value, json};

/// For a pod, `Forbidden` would be the answer of Pod Security, which ends an execution.
const TOO_LARGE: &str = "RequestEntityTooLarge";

fn chart(name: &str) -> String {
    cluster::root().join("charts").join(name).to_str().unwrap().to_owned()
}

#[test]
fn the_charts_lint() {
    for name in ["ccos-crds", "ccos"] {
        helm(["lint", "--strict", &chart(name)]).succeeds();
    }
}

#[test]
fn the_rendered_chart_passes_a_server_side_dry_run_in_a_restricted_namespace() {
    let ns = namespace("rendered");
    kubectl(["label", "namespace", &ns.name, "pod-security.kubernetes.io/warn=restricted"]).succeeds();
    let rendered = helm(["template", "ccos", &chart("ccos"), "--namespace", &ns.name]).succeeds();
    let apply = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"];
    let answer = kubectl(apply).inside(&ns.name).input(&rendered).run();
    assert!(answer.ok && !answer.err.contains("Warning"), "{answer:?}");
    // The twin: Pod Security does warn here.
    let escalates = rendered.replace("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true");
    let answer = kubectl(apply).inside(&ns.name).input(escalates).run();
    assert!(answer.err.contains("Warning: would violate PodSecurity"), "{answer:?}");
}

/// The controller's pod.
fn controller() -> Value {
    let label = "app.kubernetes.io/component=controller";
    let pods =
        kubectl(["get", "pods", "-l", label, "--field-selector=status.phase=Running"]).inside(cluster::OPERATOR).json();
    pods["items"][0].clone()
}

/// Kills it in the middle of whatever it does, and waits for the next one.
fn kill_the_controller() {
    let pod = controller();
    cluster::kill_processes_of(pod["metadata"]["uid"].as_str().unwrap());
    // A new pod, since the kubelet would wait longer each time before it starts the same one again.
    let name = pod["metadata"]["name"].as_str().unwrap();
    kubectl(["delete", "pod", name, "--force", "--grace-period=0"]).inside(cluster::OPERATOR).run();
    kubectl(["rollout", "status", "deployment/ccos-controller", "--timeout=90s"]).inside(cluster::OPERATOR).succeeds();
}

/// A dry run of this in the namespace passes.
fn passes(ns: &Namespace, object: &Value) -> bool {
    kubectl(["create", "--dry-run=server", "-f", "-"]).inside(&ns.name).input(object.to_string()).run().ok
}

/// No write to the status of the execution gets through.
fn status_is_held(ns: &Namespace, name: &str) -> Barrier {
    Barrier::new(ns, "security.ccos.dev", &["capabilityexecutions/status"], TOO_LARGE, || {
        let patch = r#"{"status":{"observedGeneration":99}}"#;
        let line = ["patch", "capex", name, "--subresource=status", "--type=merge", "--dry-run=server", "-p", patch];
        kubectl(line).inside(&ns.name).run().ok
    })
}

fn exists(ns: &Namespace, kind: &str, name: &str) {
    ns.kubectl(["wait", "--for=create", &format!("{kind}/{name}"), "--timeout=60s"]);
}

fn missing(ns: &Namespace, kind: &str, name: &str) {
    assert_eq!(ns.kubectl(["get", kind, name, "--ignore-not-found", "-o", "name"]), "", "{kind} {name}");
}

/// One after the other as a run goes, and held there: what the controller was about to do next is refused by the API
/// server until it is dead.
#[test]
#[ignore = "alone: it takes the operator away"]
fn a_controller_that_is_killed_at_any_point_of_a_run_leaves_one_pod_and_the_right_status() {
    let config_map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}});
    let probe_pod = ccos_e2e::fixture::pod("probe", &cluster::image("CCOS_BUSYBOX_IMAGE"), &["/bin/true"], &[]);
    // One namespace for each point, since a barrier is for a namespace. Held in its suspension until its barrier stands.
    let begin = |ns: &Namespace, seconds: u32| {
        ns.apply(context("analysts"));
        let held = ns.accepts(execution("run").sleeps(seconds).set("desiredState", "Suspended"));
        held.waits_for(ccos_e2e::WaitReason::Suspended);
    };
    let run = |ns: &Namespace| Running::there(ns, "run").desire("Running");
    let child = |ns: &Namespace| Running::there(ns, "run").child();

    // 1. The policy exists, the profile does not.
    let policy = namespace("killed-policy");
    begin(&policy, 2);
    let no_profile = Barrier::new(&policy, "", &["configmaps"], "Forbidden", || passes(&policy, &config_map));
    run(&policy);
    exists(&policy, "networkpolicy", &child(&policy));
    missing(&policy, "configmap", &child(&policy));

    // 2. The profile exists, the pod does not.
    let profile = namespace("killed-profile");
    begin(&profile, 2);
    let no_pod = Barrier::new(&profile, "", &["pods"], TOO_LARGE, || passes(&profile, &probe_pod));
    run(&profile);
    exists(&profile, "configmap", &child(&profile));
    missing(&profile, "pod", &child(&profile));

    // 3. The pod exists, the status does not say so.
    let pod = namespace("killed-pod");
    begin(&pod, 2);
    let no_status = status_is_held(&pod, "run");
    run(&pod);
    exists(&pod, "pod", &child(&pod));
    assert_eq!(Running::there(&pod, "run").object()["status"]["attempts"], Value::Null);

    kill_the_controller();
    no_profile.lift();
    no_pod.lift();
    no_status.lift();
    for ns in [&policy, &profile, &pod] {
        one_attempt_that_completed(ns);
    }
    drop((policy, profile, pod));

    // 4. It runs.
    let running = namespace("killed-running");
    begin(&running, 25);
    run(&running);
    Running::there(&running, "run").starts();

    // 5. The pod has ended, the status does not say so.
    let ended = namespace("killed-ended");
    begin(&ended, 6);
    run(&ended);
    Running::there(&ended, "run").starts();
    let no_end = status_is_held(&ended, "run");
    ended.kubectl([
        "wait",
        "--for=jsonpath={.status.phase}=Succeeded",
        &format!("pod/{}", child(&ended)),
        "--timeout=60s",
    ]);

    kill_the_controller();
    no_end.lift();
    for ns in [&running, &ended] {
        one_attempt_that_completed(ns);
    }
}

#[track_caller]
fn one_attempt_that_completed(ns: &Namespace) {
    let run = Running::there(ns, "run");
    let ended = run.completes();
    assert_eq!(ended.attempt()["podName"], json!(run.child()), "{}", ns.name);
    assert_eq!(ended.attempt()["reason"], "Completed");
    assert_eq!(ended.condition("Admitted")["status"], "True");
    assert_eq!(ns.ever("pods").len(), 1, "{}", ns.name);
    assert_eq!(ns.ever("networkpolicies").len(), 1, "{}", ns.name);
}

#[test]
#[ignore = "alone: it takes the operator away"]
fn what_waits_keeps_its_place_when_the_controller_is_killed() {
    let ns = namespace("killed-queue");
    ns.apply(context("analysts").capacity(1));
    // It holds the capacity until the new controller is there, however slow the machine.
    let first = ns.accepts(execution("first").sleeps(600).limit("wallTime", "3m"));
    first.starts();
    let second = ns.accepts(execution("second"));
    second.waits_for(ccos_e2e::WaitReason::CapacityExhausted);
    kill_the_controller();
    first.desire("Cancelled");
    let (first, second) = (first.ends(EndReason::Cancelled), second.completes());
    assert!(first.attempt()["finishedAt"].as_str() <= second.attempt()["startedAt"].as_str(), "{first:#?} {second:#?}");
    assert_eq!(ns.ever("pods").len(), 2);
}

#[test]
#[ignore = "alone: it takes the operator away"]
fn uninstalling_leaves_nothing_stuck() {
    let ns = namespace("uninstalled");
    ns.apply(context("analysts").capacity(1));
    let runs = ns.accepts(execution("runs").sleeps(40));
    runs.starts();
    let waits = ns.accepts(execution("waits"));
    waits.waits_for(ccos_e2e::WaitReason::CapacityExhausted);
    let reinstalled = Reinstall;
    helm(["uninstall", "ccos", "--namespace", cluster::OPERATOR, "--wait", "--timeout", "2m"]).succeeds();
    // Nobody is there, and what there is can be changed, deleted, and created again.
    ns.kubectl(["delete", "capex", "waits", "--timeout=30s"]);
    ns.kubectl(["annotate", "capex", "runs", "note=still-there"]);
    helm(["uninstall", "ccos-crds", "--namespace", cluster::OPERATOR, "--wait", "--timeout", "2m"]).succeeds();
    until("the kinds are gone", 60, || {
        (!kubectl(["get", "crd", "-o", "name"]).succeeds().contains("security.ccos.dev")).then_some(())
    });
    // The pod goes with its execution.
    until("the pods are gone", 60, || ns.list("pods").is_empty().then_some(()));
    kubectl(["delete", "namespace", &ns.name, "--timeout=60s"]).succeeds();
    drop(reinstalled);

    let after = namespace("reinstalled");
    after.apply(context("analysts"));
    after.accepts(execution("again")).ends(EndReason::Completed);
}

/// Installs again at the end, however the test ends.
struct Reinstall;

impl Drop for Reinstall {
    fn drop(&mut self) {
        let script = cluster::root().join("e2e/install.sh");
        let output = Command::new(&script).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || std::thread::panicking(), "{}: {told}", script.display());
    }
}
