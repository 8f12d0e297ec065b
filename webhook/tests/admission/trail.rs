//! What is answered is on record, once.

use ccos_plan::receipt;
use serde_json::{Value, json};

use crate::support::{Cluster, Recorder, annotated, context, create, execution, keys, provider, update, with};

/// What is recorded of a request.
async fn recorded(path: &str, request: &Value) -> Vec<Value> {
    let recorder = Recorder::default();
    Cluster::usual().recorded_by(&recorder).answers(path, request).await;
    recorder.events()
}

fn causes(event: &Value) -> Vec<String> {
    let all = event["causes"].as_array().cloned().unwrap_or_default();
    let text = |cause: &Value, field: &str| cause[field].as_str().unwrap_or_default().to_owned();
    all.iter().map(|cause| [text(cause, "reason"), text(cause, "field"), text(cause, "required")].join(" ")).collect()
}

#[tokio::test]
async fn an_admission_is_recorded_once_with_its_receipt() {
    let recorder = Recorder::default();
    let request = create(&execution());
    let receipt = Cluster::usual().recorded_by(&recorder).answers("/mutate", &request).await.receipt();
    assert_eq!(recorder.events(), Vec::<Value>::new());
    let object = with(&annotated(&execution(), &receipt), "/metadata/uid", "uid-x".into());
    Cluster::usual().recorded_by(&recorder).answers("/validate", &create(&object)).await.yes();

    let events = recorder.events();
    assert_eq!(events.len(), 1, "{events:#?}");
    let event = &events[0];
    assert_eq!((&event["type"], &event["outcome"]), (&json!("Decision"), &json!("Admitted")));
    assert_eq!(event["object"], json!({"kind": "CapabilityExecution", "namespace": "n", "name": "x", "uid": "uid-x"}));
    let claims = receipt::verify(&receipt, &keys()).unwrap();
    assert_eq!(event["receipt"]["nonce"], json!(claims.nonce));
    assert_eq!(event["receipt"]["decisionDigest"], json!(claims.decision_digest));
    assert_eq!(event["requester"]["user"], "ann");
    // Digests of inputs, and nothing of the inputs.
    assert!(event["inputsDigest"].as_str().unwrap().starts_with("sha256:"));
    assert!(!recorder.text().contains("Paris"), "{}", recorder.text());
}

#[tokio::test]
async fn a_denial_is_recorded_with_all_its_reasons() {
    let requires = json!({"permissions": {"filesystem": {"read": ["/etc/**"]}}, "limits": {"memory": "2Gi"}});
    let events = recorded("/mutate", &create(&with(&execution(), "/spec/requires", requires))).await;
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(events[0]["outcome"], "Denied");
    let found = causes(&events[0]);
    assert!(found[0].starts_with("FileReadDenied requires.permissions.filesystem.read[0]"), "{found:?}");
    assert!(found[0].contains("/etc/**"), "{found:?}");
    assert!(found.iter().any(|cause| cause.starts_with("Limit") && cause.ends_with(" 2Gi")), "{found:?}");
}

#[tokio::test]
async fn what_can_not_be_read_is_a_denial_too() {
    for (object, reason) in [
        (with(&execution(), "/spec/inputsFrom", json!(7)), "FieldValueInvalid"),
        (with(&execution(), "/spec/capabilityRef", Value::Null), "FieldValueInvalid"),
    ] {
        let events = recorded("/mutate", &create(&object)).await;
        assert_eq!(events.len(), 1, "{events:#?}");
        assert_eq!(events[0]["outcome"], "Denied");
        assert!(causes(&events[0])[0].starts_with(reason), "{events:#?}");
    }
    let deleted = with(&create(&execution()), "/operation", json!("DELETE"));
    let events = recorded("/mutate", &deleted).await;
    assert_eq!(causes(&events[0]), ["Unreadable  "]);
}

#[tokio::test]
async fn a_receipt_that_is_not_its_own_is_a_denial() {
    let events = recorded("/validate", &create(&execution())).await;
    assert_eq!(causes(&events[0]), ["ReceiptInvalid metadata.annotations[security.ccos.dev/receipt] "]);
}

#[tokio::test]
async fn a_dry_run_is_not_recorded() {
    let dry = |object: &Value| with(&create(object), "/dryRun", true.into());
    assert_eq!(recorded("/mutate", &dry(&with(&execution(), "/spec/isolation", "Kata".into()))).await.len(), 0);
    assert_eq!(recorded("/validate", &dry(&context())).await.len(), 0);
    // The twins.
    assert_eq!(recorded("/mutate", &create(&with(&execution(), "/spec/isolation", "Kata".into()))).await.len(), 1);
    assert_eq!(recorded("/validate", &create(&context())).await.len(), 1);
}

#[tokio::test]
async fn registrations_are_recorded_whether_or_not_they_were_let_in() {
    for object in [context(), provider()] {
        let recorder = Recorder::default();
        let cluster = Cluster::usual().lets("get configmaps n/data").recorded_by(&recorder);
        cluster.answers("/validate", &create(&object)).await.yes();
        let events = recorder.events();
        assert_eq!(events.len(), 1, "{events:#?}");
        assert_eq!((&events[0]["type"], &events[0]["outcome"]), (&json!("Registration"), &json!("Admitted")));
        assert_eq!(events[0]["object"]["kind"], object["kind"]);
        assert_eq!(events[0]["requester"], json!({"user": "ann", "groups": ["team"]}));
        assert!(events[0]["specDigest"].as_str().unwrap().starts_with("sha256:"));
    }
    let full = with(&context(), "/spec/level", "Full".into());
    let events = recorded("/validate", &create(&full)).await;
    assert_eq!(events[0]["outcome"], "Denied");
    assert!(causes(&events[0])[0].starts_with("FieldValueForbidden spec.level"), "{events:#?}");
}

#[tokio::test]
async fn a_change_of_what_is_wanted_is_recorded_and_one_of_labels_is_not() {
    let stored = annotated(&execution(), "receipt");
    let cancelled = with(&stored, "/spec/desiredState", "Cancelled".into());
    let events = recorded("/validate", &update(&stored, &cancelled)).await;
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!((&events[0]["type"], &events[0]["desiredState"]), (&json!("Change"), &json!("Cancelled")));
    let labelled = with(&stored, "/metadata/labels", json!({"a": "b"}));
    assert_eq!(recorded("/validate", &update(&stored, &labelled)).await.len(), 0);
    // And an attempt to change the spec is a denial.
    let other = with(&stored, "/spec/inputs", json!({"city": "Rome"}));
    assert_eq!(recorded("/validate", &update(&stored, &other)).await[0]["outcome"], "Denied");
}

/// Neither a yes that nobody would know of, nor a no by which somebody could probe unseen.
#[tokio::test]
async fn what_can_not_be_recorded_is_not_answered() {
    let broken = Recorder::broken();
    let receipt = Cluster::usual().answers("/mutate", &create(&execution())).await.receipt();
    let admitted = create(&annotated(&execution(), &receipt));
    let denied = create(&with(&execution(), "/spec/isolation", "Kata".into()));
    for (path, request) in [("/validate", &admitted), ("/mutate", &denied), ("/validate", &create(&provider()))] {
        let answer = Cluster::usual().recorded_by(&broken).answers(path, request).await;
        answer.no(503, &[]);
        assert!(answer.message().contains("cannot write the audit trail"), "{}", answer.message());
    }
    // A dry run needs no record.
    let dry = with(&create(&provider()), "/dryRun", true.into());
    Cluster::usual().recorded_by(&broken).answers("/validate", &dry).await.yes();
}
