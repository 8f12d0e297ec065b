//! What nobody may run, whatever is granted.

use ccos_e2e::namespace::unique;
use ccos_e2e::{Reason, WaitReason, context, execution, kubectl, namespace, until};
use serde_json::json;

#[test]
fn a_policy_denies_what_is_granted_and_says_who_and_what_to_do() {
    let ns = namespace("forbids");
    ns.apply(context("analysts").reads("/data/**"));
    let reads = || execution("reads").reads("/data/in");
    ns.would_accept(reads());
    let annotations = r#"@id("no-data") @advice("ask the owner of the data")"#;
    let policy = ns.forbids("Enforce", annotations, r#"&& resource.requires.filesystem.read.contains("/data/in")"#);
    ns.rejects(reads()).with(Reason::PolicyDenied, "capabilityRef").of(1).saying(&format!(
        r#"capabilityRef: ExecutionPolicy "{policy}" forbids it by policy "no-data": ask the owner of the data"#
    ));
    // Beside all other reasons, and nothing else is touched.
    ns.rejects(reads().limit("memory", "2Gi"))
        .with(Reason::LimitUnreasonable, "requires.limits.memory")
        .with(Reason::PolicyDenied, "capabilityRef");
    ns.would_accept(execution("other").reads("/data/out"));
    kubectl(["delete", "executionpolicy", &policy]).succeeds();
    until("the policy is gone", 20, || (ns.create(None, &reads(), "?dryRun=All").code == 201).then_some(()));
}

#[test]
fn a_policy_is_about_who_asks() {
    let ns = namespace("asks");
    ns.apply(context("analysts"));
    ns.allow("ann", &["analysts"]);
    until("ann may use it", 20, || (ns.create(Some("ann"), &execution("x"), "?dryRun=All").code == 201).then_some(()));
    ns.forbids("Enforce", "", r#"&& principal == User::"ann""#);
    ns.user("ann").rejects(execution("hers")).with(Reason::PolicyDenied, "capabilityRef").of(1);
    ns.would_accept(execution("his"));
}

#[test]
fn a_policy_looks_at_labels_of_the_namespace() {
    let ns = namespace("labels");
    ns.apply(context("analysts"));
    ns.forbids(
        "Enforce",
        "",
        r#"&& context.namespace.hasTag("env") && context.namespace.getTag("env") == "prod" && resource.signature != Signature::"Verified""#,
    );
    ns.would_accept(execution("before"));
    kubectl(["label", "namespace", &ns.name, "env=prod"]).succeeds();
    until("the label", 20, || (ns.create(None, &execution("after"), "?dryRun=All").code == 403).then_some(()));
    ns.rejects(execution("after")).with(Reason::PolicyDenied, "capabilityRef").of(1);
}

#[test]
fn a_warning_is_printed_and_the_execution_runs() {
    let ns = namespace("warns");
    ns.apply(context("analysts"));
    assert_eq!(ns.warnings(execution("silent")), "");
    let policy = ns.forbids("Warn", r#"@id("soon") @advice("sign the image before May")"#, "");
    ns.forbids("Audit", "", "");
    assert_eq!(
        ns.warnings(execution("told")),
        format!(
            "Warning: admitted, though ExecutionPolicy \"{policy}\" forbids it by policy \"soon\": sign the image before May\n"
        )
    );
    ns.accepts(execution("runs")).completes();
}

#[test]
fn a_policy_that_could_not_be_held_is_refused_with_the_place() {
    let ns = namespace("texts");
    let policy = |cedar: &str| {
        json!({
            "apiVersion": "security.ccos.dev/v1alpha1", "kind": "ExecutionPolicy", "metadata": {"name": unique("policy")},
            "spec": {"mode": "Audit", "cedar": cedar},
        })
    };
    ns.would_accept(policy("forbid(principal == User::\"nobody\", action, resource);"));
    ns.rejects(policy("forbid(principal, action, resource)\nwhen { resource.idd == \"a\" };"))
        .invalid("spec.cedar")
        .saying(
            "spec.cedar: line 2, column 8: attribute `idd` on entity type `Capability` not found; did you mean `id`?",
        );
    ns.rejects(policy("forbid(principal, action, resource"))
        .invalid("spec.cedar")
        .saying("spec.cedar: line 1, column ");
    ns.rejects(policy("permit(principal, action, resource);")).invalid("spec.cedar").saying("would change nothing");
    // It would end the process that parses it.
    let deep = format!("forbid(principal, action, resource) when {{ {}true{} }};", "(".repeat(9000), ")".repeat(9000));
    ns.rejects(policy(&deep)).invalid("spec.cedar").saying("more than 32 brackets");
}

#[test]
fn what_waits_is_decided_again_when_a_policy_comes_and_what_runs_is_left_alone() {
    let ns = namespace("queued");
    ns.apply(context("analysts").capacity(1));
    let runs = ns.accepts(execution("runs").sleeps(30));
    runs.starts();
    let waits = ns.accepts(execution("waits"));
    waits.waits_for(WaitReason::CapacityExhausted);
    let suspended = ns.accepts(execution("suspended").set("desiredState", "Suspended"));
    suspended.waits_for(WaitReason::Suspended);
    let policy = ns.forbids("Enforce", r#"@id("stop")"#, "");
    for one in [waits, suspended] {
        let ended = one.finishes();
        assert_eq!(ended.reason(), Reason::PolicyDenied.as_str(), "{}", ended.message());
        let says = format!("ExecutionPolicy \"{policy}\" forbids it by policy \"stop\"");
        assert!(ended.message().contains(&says), "{}", ended.message());
        assert_eq!(ended.condition("Admitted")["status"], "False");
        assert!(ended.object["status"]["attempts"].as_array().is_none_or(Vec::is_empty), "{ended:#?}");
    }
    runs.completes();
}
