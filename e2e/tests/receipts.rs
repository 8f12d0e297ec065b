//! No receipt, no run.

use ccos_crds::CapabilityExecution;
use ccos_e2e::fixture::Fixture as _;
use ccos_e2e::kubectl::helm;
use ccos_e2e::running::child;
use ccos_e2e::{
    EndReason, Execution, Namespace, Reason, Running, cluster, context, execution, kubectl, namespace, until,
};
use ccos_plan::receipt::{self, Claims};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

const RECEIPT: &str = "security.ccos.dev/receipt";

/// Admission as whoever administers the cluster can take it away: the configurations of the webhook are gone. They are
/// Helm's, and come back by it.
struct Bypassed;

impl Bypassed {
    fn new(ns: &Namespace) -> Self {
        let bypassed = Self;
        kubectl(["delete", "mutatingwebhookconfiguration,validatingwebhookconfiguration", "ccos"]).succeeds();
        until("the API server asks no webhook", 30, || {
            let answer = ns.create(None, &execution("bypassed"), "?dryRun=All");
            (answer.code == 201 && answer.body["metadata"]["annotations"].is_null()).then_some(())
        });
        bypassed
    }
}

impl Drop for Bypassed {
    fn drop(&mut self) {
        let chart = cluster::root().join("charts/ccos");
        let chart = chart.to_str().unwrap();
        let answer = helm([
            "upgrade",
            "ccos",
            chart,
            "--namespace",
            cluster::OPERATOR,
            "--reuse-values",
            "--wait",
            "--timeout",
            "2m",
        ])
        .run();
        assert!(answer.ok || std::thread::panicking(), "{answer:?}");
        answers_again();
    }
}

/// Waits until the webhook decides again: the API server has to have its new caBundle.
fn answers_again() {
    let nobody = execution("does-admission-answer").under("does-not-exist").manifest();
    until("admission", 90, || {
        let answer = kubectl(["create", "--dry-run=server", "-f", "-"]).inside("default").input(&nobody).run();
        answer.err.contains("does-not-exist").then_some(())
    });
}

/// Creates it without the webhook, with this receipt.
fn smuggle<'n>(ns: &'n Namespace, execution: Execution, receipt: Option<&str>) -> Running<'n> {
    let execution = match receipt {
        Some(receipt) => execution.annotated(RECEIPT, receipt),
        None => execution,
    };
    let running = ns.accepts(execution);
    let stored = running.object();
    assert_eq!(stored["metadata"]["annotations"][RECEIPT].as_str(), receipt, "the webhook was asked");
    running
}

fn receipt_of(object: &Value) -> String {
    object["metadata"]["annotations"][RECEIPT].as_str().unwrap().to_owned()
}

/// Ends as `ReceiptInvalid` for this reason, and nothing was ever made for it.
#[track_caller]
fn never_ran(ns: &Namespace, smuggled: &Running<'_>, why: &str) {
    let ended = smuggled.ends(EndReason::ReceiptInvalid);
    assert!(ended.message().contains(why), "expected {why:?}, but found {}", ended.message());
    assert_eq!(ended.condition("Admitted")["status"], "False");
    assert_eq!(ended.object["status"]["attempts"], Value::Null);
    let name = child(&ended.object);
    for kind in ["pod", "networkpolicy", "configmap"] {
        let answer = kubectl(["get", kind, &name, "--ignore-not-found", "-o", "name"]).inside(&ns.name).succeeds();
        assert_eq!(answer, "");
    }
}

#[test]
#[ignore = "alone: it takes the webhook away"]
fn what_did_not_pass_the_webhook_never_runs() {
    let ns = namespace("smuggled");
    ns.apply(context("analysts"));
    {
        let _bypassed = Bypassed::new(&ns);
        let bare = smuggle(&ns, execution("bare"), None);
        let nonsense = smuggle(&ns, execution("nonsense"), Some("{}"));
        never_ran(&ns, &bare, "there is none");
        never_ran(&ns, &nonsense, "it can't be read");
        assert!(ns.ever("pods").is_empty());
        assert!(ns.ever("networkpolicies").is_empty());
    }
    // The twin: the same, admitted.
    ns.accepts(execution("admitted")).completes();
    assert_eq!(ns.ever("pods").len(), 1);
}

#[test]
#[ignore = "alone: it takes the webhook away"]
fn a_receipt_that_is_forged_copied_or_void_does_not_run() {
    let ns = namespace("forged");
    ns.apply(context("analysts"));
    let dry = ns.create(None, &execution("dry"), "?dryRun=All").body;
    let generated = |receipt: Option<&str>| {
        let mut object = execution("shared").object().clone();
        object["metadata"] =
            json!({"generateName": "shared-", "annotations": receipt.map(|receipt| json!({RECEIPT: receipt}))});
        ns.create(None, &object, "").body
    };
    ns.apply(ccos_e2e::provider("shared"));
    let first = generated(None);
    let other = ns.accepts(execution("other"));
    other.completes();
    Running::there(&ns, first["metadata"]["name"].as_str().unwrap()).completes();
    let ran = ns.ever("pods");

    let _bypassed = Bypassed::new(&ns);
    // As a dry run gave it, then with its one word changed, then signed by a key of our own.
    let void = receipt_of(&dry);
    let mut edited: Value = serde_json::from_str(&void).unwrap();
    edited["claims"]["void"] = json!(false);
    let claims: Claims = serde_json::from_value(edited["claims"].clone()).unwrap();
    let key = SigningKey::from_bytes(&[7; 32]);
    let own = receipt::sign(claims, &key).unwrap();
    let mut disguised: Value = serde_json::from_str(&own).unwrap();
    disguised["kid"] = edited["kid"].clone();
    for (receipt, why) in [
        (void, "it is of a dry run"),
        (edited.to_string(), "its signature does not fit"),
        (own, "it is signed by the unknown key"),
        (disguised.to_string(), "its signature does not fit"),
        (receipt_of(&other.object()), "it was given to another execution: its name is \"other\", expected \"dry\""),
    ] {
        let smuggled = smuggle(&ns, execution("dry"), Some(&receipt));
        never_ran(&ns, &smuggled, why);
        ns.kubectl(["delete", "capex", "dry"]);
    }
    // A receipt without a name, since the API server made the name up, is still good once only.
    let second = generated(Some(&receipt_of(&first)));
    never_ran(
        &ns,
        &Running::there(&ns, second["metadata"]["name"].as_str().unwrap()),
        "its nonce was used by another execution",
    );
    // Nor does it serve a second execution of the same name.
    let used = receipt_of(&other.object());
    ns.kubectl(["delete", "capex", "other"]);
    never_ran(&ns, &smuggle(&ns, execution("other"), Some(&used)), "its nonce was used by another execution");
    assert_eq!(ns.ever("pods"), ran);
}

#[test]
#[ignore = "alone: it takes the webhook away"]
fn a_receipt_is_for_the_spec_that_was_admitted() {
    let ns = namespace("edited");
    ns.apply(context("analysts").reads("/data"));
    let held = |name: &str| ns.accepts(execution(name).reads("/data").set("desiredState", "Suspended"));
    let (edited, same) = (held("edited"), held("same"));
    {
        let _bypassed = Bypassed::new(&ns);
        let answer = ns.merge(None, "edited", &json!({"spec": {"inputs": {"more": 1}}}));
        assert_eq!(answer.code, 200, "{:#}", answer.body);
        edited.desire("Running");
        never_ran(&ns, &edited, "the spec is not the one that was admitted");
        same.desire("Running");
        same.completes();
    }
    let stored: CapabilityExecution = serde_json::from_value(same.object()).unwrap();
    assert!(stored.spec.requires.is_none());
    assert_eq!(ns.ever("pods").len(), 1);
}

#[test]
#[ignore = "alone: it takes the webhook away"]
fn without_its_replicas_nothing_is_admitted_and_what_runs_goes_on() {
    let ns = namespace("down");
    ns.apply(context("analysts"));
    let runs = ns.accepts(execution("runs").sleeps(15));
    runs.starts();
    {
        let _down = Down::new();
        let (execution, context, provider) = (execution("new"), context("new"), ccos_e2e::provider("new"));
        for object in [execution.object(), context.object(), provider.object()] {
            let answer = until("the API server has nobody to ask", 30, || {
                let answer = ns.create(None, object, "?dryRun=All");
                (answer.code != 201).then_some(answer)
            });
            assert_eq!(answer.code, 500, "{:#}", answer.body);
            let message = answer.body["message"].as_str().unwrap();
            assert!(message.contains("failed calling webhook"), "{message}");
        }
        let refused = ns.merge(None, "runs", &json!({"spec": {"inputs": {"a": 1}}}));
        assert_ne!(refused.code, 200, "{:#}", refused.body);
        runs.completes();
        // What is to go can go.
        ns.kubectl(["delete", "capex", "runs"]);
        ns.kubectl(["delete", "secctx", "analysts"]);
    }
    assert_eq!(ns.list("capabilityexecutions"), Vec::<Value>::new());
    ns.rejects(execution("new")).with(Reason::ContextNotFound, "contextRef");
}

/// The webhook without replicas.
struct Down;

impl Down {
    fn new() -> Self {
        let down = Self;
        scale(0);
        kubectl(["wait", "--for=delete", "pod", "-l", "app.kubernetes.io/component=webhook", "--timeout=90s"])
            .inside(cluster::OPERATOR)
            .succeeds();
        down
    }
}

impl Drop for Down {
    fn drop(&mut self) {
        scale(2);
        kubectl(["rollout", "status", "deployment/ccos-webhook", "--timeout=90s"]).inside(cluster::OPERATOR).succeeds();
        answers_again();
    }
}

fn scale(replicas: u32) {
    let replicas = format!("--replicas={replicas}");
    kubectl(["scale", "deployment/ccos-webhook", &replicas]).inside(cluster::OPERATOR).succeeds();
}
