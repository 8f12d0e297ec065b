use serde_json::{Value, json};

use crate::support::{Cluster, annotated, context, create, execution, keys, provider, update, with};

#[tokio::test]
async fn what_is_granted_gets_a_receipt_that_says_who_what_and_when() {
    let answer = Cluster::usual().answers("/mutate", &create(&execution())).await;
    let changes = answer.changes();
    assert_eq!(changes[0]["op"], "add");
    assert_eq!(changes[0]["path"], "/metadata/annotations");
    let claims = ccos_plan::receipt::verify(&answer.receipt(), &keys()).unwrap();
    assert!(!claims.void);
    assert_eq!((claims.namespace.as_str(), claims.name.as_deref()), ("n", Some("x")));
    assert_eq!((claims.requester.user.as_str(), claims.requester.groups.as_slice()), ("ann", &["team".to_owned()][..]));
    assert_eq!((claims.context_uid.as_str(), claims.context_generation), ("uid-c", 3));
    assert_eq!(claims.provider_uid, "uid-p");
    assert_eq!(claims.admitted_at, crate::support::now());
    assert_eq!(claims.nonce.len(), 64);
}

#[tokio::test]
async fn the_change_is_the_receipt_and_nothing_else() {
    let object =
        with(&execution(), "/metadata/annotations", json!({"a": "b", "security.ccos.dev/receipt": "a client's"}));
    let changes = Cluster::usual().answers("/mutate", &create(&object)).await.changes();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0]["path"], "/metadata/annotations/security.ccos.dev~1receipt");
}

#[tokio::test]
async fn two_admissions_never_have_the_same_nonce() {
    let receipt = || async { Cluster::usual().answers("/mutate", &create(&execution())).await.receipt() };
    assert_ne!(receipt().await, receipt().await);
}

#[tokio::test]
async fn a_requester_needs_the_verb_use() {
    let without = Cluster::default().with_context(&context()).with_provider(&provider());
    let answer = without.clone().answers("/mutate", &create(&execution())).await;
    answer.no(403, &["UseForbidden contextRef"]);
    assert!(answer.message().contains(r#"user "ann" may not use SecurityContext "c""#), "{}", answer.message());
    without.lets("use securitycontexts n/c").answers("/mutate", &create(&execution())).await.receipt();
}

#[tokio::test]
async fn a_requester_must_be_able_to_read_what_the_execution_is_given() {
    let object = with(&execution(), "/spec/env", json!([{"name": "TOKEN", "secretKeyRef": {"name": "s", "key": "k"}}]));
    let object = with(
        &object,
        "/spec/inputsFrom",
        json!([
            {"as": "a", "configMapKeyRef": {"name": "m", "key": "k"}},
            {"as": "b", "secretKeyRef": {"name": "s", "key": "l"}},
        ]),
    );
    let answer = Cluster::usual().answers("/mutate", &create(&object)).await;
    answer.no(
        403,
        &[
            "UseForbidden env[0].secretKeyRef",
            "UseForbidden inputsFrom[0].configMapKeyRef",
            "UseForbidden inputsFrom[1].secretKeyRef",
        ],
    );
    assert!(answer.message().contains(r#"user "ann" may not get Secret "s" of namespace "n""#), "{}", answer.message());
    let cluster = Cluster::usual().lets("get secrets n/s").lets("get configmaps n/m");
    cluster.answers("/mutate", &create(&object)).await.receipt();
}

#[tokio::test]
async fn all_reasons_come_at_once_in_the_designs_format() {
    let object = with(
        &execution(),
        "/spec/requires",
        json!({
            "permissions": {"filesystem": {"read": ["/etc/**"]}}, "limits": {"memory": "2Gi"},
        }),
    );
    let object = with(&object, "/spec/env", json!([{"name": "TOKEN", "secretKeyRef": {"name": "s", "key": "k"}}]));
    let answer = Cluster::usual().answers("/mutate", &create(&object)).await;
    let lines: Vec<&str> = answer.message().lines().collect();
    assert_eq!(lines[0], r#"CapabilityExecution "x" requires more than SecurityContext "c" grants:"#);
    assert!(
        lines.iter().any(|line| line.starts_with(r#"  requires.permissions.filesystem.read[0] "/etc/**": "#)),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.starts_with("  requires.limits.memory 2Gi: exceeds 512Mi")), "{lines:?}");
    assert!(
        lines.iter().any(|line| line.starts_with(r#"  env[0].secretKeyRef: user "ann" may not get Secret "s""#)),
        "{lines:?}"
    );
    assert_eq!(answer.field("/status/reason"), "Forbidden");
    assert_eq!(answer.field("/status/details/kind"), "CapabilityExecution");
    assert_eq!(answer.field("/status/details/name"), "x");
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let cluster = Cluster::default().lets("use securitycontexts n/c");
    let answer = cluster.answers("/mutate", &create(&execution())).await;
    answer.no(403, &["ContextNotFound contextRef", "CapabilityNotFound capabilityRef"]);
}

#[tokio::test]
async fn what_cant_be_understood_is_invalid_before_anything_is_decided() {
    let object = with(&execution(), "/spec/requires", json!({"permissions": {"filesystem": {"read": ["/a/../b"]}}}));
    let answer = Cluster::usual().answers("/mutate", &create(&object)).await;
    answer.no(422, &["FieldValueInvalid spec.requires.permissions.filesystem.read[0]"]);
    assert_eq!(answer.field("/status/reason"), "Invalid");
}

#[tokio::test]
async fn a_field_of_newer_kinds_is_refused_not_ignored() {
    let object = with(&execution(), "/spec/requires", json!({"permissions": {"filesystem": {"unreadable": ["/a"]}}}));
    for path in ["/mutate", "/validate"] {
        let answer = Cluster::usual().answers(path, &create(&object)).await;
        answer.no(422, &["FieldValueInvalid spec.requires.permissions.filesystem.unreadable"]);
    }
}

#[tokio::test]
async fn an_api_server_that_fails_is_no_yes_and_no_denial() {
    for path in ["/mutate", "/validate"] {
        let stamped = Cluster::usual().answers("/mutate", &create(&execution())).await.receipt();
        let answer = Cluster::broken().answers(path, &create(&annotated(&execution(), &stamped))).await;
        answer.no(503, &[]);
        assert!(answer.message().ends_with("; try again"), "{}", answer.message());
        assert_eq!(answer.field("/status/details/retryAfterSeconds"), 1);
    }
}

#[tokio::test]
async fn a_change_keeps_the_receipt_whatever_the_client_sends() {
    let old = annotated(&execution(), "the old one");
    for new in [execution(), annotated(&execution(), "forged")] {
        assert_eq!(Cluster::broken().answers("/mutate", &update(&old, &new)).await.receipt(), "the old one");
    }
    Cluster::broken().answers("/mutate", &update(&old, &old)).await.yes();
    let changes =
        Cluster::broken().answers("/mutate", &update(&execution(), &annotated(&execution(), "forged"))).await.changes();
    assert_eq!(changes, [json!({"op": "remove", "path": "/metadata/annotations/security.ccos.dev~1receipt"})]);
}

#[tokio::test]
async fn only_the_desired_state_may_change() {
    let old = with(&annotated(&execution(), "r"), "/spec/desiredState", json!("Running"));
    let started = with(&old, "/status", json!({"attempts": [{"podName": "p"}]}));
    let cancelled = with(&old, "/spec/desiredState", json!("Cancelled"));
    let set = |object: &serde_json::Value, state: &str| with(object, "/spec/desiredState", json!(state));

    let accepted = [
        (&old, with(&old, "/metadata/labels", json!({"a": "b"}))),
        (&old, set(&old, "Suspended")),
        (&old, cancelled.clone()),
        (&started, set(&started, "Cancelled")),
        (&old, with(&old, "/spec/desiredState", json!(null))),
        (&cancelled, with(&cancelled, "/metadata/labels", json!({"a": "b"}))),
    ];
    for (old, new) in accepted {
        Cluster::broken().answers("/validate", &update(old, &new)).await.yes();
    }
    let both = with(&with(&old, "/spec/inputs", json!(1)), "/spec/ttlSecondsAfterFinished", json!(1));
    let rejected = [
        (&old, both, &["FieldValueInvalid spec.inputs", "FieldValueInvalid spec.ttlSecondsAfterFinished"][..]),
        (&cancelled, set(&cancelled, "Running"), &["FieldValueInvalid spec.desiredState"][..]),
        (&cancelled, with(&cancelled, "/spec/desiredState", json!(null)), &["FieldValueInvalid spec.desiredState"][..]),
        (&started, set(&started, "Suspended"), &["FieldValueInvalid spec.desiredState"][..]),
        (&old, annotated(&old, "forged"), &["FieldValueInvalid metadata.annotations[security.ccos.dev/receipt]"][..]),
    ];
    for (old, new, causes) in rejected {
        Cluster::broken().answers("/validate", &update(old, &new)).await.no(422, causes);
    }
}

#[tokio::test]
async fn what_is_being_deleted_may_leave_but_not_change_its_spec() {
    let leaving = with(&execution(), "/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"));
    let leaving = annotated(&leaving, "its own");
    let freed = with(&leaving, "/metadata/finalizers", json!([]));
    for path in ["/mutate", "/validate"] {
        Cluster::broken().answers(path, &update(&leaving, &freed)).await.yes();
    }
    // Another's receipt would end that other one: its nonce would seem to be used.
    let forged = annotated(&leaving, "another's");
    let restored = Cluster::broken().answers("/mutate", &update(&leaving, &forged)).await;
    assert_eq!(restored.receipt(), "its own");
    Cluster::broken()
        .answers("/validate", &update(&leaving, &forged))
        .await
        .no(422, &["FieldValueInvalid metadata.annotations[security.ccos.dev/receipt]"]);
    let changed = with(&leaving, "/spec/inputs", json!(1));
    Cluster::broken()
        .answers("/validate", &update(&leaving, &changed))
        .await
        .no(422, &["FieldValueInvalid spec.inputs"]);
}

#[tokio::test]
async fn a_deletion_timestamp_that_the_client_made_up_skips_nothing() {
    let object = with(&execution(), "/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"));
    Cluster::usual()
        .answers("/validate", &create(&object))
        .await
        .no(403, &["ReceiptInvalid metadata.annotations[security.ccos.dev/receipt]"]);
}

/// The execution without a context.
fn nameless() -> Value {
    with(&execution(), "/spec/contextRef", json!(null))
}

#[tokio::test]
async fn the_default_context_of_the_namespace_is_filled_in_and_signed() {
    let labels =
        json!({"security.ccos.dev/default-context": "c", "security.ccos.dev/default-cluster-context": "other"});
    let cluster = Cluster::usual().with_labels(&labels);
    let changes = cluster.clone().answers("/mutate", &create(&nameless())).await.changes();
    let reference = json!({"kind": "SecurityContext", "name": "c"});
    assert_eq!(changes[0], json!({"op": "add", "path": "/spec/contextRef", "value": reference}));
    assert_eq!(changes.len(), 2, "{changes:?}");
    let receipt = changes[1]["value"]["security.ccos.dev/receipt"].as_str().unwrap();
    cluster.clone().answers("/validate", &create(&annotated(&execution(), receipt))).await.yes();
    // The receipt is over the context: without one, the object is another.
    let answer = cluster.answers("/validate", &create(&annotated(&nameless(), receipt))).await;
    answer.no(403, &["ReceiptInvalid metadata.annotations[security.ccos.dev/receipt]"]);
}

#[tokio::test]
async fn a_default_context_gives_nobody_the_right_to_use_it() {
    let labels = json!({"security.ccos.dev/default-context": "c"});
    let without = Cluster::default().with_context(&context()).with_provider(&provider()).with_labels(&labels);
    without.answers("/mutate", &create(&nameless())).await.no(403, &["UseForbidden contextRef"]);
}

#[tokio::test]
async fn without_a_context_and_a_default_it_is_refused_with_all_reasons() {
    let labels = json!({"security.ccos.dev/other": "c"});
    let object = with(&nameless(), "/spec/capabilityRef/name", json!("lost"));
    let answer = Cluster::usual().with_labels(&labels).answers("/mutate", &create(&object)).await;
    answer.no(403, &["ContextNotFound contextRef", "CapabilityNotFound capabilityRef"]);
    assert!(answer.message().contains("has no label security.ccos.dev/default-context"), "{}", answer.message());
    Cluster::broken().answers("/mutate", &create(&nameless())).await.no(503, &[]);
}

#[tokio::test]
async fn the_context_that_was_filled_in_stays() {
    let removed = update(&execution(), &nameless());
    Cluster::usual().answers("/validate", &removed).await.no(422, &["FieldValueInvalid spec.contextRef"]);
}
