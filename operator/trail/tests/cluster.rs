//! Keys and heads in the cluster, by a double of the API server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy.toml allows them in tests, but not in what tests share"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ccos_audit::{Head, Writer, keys};
use ccos_trail::cluster::{ClusterError, anchor, key};
use http::{Method, Request, Response};
use kube::Client;
use serde_json::{Value, json};

/// Objects by path, each write with a new version.
#[derive(Clone, Default)]
struct Cluster(Arc<Mutex<BTreeMap<String, Value>>>);

const SECRET: &str = "/api/v1/namespaces/ccos/secrets/ccos-audit-webhook";
const CONFIG_MAP: &str = "/api/v1/namespaces/ccos/configmaps/ccos-audit-webhook";

impl Cluster {
    /// As the chart makes it.
    fn installed() -> Self {
        let cluster = Self::default();
        let object = |kind: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "ccos-audit-webhook", "resourceVersion": "1"}});
        let mut objects = cluster.0.lock().unwrap();
        objects.insert(SECRET.to_owned(), object("Secret"));
        objects.insert(CONFIG_MAP.to_owned(), object("ConfigMap"));
        drop(objects);
        cluster
    }

    fn data(&self, path: &str) -> BTreeMap<String, String> {
        serde_json::from_value(self.0.lock().unwrap()[path]["data"].clone()).unwrap_or_default()
    }

    fn respond(&self, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
        let failure = |code: u16, reason: &str| {
            (code, json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason}))
        };
        let mut objects = self.0.lock().unwrap();
        let Some(object) = objects.get_mut(path) else { return failure(404, "NotFound") };
        let given = || serde_json::from_slice::<Value>(body).unwrap();
        match method.as_str() {
            "GET" => {}
            "PUT" if given()["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] => {
                return failure(409, "Conflict");
            }
            "PUT" => *object = given(),
            "PATCH" => {
                for (name, value) in given()["data"].as_object().unwrap() {
                    match value {
                        Value::Null => drop(object["data"].as_object_mut().unwrap().remove(name)),
                        value => object["data"][name] = value.clone(),
                    }
                }
            }
            other => panic!("{other} {path}"),
        }
        if method != Method::GET {
            let version: u32 = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
            object["metadata"]["resourceVersion"] = (version + 1).to_string().into();
        }
        (200, object.clone())
    }

    fn client(&self) -> Client {
        let cluster = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let cluster = cluster.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                // The other replica's turn.
                tokio::task::yield_now().await;
                let (code, answer) = cluster.respond(&head.method, head.uri.path(), &body);
                let body = kube::client::Body::from(serde_json::to_vec(&answer).unwrap());
                let response = Response::builder().status(code).header("content-type", "application/json");
                Ok::<_, std::convert::Infallible>(response.body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }
}

fn head(id: u64, second: i64) -> Head {
    let time = "2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap() + jiff::SignedDuration::from_secs(second);
    Head { chain: format!("{id:032x}"), seq: id, digest: "sha256:0".to_owned(), time }
}

#[tokio::test]
async fn a_key_is_made_once_and_published() {
    let cluster = Cluster::installed();
    let first = key(&cluster.client(), "ccos", Writer::Webhook).await.unwrap();
    let again = key(&cluster.client(), "ccos", Writer::Webhook).await.unwrap();
    assert_eq!(first.to_bytes(), again.to_bytes());
    assert_eq!(cluster.data(CONFIG_MAP), BTreeMap::from([keys::entry(&first.verifying_key())]));
}

#[tokio::test]
async fn replicas_that_start_together_have_one_key() {
    let cluster = Cluster::installed();
    let (one, other) = (cluster.client(), cluster.client());
    let (one, other) = tokio::join!(key(&one, "ccos", Writer::Webhook), key(&other, "ccos", Writer::Webhook));
    assert_eq!(one.unwrap().to_bytes(), other.unwrap().to_bytes());
    assert_eq!(cluster.data(CONFIG_MAP).len(), 1);
}

#[tokio::test]
async fn a_key_that_is_removed_is_replaced_and_stays_published() {
    let cluster = Cluster::installed();
    let first = key(&cluster.client(), "ccos", Writer::Webhook).await.unwrap();
    cluster.0.lock().unwrap().get_mut(SECRET).unwrap()["data"] = json!({});
    let second = key(&cluster.client(), "ccos", Writer::Webhook).await.unwrap();
    assert_ne!(first.to_bytes(), second.to_bytes());
    let both = [first, second].map(|key| keys::entry(&key.verifying_key()));
    assert_eq!(cluster.data(CONFIG_MAP), BTreeMap::from(both));
}

#[tokio::test]
async fn what_is_no_key_is_not_taken_for_one() {
    let cluster = Cluster::installed();
    cluster.0.lock().unwrap().get_mut(SECRET).unwrap()["data"] = json!({"seed": "c2hvcnQ="});
    let error = key(&cluster.client(), "ccos", Writer::Webhook).await.unwrap_err();
    assert!(matches!(error, ClusterError::Malformed("ccos-audit-webhook")), "{error:?}");
    // Without the chart's Secret nothing is made up.
    let error = key(&Cluster::default().client(), "ccos", Writer::Webhook).await.unwrap_err();
    assert!(matches!(error, ClusterError::Api { what: "read", kind: "Secret", .. }), "{error:?}");
}

#[tokio::test]
async fn heads_are_beside_the_keys_and_the_oldest_make_room() {
    let cluster = Cluster::installed();
    let client = cluster.client();
    let made = key(&client, "ccos", Writer::Webhook).await.unwrap();
    for id in 0..1003 {
        anchor(&client, "ccos", Writer::Webhook, &head(id, id.cast_signed())).await.unwrap();
    }
    anchor(&client, "ccos", Writer::Webhook, &head(1002, 5000)).await.unwrap();
    assert_eq!(cluster.data(CONFIG_MAP).len(), 1004);
    key(&client, "ccos", Writer::Webhook).await.unwrap();
    let data = cluster.data(CONFIG_MAP);
    let mut heads: Vec<Head> = keys::anchors(&data).collect();
    heads.sort_by_key(|head| head.time);
    assert_eq!((heads.len(), &heads[0], &heads[999]), (1000, &head(3, 3), &head(1002, 5000)));
    assert!(data.contains_key(&keys::entry(&made.verifying_key()).0));
}
