//! The one way from objects to a decision: webhook, controller and CLI all come through here.

use ccos_crds::{CapabilityExecution, DEFAULT_CLUSTER_CONTEXT_LABEL, DEFAULT_CONTEXT_LABEL, ExecutionPolicy};
use ccos_policy::{
    Admitted, Bytes, Context, Cores, Decision, Denials, Found, Isolation, Isolations, Reason, Remark, Request,
    Snapshot, Unheld, Use,
};
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::build;
use crate::capacity::{Bounds, Weight};
use crate::object::{AnyContext, AnyProvider, context_display, provider_kind};
use crate::parsed::ParsedContexts;
use crate::policing::Policing;
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
    /// What ExecutionPolicies say of it.
    pub policing: Policing,
    /// What is known of the provider besides.
    pub trust: Trust,
}

/// What comes of a review. Short-lived, so that its size matters less than a box in every match.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[expect(clippy::large_enum_variant, reason = "see above")]
pub enum Verdict {
    /// The object can't be understood: it is invalid, whatever is granted.
    Invalid(FieldErrors),
    /// It was decided.
    Decided(Decision),
}

/// Decides an execution.
pub fn review(object: &CapabilityExecution, found: &References, isolations: &Isolations, now: Timestamp) -> Verdict {
    match question(object, found, isolations, now) {
        Ok(question) => Verdict::Decided(question.decide()),
        Err(errors) => Verdict::Invalid(errors),
    }
}

/// Decides an execution, as [`review`] does, with contexts that were parsed before.
pub fn review_parsed(
    object: &CapabilityExecution,
    found: &References,
    contexts: &ParsedContexts,
    isolations: &Isolations,
    now: Timestamp,
) -> Verdict {
    match asked(object, found, |context| contexts.read(context, now), isolations, now) {
        Ok(question) => Verdict::Decided(question.decide()),
        Err(errors) => Verdict::Invalid(errors),
    }
}

/// What [`review`] decides.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is asked.
    pub request: Request,
    /// What it is held against.
    pub snapshot: Snapshot,
    /// Inputs that do not fit the capability's schema.
    pub misfits: Option<Denials>,
}

/// Asks, of what an execution's references led to.
///
/// # Errors
/// If the object can't be understood.
pub fn question(
    object: &CapabilityExecution,
    found: &References,
    isolations: &Isolations,
    now: Timestamp,
) -> Result<Question, FieldErrors> {
    asked(object, found, |context| wire::context(context, now), isolations, now)
}

fn asked(
    object: &CapabilityExecution,
    found: &References,
    parse: impl FnOnce(&AnyContext) -> Result<Context, FieldErrors>,
    isolations: &Isolations,
    now: Timestamp,
) -> Result<Question, FieldErrors> {
    let request = wire::request(&object.spec, now)?;
    let reference = &object.spec.context_ref;
    let context = match &found.context {
        None if reference.is_absent() => Found::Invalid(format!(
            "none is named, and the namespace has no label {DEFAULT_CONTEXT_LABEL} or {DEFAULT_CLUSTER_CONTEXT_LABEL} that names its default: name one, or ask for the label"
        )),
        None => Found::Missing(format!(
            "{} not found{}",
            context_display(reference.kind, &reference.name),
            looked_in(found)
        )),
        Some(context) if context.metadata().deletion_timestamp.is_some() => {
            Found::Missing(format!("{} is being deleted", context.display()))
        }
        Some(context) => match parse(context) {
            Ok(parsed) => Found::Valid(parsed),
            Err(errors) => Found::Invalid(format!("{}: {errors}", context.display())),
        },
    };
    let mut misfits = Vec::new();
    let provider = found.provider.as_ref();
    let doubts = provider.map(|provider| trust::doubts(provider, &found.trust)).unwrap_or_default();
    let named = &object.spec.capability_ref;
    let capability = match wire::capability(provider, named) {
        Found::Missing(what) if provider.is_none() => Found::Missing(format!("{what}{}", looked_in(found))),
        Found::Valid(_) if !doubts.is_empty() => {
            Found::Invalid(format!("{} {:?}: {}", provider_kind(named.kind), named.name, doubts.join("; ")))
        }
        Found::Valid(wire::Offered { capability, inputs }) => {
            // The one part of a review whose work the requester chooses: not for whoever may not run anything here.
            if !matches!(found.may_use, Use::Forbidden(_)) {
                misfits = inputs.map(|schema| wire::misfits(&object.spec, &schema)).unwrap_or_default();
            }
            Found::Valid(capability)
        }
        Found::Missing(what) => Found::Missing(what),
        Found::Invalid(why) => Found::Invalid(why),
    };
    let (may_use, isolations) = (found.may_use.clone(), isolations.clone());
    let policies = found.policing.of(object, found.context.as_ref(), provider);
    let snapshot = Snapshot { context, may_use, capability, isolations, policies };
    Ok(Question { request, snapshot, misfits: Denials::from_vec(misfits) })
}

/// Where what is missing was looked for, if that is not a cluster: there it may well be.
fn looked_in(found: &References) -> &'static str {
    match found.trust {
        Trust::Offline => " in the files that were given: give its file too, such as `ccos check - contexts/`",
        Trust::Cluster(_) => "",
    }
}

impl Question {
    /// The answer.
    pub fn decide(&self) -> Decision {
        let Self { request, snapshot, misfits } = self;
        let decision = ccos_policy::decide(request, snapshot);
        match (decision, misfits.clone()) {
            (decision, None) => decision,
            (Decision::Admitted(_), Some(misfits)) => Decision::Denied(misfits),
            (Decision::Denied(others), Some(misfits)) => Decision::Denied(others.and(misfits)),
        }
    }
}

/// Looks at a context that is being written. Answers with what its author should know: warnings of `kubectl`, notes of
/// `ccos check`.
///
/// # Errors
/// All fields that can't be understood.
pub fn context(object: &AnyContext, now: Timestamp) -> Result<Vec<String>, FieldErrors> {
    let parsed = wire::context(object, now)?;
    let defaultless = without_default(&parsed);
    let expired = parsed.expiry.at.filter(|at| *at <= now);
    let expired = expired.map(|at| format!("it expired at {at} and admits nothing: change spec.expiry"));
    let unheld = parsed
        .unheld
        .iter()
        .map(|unheld| format!("{}: executions under it are refused as Unenforceable: {}", unheld.field, unheld.advice));
    Ok(expired.into_iter().chain(unheld).chain(defaultless).collect())
}

/// Of a context whose list leaves out what its executions get that name no isolation.
fn without_default(context: &Context) -> Option<String> {
    let Context { isolations_allowed: allowed, isolation_default: default, .. } = context;
    let by_default = Isolation::GVisor;
    (default.is_none() && !allowed.is_empty() && !allowed.contains(&by_default)).then(|| {
        format!(
            "spec.isolation.default: absent, which is {by_default}, and that is not in allowed: executions that name no isolation are denied; name one of allowed"
        )
    })
}

/// Looks at a provider that is being written, as [`context`] does.
///
/// # Errors
/// All fields that can't be understood.
pub fn provider(object: &AnyProvider) -> Result<Vec<String>, FieldErrors> {
    let warning = |unheld: &Unheld| {
        let field = unheld.field.as_str().trim_start_matches("provider.");
        format!("{field}: executions of it are refused as Unenforceable: {}", unheld.advice)
    };
    Ok(wire::provider(object)?.iter().map(warning).chain(wire::unreasonable(object)).collect())
}

/// Looks at an ExecutionPolicy that is being written beside others, as [`context`] does.
///
/// # Errors
/// All that is wrong with its text, or that there is no room for it.
pub fn policy<'a>(
    object: &ExecutionPolicy,
    stored: impl IntoIterator<Item = &'a ExecutionPolicy>,
) -> Result<Vec<String>, FieldErrors> {
    let text = wire::policy(object)?;
    wire::policy_fits(object, stored)?;
    Ok(text.warnings().iter().map(|warning| format!("spec.cedar: {warning}")).collect())
}

/// What the requester should know of what was admitted.
#[must_use]
pub fn warnings(admitted: &Admitted, context: Option<&AnyContext>) -> Vec<String> {
    let warning = |remark: &Remark| match remark {
        Remark::Warn(objection) => Some(format!("admitted, though {objection}")),
        Remark::Audit(_) => None,
    };
    let never = context.and_then(|context| never_starts(admitted, context));
    admitted.remarks().iter().filter_map(warning).chain(never).collect()
}

/// Of one that is more than its context's capacity by itself: it would wait for ever. The overhead of its RuntimeClass,
/// which only the cluster knows, may make more of them so.
fn never_starts(admitted: &Admitted, context: &AnyContext) -> Option<String> {
    let bounds = Bounds::of(context.spec().capacity.as_ref()).ok()?;
    let none = Weight { memory: Bytes(0), cpu: Cores { millis: 0 } };
    let over = bounds.exceeded_by(build::weight(admitted, none))?;
    let context = context.display();
    Some(format!(
        "admitted, though it never starts: it alone would hold {over} of {context}; require less, or ask for more"
    ))
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
