//! The path of a decision: what covers each requirement, which maximum each limit was held against, and who chose the
//! isolation. For people only: nothing is decided by it.

use super::required::{
    COMMANDS, ENVIRONMENT_READ, ENVIRONMENT_WRITE, EXECUTE, INBOUND, IPC, Kind, OUTBOUND, READ, Required, WRITE,
};
use super::{enforce, grants, network};
use crate::decision::FieldPath;
use crate::isolation::Isolation;
use crate::limits::{Amount, LimitKind};
use crate::pattern::budget::Budget;
use crate::pattern::inclusion::{Held, Included};
use crate::pattern::list::Indexed;
use crate::pattern::{List, NamePattern, PathPattern};
use crate::permissions::ProcessCreation;
use crate::request::{Capability, Context, Found, Level, Request, Snapshot};

/// The path of a decision on a context and a capability that exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Each requirement.
    pub requirements: Vec<Requirement>,
    /// Each limit.
    pub limits: Vec<Bounded>,
    /// The isolation.
    pub isolation: Isolation,
    /// Who chose it.
    pub isolation_by: Source,
    /// Those that the context allows.
    pub isolations_allowed: Vec<Isolation>,
}

/// A requirement and what covers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The field, relative to the execution's `spec`.
    pub field: FieldPath,
    /// What is required.
    pub required: String,
    /// By whom.
    pub by: Source,
    /// The grant that covers it; several, if only all of them together do; none: it is denied.
    pub granted_by: Vec<String>,
}

/// A limit and its maximum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounded {
    /// Which.
    pub limit: LimitKind,
    /// What is in force.
    pub amount: Amount,
    /// Who says so.
    pub by: Source,
    /// The most that may be required.
    pub most: Option<Amount>,
    /// Who says so.
    pub most_by: Source,
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The execution itself.
    Execution,
    /// The capability, whose requirement the execution inherits.
    Capability,
    /// The context.
    Context,
    /// The context's level, or what holds for all.
    Default,
}

/// Follows a decision; `None`: it ends before the requirements, since there is no context or no capability.
#[must_use]
pub fn trace(request: &Request, snapshot: &Snapshot) -> Option<Trace> {
    let (Found::Valid(context), Found::Valid(capability)) = (&snapshot.context, &snapshot.capability) else {
        return None;
    };
    let required = Required::resolve(&request.requires.permissions, Some(capability));
    let (isolation, isolation_by) = match (request.isolation, context.isolation_default) {
        (Some(isolation), _) => (isolation, Source::Execution),
        (None, Some(isolation)) => (isolation, Source::Context),
        (None, None) => (Isolation::GVisor, Source::Default),
    };
    Some(Trace {
        requirements: requirements(&required, context),
        limits: LimitKind::ALL.into_iter().filter_map(|limit| bounded(limit, request, capability, context)).collect(),
        isolation,
        isolation_by,
        isolations_allowed: enforce::allowed(context),
    })
}

fn requirements(required: &Required, context: &Context) -> Vec<Requirement> {
    let mut budget = Budget::default();
    let mut all = Vec::new();
    for kind in [READ, WRITE, EXECUTE, COMMANDS] {
        all.extend(paths(&kind, required, context, &mut budget));
    }
    all.extend(rules(&OUTBOUND, required, context, &mut budget));
    all.extend(rules(&INBOUND, required, context, &mut budget));
    for kind in [ENVIRONMENT_READ, ENVIRONMENT_WRITE] {
        all.extend(names(&kind, required, context, &mut budget));
    }
    all.extend(paths(&IPC, required, context, &mut budget));
    all.extend(processes(required, context));
    all.extend(connections(required, context));
    all
}

fn paths(kind: &Kind<PathPattern>, required: &Required, context: &Context, budget: &mut Budget) -> Vec<Requirement> {
    let granted = grants::of_level(context, kind, &grants::ALL_PATHS);
    let without = &required.permissions.filesystem.blocked;
    covered(kind, required, context.level, &granted, budget, |granted, pattern, budget| {
        is_inside(kind, pattern, (granted, &context.permissions.filesystem.blocked, without), budget)
    })
}

fn names(kind: &Kind<NamePattern>, required: &Required, context: &Context, budget: &mut Budget) -> Vec<Requirement> {
    let granted = grants::of_level(context, kind, &grants::ALL_NAMES);
    let none = List::default();
    covered(kind, required, context.level, &granted, budget, |granted, pattern, budget| {
        is_inside(kind, pattern, (granted, &none, &none), budget)
    })
}

fn rules<R: network::Rule + ToString>(
    kind: &Kind<R>,
    required: &Required,
    context: &Context,
    budget: &mut Budget,
) -> Vec<Requirement> {
    let granted = if context.level == Level::Pure { List::default() } else { (kind.of)(&context.permissions).clone() };
    covered(kind, required, context.level, &granted, budget, |granted, rule, budget| {
        network::is_inside(rule, granted, required, context, budget)
    })
}

/// Looks for one grant that covers a requirement, then whether all of them do.
fn covered<P: Indexed + Clone + ToString>(
    kind: &Kind<P>,
    required: &Required,
    level: Level,
    granted: &List<P>,
    budget: &mut Budget,
    is_inside: impl Fn(&List<P>, &P, &mut Budget) -> bool,
) -> Vec<Requirement> {
    let by = if required.is_own(kind) { Source::Execution } else { Source::Capability };
    let mut all = Vec::new();
    for (index, pattern) in (kind.of)(&required.permissions).iter().enumerate() {
        let granted_by = if !is_inside(granted, pattern, budget) {
            Vec::new()
        } else if level == Level::Full {
            vec!["level Full, which grants all that it does not block".to_owned()]
        } else {
            let alone = |grant: &&P| is_inside(&vec![P::clone(grant)].into(), pattern, &mut *budget);
            let one = granted.iter().find(alone);
            one.map_or_else(|| granted.iter().map(P::to_string).collect(), |one| vec![one.to_string()])
        };
        all.push(Requirement { field: kind.field().index(index), required: pattern.to_string(), by, granted_by });
    }
    all
}

fn is_inside<P: Included>(
    kind: &Kind<P>,
    pattern: &P,
    (granted, blocked, without): (&List<P>, &List<P>, &List<P>),
    budget: &mut Budget,
) -> bool {
    Held::new(kind.reach, granted, blocked, without).counterexample(pattern, budget) == Ok(None)
}

fn processes(required: &Required, context: &Context) -> Option<Requirement> {
    (required.permissions.system.process_creation == ProcessCreation::Allowed).then(|| {
        let by = if required.own.process_creation.is_some() { Source::Execution } else { Source::Capability };
        let granted = match (context.level, context.permissions.system.process_creation) {
            (Level::Full, _) => Some("level Full".to_owned()),
            (Level::Controlled | Level::Sandboxed, ProcessCreation::Allowed) => Some("Allowed".to_owned()),
            (Level::Controlled | Level::Sandboxed, ProcessCreation::Denied) | (Level::Pure, _) => None,
        };
        let field = FieldPath::new("requires.permissions.system.processCreation");
        Requirement { field, required: "Allowed".to_owned(), by, granted_by: granted.into_iter().collect() }
    })
}

fn connections(required: &Required, context: &Context) -> Option<Requirement> {
    let most = required.permissions.network.max_connections?;
    let by = if required.own.max_connections.is_some() { Source::Execution } else { Source::Capability };
    let granted_by = match context.permissions.network.max_connections {
        None => vec!["no bound".to_owned()],
        Some(granted) if most <= granted => vec![granted.to_string()],
        Some(_) => Vec::new(),
    };
    let field = FieldPath::new("requires.permissions.network.maxConnections");
    Some(Requirement { field, required: most.to_string(), by, granted_by })
}

fn bounded(limit: LimitKind, request: &Request, capability: &Capability, context: &Context) -> Option<Bounded> {
    let own = request.requires.limits.get(limit).map(|amount| (amount, Source::Execution));
    let base = capability.requires.limits.get(limit).map(|amount| (amount, Source::Capability));
    let of_context = context.limits.get(limit).map(|amount| (amount, Source::Context));
    let most = of_context.or_else(|| context.level.default_limits().get(limit).map(|amount| (amount, Source::Default)));
    let (amount, by) = own.or(base).or(most)?;
    let most_by = most.map_or(Source::Default, |(_, by)| by);
    Some(Bounded { limit, amount, by, most: most.map(|(amount, _)| amount), most_by })
}
