//! Limits: what is required against what is granted, and what is in force in the end.

use crate::decision::{Cause, Denial, FieldPath, LimitBound};
use crate::limits::{Amount, LimitKind, Limits, LimitsInForce};
use crate::request::{Capability, Context, Requires};

/// Required limits stay within the capability's, the context's and what is reasonable.
pub(super) fn check(
    own: &Requires,
    capability: Option<&Capability>,
    context: Option<&Context>,
    denials: &mut Vec<Denial>,
) {
    for limit in LimitKind::ALL {
        let field = FieldPath::new("requires.limits").child(limit.as_str());
        let (own, base) = (own.limits.get(limit), capability.and_then(|c| c.requires.limits.get(limit)));
        if let (Some(required), Some(granted)) = (own, base)
            && required > granted
        {
            let bound = LimitBound::Capability;
            let cause = Cause::Limit { limit, required, granted, bound, required_by: None };
            denials.push(Denial::new(field.clone(), cause));
        }
        if let (Some(required), Some(context)) = (own.or(base), context) {
            let required_by = if own.is_some() { None } else { capability.map(|c| c.display.clone()) };
            let cause = above_context(limit, required, context, required_by);
            denials.extend(cause.map(|cause| Denial::new(field, cause)));
        }
    }
}

fn above_context(limit: LimitKind, required: Amount, context: &Context, required_by: Option<String>) -> Option<Cause> {
    if let Some(granted) = context.limits.get(limit) {
        // A context that names a limit says what is reasonable under it.
        let bound = LimitBound::Context;
        return (required > granted).then_some(Cause::Limit { limit, required, granted, bound, required_by });
    }
    if let Some(reasonable) = limit.reasonable().filter(|&reasonable| required > reasonable) {
        return Some(Cause::LimitUnreasonable { limit, required, reasonable, required_by });
    }
    // None: a bandwidth that nothing bounds.
    let granted = context.level.default_limits().get(limit).filter(|&granted| required > granted)?;
    let bound = LimitBound::LevelDefault(context.level);
    Some(Cause::Limit { limit, required, granted, bound, required_by })
}

/// The execution's, else the capability's, else the context's.
pub(super) fn named(own: &Requires, capability: Option<&Capability>, context: Option<&Context>) -> Limits {
    let of_capability = capability.map(|capability| capability.requires.limits).unwrap_or_default();
    own.limits.or(of_capability).or(context.map(|context| context.limits).unwrap_or_default())
}

/// Those, else the level's: never unlimited.
pub(super) fn in_force(own: &Requires, capability: &Capability, context: &Context) -> LimitsInForce {
    let named = named(own, Some(capability), Some(context));
    let mut limits = named.or_default(context.level.default_limits());
    let outbound = own.permissions.outbound.as_ref().or(capability.requires.permissions.outbound.as_ref());
    let inbound = own.permissions.inbound.as_ref().or(capability.requires.permissions.inbound.as_ref());
    let has_network = [outbound.is_some_and(|o| !o.is_empty()), inbound.is_some_and(|i| !i.is_empty())].contains(&true);
    if !has_network {
        limits.network_bytes_per_second = None;
    }
    limits
}
