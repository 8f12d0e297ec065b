//! The cluster's ceiling: what a context may grant whose author has no right to escalate. It is the proof of executions,
//! with the context in the place of the execution and the ceiling in the place of the context.

use super::required::Required;
use super::{enforce, grants, network};
use crate::decision::{Cause, Denial, Denials, Excess, FieldPath, LimitBound};
use crate::isolation::Isolation;
use crate::limits::{LimitKind, Limits};
use crate::pattern::budget::Budget;
use crate::permissions::RequiredPermissions;
use crate::request::{Context, Level};

/// What is absent bounds nothing; an empty list allows none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ceiling {
    /// Levels; `Full` is outside of every ceiling.
    pub levels: Option<Vec<Level>>,
    /// Permissions. What is `blocked` a context has to block too, or not to grant.
    pub permissions: RequiredPermissions,
    /// Limits, of those that the context leaves to its level, too.
    pub limits: Limits,
    /// Isolations. A context that lists none allows all of its level.
    pub isolations: Option<Vec<Isolation>>,
}

/// All that a context grants beyond the ceiling; `None`: it lies inside.
#[must_use]
pub fn exceeds(context: &Context, ceiling: &Ceiling) -> Option<Denials> {
    let Ceiling { levels, permissions, limits, isolations } = ceiling;
    let mut denials = Vec::new();
    let mut deny = |field: &str, excess| denials.push(Denial::new(field, Cause::CeilingExceeded(excess)));
    let level = context.level;
    if level == Level::Full {
        // It grants everything: to list what that is beyond the ceiling would say nothing more.
        deny("spec.level", Excess::Level { level, allowed: below_full(levels.as_ref()) });
        return Denials::from_vec(denials);
    }
    if levels.as_ref().is_some_and(|levels| !levels.contains(&level)) {
        deny("spec.level", Excess::Level { level, allowed: below_full(levels.as_ref()) });
    }
    if let Some(allowed) = isolations {
        let listed = &context.isolations_allowed;
        let granted = enforce::of_level(level).iter().filter(|one| listed.is_empty() || listed.contains(one));
        for &isolation in granted.filter(|one| !allowed.contains(one)) {
            let (allowed, implied) = (allowed.clone(), listed.is_empty());
            deny("spec.isolation.allowed", Excess::Isolation { isolation, allowed, implied });
        }
    }
    let has_network = level != Level::Pure
        && !(context.permissions.network.outbound.is_empty() && context.permissions.network.inbound.is_empty());
    if let Some(most) = permissions.max_connections
        && has_network
        && context.permissions.network.max_connections.is_none()
    {
        deny("spec.permissions.network.maxConnections", Excess::Unbounded(most.to_string()));
    }
    for limit in LimitKind::ALL {
        let Some(most) = limits.get(limit) else { continue };
        let field = format!("spec.limits.{limit}");
        let own = context.limits.get(limit);
        match own.or_else(|| level.default_limits().get(limit)) {
            Some(granted) if granted > most => {
                let bound = LimitBound::Ceiling(own.is_none().then_some(level));
                let cause = Cause::Limit { limit, required: granted, granted: most, bound, required_by: None };
                deny(&field, Excess::Grant(Box::new(cause)));
            }
            // A bandwidth, the one limit that no level has.
            None if has_network => deny(&field, Excess::Unbounded(most.to_string())),
            Some(_) | None => {}
        }
    }
    if level != Level::Pure {
        granted(context, permissions, &mut denials);
    }
    Denials::from_vec(denials)
}

/// The lists of the context, as if an execution required them.
fn granted(context: &Context, ceiling: &RequiredPermissions, denials: &mut Vec<Denial>) {
    let own = RequiredPermissions::default();
    let granted = Required { permissions: context.permissions.clone(), own: &own, capability: None };
    let mut budget = Budget::default();
    let mut outside = Vec::new();
    grants::below(&granted, ceiling, &mut budget, &mut outside);
    network::below(&granted, ceiling, &mut budget, &mut outside);
    denials.extend(outside.into_iter().map(|Denial { field, cause }| {
        // Its fields are the same, but of a context.
        let field = field.as_str().strip_prefix("requires.").unwrap_or(field.as_str());
        Denial::new(FieldPath::from("spec").child(field), Cause::CeilingExceeded(Excess::Grant(Box::new(cause))))
    }));
}

fn below_full(levels: Option<&Vec<Level>>) -> Vec<Level> {
    levels.cloned().unwrap_or_else(|| vec![Level::Pure, Level::Controlled, Level::Sandboxed])
}
