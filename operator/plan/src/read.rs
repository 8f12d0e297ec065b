//! From JSON to an object of ours. The one way for webhook and CLI: both find the same faults, in the same words.

use std::sync::Arc;

use ccos_crds::{CapabilityExecution, ExecutionPolicy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::object::{AnyContext, AnyProvider};
use crate::schema;
use crate::wire::faults::quoted;
use crate::wire::{FieldError, FieldErrors};

/// An object of one of our kinds.
#[derive(Clone, Debug)]
pub enum Object {
    /// An execution.
    Execution(Box<CapabilityExecution>),
    /// A context.
    Context(AnyContext),
    /// A provider.
    Provider(AnyProvider),
    /// An ExecutionPolicy.
    Policy(Box<ExecutionPolicy>),
}

/// The longest name of an object.
const NAME_LIMIT: usize = 253;

/// Reads an object that is being created.
///
/// # Errors
/// All that is wrong with its names and its structure. What its values mean is looked at later.
pub fn object(kind: &str, value: &Value) -> Result<Object, FieldErrors> {
    let mut faults = schema::faults(kind, value);
    names(value, &mut faults);
    if !faults.is_empty() {
        return Err(FieldErrors(faults));
    }
    Ok(match kind {
        "CapabilityExecution" => Object::Execution(Box::new(typed(value)?)),
        "SecurityContext" => Object::Context(AnyContext::Namespaced(Arc::new(typed(value)?))),
        "ClusterSecurityContext" => Object::Context(AnyContext::Cluster(Arc::new(typed(value)?))),
        "CapabilityProvider" => Object::Provider(AnyProvider::Namespaced(Arc::new(typed(value)?))),
        "ClusterCapabilityProvider" => Object::Provider(AnyProvider::Cluster(Arc::new(typed(value)?))),
        "ExecutionPolicy" => Object::Policy(Box::new(typed(value)?)),
        // `schema::faults` has said so.
        other => return Err(one("kind", format!("{other:?} is none of ours"))),
    })
}

/// As the API server holds all objects to it, which looks after the mutating webhook has answered: so an execution's name
/// is first looked at here.
fn names(value: &Value, faults: &mut Vec<FieldError>) {
    let text = |field: &str| {
        let text = value.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    };
    let mut add = |field: &str, message: String| faults.push(FieldError { field: field.to_owned(), message });
    match (text("name"), text("generateName")) {
        (Some(name), _) => {
            if !is_name(name) {
                add("metadata.name", not_a_name(name));
            }
        }
        (None, Some(start)) => {
            // Something follows a dash at the end.
            let whole = start.strip_suffix('-').map_or_else(|| start.to_owned(), |start| format!("{start}a"));
            if !is_name(&whole) {
                add("metadata.generateName", not_a_name(start));
            }
        }
        (None, None) => add("metadata.name", "is required".to_owned()),
    }
    if let Some(namespace) = text("namespace").filter(|text| !is_name(text) || text.contains('.') || text.len() > 63) {
        let expected = "expected at most 63 lower-case letters, digits and '-', with a letter or a digit at both ends";
        add("metadata.namespace", format!("{}: {expected}", quoted(namespace)));
    }
}

fn not_a_name(text: &str) -> String {
    format!(
        "{}: expected at most {NAME_LIMIT} lower-case letters, digits, '-' and '.', with a letter or a digit at both ends and beside each '.'",
        quoted(text)
    )
}

/// Whether it is a subdomain by RFC 1123, as Kubernetes understands it.
fn is_name(text: &str) -> bool {
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    text.len() <= NAME_LIMIT
        && text.split('.').map(str::as_bytes).all(|label| {
            alphanumeric(label.first())
                && alphanumeric(label.last())
                && label.iter().all(|byte| alphanumeric(Some(byte)) || *byte == b'-')
        })
}

fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, FieldErrors> {
    T::deserialize(value).map_err(|error| {
        // The schema is of the spec only.
        let metadata = value.get("metadata").map(ObjectMeta::deserialize);
        match metadata {
            Some(Err(error)) => one("metadata", error.to_string()),
            Some(Ok(_)) | None => one("spec", format!("can't be read: {error}")),
        }
    })
}

fn one(field: &str, message: String) -> FieldErrors {
    FieldErrors(vec![FieldError { field: field.to_owned(), message }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(metadata: &Value) -> Vec<String> {
        let spec = json!({"level": "Pure"});
        match object("SecurityContext", &json!({"metadata": metadata, "spec": spec})) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn names_are_those_that_kubernetes_takes() {
        for good in ["a", "a-b", "a.b-c.d", "0", &"x".repeat(253)] {
            assert_eq!(faults(&json!({"name": good})), Vec::<String>::new(), "{good}");
        }
        for bad in ["A", "a_b", "-a", "a-", "a..b", ".a", "a.", "a.-b", "ä", "a b", &"x".repeat(254)] {
            let said = faults(&json!({"name": bad}));
            assert!(said.len() == 1 && said[0].starts_with("metadata.name: "), "{bad}: {said:?}");
        }
        assert_eq!(faults(&json!({"generateName": "run-"})), Vec::<String>::new());
        assert!(faults(&json!({"generateName": "Run-"}))[0].starts_with("metadata.generateName: "));
        assert_eq!(faults(&json!({"name": "a", "namespace": "team-1"})), Vec::<String>::new());
        for bad in ["a.b", "A", &"x".repeat(64)] {
            assert!(faults(&json!({"name": "a", "namespace": bad}))[0].starts_with("metadata.namespace: "), "{bad}");
        }
        for nameless in [json!({}), json!({"name": ""}), json!({"name": 7})] {
            assert_eq!(faults(&nameless), ["metadata.name: is required"], "{nameless}");
        }
    }

    #[test]
    fn what_the_schema_does_not_say_has_its_field_too() {
        let said = faults(&json!({"name": "a", "labels": {"x": 1}}));
        assert!(said[0].starts_with("metadata: invalid type"), "{said:?}");
    }
}
