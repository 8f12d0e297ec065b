use ccos_plan::receipt::{self, Claims};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use crate::support::{Cluster, annotated, context, create, execution, key, keys, later, provider, with};

const FIELD: &[&str] = &["ReceiptInvalid metadata.annotations[security.ccos.dev/receipt]"];

async fn stamped(request: &Value) -> String {
    Cluster::usual().answers("/mutate", request).await.receipt()
}

fn dry(mut request: Value) -> Value {
    request["dryRun"] = true.into();
    request
}

async fn rejects(cluster: Cluster, request: &Value, why: &str) {
    let answer = cluster.answers("/validate", request).await;
    answer.no(403, FIELD);
    assert!(answer.message().contains(why), "{}", answer.message());
}

/// Signed with the webhook's own key, but saying something else.
async fn resigned(change: impl FnOnce(&mut Claims)) -> Value {
    let mut claims = receipt::verify(&stamped(&create(&execution())).await, &keys()).unwrap();
    change(&mut claims);
    create(&annotated(&execution(), &receipt::sign(claims, &key()).unwrap()))
}

#[tokio::test]
async fn what_the_mutating_webhook_stamped_is_confirmed() {
    let receipt = stamped(&create(&execution())).await;
    Cluster::usual().answers("/validate", &create(&annotated(&execution(), &receipt))).await.yes();
}

#[tokio::test]
async fn nobody_is_asked_again_what_the_requester_may_do() {
    let receipt = stamped(&create(&execution())).await;
    let no_rights = Cluster::default().with_context(&context()).with_provider(&provider());
    no_rights.answers("/validate", &create(&annotated(&execution(), &receipt))).await.yes();
}

#[tokio::test]
async fn without_a_receipt_there_is_no_way_in() {
    rejects(Cluster::usual(), &create(&execution()), "the object did not pass the webhook").await;
}

#[tokio::test]
async fn a_forged_one_is_rejected() {
    let claims = receipt::verify(&stamped(&create(&execution())).await, &keys()).unwrap();
    let forged = receipt::sign(claims, &SigningKey::from_bytes(&[8; 32])).unwrap();
    rejects(Cluster::usual(), &create(&annotated(&execution(), &forged)), "unknown key").await;
    let tampered = stamped(&create(&execution())).await.replace("\"user\":\"ann\"", "\"user\":\"bob\"");
    rejects(Cluster::usual(), &create(&annotated(&execution(), &tampered)), "signature does not fit").await;
    rejects(Cluster::usual(), &create(&annotated(&execution(), "{}")), "can't be read").await;
}

#[tokio::test]
async fn a_dry_runs_is_good_for_a_dry_run_only() {
    let void = stamped(&dry(create(&execution()))).await;
    let real = stamped(&create(&execution())).await;
    rejects(Cluster::usual(), &create(&annotated(&execution(), &void)), "dry run").await;
    rejects(Cluster::usual(), &dry(create(&annotated(&execution(), &real))), "not of a dry run").await;
    Cluster::usual().answers("/validate", &dry(create(&annotated(&execution(), &void)))).await.yes();
}

#[tokio::test]
async fn one_that_was_copied_from_another_execution_is_rejected() {
    let receipt = stamped(&create(&execution())).await;
    let other = with(&execution(), "/metadata/name", json!("y"));
    rejects(Cluster::usual(), &create(&annotated(&other, &receipt)), r#"its name is "x", expected "y""#).await;
    let elsewhere = with(&execution(), "/metadata/namespace", json!("m"));
    rejects(Cluster::usual(), &create(&annotated(&elsewhere, &receipt)), "its namespace is").await;
}

#[tokio::test]
async fn one_of_another_requester_is_rejected() {
    let receipt = stamped(&create(&execution())).await;
    let mut request = create(&annotated(&execution(), &receipt));
    request["userInfo"]["groups"] = json!(["team", "admins"]);
    rejects(Cluster::usual(), &request, r#"it was given to user "ann", or to the same user in other groups"#).await;
}

#[tokio::test]
async fn one_of_another_spec_is_rejected() {
    let receipt = stamped(&create(&execution())).await;
    let changed = with(&execution(), "/spec/inputs/city", json!("Rome"));
    rejects(Cluster::usual(), &create(&annotated(&changed, &receipt)), "the spec is not the one").await;
    // desiredState is no part of what is admitted.
    let suspended = with(&execution(), "/spec/desiredState", json!("Suspended"));
    Cluster::usual().answers("/validate", &create(&annotated(&suspended, &receipt))).await.yes();
}

#[tokio::test]
async fn one_that_was_kept_back_is_rejected() {
    let receipt = stamped(&create(&execution())).await;
    rejects(Cluster::usual().at(later), &create(&annotated(&execution(), &receipt)), "more than 60s apart").await;
}

#[tokio::test]
async fn a_name_that_the_api_server_makes_up_is_not_in_it() {
    let nameless = with(&with(&execution(), "/metadata/name", json!(null)), "/metadata/generateName", json!("x-"));
    let receipt = stamped(&create(&nameless)).await;
    assert_eq!(receipt::verify(&receipt, &keys()).unwrap().name, None);
    let named = with(&nameless, "/metadata/name", json!("x-1"));
    Cluster::usual().answers("/validate", &create(&annotated(&named, &receipt))).await.yes();
    rejects(Cluster::usual(), &create(&annotated(&execution(), &receipt)), "its name is").await;
}

#[tokio::test]
async fn one_that_speaks_of_another_decision_or_source_is_rejected() {
    let request = resigned(|claims| claims.decision_digest = "sha256:0".to_owned()).await;
    rejects(Cluster::usual(), &request, "decided differently").await;
    let request = resigned(|claims| claims.source_digest = "sha256:0".to_owned()).await;
    rejects(Cluster::usual(), &request, "the provider's source that it speaks of was replaced").await;
}

#[tokio::test]
async fn a_context_that_changed_meanwhile_is_decided_again_from_the_start() {
    let request = create(&annotated(&execution(), &stamped(&create(&execution())).await));
    let wider = with(&context(), "/metadata/generation", json!(4));
    let answer = Cluster::usual().with_context(&wider).answers("/validate", &request).await;
    answer.no(503, &[]);
    assert!(answer.message().contains("changed meanwhile"), "{}", answer.message());

    let narrower = with(&wider, "/spec/permissions", json!(null));
    let answer = Cluster::usual().with_context(&narrower).answers("/validate", &request).await;
    assert_eq!(answer.field("/status/details/causes/0/reason"), "FileReadDenied");
}
