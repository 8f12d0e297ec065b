//! The decision itself, in the seed's order. It knows nothing of Kubernetes, and collects every reason instead of
//! stopping at the first, so that a user fixes a file once.

pub mod ceiling;
mod connections;
mod container;
pub mod difference;
mod enforce;
mod globs;
mod grants;
mod guest;
mod inbound;
mod instead;
mod limits;
mod network;
mod required;
mod sockets;
pub mod trace;

use crate::decision::{Admitted, Cause, Decision, Denial, Denials};
use crate::isolation::Isolation;
use crate::pattern::budget::Budget;
use crate::policies::{Judged, Opinions};
use crate::request::{Capability, Context, Found, Request, Snapshot, Unheld, Use};
pub use connections::MOST_PORTS;
pub use enforce::UNENFORCED;
use required::Required;

/// May this execution run now, and confined to what?
pub fn decide(request: &Request, snapshot: &Snapshot) -> Decision {
    let mut denials = Vec::new();
    let mut budget = Budget::default();

    let context = context(request, snapshot, &mut denials);
    let capability = capability(snapshot, &mut denials);
    let required = Required::resolve(&request.requires.permissions, capability);

    if let Some(capability) = capability {
        grants::narrows(&required, capability, &mut budget, &mut denials);
        network::narrows(&required, capability, &mut budget, &mut denials);
    }
    if let Some(context) = context {
        grants::granted(&required, context, &mut budget, &mut denials);
        network::granted(&required, context, &mut budget, &mut denials);
    }
    grants::environment(&request.environment, &required, &mut denials);
    limits::check(&request.requires, capability, context, &mut denials);
    let isolation = enforce::isolation(request, context, &snapshot.isolations, &mut denials);
    enforce::syntax(&required, context, (isolation, &snapshot.isolations), &mut budget, &mut denials);
    enforce::places(&required, context, &mut denials);
    guest::memory(&required, context, isolation, &snapshot.isolations, &mut denials);
    let paced = limits::named(&request.requires, capability, context).network_bytes_per_second.is_some();
    inbound::check(&required, isolation, paced, &mut denials);
    if isolation == Isolation::Container {
        container::holds(&required, context, &mut denials);
    }
    unheld(&request.unheld, &mut denials);
    unheld(capability.map_or(&[], |capability| &capability.unheld), &mut denials);
    unheld(context.map_or(&[], |context| &context.unheld), &mut denials);

    let confined = context.zip(capability).map(|(context, capability)| {
        let permissions = required.into_permissions(context);
        let limits = limits::in_force(&request.requires, capability, context);
        let (now, level) = (request.now, context.level);
        let judged = Judged { now, isolation, level, permissions: &permissions, limits: &limits };
        let Opinions { denials: objections, remarks } = snapshot.policies.judge(&judged);
        // What is executed: the resource that policies speak of.
        denials.extend(objections.into_iter().map(|one| Denial::new("capabilityRef", Cause::PolicyDenied(one))));
        let runtime_class = snapshot.isolations.0.get(&isolation).and_then(|profile| profile.runtime_class.clone());
        Admitted { isolation, runtime_class, permissions, limits, remarks }
    });

    match (Denials::from_vec(denials), confined) {
        (Some(denials), _) => Decision::Denied(denials),
        (None, Some(admitted)) => Decision::Admitted(admitted),
        // Not reached: what is missing was denied above. Should that ever break, it fails closed.
        (None, None) => Decision::Denied(Denials::one(Denial::new(
            "contextRef",
            Cause::ContextNotFound("the context or the capability is missing".to_owned()),
        ))),
    }
}

/// The context, if there is one that may be held against the request.
fn context<'a>(request: &Request, snapshot: &'a Snapshot, denials: &mut Vec<Denial>) -> Option<&'a Context> {
    let mut deny = |cause| denials.push(Denial::new("contextRef", cause));
    let found = match &snapshot.context {
        Found::Valid(context) => {
            if let Some(at) = context.expiry.at.filter(|&at| request.now >= at) {
                deny(Cause::ContextExpired { context: context.display.clone(), at });
            }
            Some(context)
        }
        Found::Missing(why) | Found::Invalid(why) => {
            deny(Cause::ContextNotFound(why.clone()));
            None
        }
    };
    match &snapshot.may_use {
        Use::Allowed | Use::NotAsked => found,
        Use::Forbidden(requester) => {
            let context = found.map_or_else(|| "it".to_owned(), |context| context.display.clone());
            deny(Cause::UseForbidden { requester: requester.clone(), context });
            // Whoever may not use a context has not asked to read it either: denials would list what it grants.
            None
        }
    }
}

fn capability<'a>(snapshot: &'a Snapshot, denials: &mut Vec<Denial>) -> Option<&'a Capability> {
    let cause = match &snapshot.capability {
        Found::Valid(capability) => return Some(capability),
        Found::Missing(what) => Cause::CapabilityNotFound(what.clone()),
        Found::Invalid(why) => Cause::ProviderInvalid(why.clone()),
    };
    denials.push(Denial::new("capabilityRef", cause));
    None
}

fn unheld(fields: &[Unheld], denials: &mut Vec<Denial>) {
    denials.extend(fields.iter().map(|Unheld { field, advice }| {
        let cause = Cause::Unenforceable { value: None, advice: advice.clone(), instead: None, required_by: None };
        Denial::new(field.clone(), cause)
    }));
}
