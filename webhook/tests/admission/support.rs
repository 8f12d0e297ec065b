//! A webhook beside a double of the API server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use base64::Engine as _;
use ccos_audit::{Chain, Writer};
use ccos_plan::policing::Shelf;
use ccos_plan::receipt::{Keys, encode_key, kid};
use ccos_policy::{Ceiling, Isolation, IsolationProfile, Isolations};
use ccos_supply::watchlist::Watchlist;
use ccos_trail::Trail;
use ccos_trail::sink::Sinks;
use ccos_webhook::keys::{Shared, Signing};
use ccos_webhook::lists::Lists;
use ccos_webhook::policies::Kept;
use ccos_webhook::probes::Metrics;
use ccos_webhook::references::Caches;
use ccos_webhook::serve::{App, router};
use ccos_webhook::work::Work;
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use kube::Client;
use kube::runtime::reflector::store;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub const RECEIPT: &str = "security.ccos.dev/receipt";

pub fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

pub fn later() -> Timestamp {
    "2026-01-01T00:02:00Z".parse().unwrap()
}

pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub fn keys() -> Keys {
    let public = key().verifying_key();
    Keys::read(&BTreeMap::from([(kid(&public), encode_key(&public))]))
}

/// What the double of the API server answers.
#[derive(Clone, Default)]
pub struct Cluster {
    /// By path.
    objects: BTreeMap<String, Value>,
    /// `verb resource namespace/name` of what "ann" may do.
    rights: BTreeSet<String>,
    /// Answers 500 to everything.
    broken: bool,
    /// The ExecutionPolicies.
    policies: Vec<Value>,
    /// Their watch has not read them yet.
    policies_unread: bool,
    /// How long ago it was heard of.
    policies_age: Duration,
    lists: Lists,
    now: Option<fn() -> Timestamp>,
    ceiling: Ceiling,
    /// What is written into the audit trail.
    pub recorder: Recorder,
}

/// Standard output of the audit trail.
#[derive(Clone, Default)]
pub struct Recorder {
    text: Arc<Mutex<Vec<u8>>>,
    /// Takes nothing.
    broken: bool,
}

impl Recorder {
    pub fn broken() -> Self {
        Self { broken: true, ..Self::default() }
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }

    /// What the lines tell.
    pub fn events(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone()).collect()
    }
}

impl std::io::Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.broken { Err(std::io::ErrorKind::StorageFull.into()) } else { self.text.lock().unwrap().write(bytes) }
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Cluster {
    /// With the context `c` and the provider `p` in namespace `n`; "ann" may use `c`.
    pub fn usual() -> Self {
        Self::default().with_context(&context()).with_provider(&provider()).lets("use securitycontexts n/c")
    }

    pub fn with_context(mut self, object: &Value) -> Self {
        let name = object["metadata"]["name"].as_str().unwrap();
        let path = format!("/apis/security.ccos.dev/v1alpha1/namespaces/n/securitycontexts/{name}");
        self.objects.insert(path, object.clone());
        self
    }

    pub fn with_provider(mut self, object: &Value) -> Self {
        let name = object["metadata"]["name"].as_str().unwrap();
        let path = format!("/apis/security.ccos.dev/v1alpha1/namespaces/n/capabilityproviders/{name}");
        self.objects.insert(path, object.clone());
        self
    }

    pub fn with_policy(mut self, object: &Value) -> Self {
        self.policies.push(object.clone());
        self
    }

    /// The namespace `n`, with a label.
    pub fn labelled(self, key: &str, value: &str) -> Self {
        self.with_labels(&json!({key: value}))
    }

    /// The namespace `n` has these labels.
    pub fn with_labels(mut self, labels: &Value) -> Self {
        let object = json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "n", "labels": labels},
        });
        self.objects.insert("/api/v1/namespaces/n".to_owned(), object);
        self
    }

    pub fn without_policies_read(mut self) -> Self {
        self.policies_unread = true;
        self
    }

    pub fn with_policies_of(mut self, age: Duration) -> Self {
        self.policies_age = age;
        self
    }

    pub fn lets(mut self, right: &str) -> Self {
        self.rights.insert(right.to_owned());
        self
    }

    /// With this list of malicious providers.
    pub fn lists(self, text: &str) -> Self {
        self.lists.set(Watchlist::read([("the list".to_owned(), text)]));
        self
    }

    pub fn broken() -> Self {
        Self { broken: true, ..Self::default() }
    }

    /// Contexts may grant no more than this.
    pub fn under(mut self, ceiling: &Value) -> Self {
        self.ceiling = ccos_plan::wire::ceiling(ceiling).unwrap();
        self
    }

    pub fn recorded_by(mut self, recorder: &Recorder) -> Self {
        self.recorder = recorder.clone();
        self
    }

    pub fn at(mut self, now: fn() -> Timestamp) -> Self {
        self.now = Some(now);
        self
    }

    fn respond(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        if self.broken {
            return (
                500,
                json!({"kind": "Status", "status": "Failure", "code": 500, "reason": "InternalError", "message": "etcd is away"}),
            );
        }
        if (method, path) == ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews") {
            let review: Value = serde_json::from_slice(body).unwrap();
            assert_eq!(review["spec"]["user"], "ann");
            assert_eq!(review["spec"]["groups"], json!(["team"]));
            let wants = &review["spec"]["resourceAttributes"];
            let text = |field: &str| wants[field].as_str().unwrap_or("*").to_owned();
            let right = format!("{} {} {}/{}", text("verb"), text("resource"), text("namespace"), text("name"));
            return (201, json!({"spec": review["spec"], "status": {"allowed": self.rights.contains(&right)}}));
        }
        match self.objects.get(path) {
            Some(object) => (200, object.clone()),
            None => (
                404,
                json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "not found"}),
            ),
        }
    }

    fn client(self) -> Client {
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let cluster = self.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let (code, answer) = cluster.respond(head.method.as_str(), head.uri.path(), &body);
                let body = kube::client::Body::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, std::convert::Infallible>(
                    Response::builder().status(code).header("content-type", "application/json").body(body).unwrap(),
                )
            }
        });
        Client::new(service, "default")
    }

    fn kept(&self) -> Kept {
        let (policies, mut writer) = store();
        writer.apply_watcher_event(&Event::Init);
        for object in &self.policies {
            writer.apply_watcher_event(&Event::InitApply(serde_json::from_value(object.clone()).unwrap()));
        }
        if self.policies_unread {
            // Its writer lives on, as a watch does that has not got to the end of its list.
            std::mem::forget(writer);
        } else {
            writer.apply_watcher_event(&Event::InitDone);
        }
        let age = self.policies_age;
        Kept { policies, age: Box::new(move || age), namespaces: store().0, shelf: Shelf::default() }
    }

    fn app(self) -> App {
        let shared = Shared::default();
        shared.set(Signing { key: key(), known: keys() });
        let isolation = IsolationProfile {
            runtime_class: Some("gvisor".to_owned()),
            user_namespaces: true,
            ..IsolationProfile::default()
        };
        let (now, lists) = (self.now.unwrap_or(now), self.lists.clone());
        let ceiling = self.ceiling.clone();
        let chain = Chain::new(Writer::Webhook, SigningKey::from_bytes(&[9; 32]), [0; 16]);
        let trail = Trail::start(chain, Sinks { volume: None, out: Box::new(self.recorder.clone()) }).unwrap();
        App {
            client: self.clone().client(),
            // Empty: everything is asked of the double.
            caches: Caches {
                contexts: store().0,
                cluster_contexts: store().0,
                providers: store().0,
                cluster_providers: store().0,
            },
            contexts: std::sync::Arc::default(),
            kept: self.kept(),
            lists,
            isolations: Isolations([(Isolation::GVisor, isolation)].into()),
            ceiling,
            keys: shared,
            metrics: Metrics::default(),
            trail,
            now,
            bodies: tokio::sync::Semaphore::new(ccos_webhook::serve::BODIES),
            work: Work::default(),
        }
    }

    /// Sends bytes, as the API server does.
    pub async fn sends(self, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let secret = Signing { key: key(), known: keys() }.path_secret(self.now.unwrap_or(now)());
        self.posts(&format!("{path}/{secret}"), body).await
    }

    /// Sends bytes, as anybody could.
    pub async fn posts(self, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::post(path).body(body.into()).unwrap();
        let response = router(Arc::new(self.app())).oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// Sends a review, and expects a review back.
    pub async fn answers(self, path: &str, request: &Value) -> Answer {
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let (status, answer) = self.sends(path, review.to_string()).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["response"]["uid"], request["uid"]);
        Answer(answer["response"].clone())
    }
}

/// What the webhook said.
#[derive(Debug)]
pub struct Answer(Value);

impl Answer {
    /// It is a yes; with these changes.
    #[track_caller]
    pub fn changes(&self) -> Vec<Value> {
        assert_eq!(self.0["allowed"], true, "{}", self.0);
        let Some(patch) = self.0["patch"].as_str() else { return Vec::new() };
        assert_eq!(self.0["patchType"], "JSONPatch");
        serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(patch).unwrap()).unwrap()
    }

    /// It is a yes without changes.
    #[track_caller]
    pub fn yes(&self) {
        assert_eq!(self.changes(), Vec::<Value>::new());
    }

    /// It is a no with this code; its causes are these, as `reason field`.
    #[track_caller]
    pub fn no(&self, code: u16, causes: &[&str]) {
        assert_eq!(self.0["allowed"], false, "{}", self.0);
        assert_eq!(self.0["status"]["code"], code, "{}", self.0);
        let all = self.0["status"]["details"]["causes"].as_array().cloned().unwrap_or_default();
        let text = |cause: &Value, field: &str| cause[field].as_str().unwrap_or_default().to_owned();
        let found: Vec<String> =
            all.iter().map(|cause| format!("{} {}", text(cause, "reason"), text(cause, "field"))).collect();
        assert_eq!(found, causes, "{}", self.0);
    }

    pub fn message(&self) -> &str {
        self.0["status"]["message"].as_str().unwrap()
    }

    pub fn field(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The receipt that is stamped.
    #[track_caller]
    pub fn receipt(&self) -> String {
        let changes = self.changes();
        assert_eq!(changes.len(), 1, "{changes:?}");
        let value = &changes[0]["value"];
        value.as_str().or_else(|| value[RECEIPT].as_str()).unwrap().to_owned()
    }
}

pub fn context() -> Value {
    json!({
        "apiVersion": "security.ccos.dev/v1alpha1", "kind": "SecurityContext",
        "metadata": {"name": "c", "namespace": "n", "uid": "uid-c", "generation": 3, "creationTimestamp": "2025-12-31T23:59:00Z"},
        "spec": {
            "level": "Controlled",
            "permissions": {"filesystem": {"read": ["/data/**"]}, "environment": {"read": ["TOKEN"], "write": ["TOKEN"]}},
            "limits": {"memory": "512Mi"},
            "volumes": [{"name": "data", "mountPath": "/data", "configMap": {"name": "data"}}],
        },
    })
}

pub fn provider() -> Value {
    let digest = "0".repeat(64);
    json!({
        "apiVersion": "security.ccos.dev/v1alpha1", "kind": "CapabilityProvider",
        "metadata": {"name": "p", "namespace": "n", "uid": "uid-p", "generation": 1},
        "spec": {
            "version": "1.0.0",
            "source": {"image": {"reference": format!("registry.local/p@sha256:{digest}")}},
            "capabilities": [{
                "id": "a.b", "command": ["/app"],
                "requires": {"permissions": {
                    "filesystem": {"read": ["/data/**"]},
                    "environment": {"read": ["TOKEN"], "write": ["TOKEN"]},
                }},
            }],
        },
    })
}

pub fn execution() -> Value {
    json!({
        "apiVersion": "security.ccos.dev/v1alpha1", "kind": "CapabilityExecution",
        "metadata": {"name": "x", "namespace": "n"},
        "spec": {
            "contextRef": {"kind": "SecurityContext", "name": "c"},
            "capabilityRef": {"kind": "CapabilityProvider", "name": "p", "id": "a.b"},
            "inputs": {"city": "Paris"},
        },
    })
}

pub fn policy(name: &str, mode: &str, cedar: &str) -> Value {
    json!({
        "apiVersion": "security.ccos.dev/v1alpha1", "kind": "ExecutionPolicy",
        "metadata": {"name": name, "uid": format!("uid-{name}"), "generation": 1},
        "spec": {"mode": mode, "cedar": cedar},
    })
}

/// A review of the creation of an object by "ann".
pub fn create(object: &Value) -> Value {
    let mut request = json!({
        "uid": "u-1",
        "kind": {"group": "security.ccos.dev", "version": "v1alpha1", "kind": object["kind"]},
        "name": object["metadata"]["name"].as_str().unwrap_or_default(),
        "operation": "CREATE",
        "userInfo": {"username": "ann", "groups": ["team"]},
        "object": object,
        "oldObject": null,
        "dryRun": false,
    });
    if let Some(namespace) = object["metadata"]["namespace"].as_str() {
        request["namespace"] = namespace.into();
    }
    request
}

/// A review of a change.
pub fn update(old: &Value, new: &Value) -> Value {
    let mut request = create(new);
    request["operation"] = "UPDATE".into();
    request["oldObject"] = old.clone();
    request
}

/// The object with a value at a path; `null` removes it.
pub fn with(object: &Value, pointer: &str, value: Value) -> Value {
    let mut object = object.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/");
    let parent = object.pointer_mut(parent).unwrap();
    match value {
        Value::Null => {
            parent.as_object_mut().unwrap().remove(&name);
        }
        value => parent[name] = value,
    }
    object
}

pub fn annotated(object: &Value, receipt: &str) -> Value {
    with(object, "/metadata/annotations", json!({RECEIPT: receipt}))
}
