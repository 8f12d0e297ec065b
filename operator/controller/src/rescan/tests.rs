//! Reports in a cluster whose API server is a function: kinds come and go, and what is written is what is asked of it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use ccos_plan::report::Resource;
use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::watches::Alive;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const REPORTS: &str = "/apis/openreports.io/v1alpha1/reports";
const REPORT: &str = "/apis/openreports.io/v1alpha1/namespaces/data/reports/ccos";

/// An API server that knows definitions of kinds, and reports of the namespace `data`.
#[derive(Clone)]
struct ApiServer(Arc<Mutex<State>>, watch::Sender<usize>);

#[derive(Default)]
struct State {
    definition: Option<Value>,
    report: Option<Value>,
    /// Path of the list, and the event, each with the next resource version from 1.
    events: Vec<(&'static str, Value)>,
    /// Each write: method, path and query, body.
    writes: Vec<(Method, String, Value)>,
    /// All that was asked for of reports.
    asked: usize,
}

impl ApiServer {
    fn new() -> Self {
        Self(Arc::default(), watch::channel(0).0)
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, "default")
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Something happens to an object.
    fn event(&self, list: &'static str, kind: &str, mut object: Value) {
        let count = self.state(|state| {
            object["metadata"]["resourceVersion"] = json!((state.events.len() + 1).to_string());
            match (list, kind) {
                (REPORTS, "DELETED") => state.report = None,
                (REPORTS, _) => state.report = Some(object.clone()),
                (_, "DELETED") => state.definition = None,
                (_, _) => state.definition = Some(object.clone()),
            }
            state.events.push((list, json!({"type": kind, "object": object})));
            state.events.len()
        });
        self.1.send_replace(count);
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
        let list = if path == DEFINITIONS { DEFINITIONS } else { REPORTS };
        if list == REPORTS {
            self.state(|state| state.asked += 1);
            if self.state(|state| state.definition.is_none()) {
                return status(StatusCode::NOT_FOUND);
            }
        }
        if parts.method != Method::GET {
            let body: Value = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap();
            self.state(|state| state.writes.push((parts.method.clone(), format!("{path}?{query}"), body.clone())));
            assert_eq!(path, REPORT);
            let (kind, mut object) = if parts.method == Method::DELETE {
                ("DELETED", self.state(|state| state.report.clone()).unwrap())
            } else {
                (if self.state(|state| state.report.is_some()) { "MODIFIED" } else { "ADDED" }, body)
            };
            object["metadata"]["uid"] = json!("r1");
            self.event(REPORTS, kind, object.clone());
            return answer(StatusCode::OK, object.to_string());
        }
        // The other kind is never installed.
        let other = query.contains("clusterreports");
        if let Some(since) = query.contains("watch=").then(|| since(&query)) {
            let mut news = self.1.subscribe();
            loop {
                let events = self.state(|state| state.events.iter().skip(since).cloned().collect::<Vec<_>>());
                let mine = events.iter().filter(|(of, _)| *of == list && !other);
                let lines: Vec<String> = mine.map(|(_, event)| format!("{event}\n")).collect();
                if !lines.is_empty() {
                    return answer(StatusCode::OK, lines.concat());
                }
                news.changed().await.unwrap();
            }
        }
        let (items, version) = self.state(|state| {
            let items: Vec<Value> = match list {
                _ if other => Vec::new(),
                REPORTS => state.report.clone().into_iter().collect(),
                _ => state.definition.clone().into_iter().collect(),
            };
            (items, state.events.len())
        });
        let metadata = json!({"resourceVersion": version.to_string()});
        answer(
            StatusCode::OK,
            json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items}).to_string(),
        )
    }
}

/// The resource version that a watch begins at.
fn since(query: &str) -> usize {
    let version = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
    version.and_then(|version| version.parse().ok()).unwrap_or_default()
}

fn answer(status: StatusCode, body: String) -> Response<Body> {
    Response::builder().status(status).body(Body::from(body.into_bytes())).unwrap()
}

fn status(code: StatusCode) -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "", "reason": "NotFound", "code": code.as_u16()});
    answer(code, status.to_string())
}

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "reports.openreports.io", "uid": "d1", "resourceVersion": "1"},
        "spec": {
            "group": "openreports.io", "scope": "Namespaced", "names": {"kind": "Report", "plural": "reports"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true}],
        },
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    })
}

/// One that is just being installed.
fn unestablished() -> Value {
    let mut object = definition();
    object["status"] = json!({});
    object
}

fn finding(name: &str, outcome: Outcome) -> Finding {
    let mut finding = Finding::new("SecurityContext \"analysts\"", outcome);
    let resource = Resource::new("CapabilityExecution", Some("data".to_owned()), name);
    finding.resources.push(Resource { uid: Some(format!("uid-{name}")), ..resource });
    finding
}

struct Cluster {
    server: ApiServer,
    client: Client,
    stale: Arc<Stale>,
    reports: Reports,
}

impl Cluster {
    fn new() -> Self {
        let server = ApiServer::new();
        let (client, stale) = (server.client(), Arc::default());
        let reports = Reports::start(&client, &stale, &Alive::new().0);
        Self { server, client, stale, reports }
    }

    async fn write(&self, findings: Vec<Finding>) {
        self.reports.write(&self.client, Some("data"), findings, Timestamp::now()).await.unwrap();
    }

    fn writes(&self) -> Vec<(Method, String, Value)> {
        self.server.state(|state| std::mem::take(&mut state.writes))
    }

    /// Waits until a report was made stale, and answers whether all were.
    async fn stale(&self) -> bool {
        let noted = tokio::time::timeout(Duration::from_secs(10), self.stale.noted()).await;
        noted.unwrap_or_else(|_| panic!("nothing was made stale"));
        let scopes = self.stale.take();
        assert!(scopes.has(&Some("data".to_owned())));
        scopes.has(&Some("another".to_owned()))
    }
}

#[tokio::test]
async fn where_reports_are_not_installed_nothing_is_asked_for_and_nothing_fails() {
    let cluster = Cluster::new();
    // Not before the definitions were looked for.
    cluster.server.event(DEFINITIONS, "ADDED", unestablished());
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    cluster.write(vec![finding("a", Outcome::Fail)]).await;
    assert_eq!((cluster.writes(), cluster.server.state(|state| state.asked)), (Vec::new(), 0));
    assert_eq!(cluster.reports.scopes(), Vec::<Scope>::new());
}

#[tokio::test]
async fn reports_are_kept_from_the_moment_their_kind_appears_until_it_goes() {
    let cluster = Cluster::new();
    cluster.server.event(DEFINITIONS, "ADDED", unestablished());
    cluster.server.event(DEFINITIONS, "MODIFIED", definition());
    assert!(cluster.stale().await, "all that was found before has to be written");

    cluster.write(vec![finding("b", Outcome::Pass), finding("a", Outcome::Fail)]).await;
    let writes = cluster.writes();
    let (method, path, body) = &writes[0];
    assert_eq!((writes.len(), method), (1, &Method::PATCH));
    assert_eq!(path, &format!("{REPORT}?&force=true&fieldManager=ccos-controller"));
    assert_eq!((&body["apiVersion"], &body["kind"]), (&json!("openreports.io/v1alpha1"), &json!("Report")));
    assert_eq!(body["metadata"]["labels"], json!({"app.kubernetes.io/managed-by": "ccos"}));
    assert_eq!(body["results"][0]["resources"][0]["name"], "a");
    assert_eq!(body["summary"]["fail"], 1);

    // Whatever happens to it makes it stale, our own writing too; but the same is not written twice.
    assert!(!cluster.stale().await);
    cluster.write(vec![finding("a", Outcome::Fail), finding("b", Outcome::Pass)]).await;
    assert_eq!(cluster.writes(), []);
    assert_eq!(cluster.reports.scopes(), [Some("data".to_owned())]);

    let mut changed = body.clone();
    changed["results"] = json!([]);
    cluster.server.event(REPORTS, "MODIFIED", changed);
    assert!(!cluster.stale().await);
    cluster.write(vec![finding("a", Outcome::Fail), finding("b", Outcome::Pass)]).await;
    assert_eq!(cluster.writes().len(), 1, "somebody has changed it");
    cluster.stale().await;

    cluster.write(Vec::new()).await;
    let writes = cluster.writes();
    let (method, _, body) = &writes[0];
    assert_eq!((method, &body["preconditions"]), (&Method::DELETE, &json!({"uid": "r1"})));
    cluster.stale().await;

    cluster.server.event(DEFINITIONS, "DELETED", definition());
    while cluster.server.state(|state| state.asked) == 0 || cluster.reports.is_kept(Some("data")) {
        tokio::task::yield_now().await;
    }
    cluster.write(vec![finding("a", Outcome::Fail)]).await;
    assert_eq!(cluster.writes(), []);
}

#[tokio::test]
async fn a_report_of_somebody_else_is_taken_over_when_there_is_something_to_say_and_not_deleted_otherwise() {
    let cluster = Cluster::new();
    let theirs = json!({
        "apiVersion": "openreports.io/v1alpha1", "kind": "Report", "metadata": {"name": "ccos", "namespace": "data", "uid": "r0"},
        "source": "another", "results": [{"policy": "p", "result": "unheard-of"}],
    });
    cluster.server.event(REPORTS, "ADDED", theirs);
    cluster.server.event(DEFINITIONS, "ADDED", definition());
    assert!(cluster.stale().await);
    cluster.write(Vec::new()).await;
    assert_eq!(cluster.writes(), []);
    cluster.write(vec![finding("a", Outcome::Pass)]).await;
    assert_eq!(cluster.writes().len(), 1);
}

#[tokio::test]
async fn what_an_earlier_leader_told_is_known_and_a_warning_for_the_same_reason_is_something_else() {
    let cluster = Cluster::new();
    cluster.server.event(DEFINITIONS, "ADDED", definition());
    assert!(cluster.stale().await);
    let object = |name: &str| -> CapabilityExecution {
        let object = json!({
            "apiVersion": "security.ccos.dev/v1alpha1", "kind": "CapabilityExecution",
            "metadata": {"name": name, "namespace": "data", "uid": format!("uid-{name}")},
            "spec": {"contextRef": {"kind": "SecurityContext", "name": "c"}, "capabilityRef": {"kind": "CapabilityProvider", "name": "p", "id": "a.b"}},
        });
        serde_json::from_value(object).unwrap()
    };
    let of = |name: &str, outcome| Finding { rule: Some("PolicyDenied".to_owned()), ..finding(name, outcome) };
    cluster.write(vec![of("fails", Outcome::Fail), of("warned", Outcome::Warn)]).await;
    cluster.stale().await;
    assert!(cluster.reports.says_fails(&object("fails"), "PolicyDenied"));
    assert!(!cluster.reports.says_fails(&object("fails"), "FileReadDenied"));
    assert!(!cluster.reports.says_fails(&object("warned"), "PolicyDenied"));
    assert!(!cluster.reports.says_fails(&object("another"), "PolicyDenied"));
}

#[tokio::test]
async fn what_was_noted_while_nobody_waited_is_not_missed() {
    let stale = Stale::default();
    stale.scope(Some("data".to_owned()));
    stale.scope(None);
    tokio::time::timeout(Duration::from_secs(5), stale.noted()).await.unwrap();
    let scopes = stale.take();
    assert_eq!(scopes.named().collect::<Vec<_>>(), [None, Some("data".to_owned())]);
    assert!(!scopes.has(&Some("another".to_owned())));
    assert_eq!(stale.take().named().count(), 0);
    stale.all();
    assert!(stale.take().has(&Some("another".to_owned())));
}
