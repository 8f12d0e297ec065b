//! ExecutionPolicies offline.

use std::path::Path;

use ccos_cli::Outcome;
use ccos_cli::check::CheckArgs;
use serde_json::{Value, json};

use crate::check::{Said, args, check, only};

fn policy(name: &str, mode: &str, cedar: &str) -> String {
    let object = json!({
        "apiVersion": "security.ccos.dev/v1alpha1", "kind": "ExecutionPolicy",
        "metadata": {"name": name}, "spec": {"mode": mode, "cedar": cedar},
    });
    format!("---\n{object}\n")
}

fn namespace(labels: &Value) -> String {
    format!(
        "---\n{}\n",
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "data", "labels": labels}})
    )
}

/// What is said of the execution `good`, which its context grants, beside these.
fn said(beside: &[String], user: Option<&str>, groups: &[&str]) -> Said {
    let stdin = only(&["\nkind: SecurityContext", "\nkind: CapabilityProvider", "name: good"]) + &beside.concat();
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    let args = CheckArgs { user: user.map(str::to_owned), groups, ..args(&[Path::new("-")]) };
    check(&args, &stdin)
}

#[test]
fn a_policy_denies_offline_as_it_would_in_the_cluster() {
    let text = r#"@id("not-ann") @advice("ask bob") forbid(principal == User::"ann", action, resource);"#;
    let policies = [policy("p", "Enforce", text), namespace(&json!({}))];
    let denied = said(&policies, Some("ann"), &[]);
    assert_eq!(denied.outcome, Outcome::Denied);
    assert!(
        denied.out.contains(r#"  capabilityRef: ExecutionPolicy "p" forbids it by policy "not-ann": ask bob"#),
        "{}",
        denied.out
    );
    assert_eq!(denied.notes, "");
    let allowed = said(&policies, Some("bob"), &[]);
    assert_eq!((allowed.outcome, allowed.out.as_str()), (Outcome::Done, "allowed  data/good\n"));
}

#[test]
fn what_is_not_known_is_said() {
    let policies = [policy("p", "Enforce", r#"forbid(principal == User::"ann", action, resource);"#)];
    let said = said(&policies, None, &[]);
    assert_eq!(said.outcome, Outcome::Done);
    assert_eq!(
        said.notes,
        "ExecutionPolicies were asked for an unknown user of no group but system:authenticated: say for whom with --as USER --as-group GROUP\n\
         ExecutionPolicies saw namespace data without labels: give its Namespace, too\n"
    );
}

#[test]
fn groups_are_those_that_are_given_and_those_that_follow_from_the_name() {
    let only_for = |group: &str| {
        let text = format!("forbid(principal, action, resource) unless {{ principal in Group::\"{group}\" }};");
        [policy("p", "Enforce", &text), namespace(&json!({}))]
    };
    assert_eq!(said(&only_for("ci"), Some("ann"), &["ci"]).outcome, Outcome::Done);
    assert_eq!(said(&only_for("ci"), Some("ann"), &["dev"]).outcome, Outcome::Denied);
    assert_eq!(said(&only_for("system:authenticated"), None, &[]).outcome, Outcome::Done);
    let builder = Some("system:serviceaccount:ci:builder");
    assert_eq!(said(&only_for("system:serviceaccounts:ci"), builder, &[]).outcome, Outcome::Done);
    let account = r#"forbid(principal, action, resource) unless { principal == ServiceAccount::"ci/builder" };"#;
    assert_eq!(said(&[policy("p", "Enforce", account)], builder, &[]).outcome, Outcome::Done);
}

#[test]
fn labels_are_those_of_the_given_namespaces() {
    let text = r#"forbid(principal, action, resource) when { context.namespace.hasTag("env") && context.namespace.getTag("env") == "prod" };"#;
    let policy = policy("p", "Enforce", text);
    let in_namespace = |env: &str| said(&[policy.clone(), namespace(&json!({"env": env}))], Some("ann"), &[]).outcome;
    assert_eq!((in_namespace("prod"), in_namespace("dev")), (Outcome::Denied, Outcome::Done));
    let name =
        r#"forbid(principal, action, resource) unless { context.namespace.hasTag("kubernetes.io/metadata.name") };"#;
    assert_eq!(said(&[self::policy("p", "Enforce", name)], Some("ann"), &[]).outcome, Outcome::Done);
}

#[test]
fn a_warning_is_a_warning() {
    let always = r#"@advice("soon") forbid(principal, action, resource);"#;
    let policies = [policy("w", "Warn", always), policy("a", "Audit", always), namespace(&json!({}))];
    let said = said(&policies, Some("ann"), &[]);
    assert_eq!(said.outcome, Outcome::Done);
    assert!(said.notes.starts_with("warning: "), "{}", said.notes);
    assert!(
        said.notes.ends_with("admitted, though ExecutionPolicy \"w\" forbids it by policy 1: soon\n"),
        "{}",
        said.notes
    );
    assert_eq!(said.notes.lines().count(), 1, "{}", said.notes);
}

#[test]
fn a_policy_that_the_cluster_would_refuse_is_a_fault() {
    let said = said(
        &[policy("p", "Enforce", "forbid(principal, action, resource) when { resource.idd == \"a\" };")],
        None,
        &[],
    );
    assert_eq!((said.outcome, said.out.as_str()), (Outcome::Invalid, ""));
    assert!(said.notes.contains("spec.cedar: line 1, column 44: attribute `idd`"), "{}", said.notes);
    let alone = check(
        &args(&[Path::new("-")]),
        &policy("p", "Enforce", "forbid(principal == User::\"eve\", action, resource);"),
    );
    assert_eq!(alone.outcome, Outcome::Done);
    assert_eq!(alone.notes, "there is no execution to decide; what there is, is valid\n");
}
