//! Tables as people write them.

use std::path::{Path, PathBuf};

use ccos_crds::CapabilityExecution;
use ccos_plan::read::{self, Object};
use ccos_plan::wire::{FieldError, FieldErrors};
use ccos_policy::Reason;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::input::document::{Document, documents};
use crate::input::{Fault, Place, Text};
use crate::moment::moment;

pub(super) const API_VERSION: &str = "cli.security.ccos.dev/v1alpha1";
pub(super) const KIND: &str = "DecisionTest";

/// A table.
#[derive(Clone, Debug)]
pub struct DecisionTest {
    /// Where it is.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// Files and folders with contexts, providers and executions.
    pub resources: Vec<PathBuf>,
    /// The file that it is in, whose other documents are resources, too.
    pub beside: Text,
    /// The namespace of objects that name none.
    pub namespace: String,
    /// What the cluster can do; absent: the chart's defaults.
    pub profile: Option<PathBuf>,
    /// When it is; absent: now.
    pub now: Option<Timestamp>,
    /// Its rows.
    pub cases: Vec<Case>,
}

/// A row.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// For whom ExecutionPolicies are asked; absent: for somebody of whom nothing is known.
    pub requester: Option<Asker>,
    /// What is decided.
    pub execution: Asked,
    /// What is expected.
    pub expected: Expected,
}

/// Somebody.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asker {
    /// The name, as the API server knows it.
    pub user: String,
    /// The groups, but for those that follow from the name.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// What is decided.
#[derive(Clone, Debug)]
pub enum Asked {
    /// An execution of the resources: `namespace/name`.
    Named(String),
    /// One of its own, or what is wrong with it.
    Own(Box<Result<CapabilityExecution, FieldErrors>>),
}

/// What is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// The answer.
    pub answer: Answer,
    /// Exactly these reasons; absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<String>>,
    /// Exactly these fields; absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<String>>,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Answer {
    /// It may run.
    Allowed,
    /// It may not.
    Denied,
    /// It can't be understood.
    Invalid,
}

impl Answer {
    fn named(name: &str) -> Option<Self> {
        [Self::Allowed, Self::Denied, Self::Invalid].into_iter().find(|one| format!("{one:?}") == name)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    metadata: Metadata,
    #[serde(default)]
    resources: Vec<PathBuf>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    profile: Option<PathBuf>,
    #[serde(default)]
    now: Option<String>,
    cases: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(default, rename = "as")]
    requester: Option<Asker>,
    execution: Value,
    expect: String,
    #[serde(default)]
    reasons: Option<Vec<String>>,
    #[serde(default)]
    fields: Option<Vec<String>>,
}

/// All tables of a text. What else is in it is left to those that read it as resources.
pub(super) fn read(text: &Text, faults: &mut Vec<Fault>) -> Vec<DecisionTest> {
    // A folder of tests has much that is none.
    if !text.text.contains(API_VERSION) && !text.text.contains(KIND) {
        return Vec::new();
    }
    let documents = match documents(&text.text) {
        Ok(documents) => documents,
        Err(error) => {
            faults.push(Fault::at(Place::file(&text.file), error));
            return Vec::new();
        }
    };
    let has =
        |document: &Document, field: &str, text: &str| document.value.get(field).and_then(Value::as_str) == Some(text);
    // By its kind, too: one whose apiVersion is misspelt would never run.
    let ours = documents.into_iter().filter(|one| has(one, "apiVersion", API_VERSION) || has(one, "kind", KIND));
    ours.filter_map(|document| table(text, document, faults)).collect()
}

fn table(text: &Text, document: Document, faults: &mut Vec<Fault>) -> Option<DecisionTest> {
    let Document { value, lines } = document;
    let place = Place::file(&text.file).at(lines.first());
    let version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    if version != API_VERSION {
        let message = format!("{version:?}: a {KIND} is of {API_VERSION}");
        let error = FieldError { field: "apiVersion".to_owned(), message };
        faults.push(Fault::field(place.at(lines.nearest("apiVersion")), error));
        return None;
    }
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind != KIND {
        let error = FieldError { field: "kind".to_owned(), message: format!("{kind:?}: expected {KIND}") };
        faults.push(Fault::field(place.at(lines.nearest("kind")), error));
        return None;
    }
    let named = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("(unnamed)");
    let place = Place { object: format!("{KIND} {named}"), ..place };
    let wire: Wire = match serde_path_to_error::deserialize(value) {
        Ok(wire) => wire,
        Err(error) => {
            let field = error.path().to_string();
            let error = error.into_inner().to_string();
            faults.push(match field.as_str() {
                "." => Fault::at(place, error),
                field => {
                    let error = FieldError { field: field.to_owned(), message: error };
                    Fault::field(place.at(lines.nearest(&error.field)), error)
                }
            });
            return None;
        }
    };
    let Wire { _api_version, _kind, metadata: Metadata { name }, resources, namespace, profile, now, cases } = wire;
    let namespace = namespace.unwrap_or_else(|| "default".to_owned());
    let now = now.and_then(|text| {
        let moment = moment(&text).map_err(|message| FieldError { field: "now".to_owned(), message });
        moment.map_err(|error| faults.push(Fault::field(place.at(lines.nearest("now")), error))).ok()
    });
    if cases.is_empty() {
        faults.push(Fault::at(place.clone(), "cases: expected at least one: a table without rows proves nothing"));
    }
    let mut rows = Vec::with_capacity(cases.len());
    for (at, Row { name, requester, execution, expect, reasons, fields }) in cases.into_iter().enumerate() {
        let path = format!("cases[{at}]");
        let mut wrong = |field: &str, message: String| {
            let error = FieldError { field: format!("{path}.{field}"), message };
            faults.push(Fault::field(place.at(lines.nearest(&error.field)), error));
        };
        let Some(expect) = Answer::named(&expect) else {
            wrong("expect", format!("{expect:?}: expected one of Allowed, Denied, Invalid"));
            continue;
        };
        for reason in reasons.iter().flatten() {
            if !Reason::ALL.iter().any(|known| known.as_str() == reason) {
                let known: Vec<&str> = Reason::ALL.iter().map(|known| known.as_str()).collect();
                wrong("reasons", format!("{reason:?}: expected some of {}", known.join(", ")));
            }
        }
        if reasons.is_some() && expect != Answer::Denied {
            wrong("reasons", format!("only what is Denied has reasons, but {expect:?} is expected"));
        }
        if fields.is_some() && expect == Answer::Allowed {
            wrong("fields", "nothing is wrong with the fields of what is Allowed: remove fields".to_owned());
        }
        let execution = match execution {
            Value::String(name) if name.contains('/') => Asked::Named(name),
            Value::String(name) => Asked::Named(format!("{namespace}/{name}")),
            Value::Object(_) => Asked::Own(Box::new(own(execution, &namespace))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                wrong("execution", "expected the name of an execution, an execution, or the spec of one".to_owned());
                continue;
            }
        };
        let place = place.at(lines.nearest(&path));
        rows.push(Case { name, place, requester, execution, expected: Expected { answer: expect, reasons, fields } });
    }
    let folder = Path::new(&text.file).parent().unwrap_or(Path::new(""));
    Some(DecisionTest {
        place,
        name,
        resources: resources.iter().map(|path| folder.join(path)).collect(),
        beside: text.clone(),
        namespace,
        profile: profile.map(|path| folder.join(path)),
        now,
        cases: rows,
    })
}

/// An execution, or only its spec.
fn own(value: Value, namespace: &str) -> Result<CapabilityExecution, FieldErrors> {
    let mut value = match value.get("spec") {
        Some(_) => value,
        None => json!({"spec": value}),
    };
    fill(&mut value, "", "apiVersion", "security.ccos.dev/v1alpha1".into());
    fill(&mut value, "", "kind", "CapabilityExecution".into());
    fill(&mut value, "", "metadata", json!({"name": "case"}));
    fill(&mut value, "/metadata", "namespace", namespace.into());
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    let error = |message: String| FieldErrors(vec![FieldError { field: "kind".to_owned(), message }]);
    match read::object(kind, &value)? {
        Object::Execution(object) => Ok(*object),
        Object::Context(_) | Object::Provider(_) | Object::Policy(_) => {
            Err(error(format!("{kind:?}: expected CapabilityExecution")))
        }
    }
}

/// Sets what is not there.
fn fill(value: &mut Value, pointer: &str, field: &str, default: Value) {
    if let Some(fields) = value.pointer_mut(pointer).and_then(Value::as_object_mut) {
        fields.entry(field).or_insert(default);
    }
}
