//! The wire types of `security.ccos.dev/v1alpha1`, with the schema and the CEL rules that the API server holds them to.
//!
//! No logic: what a field means for the decision is in `ccos-policy`, how the wire becomes that is in `ccos-plan`. The
//! doc comments are what `kubectl explain` prints, so they speak to users.

use serde_json::Value;

pub mod amounts;
pub mod conditions;
pub mod execution;
pub mod json;
pub mod permissions;
pub mod provider;
pub mod security_context;

pub use amounts::{Duration, Quantity};
pub use execution::{CapabilityExecution, CapabilityExecutionSpec, CapabilityExecutionStatus};
pub use json::Json;
pub use permissions::{Limits, Permissions, Requires};
pub use provider::{CapabilityProvider, CapabilityProviderSpec, ClusterCapabilityProvider};
pub use security_context::{ClusterSecurityContext, SecurityContext, SecurityContextSpec};

/// The API group of all kinds.
pub const GROUP: &str = "security.ccos.dev";
/// The version of all kinds.
pub const VERSION: &str = "v1alpha1";
/// The annotation that holds the webhook's receipt.
pub const RECEIPT_ANNOTATION: &str = "security.ccos.dev/receipt";
/// The label of a Namespace that names the context of executions that name none: one of the namespace.
pub const DEFAULT_CONTEXT_LABEL: &str = "security.ccos.dev/default-context";
/// The same of the cluster; the namespace's own wins.
pub const DEFAULT_CLUSTER_CONTEXT_LABEL: &str = "security.ccos.dev/default-cluster-context";

/// The manifests of all kinds, as YAML, in the order in which they are listed to users.
///
/// # Errors
/// If a schema can't be written as YAML; the generator's tests show that it can.
pub fn manifests() -> Result<Vec<(&'static str, String)>, ManifestError> {
    use kube::CustomResourceExt as _;
    [
        ("securitycontexts", SecurityContext::crd()),
        ("clustersecuritycontexts", ClusterSecurityContext::crd()),
        ("capabilityproviders", CapabilityProvider::crd()),
        ("clustercapabilityproviders", ClusterCapabilityProvider::crd()),
        ("capabilityexecutions", CapabilityExecution::crd()),
    ]
    .into_iter()
    .map(|(name, crd)| {
        let mut value = serde_json::to_value(crd)?;
        refuse_null(&mut value);
        unwrap_lines(&mut value);
        Ok((name, serde_saphyr::to_string(&value)?))
    })
    .collect()
}

/// Why a manifest could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The definition is no JSON.
    #[error("cannot write the definition as JSON")]
    Json(#[from] serde_json::Error),
    /// The JSON is no YAML.
    #[error("cannot write the definition as YAML")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// Takes `nullable` out of a schema. `Option` puts it there, but `host: null` must not count as "host is given" in a
/// rule such as `has(self.host) != has(self.cidr)` while it counts as absent here.
fn refuse_null(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("nullable") == Some(&Value::Bool(true)) {
                object.remove("nullable");
            }
            if let Some(Value::Array(choices)) = object.get_mut("enum") {
                choices.retain(|choice| !choice.is_null());
            }
            object.values_mut().for_each(refuse_null);
        }
        Value::Array(items) => items.iter_mut().for_each(refuse_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Joins the lines of each description: they were broken for the source, and `kubectl explain` breaks them anew.
fn unwrap_lines(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(text)) = object.get_mut("description") {
                let paragraphs: Vec<String> = text.split("\n\n").map(|lines| lines.replace('\n', " ")).collect();
                *text = paragraphs.join("\n\n");
            }
            object.values_mut().for_each(unwrap_lines);
        }
        Value::Array(items) => items.iter_mut().for_each(unwrap_lines),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_of_any_kind_may_be_null() {
        for (name, text) in manifests().unwrap() {
            assert!(!text.contains("nullable"), "{name}");
            assert!(!text.contains("- null\n"), "{name}");
        }
    }

    #[test]
    fn what_may_be_absent_is_not_required() {
        use kube::CustomResourceExt as _;
        let crd = serde_json::to_value(CapabilityExecution::crd()).unwrap();
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        assert_eq!(spec["required"], serde_json::json!(["capabilityRef"]));
        let crd = serde_json::to_value(CapabilityProvider::crd()).unwrap();
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        assert_eq!(spec["properties"]["capabilities"]["items"]["required"], serde_json::json!(["id"]));
    }

    #[test]
    fn no_field_has_a_default_since_it_would_change_what_was_signed() {
        fn defaults(schema: &Value) -> bool {
            match schema {
                Value::Object(object) => object.iter().any(|(key, value)| match (key.as_str(), value) {
                    // Names of fields, one of which is "default".
                    ("properties", Value::Object(fields)) => fields.values().any(defaults),
                    ("default", _) => true,
                    (_, value) => defaults(value),
                }),
                Value::Array(items) => items.iter().any(defaults),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
            }
        }
        use kube::CustomResourceExt as _;
        let crd = serde_json::to_value(CapabilityExecution::crd()).unwrap();
        assert!(!defaults(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]));
    }
}
