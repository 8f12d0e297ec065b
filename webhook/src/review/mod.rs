//! What is answered: functions of values. What they need to know is fetched by [`crate::serve`].

pub mod execution;
pub mod grant;
pub mod refusal;

use ccos_crds::execution::ContextKind;
use ccos_crds::{CapabilityExecution, ExecutionPolicy, GROUP, RECEIPT_ANNOTATION, VERSION};
use ccos_plan::read::Object;
use ccos_plan::{AnyContext, AnyProvider};
use ccos_policy::Remark;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::admission::{Change, Operation, Request};
pub use refusal::{Refusal, Subject};

/// The answer to a request.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Allowed {
    /// Changes to the object.
    pub changes: Vec<Change>,
    /// For whoever asked.
    pub warnings: Vec<String>,
    /// What ExecutionPolicies that do not enforce have against it.
    pub remarks: Vec<Remark>,
}

/// Yes, or why not.
pub type Verdict = Result<Allowed, Refusal>;

/// A request, read.
#[derive(Clone, Debug)]
pub enum Asked {
    /// An execution is created.
    Created(Box<CapabilityExecution>),
    /// An execution is changed.
    Changed {
        /// As it was.
        old: Box<CapabilityExecution>,
        /// As it will be.
        new: Box<CapabilityExecution>,
    },
    /// A context is created, or its spec changed.
    Context(AnyContext),
    /// A provider is created, or its spec changed.
    Provider(AnyProvider),
    /// An ExecutionPolicy is created, or its spec changed.
    Policy(Box<ExecutionPolicy>),
    /// Nothing that was reviewed changes: metadata of a context or a provider, or an object on its way out, which must
    /// be able to leave.
    Unchanged,
}

const KINDS: [&str; 6] = [
    "CapabilityExecution",
    "SecurityContext",
    "ClusterSecurityContext",
    "CapabilityProvider",
    "ClusterCapabilityProvider",
    "ExecutionPolicy",
];

/// Reads a request.
///
/// # Errors
/// If it is none that this webhook understands: what is not understood is not admitted.
pub fn asked(request: &Request) -> Result<Asked, Refusal> {
    let kind = &request.kind;
    if kind.group != GROUP || kind.version != VERSION {
        return Err(Refusal::unreadable(format!(
            "expected a kind of {GROUP}/{VERSION}, but found {:?} of {:?}: is this webhook's version the one of the kinds?",
            kind.kind,
            format!("{}/{}", kind.group, kind.version)
        )));
    }
    // First: what is let through below has to be a kind that is reviewed.
    if !KINDS.contains(&kind.kind.as_str()) {
        return Err(Refusal::unreadable(format!("reviews of the kind {:?} are not expected", kind.kind)));
    }
    if let Some(part) = request.sub_resource.as_deref().filter(|part| !part.is_empty()) {
        return Err(Refusal::unreadable(format!(
            "reviews of {} with subresource {part:?} are not expected",
            kind.kind
        )));
    }
    let old = match request.operation {
        Operation::Create => None,
        Operation::Update => Some(request.old_object.as_ref().ok_or_else(|| missing("oldObject"))?),
        Operation::Delete | Operation::Connect => {
            let operation = request.operation.as_str();
            return Err(Refusal::unreadable(format!("reviews of {operation} are not expected: CREATE and UPDATE are")));
        }
    };
    let new = request.object.as_ref().ok_or_else(|| missing("object"))?;
    let same_spec = old.is_some_and(|old| old.get("spec") == new.get("spec"));
    // By the old object: a deletionTimestamp that a client wrote into the new one proves nothing.
    // And with the receipt that it had: to leave takes no other, and one that is another's would end that one as replayed.
    let receipt = |object: &Value| object.pointer("/metadata/annotations")?.get(RECEIPT_ANNOTATION).cloned();
    let same_receipt = old.is_some_and(|old| receipt(old) == receipt(new));
    if same_spec
        && same_receipt
        && old.is_some_and(|old| old.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null()))
    {
        return Ok(Asked::Unchanged);
    }
    Ok(match (kind.kind.as_str(), old) {
        ("CapabilityExecution", Some(old)) => {
            Asked::Changed { old: Box::new(read("oldObject", old)?), new: Box::new(read("object", new)?) }
        }
        // What is stored was reviewed by the version that was there then; it must not get stuck when that changes.
        _ if same_spec => Asked::Unchanged,
        (kind, _) => match ccos_plan::read::object(kind, new).map_err(Refusal::Invalid)? {
            Object::Execution(object) => Asked::Created(object),
            Object::Context(object) => Asked::Context(object),
            Object::Provider(object) => Asked::Provider(object),
            Object::Policy(object) => Asked::Policy(object),
        },
    })
}

fn missing(what: &str) -> Refusal {
    Refusal::unreadable(format!("the admission review has no {what}"))
}

fn read<T: DeserializeOwned>(what: &str, value: &Value) -> Result<T, Refusal> {
    T::deserialize(value).map_err(|error| Refusal::unreadable(format!("cannot read the {what}: {error}")))
}

/// The namespace that questions about a context are asked for.
#[must_use]
pub fn scope<'a>(context: &AnyContext, request: &'a Request) -> Option<&'a str> {
    match context.kind() {
        ContextKind::SecurityContext => Some(request.namespace.as_deref().unwrap_or_default()),
        ContextKind::ClusterSecurityContext => None,
    }
}
