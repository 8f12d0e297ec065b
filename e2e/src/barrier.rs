//! Something that the API server refuses in one namespace, for a while: it holds the controller between two of its steps.

use serde_json::json;

use crate::kubectl::{kubectl, until};
use crate::namespace::{Namespace, unique};

/// A ValidatingAdmissionPolicy of a test.
#[derive(Debug)]
pub struct Barrier {
    name: String,
}

impl Barrier {
    /// Refuses writes of these resources in the namespace, until it is lifted. `probe` tries such a write without doing
    /// it: policies take effect with a delay.
    ///
    /// `answer` is the reason of the refusal, such as `Forbidden`: one that the controller tries again after.
    #[track_caller]
    pub fn new(
        namespace: &Namespace,
        group: &str,
        resources: &[&str],
        answer: &str,
        mut probe: impl FnMut() -> bool,
    ) -> Self {
        let name = unique("barrier");
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
                    "resourceRules": [{
                        "apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": resources,
                    }],
                },
                "validations": [{"expression": "false", "message": "held by a test", "reason": answer}],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]},
        });
        namespace.apply(policy);
        namespace.apply(binding);
        until("the barrier holds", 30, || (!probe()).then_some(()));
        Self { name }
    }

    /// Lets all pass again.
    pub fn lift(self) {
        drop(self);
    }
}

impl Drop for Barrier {
    fn drop(&mut self) {
        for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
            kubectl(["delete", kind, &self.name, "--ignore-not-found"]).run();
        }
    }
}
