//! Paths, names and processes: whether what is required lies inside what is granted, and inside the capability's own.

use std::sync::LazyLock;

use super::required::{
    BLOCKED, COMMANDS, ENVIRONMENT_READ, ENVIRONMENT_WRITE, EXECUTE, IPC, Kind, READ, Required, WRITE, of_capability,
};
use crate::decision::{Bound, Cause, Denial, FieldPath, Outside, Why};
use crate::pattern::budget::Budget;
use crate::pattern::inclusion::{Held, Included};
use crate::pattern::list::Indexed;
use crate::pattern::{List, NamePattern, PathPattern};
use crate::permissions::{Environment, Permissions, ProcessCreation, RequiredPermissions};
use crate::request::{Capability, Context, Level};

const PATHS: [Kind<PathPattern>; 5] = [READ, WRITE, EXECUTE, COMMANDS, IPC];
const NAMES: [Kind<NamePattern>; 2] = [ENVIRONMENT_READ, ENVIRONMENT_WRITE];

/// What level Full grants, and what a list of the ceiling that is absent allows.
static ALL_PATHS: LazyLock<List<PathPattern>> = LazyLock::new(|| vec![PathPattern::everything()].into());
static ALL_NAMES: LazyLock<List<NamePattern>> = LazyLock::new(|| vec![NamePattern::everything()].into());
static NO_NAMES: LazyLock<List<NamePattern>> = LazyLock::new(List::default);

/// An execution narrows what its capability requires, never widens it.
pub(super) fn narrows(required: &Required, capability: &Capability, budget: &mut Budget, denials: &mut Vec<Denial>) {
    let bound = of_capability(capability);
    let blocks = required.is_own(&BLOCKED);
    for kind in &PATHS {
        // An own `blocked` replaces the capability's, and may so widen lists that are inherited.
        let field = match (required.is_own(kind), blocks) {
            (true, _) => Some(kind.field()),
            (false, true) => None,
            (false, false) => continue,
        };
        let against =
            Against { bound: Bound::Capability, granted: (kind.of)(&bound), blocked: &bound.filesystem.blocked };
        for (index, denial) in against.outside(kind, required, &required.permissions.filesystem.blocked, budget) {
            let field = field.as_ref().map_or_else(|| BLOCKED.field(), |field| field.index(index));
            denials.push(Denial::new(field, denial));
        }
    }
    for kind in &NAMES {
        if required.is_own(kind) {
            let against = Against { bound: Bound::Capability, granted: (kind.of)(&bound), blocked: &NO_NAMES };
            denials.extend(indexed(kind, against.outside(kind, required, &NO_NAMES, budget)));
        }
    }
    let processes = (required.permissions.system.process_creation, bound.system.process_creation);
    if processes == (ProcessCreation::Allowed, ProcessCreation::Denied) {
        denials.push(processes_denied(Bound::Capability, None));
    }
}

/// What is required lies inside what the context grants.
pub(super) fn granted(required: &Required, context: &Context, budget: &mut Budget, denials: &mut Vec<Denial>) {
    let bound = Bound::Context(context.level);
    let Permissions { filesystem, network: _, system, environment: _, ipc: _ } = &context.permissions;
    for kind in &PATHS {
        let granted = of_level(context, kind, &ALL_PATHS);
        let against = Against { bound: bound.clone(), granted: &granted, blocked: &filesystem.blocked };
        let without = &required.permissions.filesystem.blocked;
        denials.extend(indexed(kind, against.outside(kind, required, without, budget)));
    }
    for kind in &NAMES {
        let granted = of_level(context, kind, &ALL_NAMES);
        let against = Against { bound: bound.clone(), granted: &granted, blocked: &NO_NAMES };
        denials.extend(indexed(kind, against.outside(kind, required, &NO_NAMES, budget)));
    }
    let granted = match context.level {
        Level::Pure => ProcessCreation::Denied,
        Level::Full => ProcessCreation::Allowed,
        Level::Controlled | Level::Sandboxed => system.process_creation,
    };
    if (required.permissions.system.process_creation, granted) == (ProcessCreation::Allowed, ProcessCreation::Denied) {
        let required_by = if required.own.process_creation.is_some() { None } else { required.inherited_from() };
        denials.push(processes_denied(bound, required_by));
    }
}

/// What a context grants lies inside the ceiling; an absent list of that one bounds nothing.
pub(super) fn below(granted: &Required, ceiling: &RequiredPermissions, budget: &mut Budget, denials: &mut Vec<Denial>) {
    let without = &granted.permissions.filesystem.blocked;
    let blocked = ceiling.blocked.clone().unwrap_or_default();
    for kind in &PATHS {
        let allowed = kind.listed(ceiling).unwrap_or(&ALL_PATHS);
        let against = Against { bound: Bound::Ceiling, granted: allowed, blocked: &blocked };
        denials.extend(indexed(kind, against.outside(kind, granted, without, budget)));
    }
    for kind in &NAMES {
        let allowed = kind.listed(ceiling).unwrap_or(&ALL_NAMES);
        let against = Against { bound: Bound::Ceiling, granted: allowed, blocked: &NO_NAMES };
        denials.extend(indexed(kind, against.outside(kind, granted, &NO_NAMES, budget)));
    }
    let processes = (granted.permissions.system.process_creation, ceiling.process_creation);
    if processes == (ProcessCreation::Allowed, Some(ProcessCreation::Denied)) {
        denials.push(processes_denied(Bound::Ceiling, None));
    }
}

/// What the execution sets must be required, so that it is granted, too.
pub(super) fn environment(names: &[String], required: &Required, denials: &mut Vec<Denial>) {
    if !required.is_known(&ENVIRONMENT_READ) || !required.is_known(&ENVIRONMENT_WRITE) {
        return;
    }
    let Environment { read, write } = &required.permissions.environment;
    for (index, name) in names.iter().enumerate() {
        if !read.iter().chain(write).any(|pattern| pattern.matches(name)) {
            let required = read.iter().chain(write).cloned().collect();
            let cause = Cause::EnvironmentNotRequired { name: name.clone(), required };
            denials.push(Denial::new(FieldPath::new("env").index(index).child("name"), cause));
        }
    }
}

/// What the level makes of a list: nothing, all, or exactly the list.
fn of_level<P: Indexed>(context: &Context, kind: &Kind<P>, everything: &List<P>) -> List<P> {
    match context.level {
        Level::Pure => List::default(),
        Level::Full => everything.clone(),
        Level::Controlled | Level::Sandboxed => (kind.of)(&context.permissions).clone(),
    }
}

/// A bound that requirements must lie inside of.
struct Against<'a, P: Indexed> {
    bound: Bound,
    granted: &'a List<P>,
    blocked: &'a List<P>,
}

impl<P: Included + Clone + ToString> Against<'_, P> {
    /// The requirements that are outside, by their index.
    fn outside(
        &self,
        kind: &Kind<P>,
        required: &Required,
        without: &List<P>,
        budget: &mut Budget,
    ) -> Vec<(usize, Cause)> {
        let mut held = Held::new(kind.reach, self.granted, self.blocked, without);
        let mut outside = Vec::new();
        for (index, pattern) in (kind.of)(&required.permissions).iter().enumerate() {
            let why = match held.counterexample(pattern, budget) {
                Ok(None) => continue,
                Ok(Some(counterexample)) => match held.blocking(&counterexample) {
                    Some(by) => Why::Blocked { counterexample, by: by.to_string() },
                    None => Why::NotGranted { counterexample },
                },
                Err(_) => Why::TooComplex,
            };
            let cause = (kind.cause)(Outside {
                required: pattern.clone(),
                why,
                granted: self.granted.clone(),
                bound: self.bound.clone(),
                required_by: required.required_by(kind),
            });
            outside.push((index, cause));
        }
        outside
    }
}

fn indexed<P: Indexed>(kind: &Kind<P>, outside: Vec<(usize, Cause)>) -> impl Iterator<Item = Denial> {
    let field = kind.field();
    outside.into_iter().map(move |(index, cause)| Denial::new(field.index(index), cause))
}

fn processes_denied(bound: Bound, required_by: Option<String>) -> Denial {
    Denial::new("requires.permissions.system.processCreation", Cause::ProcessCreation { bound, required_by })
}
