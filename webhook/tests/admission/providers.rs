use serde_json::{Value, json};

use crate::support::{Cluster, create, execution, provider, update, with};

const LIST: &str = r#"{"id": "MAL-2026-0001", "affected": [{"package": {"ecosystem": "ccos", "name": "n/p"},
    "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "2.0.0"}]}]}]}"#;

#[tokio::test]
async fn a_listed_provider_is_refused_when_it_is_applied_and_so_are_its_executions() {
    let answer = Cluster::usual().lists(LIST).answers("/validate", &create(&provider())).await;
    answer.no(403, &["ProviderInvalid metadata.name"]);
    assert!(answer.message().contains("listed as MAL-2026-0001 by its name"), "{}", answer.message());
    let answer = Cluster::usual().lists(LIST).answers("/mutate", &create(&execution())).await;
    answer.no(403, &["ProviderInvalid capabilityRef"]);
    assert!(answer.message().contains("listed as MAL-2026-0001"), "{}", answer.message());

    let fixed = with(&provider(), "/spec/version", json!("2.0.0"));
    Cluster::usual().lists(LIST).answers("/validate", &update(&provider(), &fixed)).await.yes();
    Cluster::usual().with_provider(&fixed).lists(LIST).answers("/mutate", &create(&execution())).await.receipt();
}

#[tokio::test]
async fn a_list_that_cannot_be_read_admits_nothing() {
    Cluster::usual().lists("{").answers("/validate", &create(&provider())).await.no(403, &["ProviderInvalid spec"]);
    let answer = Cluster::usual().lists("{").answers("/mutate", &create(&execution())).await;
    answer.no(403, &["ProviderInvalid capabilityRef"]);
    assert!(answer.message().contains("the list: is no OSV record"), "{}", answer.message());
}

#[tokio::test]
async fn a_receipt_from_before_the_list_is_of_no_use() {
    let receipt = Cluster::usual().answers("/mutate", &create(&execution())).await.receipt();
    let stamped = crate::support::annotated(&execution(), &receipt);
    Cluster::usual().answers("/validate", &create(&stamped)).await.yes();
    Cluster::usual()
        .lists(LIST)
        .answers("/validate", &create(&stamped))
        .await
        .no(403, &["ProviderInvalid capabilityRef"]);
}

/// A provider by tag, as the controller leaves it when the tag names this.
fn pinned(digit: &str) -> Value {
    let tagged = with(&provider(), "/spec/source/image/reference", json!("registry.local/p:1"));
    let digest = format!("sha256:{}", digit.repeat(64));
    with(
        &tagged,
        "/status",
        json!({"image": {"reference": "registry.local/p:1", "version": "1.0.0", "digest": digest}}),
    )
}

#[tokio::test]
async fn a_tag_that_moves_between_the_webhooks_is_not_run_by_the_receipt_of_the_other_image() {
    let cluster = |digit| Cluster::usual().with_provider(&pinned(digit));
    let receipt = cluster("a").answers("/mutate", &create(&execution())).await.receipt();
    let stamped = crate::support::annotated(&execution(), &receipt);
    cluster("a").answers("/validate", &create(&stamped)).await.yes();
    let answer = cluster("b").answers("/validate", &create(&stamped)).await;
    answer.no(403, &["ReceiptInvalid metadata.annotations[security.ccos.dev/receipt]"]);
    assert!(answer.message().contains("the provider's source"), "{}", answer.message());
}

#[tokio::test]
async fn the_author_of_a_provider_must_be_able_to_read_the_key_that_it_is_verified_against() {
    let signature = json!({"cosign": {"publicKeySecretRef": {"name": "k", "key": "cosign.pub"}}});
    let object = with(&provider(), "/spec/signature", signature);
    let answer = Cluster::default().answers("/validate", &create(&object)).await;
    answer.no(403, &["FieldValueForbidden spec.signature.cosign.publicKeySecretRef"]);
    Cluster::default().lets("get secrets n/k").answers("/validate", &create(&object)).await.yes();
    // Stored, and of no use until the controller has found the signature.
    let cluster = Cluster::usual().with_provider(&object);
    cluster.answers("/mutate", &create(&execution())).await.no(403, &["ProviderInvalid capabilityRef"]);
}

#[tokio::test]
async fn inputs_are_held_against_the_schema() {
    let schema = json!({"properties": {"city": {"type": "string", "maxLength": 5}}});
    let object = with(&provider(), "/spec/capabilities/0/inputSchema", schema);
    Cluster::usual().with_provider(&object).answers("/mutate", &create(&execution())).await.receipt();
    let bad = with(&execution(), "/spec/inputs/city", json!("Brussels"));
    Cluster::usual()
        .with_provider(&object)
        .answers("/mutate", &create(&bad))
        .await
        .no(403, &["InvalidInputs inputs/city"]);
    let none = with(&provider(), "/spec/capabilities/0/inputSchema", json!({"type": "objekt"}));
    let answer = Cluster::usual().answers("/validate", &create(&none)).await;
    answer.no(422, &["FieldValueInvalid spec.capabilities[0].inputSchema/type"]);
}

#[tokio::test]
async fn the_author_of_a_provider_is_told_what_is_more_than_reasonable() {
    let limits = |memory: &str| with(&provider(), "/spec/capabilities/0/requires/limits", json!({"memory": memory}));
    let answer = Cluster::default().answers("/validate", &create(&limits("2Gi"))).await;
    answer.yes();
    let warning = answer.field("/warnings/0").as_str().unwrap();
    assert!(warning.starts_with("spec.capabilities[0].requires.limits.memory 2Gi: exceeds 1Gi"), "{warning}");
    let answer = Cluster::default().answers("/validate", &create(&limits("1Gi"))).await;
    answer.yes();
    assert_eq!(answer.field("/warnings/0"), &Value::Null);
}
