//! ExecutionPolicies: their own admission, and what they do to executions.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Cluster, annotated, create, execution, policy, update, with};

const NOT_ANN: &str = r#"@id("not-ann") @advice("ask bob") forbid(principal == User::"ann", action, resource) when { context.level == Level::"Controlled" };"#;

#[tokio::test]
async fn an_enforced_policy_denies_and_is_named_with_its_id_and_advice() {
    let cluster = Cluster::usual().labelled("env", "dev");
    let answer =
        cluster.clone().with_policy(&policy("p", "Enforce", NOT_ANN)).answers("/mutate", &create(&execution())).await;
    answer.no(403, &["PolicyDenied capabilityRef"]);
    assert_eq!(
        answer.message(),
        "CapabilityExecution \"x\" is refused under SecurityContext \"c\":\n  capabilityRef: ExecutionPolicy \"p\" forbids it by policy \"not-ann\": ask bob"
    );
    let other = NOT_ANN.replace("ann", "eve");
    cluster.with_policy(&policy("p", "Enforce", &other)).answers("/mutate", &create(&execution())).await.receipt();
}

#[tokio::test]
async fn policies_add_their_reasons_to_all_others() {
    let object = with(&execution(), "/spec/isolation", json!("Kata"));
    let answer = Cluster::usual()
        .labelled("env", "dev")
        .with_policy(&policy("p", "Enforce", NOT_ANN))
        .with_policy(&policy("q", "Enforce", "forbid(principal in Group::\"team\", action, resource);"))
        .answers("/mutate", &create(&object))
        .await;
    answer.no(403, &["Unenforceable isolation", "PolicyDenied capabilityRef", "PolicyDenied capabilityRef"]);
}

#[tokio::test]
async fn labels_are_the_namespaces_own() {
    let text = r#"forbid(principal, action, resource) when { context.namespace.hasTag("env") && context.namespace.getTag("env") == "prod" };"#;
    let cluster = Cluster::usual().with_policy(&policy("p", "Enforce", text));
    cluster.clone().labelled("env", "dev").answers("/mutate", &create(&execution())).await.receipt();
    let in_prod = cluster.clone().labelled("env", "prod");
    in_prod.answers("/mutate", &create(&execution())).await.no(403, &["PolicyDenied capabilityRef"]);
    // A namespace that can't be found has no labels that anything could be allowed by.
    cluster.answers("/mutate", &create(&execution())).await.no(503, &[]);
}

/// A mutating webhook that admitted by older policies does not help: the validating one decides again.
#[tokio::test]
async fn a_policy_that_came_between_the_webhooks_denies() {
    let cluster = Cluster::usual().labelled("env", "dev");
    let receipt = cluster.clone().answers("/mutate", &create(&execution())).await.receipt();
    let stamped = create(&annotated(&execution(), &receipt));
    cluster.clone().answers("/validate", &stamped).await.yes();
    let denied = cluster.with_policy(&policy("p", "Enforce", NOT_ANN)).answers("/validate", &stamped).await;
    denied.no(403, &["PolicyDenied capabilityRef"]);
}

#[tokio::test]
async fn a_warning_is_said_once_and_an_audit_not_at_all() {
    let cluster = Cluster::usual()
        .labelled("env", "dev")
        .with_policy(&policy("w", "Warn", NOT_ANN))
        .with_policy(&policy("a", "Audit", NOT_ANN));
    let answer = cluster.clone().answers("/mutate", &create(&execution())).await;
    assert_eq!(answer.field("/warnings"), &Value::Null);
    let stamped = create(&annotated(&execution(), &answer.receipt()));
    let answer = cluster.answers("/validate", &stamped).await;
    answer.yes();
    assert_eq!(
        answer.field("/warnings"),
        &json!([r#"admitted, though ExecutionPolicy "w" forbids it by policy "not-ann": ask bob"#])
    );
}

#[tokio::test]
async fn nothing_is_admitted_while_policies_are_not_known() {
    let usual = || Cluster::usual().labelled("env", "dev");
    let unread = usual().without_policies_read().answers("/mutate", &create(&execution())).await;
    unread.no(503, &[]);
    assert!(unread.message().contains("the ExecutionPolicies were not read yet"), "{}", unread.message());
    let lost = usual().with_policies_of(Duration::from_mins(7)).answers("/mutate", &create(&execution())).await;
    lost.no(503, &[]);
    assert!(lost.message().contains("the ExecutionPolicies were last read 420s ago"), "{}", lost.message());
    usual().with_policies_of(Duration::from_mins(5)).answers("/mutate", &create(&execution())).await.receipt();
    // Nor is a policy, beside which others may have no room.
    let policy = create(&policy("p", "Enforce", NOT_ANN));
    usual().without_policies_read().answers("/validate", &policy).await.no(503, &[]);
}

/// Written past the webhook, or by another version of it.
#[tokio::test]
async fn a_stored_policy_that_cannot_be_held_denies_everything_and_is_named() {
    let broken = policy("old", "Enforce", "forbid(principal, action, resource) when { resource.trust > 3 };");
    let cluster = Cluster::usual().labelled("env", "dev").with_policy(&broken);
    let answer = cluster.answers("/mutate", &create(&execution())).await;
    answer.no(403, &["PolicyDenied capabilityRef"]);
    let message = answer.message();
    assert!(
        message.contains(r#"ExecutionPolicy "old" can't be held: spec.cedar: line 1, column 44: attribute `trust`"#),
        "{message}"
    );
}

#[tokio::test]
async fn a_policy_that_cannot_be_held_is_refused_with_the_place() {
    let validate = |object: Value| async move { Cluster::default().answers("/validate", &create(&object)).await };
    validate(policy("p", "Enforce", NOT_ANN)).await.yes();
    let unknown =
        validate(policy("p", "Audit", "forbid(principal, action, resource)\nwhen { resource.idd == \"a\" };")).await;
    unknown.no(422, &["FieldValueInvalid spec.cedar"]);
    assert_eq!(
        unknown.message(),
        "ExecutionPolicy \"p\" is invalid:\n  spec.cedar: line 2, column 8: attribute `idd` on entity type `Capability` not found; did you mean `id`?"
    );
    validate(policy("p", "Warn", "permit(principal, action, resource);"))
        .await
        .no(422, &["FieldValueInvalid spec.cedar"]);
    validate(policy("p", "Never", NOT_ANN)).await.no(422, &["FieldValueInvalid spec.mode"]);
    let unknown_field = with(&policy("p", "Enforce", NOT_ANN), "/spec/unless", json!("x"));
    validate(unknown_field).await.no(422, &["FieldValueInvalid spec.unless"]);
    let old = policy("p", "Enforce", NOT_ANN);
    let new = policy("p", "Enforce", "forbid");
    Cluster::default().answers("/validate", &update(&old, &new)).await.no(422, &["FieldValueInvalid spec.cedar"]);
}

#[tokio::test]
async fn policies_have_a_bound_together_and_a_new_text_of_one_makes_room() {
    let long = format!("{NOT_ANN}//{}", "x".repeat(60_000));
    let full =
        (0..4).fold(Cluster::default(), |cluster, at| cluster.with_policy(&policy(&format!("p{at}"), "Audit", &long)));
    let answer = full.clone().answers("/validate", &create(&policy("q", "Audit", &long))).await;
    answer.no(422, &["FieldValueInvalid spec.cedar"]);
    assert!(answer.message().contains("expected at most 262144"), "{}", answer.message());
    full.clone().answers("/validate", &create(&policy("q", "Audit", NOT_ANN))).await.yes();
    let (old, new) = (policy("p0", "Audit", &long), policy("p0", "Audit", &format!("{long} ")));
    full.answers("/validate", &update(&old, &new)).await.yes();
}
