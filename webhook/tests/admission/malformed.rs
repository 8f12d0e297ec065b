use axum::http::StatusCode;
use serde_json::json;

use crate::support::{Cluster, context, create, execution, update, with};

#[tokio::test]
async fn what_is_no_review_gets_a_message_and_no_yes() {
    for body in ["", "x", "[]", "{}", r#"{"request":null}"#, r#"{"request":{"uid":7}}"#, "\u{0}"] {
        for path in ["/mutate", "/validate"] {
            let (status, answer) = Cluster::usual().sends(path, body.to_owned()).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert_eq!(answer["response"]["allowed"], false, "{body}");
            let message = answer["response"]["status"]["message"].as_str().unwrap();
            assert!(message.starts_with("cannot read the admission review: "), "{body}: {message}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_says_how_large_it_may_be() {
    let (status, answer) = Cluster::usual().sends("/mutate", vec![b' '; 4 * 1024 * 1024 + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer["response"]["allowed"], false);
    assert!(answer["response"]["status"]["message"].as_str().unwrap().contains("2097152 bytes"));
}

#[tokio::test]
async fn a_review_that_is_not_understood_is_refused_by_its_uid() {
    let usual = create(&execution());
    let mangled = [
        ("/operation", json!("UPSERT"), "unknown variant `UPSERT`"),
        ("/operation", json!("DELETE"), "reviews of DELETE are not expected"),
        ("/operation", json!("CONNECT"), "reviews of CONNECT are not expected"),
        ("/operation", json!("UPDATE"), "the admission review has no oldObject"),
        ("/object", json!(null), "the admission review has no object"),
        ("/object", json!(7), "is required"),
        ("/object/metadata", json!(null), "metadata.name: is required"),
        ("/kind/kind", json!("Pod"), r#"reviews of the kind "Pod" are not expected"#),
        ("/kind/group", json!("example.com"), "expected a kind of security.ccos.dev/v1alpha1"),
        ("/kind/version", json!("v1"), "expected a kind of security.ccos.dev/v1alpha1"),
        ("/subResource", json!("status"), r#"with subresource "status" are not expected"#),
        ("/userInfo", json!(null), "missing field `userInfo`"),
    ];
    for (at, value, message) in mangled {
        for path in ["/mutate", "/validate"] {
            let answer = Cluster::usual().answers(path, &with(&usual, at, value.clone())).await;
            assert_eq!(answer.field("/allowed"), false, "{at}");
            assert!(answer.message().contains(message), "{at}: {}", answer.message());
        }
    }
}

#[tokio::test]
async fn an_unknown_kind_is_refused_even_when_nothing_changes() {
    let pod =
        with(&with(&execution(), "/kind", json!("Pod")), "/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"));
    Cluster::usual().answers("/validate", &update(&pod, &pod)).await.no(400, &[]);
}

#[tokio::test]
async fn only_executions_are_mutated() {
    Cluster::usual().answers("/mutate", &create(&context())).await.no(400, &[]);
}

#[tokio::test]
async fn an_object_that_is_nested_too_deep_is_refused_by_its_uid() {
    let object = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let body = create(&execution()).to_string().replace(r#"{"city":"Paris"}"#, &object);
    let body = format!(r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{body}}}"#);
    let (status, answer) = Cluster::usual().sends("/mutate", body).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["response"]["uid"], "u-1");
    assert!(answer["response"]["status"]["message"].as_str().unwrap().contains("recursion limit"));
}

#[tokio::test]
async fn names_that_are_urls_lead_nowhere() {
    for name in ["../../../../../api/v1/namespaces/n/secrets/s", "c?watch=true", "c/status", "%63"] {
        let object = with(&execution(), "/spec/contextRef/name", json!(name));
        let cluster = Cluster::usual().lets(&format!("use securitycontexts n/{name}"));
        cluster.answers("/mutate", &create(&object)).await.no(403, &["ContextNotFound contextRef"]);
    }
}

#[tokio::test]
async fn who_does_not_know_the_secret_path_is_not_answered_and_gets_nothing_signed() {
    let review =
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": create(&execution())});
    for path in ["/mutate/x", "/validate/x", "/mutate/%00"] {
        let (status, answer) = Cluster::usual().posts(path, review.to_string()).await;
        assert!(matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND), "{path}: {status}");
        assert_ne!(answer["response"]["allowed"], true, "{path}: {answer}");
        assert!(!answer.to_string().contains("analysts"), "{path}: {answer}");
    }
    // Its twin: the same review at the right path.
    Cluster::usual().answers("/mutate", &create(&execution())).await.receipt();
}
