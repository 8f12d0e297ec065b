//! An execution that was accepted.

use std::time::Duration;

use ccos_plan::end::{EndReason, WaitReason};
use serde_json::{Value, json};

use crate::kubectl::kubectl;
use crate::namespace::Namespace;

/// For an execution to end: beyond the wall time and the start deadline of any test.
const END: &str = "--timeout=150s";

/// One that may still run.
#[derive(Debug)]
#[must_use]
pub struct Running<'n> {
    namespace: &'n Namespace,
    name: String,
}

/// One that ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The whole object.
    pub object: Value,
}

impl<'n> Running<'n> {
    pub(crate) fn new(namespace: &'n Namespace, name: &str) -> Self {
        Self { namespace, name: name.to_owned() }
    }

    /// One that is there already.
    pub fn there(namespace: &'n Namespace, name: &str) -> Self {
        Self::new(namespace, name)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As it is now.
    #[track_caller]
    pub fn object(&self) -> Value {
        self.namespace.get(&format!("capabilityexecution/{}", self.name))
    }

    #[track_caller]
    fn wait(&self, what: &str, timeout: &str) {
        let object = format!("capabilityexecution/{}", self.name);
        let answer = kubectl(["wait", &object, what, timeout]).inside(&self.namespace.name).run();
        assert!(answer.ok, "{object}: {what}: {}", answer.err);
    }

    /// Waits until it ends, and wants this end.
    #[track_caller]
    pub fn ends(&self, reason: EndReason) -> Ended {
        let ended = self.finishes();
        assert_eq!(ended.reason(), reason.as_str(), "{}: {}", self.name, ended.message());
        ended
    }

    /// Waits until it ends, whatever the end.
    #[track_caller]
    pub fn finishes(&self) -> Ended {
        self.wait("--for=condition=Finished", END);
        Ended { object: self.object() }
    }

    /// Waits until it ends, and wants it to have completed.
    #[track_caller]
    pub fn completes(&self) -> Ended {
        self.ends(EndReason::Completed)
    }

    /// Waits until its code runs.
    #[track_caller]
    pub fn starts(&self) -> &Self {
        self.wait("--for=condition=Started", "--timeout=90s");
        self
    }

    /// Waits until it waits for this.
    #[track_caller]
    pub fn waits_for(&self, reason: WaitReason) -> &Self {
        let reason = reason.as_str();
        self.wait(
            &format!("--for=jsonpath={{.status.conditions[?(@.type==\"Queued\")].reason}}={reason}"),
            "--timeout=30s",
        );
        self
    }

    /// Waits until it is gone.
    #[track_caller]
    pub fn is_deleted(&self) {
        self.wait("--for=delete", "--timeout=60s");
    }

    /// Sets `desiredState`.
    #[track_caller]
    pub fn desire(&self, state: &str) {
        let answer = self.namespace.merge(None, &self.name, &json!({"spec": {"desiredState": state}}));
        assert_eq!(answer.code, 200, "{:#}", answer.body);
    }

    /// The name of its pod and of its other children.
    #[track_caller]
    pub fn child(&self) -> String {
        child(&self.object())
    }
}

/// The name of the children of an execution.
#[must_use]
pub fn child(object: &Value) -> String {
    let uid: String = object["metadata"]["uid"].as_str().unwrap().chars().filter(|c| *c != '-').take(12).collect();
    format!("{}-{uid}", object["metadata"]["name"].as_str().unwrap())
}

impl Ended {
    /// A condition.
    #[track_caller]
    pub fn condition(&self, kind: &str) -> &Value {
        let all = self.object["status"]["conditions"].as_array().unwrap();
        all.iter().find(|one| one["type"] == kind).unwrap_or_else(|| panic!("no condition {kind}: {all:#?}"))
    }

    /// Why it ended.
    pub fn reason(&self) -> &str {
        self.condition("Succeeded")["reason"].as_str().unwrap()
    }

    /// Why, for people.
    pub fn message(&self) -> &str {
        self.condition("Succeeded")["message"].as_str().unwrap_or_default()
    }

    /// What it answered.
    pub fn result(&self) -> &Value {
        &self.object["status"]["result"]["inline"]
    }

    /// Its only attempt.
    #[track_caller]
    pub fn attempt(&self) -> &Value {
        let all = self.object["status"]["attempts"].as_array().unwrap_or_else(|| panic!("no attempts: {self:#?}"));
        assert_eq!(all.len(), 1, "{all:#?}");
        &all[0]
    }

    /// CPU time or wall time that it used.
    #[track_caller]
    pub fn time(&self, field: &str) -> Duration {
        let text = self.object["status"]["usage"][field].as_str().unwrap_or_else(|| panic!("no {field}: {self:#?}"));
        Duration::from_millis(text.parse::<ccos_policy::limits::Millis>().unwrap().0)
    }

    /// Bytes that it used.
    #[track_caller]
    pub fn bytes(&self, field: &str) -> u64 {
        let text = self.object["status"]["usage"][field].as_str().unwrap_or_else(|| panic!("no {field}: {self:#?}"));
        text.parse::<ccos_policy::Bytes>().unwrap().0
    }
}
