//! Doubles of the two servers that the proxies ask: the API server and a name server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Json, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ccos_profile::egress::{ANNOTATION, AUDIENCE, EXECUTION_LABEL};
use hickory_proto::op::Message;
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use serde_json::{Value, json};
use tokio::net::{TcpListener, UdpSocket};

/// The UID of the one execution.
const EXECUTION: &str = "5f0c1c0e-0000-4000-8000-000000000001";

/// The UID of our proxy's own pod.
pub const REPLICA: &str = "5f0c1c0e-0000-4000-8000-000000000002";

/// The namespace of both.
pub const NAMESPACE: &str = "ccos-system";

/// The one name that is granted.
pub const NAME: &str = "a.test";

/// A cluster with one execution and one proxy.
#[derive(Clone)]
pub struct Cluster {
    /// Where its API server is.
    pub address: SocketAddr,
    /// The execution's.
    pub token: String,
    reviews: Arc<AtomicU64>,
}

impl Cluster {
    /// Starts it.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cluster = Self { address, token: token(), reviews: Arc::default() };
        let router = Router::new()
            .route("/api/v1/pods", get(executions))
            .route(&format!("/api/v1/namespaces/{NAMESPACE}/pods"), get(replicas))
            .route("/apis/authentication.k8s.io/v1/tokenreviews", post(review))
            .with_state(cluster.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        cluster
    }

    /// How often it was asked whose a token is.
    pub fn reviews(&self) -> u64 {
        self.reviews.load(Relaxed)
    }
}

/// As long as a pod's are, with what is looked at before the API server is asked.
fn token() -> String {
    let expires = SystemTime::now() + Duration::from_hours(1);
    let seconds = expires.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"aud": [AUDIENCE], "exp": seconds, "kubernetes.io": {"pod": {"name": "p", "uid": EXECUTION}},
        "filler": "x".repeat(500)});
    format!("e30.{}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()), "s".repeat(342))
}

fn list(pods: &Value) -> Response {
    Json(json!({"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": pods}))
        .into_response()
}

async fn executions(RawQuery(query): RawQuery) -> Response {
    if query.unwrap_or_default().split('&').any(|pair| pair.starts_with("watch=")) {
        // Nothing happens, for as long as the proxy asks for.
        let quiet = futures::stream::once(async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            Ok::<_, std::io::Error>(Bytes::new())
        });
        return ([(CONTENT_TYPE, "application/json")], Body::from_stream(quiet)).into_response();
    }
    let rules = json!({"outbound": [{"host": "*.test", "ports": [{"port": 1, "endPort": 65535}]}],
        "blocked": [{"host": "secret.test"}, {"cidr": "10.0.0.3/32"}], "maxConnections": 4096});
    list(&json!([{
        "metadata": {"name": "p", "namespace": "data", "uid": EXECUTION, "resourceVersion": "1",
            "labels": {EXECUTION_LABEL: "e"}, "annotations": {ANNOTATION: rules.to_string()}},
        "status": {"phase": "Running"},
    }]))
}

async fn replicas() -> Response {
    list(&json!([{
        "metadata": {"name": "ccos-egress", "namespace": NAMESPACE, "uid": REPLICA, "resourceVersion": "1"},
        "status": {"phase": "Running", "podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "egress", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]},
    }]))
}

async fn review(State(cluster): State<Cluster>, Json(mut review): Json<Value>) -> Json<Value> {
    cluster.reviews.fetch_add(1, Relaxed);
    review["status"] = if review["spec"]["token"] == cluster.token.as_str() {
        json!({"authenticated": true, "audiences": [AUDIENCE], "user": {"username": "system:serviceaccount:data:default",
            "extra": {"authentication.kubernetes.io/pod-uid": [EXECUTION]}}})
    } else {
        json!({"authenticated": false})
    };
    Json(review)
}

/// A name server on port 53 that knows [`NAME`].
pub async fn names(leads_to: Ipv4Addr) {
    let socket = UdpSocket::bind("127.0.0.1:53").await.unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 1232];
        loop {
            let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
            let question = Message::from_vec(&bytes[..length]).unwrap();
            let mut reply = Message::response(question.metadata.id, question.metadata.op_code);
            reply.metadata.recursion_available = true;
            reply.queries.clone_from(&question.queries);
            let asked = question.queries.first().unwrap();
            if asked.query_type() == RecordType::A && asked.name().to_ascii() == format!("{NAME}.") {
                reply.add_answer(Record::from_rdata(asked.name().clone(), 300, RData::A(A(leads_to))));
            } else {
                // So that it is kept that there is nothing, as a cluster's name server has it.
                let zone = || Name::from_ascii("test.").unwrap();
                let start = RData::SOA(SOA::new(zone(), zone(), 1, 300, 300, 300, 300));
                reply.add_authority(Record::from_rdata(zone(), 300, start));
            }
            socket.send_to(&reply.to_vec().unwrap(), from).await.unwrap();
        }
    });
}
