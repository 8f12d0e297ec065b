use serde_json::{Value, json};

use crate::support::{Cluster, context, create, provider, update, with};

fn full() -> Value {
    let object = with(&context(), "/spec/level", json!("Full"));
    let object = with(
        &object,
        "/spec/volumes",
        json!([
            {"name": "a", "mountPath": "/a", "secret": {"secretName": "s"}},
            {"name": "b", "mountPath": "/b", "configMap": {"name": "m"}},
            {"name": "d", "mountPath": "/d", "persistentVolumeClaim": {"claimName": "v"}},
        ]),
    );
    let credential =
        json!({"host": "api.example.com", "header": "Authorization", "secretKeyRef": {"name": "t", "key": "k"}});
    with(&object, "/spec/permissions/network", json!({"credentials": [credential]}))
}

#[tokio::test]
async fn an_author_may_grant_only_what_the_author_may_have() {
    let answer = Cluster::default().answers("/validate", &create(&full())).await;
    answer.no(
        403,
        &[
            "FieldValueForbidden spec.level",
            "FieldValueForbidden spec.volumes[0].secret.secretName",
            "FieldValueForbidden spec.volumes[1].configMap.name",
            "FieldValueForbidden spec.volumes[2].persistentVolumeClaim.claimName",
            "FieldValueForbidden spec.permissions.network.credentials[0].secretKeyRef",
        ],
    );
    assert!(
        answer.message().contains(r#"user "ann" may not escalate SecurityContext "c" of namespace "n""#),
        "{}",
        answer.message()
    );

    let rights = [
        "escalate securitycontexts n/c",
        "get secrets n/s",
        "get configmaps n/m",
        "get persistentvolumeclaims n/v",
        "get secrets n/t",
    ];
    let cluster = rights.iter().fold(Cluster::default(), |cluster, right| cluster.lets(right));
    cluster.answers("/validate", &create(&full())).await.yes();
}

#[tokio::test]
async fn the_author_of_a_cluster_context_must_have_it_in_every_namespace() {
    let object = with(&full(), "/kind", json!("ClusterSecurityContext"));
    let object = with(&object, "/metadata/namespace", json!(null));
    let answer = Cluster::default().lets("get secrets n/s").answers("/validate", &create(&object)).await;
    assert!(answer.message().contains(r#"may not escalate ClusterSecurityContext "c":"#), "{}", answer.message());
    assert!(answer.message().contains(r#"may not get Secret "s" of every namespace"#), "{}", answer.message());

    let rights = [
        "escalate clustersecuritycontexts */c",
        "get secrets */s",
        "get configmaps */m",
        "get persistentvolumeclaims */v",
        "get secrets */t",
    ];
    let cluster = rights.iter().fold(Cluster::default(), |cluster, right| cluster.lets(right));
    cluster.answers("/validate", &create(&object)).await.yes();
}

#[tokio::test]
async fn the_author_of_a_provider_must_be_able_to_read_what_it_pulls_with() {
    let object = with(&provider(), "/spec/source/image/pullSecrets", json!([{"name": "r"}]));
    let answer = Cluster::default().answers("/validate", &create(&object)).await;
    answer.no(403, &["FieldValueForbidden spec.source.image.pullSecrets[0].name"]);
    Cluster::default().lets("get secrets n/r").answers("/validate", &create(&object)).await.yes();
}

#[tokio::test]
async fn metadata_may_change_without_any_question() {
    let labelled = with(&full(), "/metadata/labels", json!({"a": "b"}));
    Cluster::broken().answers("/validate", &update(&full(), &labelled)).await.yes();
    let widened = with(&full(), "/spec/limits/memory", json!("1Gi"));
    Cluster::broken().answers("/validate", &update(&full(), &widened)).await.no(503, &[]);
}

#[tokio::test]
async fn all_faults_of_a_context_come_at_once() {
    let object =
        with(&context(), "/spec/permissions", json!({"filesystem": {"read": ["/a/../b"], "blocked": ["[x]"]}}));
    let cluster = Cluster::default().lets("get configmaps n/data");
    let answer = cluster.answers("/validate", &create(&object)).await;
    answer.no(
        422,
        &[
            "FieldValueInvalid spec.permissions.filesystem.read[0]",
            "FieldValueInvalid spec.permissions.filesystem.blocked[0]",
        ],
    );
}

#[tokio::test]
async fn a_context_that_has_expired_is_stored_with_a_warning() {
    let expiry = json!({"type": "At", "at": "2025-01-01T00:00:00Z"});
    let object = with(&context(), "/spec/expiry", expiry);
    let answer = Cluster::default().lets("get configmaps n/data").answers("/validate", &create(&object)).await;
    answer.yes();
    assert_eq!(
        answer.field("/warnings/0"),
        "it expired at 2025-01-01T00:00:00Z and admits nothing: change spec.expiry"
    );
}

#[tokio::test]
async fn a_provider_has_to_be_understood() {
    Cluster::broken().answers("/validate", &create(&provider())).await.yes();
    let object = with(&provider(), "/spec/version", json!("latest"));
    Cluster::broken().answers("/validate", &create(&object)).await.no(422, &["FieldValueInvalid spec.version"]);
}

#[tokio::test]
async fn more_than_the_ceiling_takes_the_right_to_escalate() {
    let ceiling = json!({"permissions": {"filesystem": {"blocked": ["/etc/shadow"]}}, "limits": {"memory": "256Mi"}});
    let all = with(&context(), "/spec/permissions/filesystem/read", json!(["/data/**", "/**"]));
    let answer = Cluster::default().under(&ceiling).answers("/validate", &create(&all)).await;
    // Together with all else that its author may not.
    answer.no(
        403,
        &[
            "UseForbidden spec.volumes[0].configMap.name",
            "CeilingExceeded spec.limits.memory",
            "CeilingExceeded spec.permissions.filesystem.read[1]",
        ],
    );
    assert!(
        answer.message().contains(
            r#"spec.permissions.filesystem.read[1] "/**": above the cluster's ceiling, which blocks /etc/shadow"#
        ) && answer.message().contains(r#"user "ann" may not escalate"#),
        "{}",
        answer.message()
    );
    let lets = || Cluster::default().under(&ceiling).lets("get configmaps n/data");
    lets().lets("escalate securitycontexts n/c").answers("/validate", &create(&all)).await.yes();
    // Another's right is not this one's.
    lets()
        .lets("escalate securitycontexts n/other")
        .answers("/validate", &create(&all))
        .await
        .no(403, &["CeilingExceeded spec.limits.memory", "CeilingExceeded spec.permissions.filesystem.read[1]"]);
    let inside = with(
        &with(&all, "/spec/limits/memory", json!("256Mi")),
        "/spec/permissions/filesystem/blocked",
        json!(["/etc"]),
    );
    lets().answers("/validate", &create(&inside)).await.yes();
    // What is there was allowed once: it may be labelled, and is not let wider.
    lets().answers("/validate", &update(&all, &with(&all, "/metadata/labels", json!({"a": "b"})))).await.yes();
    lets()
        .answers("/validate", &update(&inside, &all))
        .await
        .no(403, &["CeilingExceeded spec.limits.memory", "CeilingExceeded spec.permissions.filesystem.read[1]"]);
}

#[tokio::test]
async fn what_was_granted_above_the_ceiling_is_granted() {
    let cluster = Cluster::usual().under(&json!({"permissions": {"filesystem": {"read": []}}}));
    assert!(!cluster.answers("/mutate", &create(&crate::support::execution())).await.receipt().is_empty());
}
