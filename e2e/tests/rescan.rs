//! Reports of what would be admitted today, and that nothing depends on their kind.

use ccos_e2e::namespace::unique;
use ccos_e2e::{EndReason, Namespace, context, execution, kubectl, namespace, provider, until};
use serde_json::Value;

const OPENREPORTS: &str = include_str!("openreports.yaml");

/// The kinds of reports, for as long as this lives.
struct Installed;

impl Installed {
    fn now() -> Self {
        kubectl(["apply", "--server-side", "-f", "-"]).input(OPENREPORTS).succeeds();
        Self
    }

    fn remove() {
        kubectl(["delete", "--ignore-not-found", "-f", "-"]).input(OPENREPORTS).succeeds();
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        kubectl(["delete", "--ignore-not-found", "--wait=false", "-f", "-"]).input(OPENREPORTS).run();
    }
}

/// The report on a namespace, if there is one.
fn report(ns: &Namespace) -> Option<Value> {
    let answer = kubectl(["get", "report", "ccos", "-o", "json"]).inside(&ns.name).run();
    answer.ok.then(|| serde_json::from_str(&answer.out).unwrap())
}

/// What it says of an object: result, rule and message.
fn says(report: &Value, kind: &str, name: &str) -> Option<(String, String, String)> {
    let of = |finding: &&Value| finding["resources"][0]["kind"] == kind && finding["resources"][0]["name"] == name;
    let finding = report["results"].as_array()?.iter().find(of)?;
    let text = |field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    Some((text("result"), text("rule"), text("message")))
}

/// Waits until it says that.
#[track_caller]
fn until_it_says(ns: &Namespace, kind: &str, name: &str, result: &str, rule: &str) -> (Value, String) {
    let mut last = None;
    until(&format!("{kind} {name}: {result} {rule}"), 40, || {
        last = report(ns);
        let (found, reason, message) = says(last.as_ref()?, kind, name)?;
        (found == result && reason == rule).then(|| (last.clone().unwrap(), message))
    })
}

/// How often the controller was restarted.
fn restarts() -> String {
    let of = ["get", "pods", "-l", "app.kubernetes.io/component=controller", "-o"];
    let path = "jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[0].restartCount}{end}";
    kubectl(of.iter().copied().chain([path])).inside("ccos-system").succeeds()
}

fn metrics() -> String {
    let pod = kubectl([
        "get",
        "pods",
        "-l",
        "app.kubernetes.io/component=controller",
        "-o",
        "jsonpath={.items[0].metadata.name}",
    ]);
    let pod = pod.inside("ccos-system").succeeds();
    kubectl(["get", "--raw", &format!("/api/v1/namespaces/ccos-system/pods/{pod}:8080/proxy/metrics")]).succeeds()
}

#[test]
fn a_report_says_what_would_no_longer_be_admitted_and_nothing_depends_on_its_kind() {
    Installed::remove();
    let before = restarts();
    let ns = namespace("rescan");
    let readable = || context("analysts").config_map("data", "/data", &[("in", "x")]);
    ns.apply(readable().reads("/data/**"));
    let reads = ns.accepts(execution("reads").reads("/data/in"));
    reads.completes();

    // The kind comes while the controller runs; what was there before is told.
    let installed = Installed::now();
    until_it_says(&ns, "CapabilityExecution", "reads", "pass", "");
    let runs = ns.accepts(execution("runs").sleeps(120).limit("wallTime", "3m"));
    runs.starts();
    let (report_now, _) = until_it_says(&ns, "CapabilityExecution", "runs", "pass", "");
    assert_eq!(says(&report_now, "CapabilityProvider", "reads").unwrap().0, "pass");
    assert_eq!(says(&report_now, "SecurityContext", "analysts").unwrap().0, "pass");
    assert_eq!(report_now["metadata"]["labels"]["app.kubernetes.io/managed-by"], "ccos");
    let count = |report: &Value| report["summary"]["pass"].as_u64().unwrap();
    assert_eq!(count(&report_now), report_now["results"].as_array().unwrap().len() as u64, "{report_now:#}");

    // What ran would be refused, and what runs is left alone by this.
    ns.apply(readable());
    let (_, message) = until_it_says(&ns, "CapabilityExecution", "reads", "warn", "FileReadDenied");
    assert!(message.contains(r#"requires.permissions.filesystem.read[0] "/data/in": not granted"#), "{message}");
    until_it_says(&ns, "CapabilityExecution", "runs", "pass", "");

    // A policy is tried out: the report says whom it would stop; then it is enforced, and what runs goes on in spite of it.
    let audited = ns.forbids("Audit", r#"@id("try") @advice("ask first")"#, "");
    let (_, message) = until_it_says(&ns, "CapabilityExecution", "runs", "warn", "PolicyDenied");
    assert!(
        message.contains(&format!(r#"ExecutionPolicy "{audited}" forbids it by policy "try": ask first"#)),
        "{message}"
    );
    let tried = ns.accepts(execution("tried"));
    tried.completes();
    let event = |name: &str, reason: &str| {
        let of = format!("--field-selector=involvedObject.name={name},reason={reason}");
        let events = kubectl(["get", "events", &of]).inside(&ns.name).json();
        events["items"][0]["message"].as_str().map(str::to_owned)
    };
    let told = until("an Event of the audit", 20, || event("tried", "PolicyAudited"));
    assert!(told.contains(&audited), "{told}");

    let policy = ns.forbids("Enforce", r#"@id("stop")"#, "");
    let (report_now, _) = until_it_says(&ns, "CapabilityExecution", "runs", "fail", "PolicyDenied");
    assert_eq!(report_now["summary"]["fail"], 1, "{report_now:#}");
    assert_eq!(says(&report_now, "CapabilityExecution", "reads").unwrap().0, "warn");
    let told = until("an Event of the denial", 20, || event("runs", "PolicyDenied"));
    assert!(told.contains("would be denied today") && told.contains(&policy), "{told}");
    let counted = r#"ccos_rescan_results{kind="CapabilityExecution",outcome="fail",reason="PolicyDenied"}"#;
    until("the metric", 20, || metrics().contains(counted).then_some(()));

    // Somebody deletes it, or writes into it: it is as it was.
    ns.kubectl(["delete", "report", "ccos"]);
    until_it_says(&ns, "CapabilityExecution", "runs", "fail", "PolicyDenied");
    ns.kubectl(["patch", "report", "ccos", "--type=merge", "-p", r#"{"summary":{"fail":0},"results":[]}"#]);
    until_it_says(&ns, "CapabilityExecution", "runs", "fail", "PolicyDenied");
    for policy in [&policy, &audited] {
        kubectl(["delete", "executionpolicy", policy]).succeeds();
    }
    until_it_says(&ns, "CapabilityExecution", "runs", "pass", "");

    // What belongs to no namespace has a report of its own.
    let name = unique("scanned");
    ns.apply(provider(&name).for_all_namespaces());
    until("the cluster's report", 40, || {
        let answer = kubectl(["get", "clusterreport", "ccos", "-o", "json"]).run();
        let report = answer.ok.then(|| serde_json::from_str::<Value>(&answer.out).unwrap())?;
        (says(&report, "ClusterCapabilityProvider", &name)?.0 == "pass").then_some(())
    });

    runs.desire("Cancelled");
    runs.ends(EndReason::Cancelled);
    ns.kubectl(["delete", "capabilityexecutions,capabilityproviders,securitycontexts", "--all"]);
    until("a report on nothing is gone", 40, || report(&ns).is_none().then_some(()));

    // And the kind goes.
    Installed::remove();
    drop(installed);
    ns.apply(context("analysts"));
    ns.accepts(execution("after")).completes();
    assert_eq!(restarts(), before);
}
