//! The API itself, through `kubectl proxy` on loopback.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use ccos_policy::Reason;
use serde_json::Value;
use ureq::Agent;

use crate::cluster;

/// An answer of the API server.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code of HTTP.
    pub code: u16,
    /// The object, or the Status that says why there is none.
    pub body: Value,
}

/// A client with one connection that is kept open.
#[derive(Clone, Debug)]
pub struct Api {
    agent: Agent,
    base: String,
}

struct Proxy {
    base: String,
    /// Its standard input is a pipe of ours: when this process ends, however it does, so does the proxy.
    _shell: Child,
}

static PROXY: LazyLock<Proxy> = LazyLock::new(|| {
    let kubectl = cluster::tool("kubectl").get_program().to_owned();
    let mut shell = std::process::Command::new("sh")
        .args(["-c", "\"$0\" proxy --port=0 & cat >/dev/null; kill $!"])
        .arg(kubectl)
        .env("KUBECONFIG", cluster::kubeconfig())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh");
    let mut line = String::new();
    BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("Starting to serve on ");
    let address = address.unwrap_or_else(|| panic!("kubectl proxy: expected its address, but found {line:?}"));
    Proxy { base: format!("http://{address}"), _shell: shell }
});

/// Group and version of our kinds, as a path.
pub const OURS: &str = "/apis/security.ccos.dev/v1alpha1";

/// The collection of a kind of ours.
#[must_use]
pub fn path(kind: &str, namespace: &str) -> String {
    match kind {
        "SecurityContext" => format!("{OURS}/namespaces/{namespace}/securitycontexts"),
        "CapabilityProvider" => format!("{OURS}/namespaces/{namespace}/capabilityproviders"),
        "CapabilityExecution" => format!("{OURS}/namespaces/{namespace}/capabilityexecutions"),
        "ClusterSecurityContext" => format!("{OURS}/clustersecuritycontexts"),
        "ClusterCapabilityProvider" => format!("{OURS}/clustercapabilityproviders"),
        "ExecutionPolicy" => format!("{OURS}/executionpolicies"),
        other => panic!("no path of the kind {other:?}"),
    }
}

impl Api {
    /// A client of its own.
    #[must_use]
    pub fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .max_idle_connections(1)
            .build();
        Self { agent: config.into(), base: PROXY.base.clone() }
    }

    /// Creates an object, as this user if there is one.
    #[must_use]
    pub fn create(&self, path: &str, object: &Value, user: Option<&str>) -> Answer {
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = match user {
            Some(user) => request.header("Impersonate-User", user),
            None => request,
        };
        Self::answer(request.send_json(object))
    }

    /// Changes an object by a merge patch, as this user if there is one.
    #[must_use]
    pub fn merge(&self, path: &str, change: &Value, user: Option<&str>) -> Answer {
        let request = self.agent.patch(format!("{}{path}", self.base));
        let request = match user {
            Some(user) => request.header("Impersonate-User", user),
            None => request,
        };
        Self::answer(request.header("Content-Type", "application/merge-patch+json").send(change.to_string()))
    }

    /// Reads.
    #[must_use]
    pub fn get(&self, path: &str) -> String {
        let mut answer = self.agent.get(format!("{}{path}", self.base)).call().expect("the API server answers");
        answer.body_mut().read_to_string().unwrap()
    }

    /// Reads events of a watch, until one of them answers.
    pub fn watch<T>(&self, path: &str, mut answers: impl FnMut(&Value) -> Option<T>) -> Option<T> {
        let answer = self.agent.get(format!("{}{path}", self.base)).config().timeout_global(None).build().call();
        let body = answer.expect("the API server answers").into_body().into_reader();
        BufReader::new(body).lines().find_map(|line| answers(&serde_json::from_str(&line.ok()?).ok()?))
    }

    fn answer(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
        let mut answer = answer.expect("the API server answers");
        let code = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().unwrap();
        Answer { code, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self::new()
    }
}

/// A refusal of the API server, with all that it says.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Its answer.
    pub answer: Answer,
    /// What was refused, as YAML.
    pub manifest: String,
}

impl Refused {
    /// By the decision: a 403 with this reason for this field in `status.details.causes`.
    #[track_caller]
    pub fn with(self, reason: Reason, field: &str) -> Self {
        self.code(403).cause(reason.as_str(), field)
    }

    /// Because it can't be understood: a 422 with this field in `status.details.causes`.
    #[track_caller]
    pub fn invalid(self, field: &str) -> Self {
        self.code(422).cause_at(field)
    }

    /// With a cause of this reason and field.
    #[track_caller]
    pub fn cause(self, reason: &str, field: &str) -> Self {
        let found = self.causes().any(|cause| cause["reason"] == reason && cause["field"] == field);
        assert!(found, "expected the cause {reason} at {field}, but found {self}");
        self
    }

    #[track_caller]
    fn cause_at(self, field: &str) -> Self {
        assert!(self.causes().any(|cause| cause["field"] == field), "expected a cause at {field}, but found {self}");
        self
    }

    /// With so many causes.
    #[track_caller]
    pub fn of(self, count: usize) -> Self {
        assert_eq!(self.causes().count(), count, "{self}");
        self
    }

    /// With this status code.
    #[track_caller]
    pub fn code(self, code: u16) -> Self {
        assert_eq!(self.answer.code, code, "{self}");
        self
    }

    /// With this in its message.
    #[track_caller]
    pub fn saying(self, text: &str) -> Self {
        assert!(self.message().contains(text), "expected {text:?}, but found {self}");
        self
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        self.answer.body["message"].as_str().unwrap_or_default()
    }

    fn causes(&self) -> impl Iterator<Item = &Value> {
        self.answer.body["details"]["causes"].as_array().into_iter().flatten()
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:#}\nfor\n{}", self.answer.code, self.answer.body, self.manifest)
    }
}
