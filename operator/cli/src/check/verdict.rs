//! What is decided of a world: what `ccos check` says, before it is printed.

use ccos_plan::object::context_display;
use ccos_plan::review::{self, References, rejection};
use ccos_plan::wire::{self, FieldErrors};
use ccos_plan::{AnyContext, Trust};
use ccos_policy::{Ceiling, Decision, Denial, Denials, Isolations, Use, exceeds};
use jiff::Timestamp;
use serde::Serialize;

use crate::input::world::Item;
use crate::input::{Fault, Place, World};
use ccos_crds::CapabilityExecution;

/// All that is said of a world.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// What can't be understood. Where there is one, nothing is decided: with the rest, it might be decided otherwise.
    pub faults: Vec<Fault>,
    /// What authors of contexts and providers should know: the warnings of `kubectl apply`.
    pub warnings: Vec<Fault>,
    /// One for each execution.
    pub verdicts: Vec<Verdict>,
}

/// What is said of an execution, or of a context above the ceiling.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// An execution's `namespace/name`; of a context above the ceiling, with its kind.
    pub subject: String,
    /// The context that it names, or is, such as `SecurityContext "analysts"`.
    pub context: String,
    /// Where it is.
    pub place: Place,
    /// Each reason why not; empty: it is allowed.
    pub causes: Vec<Cause>,
    /// What the webhook would say; absent: it is allowed.
    pub rejection: Option<String>,
}

/// A reason why not, as in `status.details.causes` of the API server's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The field.
    pub field: String,
    /// The reason.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// Where the execution says so, or names what does.
    #[serde(skip)]
    pub place: Place,
    /// Where the provider or the context says so.
    #[serde(skip)]
    pub origin: Option<Place>,
    /// The capability that requires it there, if that is what it says.
    #[serde(skip)]
    pub required_by: Option<String>,
}

impl Verdict {
    /// Whether it may run.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        self.rejection.is_none()
    }
}

/// Decides all executions of a world.
#[must_use]
pub fn check(world: &World, isolations: &Isolations, now: Timestamp) -> Checked {
    let mut checked = Checked::default();
    // Contexts and providers have to be valid even if no execution names them: the cluster would refuse them.
    for item in world.contexts.values() {
        checked.grant(item, review::context(&item.object, now));
    }
    for item in world.providers.values() {
        checked.grant(item, review::provider(&item.object));
    }
    for item in world.policies.values() {
        let all = world.policies.values().map(|item| &*item.object);
        checked.grant(item, review::policy(&item.object, all));
    }
    for ((name, _), item) in &world.executions {
        match decide(world, &item.object, isolations, now) {
            review::Verdict::Invalid(errors) => checked.faults.extend(errors.0.into_iter().map(|e| item.fault(e))),
            review::Verdict::Decided(decision) => {
                if let Decision::Admitted(admitted) = &decision {
                    let found = references(world, &item.object);
                    let warnings = review::warnings(admitted, found.context.as_ref());
                    checked.warnings.extend(warnings.into_iter().map(|said| Fault::at(item.place.clone(), said)));
                }
                checked.verdicts.push(verdict(world, name, item, &decision));
            }
        }
    }
    checked
}

/// Decides an execution in this world. Whether anybody may use the context is not asked: only the cluster knows.
pub fn decide(world: &World, object: &CapabilityExecution, isolations: &Isolations, now: Timestamp) -> review::Verdict {
    review::review(object, &references(world, object), isolations, now)
}

/// Contexts that only an author with the right to escalate may write. Offline there is nobody to ask who it is.
#[must_use]
pub fn above(world: &World, ceiling: &Ceiling, now: Timestamp) -> Vec<Verdict> {
    let exceeding = |item: &Item<AnyContext>| exceeds(&wire::context(&item.object, now).ok()?, ceiling);
    let all = world.contexts.values().filter_map(|item| Some((item, exceeding(item)?)));
    let cause = |item: &Item<AnyContext>, denial: &Denial| Cause {
        field: denial.field.to_string(),
        reason: denial.reason().as_str(),
        message: denial.message(),
        place: item.near(denial.field.as_str()),
        origin: None,
        required_by: None,
    };
    all.map(|(item, denials)| Verdict {
        subject: item.place.object.clone(),
        context: item.object.display(),
        place: item.place.clone(),
        causes: denials.iter().map(|denial| cause(item, denial)).collect(),
        rejection: Some(format!(
            "grants more than the cluster's ceiling: its author needs the RBAC verb `escalate` on it\n{denials}"
        )),
    })
    .collect()
}

/// What an execution of this world names.
#[must_use]
pub fn references(world: &World, object: &CapabilityExecution) -> References {
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    References {
        context: world.context(namespace, &object.spec.context_ref).map(|item| item.object.clone()),
        provider: world.provider(namespace, &object.spec.capability_ref).map(|item| item.object.clone()),
        may_use: Use::NotAsked,
        policing: world.policing(namespace),
        trust: Trust::Offline,
    }
}

impl Checked {
    fn grant<T>(&mut self, item: &Item<T>, looked_at: Result<Vec<String>, FieldErrors>) {
        match looked_at {
            Ok(warnings) => {
                self.warnings.extend(warnings.into_iter().map(|warning| Fault::at(item.place.clone(), warning)));
            }
            Err(errors) => self.faults.extend(errors.0.into_iter().map(|error| item.fault(error))),
        }
    }
}

fn verdict(world: &World, name: &str, item: &Item<CapabilityExecution>, decision: &Decision) -> Verdict {
    let denials: Option<&Denials> = match decision {
        Decision::Admitted(_) => None,
        Decision::Denied(denials) => Some(denials),
    };
    Verdict {
        subject: name.to_owned(),
        context: context_display(item.object.spec.context_ref.kind, &item.object.spec.context_ref.name),
        place: item.place.clone(),
        causes: denials.into_iter().flatten().map(|denial| cause(world, item, denial)).collect(),
        rejection: denials.map(|denials| rejection(&item.object, denials)),
    }
}

fn cause(world: &World, item: &Item<CapabilityExecution>, denial: &Denial) -> Cause {
    let field = denial.field.as_str();
    let own = format!("spec.{field}");
    let origin = origin(world, &item.object, field);
    let place = match (item.exactly(&own), &origin) {
        (Some(place), _) => place,
        // What it does not say itself comes from what it names.
        (None, Some((named, _))) => item.near(named),
        (None, None) => item.near(&own),
    };
    Cause {
        field: field.to_owned(),
        reason: denial.reason().as_str(),
        message: denial.message(),
        required_by: field.starts_with("requires.").then(|| item.object.spec.capability_ref.id.clone()),
        origin: origin.map(|(_, origin)| origin).filter(|_| item.exactly(&own).is_none()),
        place,
    }
}

/// Where the provider or the context of an execution has a field, and by which field the execution names it.
fn origin(world: &World, object: &CapabilityExecution, field: &str) -> Option<(&'static str, Place)> {
    const CAPABILITY: &str = "spec.capabilityRef";
    const CONTEXT: &str = "spec.contextRef";
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let provider = world.provider(namespace, &object.spec.capability_ref);
    if let Some(own) = field.strip_prefix("provider.") {
        return provider.and_then(|provider| provider.exactly(own)).map(|place| (CAPABILITY, place));
    }
    if field.starts_with("spec.") {
        let context = world.context(namespace, &object.spec.context_ref);
        return context.and_then(|context| context.exactly(field)).map(|place| (CONTEXT, place));
    }
    let provider = provider?;
    let capabilities = &provider.object.spec().capabilities;
    let at = capabilities.iter().position(|capability| capability.id == object.spec.capability_ref.id)?;
    provider.exactly(&format!("spec.capabilities[{at}].{field}")).map(|place| (CAPABILITY, place))
}
