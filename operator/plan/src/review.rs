//! The one way from objects to a decision: webhook, controller and CLI all come through here.

use ccos_crds::{CapabilityExecution, DEFAULT_CLUSTER_CONTEXT_LABEL, DEFAULT_CONTEXT_LABEL};
use ccos_policy::{Decision, Denials, Found, Isolations, Reason, Snapshot, Use};
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::object::{AnyContext, AnyProvider, context_display, provider_kind};
use crate::trust::{self, Trust};
use crate::wire::{self, FieldErrors};

/// What an execution's references led to.
#[derive(Clone, Debug)]
pub struct References {
    /// The context, if it exists.
    pub context: Option<AnyContext>,
    /// The provider, if it exists.
    pub provider: Option<AnyProvider>,
    /// Whether the requester may use the context.
    pub may_use: Use,
    /// What is known of the provider besides.
    pub trust: Trust,
}

/// What comes of a review.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// The object can't be understood: it is invalid, whatever is granted.
    Invalid(FieldErrors),
    /// It was decided.
    Decided(Decision),
}

/// Decides an execution.
pub fn review(object: &CapabilityExecution, found: &References, isolations: &Isolations, now: Timestamp) -> Verdict {
    let request = match wire::request(&object.spec, now) {
        Ok(request) => request,
        Err(errors) => return Verdict::Invalid(errors),
    };
    let reference = &object.spec.context_ref;
    let context = match &found.context {
        None if reference.is_absent() => Found::Invalid(format!(
            "none is named, and the namespace has no label {DEFAULT_CONTEXT_LABEL} or {DEFAULT_CLUSTER_CONTEXT_LABEL} that names its default: name one, or ask for the label"
        )),
        None => Found::Missing(context_display(reference.kind, &reference.name)),
        Some(context) if context.metadata().deletion_timestamp.is_some() => {
            Found::Missing(format!("{} is being deleted", context.display()))
        }
        Some(context) => match wire::context(context, now) {
            Ok(parsed) => Found::Valid(parsed),
            Err(errors) => Found::Invalid(format!("{}: {errors}", context.display())),
        },
    };
    let mut misfits = Vec::new();
    let provider = found.provider.as_ref();
    let doubts = provider.map(|provider| trust::doubts(provider, &found.trust)).unwrap_or_default();
    let named = &object.spec.capability_ref;
    let capability = match wire::capability(provider, named) {
        Found::Valid(_) if !doubts.is_empty() => {
            Found::Invalid(format!("{} {:?}: {}", provider_kind(named.kind), named.name, doubts.join("; ")))
        }
        Found::Valid(wire::Offered { capability, inputs }) => {
            misfits = inputs.map(|schema| wire::misfits(&object.spec, &schema)).unwrap_or_default();
            Found::Valid(capability)
        }
        Found::Missing(what) => Found::Missing(what),
        Found::Invalid(why) => Found::Invalid(why),
    };
    let snapshot = Snapshot { context, may_use: found.may_use.clone(), capability, isolations: isolations.clone() };
    let decision = ccos_policy::decide(&request, &snapshot);
    Verdict::Decided(match Denials::from_vec(misfits) {
        None => decision,
        Some(misfits) => also(decision, misfits),
    })
}

/// The decision, with denials that it could not see.
fn also(decision: Decision, denials: Denials) -> Decision {
    match decision {
        Decision::Admitted(_) => Decision::Denied(denials),
        Decision::Denied(others) => Decision::Denied(others.and(denials)),
    }
}

/// The message of a rejection: a line that says what exceeds what, and a line for each reason.
#[must_use]
pub fn rejection(object: &CapabilityExecution, denials: &Denials) -> String {
    let name = match &object.metadata.name {
        Some(name) => name.clone(),
        None => object.metadata.generate_name.clone().unwrap_or_else(|| object.name_any()),
    };
    let reference = &object.spec.context_ref;
    if reference.is_absent() {
        return format!("CapabilityExecution {name:?} is refused:\n{denials}");
    }
    let context = context_display(reference.kind, &reference.name);
    if denials.iter().any(|denial| exceeds(denial.reason())) {
        format!("CapabilityExecution {name:?} requires more than {context} grants:\n{denials}")
    } else {
        format!("CapabilityExecution {name:?} is refused under {context}:\n{denials}")
    }
}

/// Whether a reason says that more is required than is granted.
const fn exceeds(reason: Reason) -> bool {
    match reason {
        Reason::FileReadDenied
        | Reason::FileWriteDenied
        | Reason::FileExecuteDenied
        | Reason::NetworkDenied
        | Reason::InboundDenied
        | Reason::CommandDenied
        | Reason::ProcessCreationDenied
        | Reason::EnvironmentReadDenied
        | Reason::EnvironmentWriteDenied
        | Reason::IpcDenied
        | Reason::LimitExceeded
        | Reason::LimitUnreasonable => true,
        Reason::ContextNotFound
        | Reason::ContextExpired
        | Reason::UseForbidden
        | Reason::CapabilityNotFound
        | Reason::ProviderInvalid
        | Reason::InvalidInputs
        | Reason::IsolationNotAllowed
        | Reason::Unenforceable
        | Reason::PolicyDenied
        | Reason::CeilingExceeded => false,
    }
}
