//! A namespace for one test, with what the test does in it.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ccos_policy::Reason;
use serde_json::{Value, json};

use crate::api::{Answer, Api, Refused, path};
use crate::cluster;
use crate::fixture::{Execution, Fixture, yaml};
use crate::kubectl::{kubectl, until};
use crate::running::Running;

/// A namespace of one test, as users are told to have: Pod Security `restricted`, and nothing but executions. It is
/// deleted when the test ends, however it does.
#[derive(Debug)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    api: Api,
    /// When it was made, for the API server.
    since: String,
    cluster_objects: Mutex<Vec<(String, String)>>,
}

/// Somebody else than the administrator, in a namespace.
#[derive(Debug)]
pub struct User<'n> {
    namespace: &'n Namespace,
    name: String,
}

/// Makes one.
#[track_caller]
pub fn namespace(title: &str) -> Namespace {
    let name = unique(title);
    let object = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    });
    let made = kubectl(["create", "-f", "-"]).input(object.to_string()).json();
    let since = made["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let namespace = Namespace { name, api: Api::new(), since, cluster_objects: Mutex::default() };
    // Pods are refused before it is there, and tests make some of their own.
    namespace.kubectl(["wait", "--for=create", "serviceaccount/default", "--timeout=30s"]);
    namespace
}

/// A name that no other test has, in this run or another.
pub fn unique(title: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() % 100_000_000;
    format!("e2e-{title}-{now}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Namespace {
    /// kubectl here; it has to succeed.
    #[track_caller]
    pub fn kubectl<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        kubectl(arguments).inside(&self.name).succeeds()
    }

    /// An object here.
    #[track_caller]
    pub fn get(&self, what: &str) -> Value {
        kubectl(["get", what]).inside(&self.name).json()
    }

    /// All objects of a kind here.
    #[track_caller]
    pub fn list(&self, kind: &str) -> Vec<Value> {
        self.get(kind)["items"].as_array().cloned().unwrap_or_default()
    }

    /// Applies, as the administrator.
    #[track_caller]
    pub fn apply(&self, fixture: impl Fixture) {
        let text = fixture.manifest();
        self.note(fixture.object());
        let answer = kubectl(["apply", "-f", "-"]).inside(&self.name).input(&text).run();
        assert!(answer.ok, "{}\n{text}", answer.err);
    }

    /// Creates an execution, as the administrator, who may do everything.
    #[track_caller]
    pub fn accepts(&self, execution: Execution) -> Running<'_> {
        self.accepts_from(None, execution)
    }

    /// Applies an ExecutionPolicy about executions of this namespace alone, since others' tests run beside, and waits until
    /// it is in force. `forbids` comes after `context.namespace == …`, such as `&& principal is User`. Answers with its
    /// name.
    #[track_caller]
    pub fn forbids(&self, mode: &str, annotations: &str, forbids: &str) -> String {
        let name = unique("policy");
        let inside = format!("context.namespace == Namespace::\"{}\"", self.name);
        let cedar = format!("{annotations} forbid(principal, action, resource) when {{ {inside} {forbids} }};");
        self.apply(json!({
            "apiVersion": "security.ccos.dev/v1alpha1", "kind": "ExecutionPolicy", "metadata": {"name": name},
            "spec": {"mode": mode, "cedar": cedar},
        }));
        // By the controller: its watch has the policy, and so have, by then, the webhooks'.
        self.kubectl(["wait", "--for=condition=Valid", &format!("executionpolicy/{name}"), "--timeout=30s"]);
        name
    }

    /// Creates an object by `kubectl create` without storing it, and answers with what kubectl says beside it.
    #[track_caller]
    pub fn warnings(&self, fixture: impl Fixture) -> String {
        fixture.before().into_iter().for_each(|object| self.apply(object));
        let text = yaml(fixture.object());
        let answer = kubectl(["create", "--dry-run=server", "-f", "-"]).inside(&self.name).input(&text).run();
        assert!(answer.ok, "{}\n{text}", answer.err);
        answer.err
    }

    /// Is refused an object, as the administrator.
    #[track_caller]
    #[must_use = "any error would do: say which one it has to be"]
    pub fn rejects(&self, fixture: impl Fixture) -> Refused {
        self.rejects_from(None, fixture)
    }

    /// An object would be accepted.
    #[track_caller]
    pub fn would_accept(&self, fixture: impl Fixture) {
        self.would_accept_from(None, fixture);
    }

    #[track_caller]
    fn would_accept_from(&self, user: Option<&str>, fixture: impl Fixture) {
        let answer = self.create(user, &fixture, "?dryRun=All");
        assert_eq!(answer.code, 201, "{:#}\n{}", answer.body, fixture.manifest());
    }

    /// Somebody else.
    #[must_use]
    pub fn user(&self, name: &str) -> User<'_> {
        User { namespace: self, name: name.to_owned() }
    }

    /// Lets a user create executions, and use these contexts.
    #[track_caller]
    pub fn allow(&self, user: &str, contexts: &[&str]) {
        let rules = json!([
            {"apiGroups": ["security.ccos.dev"], "resources": ["capabilityexecutions"], "verbs": ["create", "get", "update", "patch"]},
            {"apiGroups": ["security.ccos.dev"], "resources": ["securitycontexts"], "resourceNames": contexts, "verbs": ["use"]},
        ]);
        // An empty list of names would be all names.
        let rules = if contexts.is_empty() { json!([rules[0]]) } else { rules };
        self.role(user, &rules);
    }

    /// Gives a user these rights, besides those that it has.
    #[track_caller]
    pub fn role(&self, user: &str, rules: &Value) {
        let name = unique("role");
        self.apply(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules,
        }));
        self.apply(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }));
    }

    /// Creates an object by the API alone, for what `kubectl apply` would refuse or complete by itself.
    #[track_caller]
    pub fn create(&self, user: Option<&str>, fixture: &impl Fixture, query: &str) -> Answer {
        for object in fixture.before() {
            self.note(&object);
            let text = yaml(&object);
            let answer = kubectl(["apply", "-f", "-"]).inside(&self.name).input(&text).run();
            assert!(answer.ok, "{}\n{text}", answer.err);
        }
        let object = fixture.object();
        if query.is_empty() {
            self.note(object);
        }
        let kind = object["kind"].as_str().unwrap_or_default();
        self.api.create(&format!("{}{query}", path(kind, &self.name)), object, user)
    }

    /// Changes an execution by the API alone.
    #[must_use]
    pub fn merge(&self, user: Option<&str>, execution: &str, patch: &Value) -> Answer {
        self.api.merge(&format!("{}/{execution}", path("CapabilityExecution", &self.name)), patch, user)
    }

    /// The UIDs of all objects of a kind that there ever were here, those that are gone too: by a watch that starts where
    /// the namespace began.
    #[track_caller]
    pub fn ever(&self, resource: &str) -> BTreeSet<String> {
        let since = &self.since;
        let group = if resource == "networkpolicies" { "/apis/networking.k8s.io/v1" } else { "/api/v1" };
        let path =
            format!("{group}/namespaces/{}/{resource}?watch=1&resourceVersion={since}&timeoutSeconds=1", self.name);
        let text = self.api.get(&path);
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let seen = events.iter().map(|event| {
            assert_ne!(event["type"], "ERROR", "the API server no longer knows what happened: {event}");
            event["object"]["metadata"]["uid"].as_str().unwrap().to_owned()
        });
        seen.collect()
    }

    #[track_caller]
    fn accepts_from(&self, user: Option<&str>, execution: Execution) -> Running<'_> {
        let answer = self.create(user, &execution, "");
        assert_eq!(answer.code, 201, "{:#}\n{}", answer.body, execution.manifest());
        Running::new(self, execution.name())
    }

    #[track_caller]
    fn rejects_from(&self, user: Option<&str>, fixture: impl Fixture) -> Refused {
        let answer = self.create(user, &fixture, "");
        let refused = Refused { answer, manifest: fixture.manifest() };
        assert!(refused.answer.code >= 400, "expected a refusal, but it was accepted: {refused}");
        refused
    }

    /// Cluster-scoped objects outlive the namespace: they are deleted with it.
    fn note(&self, object: &Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = text("/kind");
        let of_the_cluster = kind == "ExecutionPolicy" || kind.starts_with("ValidatingAdmissionPolicy");
        if kind.starts_with("Cluster") || of_the_cluster {
            self.cluster_objects.lock().unwrap().push((kind, text("/metadata/name")));
        }
    }

    /// What an administrator would look at.
    fn tell(&self) {
        let show = |title: &str, arguments: &[&str], namespace: &str| {
            let answer = kubectl(arguments).inside(namespace).run();
            eprintln!("--- {title}\n{}{}", answer.out, answer.err);
        };
        eprintln!("=== namespace {}", self.name);
        // Without the receipts, which nobody can read.
        let spec = "custom-columns=NAME:.metadata.name,CREATED:.metadata.creationTimestamp,SPEC:.spec,STATUS:.status";
        show("executions", &["get", "capabilityexecutions", "-o", spec], &self.name);
        show("contexts and providers", &["get", "securitycontexts,capabilityproviders", "-o", "wide"], &self.name);
        show("children", &["get", "pods,networkpolicies,resourcequotas", "-o", "wide"], &self.name);
        show("events", &["get", "events", "--sort-by=.lastTimestamp"], &self.name);
        for component in ["controller", "webhook"] {
            let label = format!("app.kubernetes.io/component={component}");
            show(component, &["logs", "-l", &label, "--prefix", "--tail=25"], cluster::OPERATOR);
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell();
        }
        for (kind, name) in self.cluster_objects.lock().unwrap().drain(..) {
            kubectl(["delete", &kind, &name, "--ignore-not-found", "--wait=false"]).run();
        }
        kubectl(["delete", "namespace", &self.name, "--wait=false"]).run();
    }
}

impl<'n> User<'n> {
    /// Creates an execution.
    #[track_caller]
    pub fn accepts(&self, execution: Execution) -> Running<'n> {
        self.namespace.accepts_from(Some(&self.name), execution)
    }

    /// Is refused an object.
    #[track_caller]
    #[must_use = "any error would do: say which one it has to be"]
    pub fn rejects(&self, fixture: impl Fixture) -> Refused {
        self.namespace.rejects_from(Some(&self.name), fixture)
    }

    /// Would not be refused an object.
    #[track_caller]
    pub fn would_be_allowed(&self, fixture: impl Fixture) {
        self.namespace.would_accept_from(Some(&self.name), fixture);
    }

    /// Is refused this until now, and then no longer: the API server's authorizers learn of new Roles with a delay.
    #[track_caller]
    pub fn rejects_at_first(
        &self,
        fixture: &Execution,
        reason: Reason,
        field: &str,
        change: impl FnOnce(),
    ) -> Running<'n> {
        self.rejects(fixture.clone()).with(reason, field);
        change();
        let name = fixture.name();
        until("the new right", 20, || {
            let answer = self.namespace.create(Some(&self.name), fixture, "");
            (answer.code == 201).then_some(())
        });
        Running::new(self.namespace, name)
    }
}
