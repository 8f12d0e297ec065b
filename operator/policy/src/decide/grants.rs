//! Paths, names and processes: whether what is required lies inside what is granted, and inside the capability's own.

use std::sync::Arc;

use super::required::{
    BLOCKED, COMMANDS, ENVIRONMENT_READ, ENVIRONMENT_WRITE, EXECUTE, IPC, Kind, READ, Required, WRITE, of_capability,
};
use crate::decision::{Bound, Cause, Denial, FieldPath, Outside, Why};
use crate::pattern::automaton::{Bounds, Budget, Language, matches};
use crate::pattern::{NamePattern, PathPattern};
use crate::permissions::{Permissions, ProcessCreation, RequiredPermissions};
use crate::request::{Capability, Context, Level};

const PATHS: [Kind<PathPattern>; 5] = [READ, WRITE, EXECUTE, COMMANDS, IPC];
const NAMES: [Kind<NamePattern>; 2] = [ENVIRONMENT_READ, ENVIRONMENT_WRITE];

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
        let held = Held { bound: Bound::Capability, granted: (kind.of)(&bound), blocked: &bound.filesystem.blocked };
        for (index, denial) in held.outside(kind, required, &required.permissions.filesystem.blocked, budget) {
            let field = field.as_ref().map_or_else(|| BLOCKED.field(), |field| field.index(index));
            denials.push(Denial::new(field, denial));
        }
    }
    for kind in &NAMES {
        if required.is_own(kind) {
            let held = Held { bound: Bound::Capability, granted: (kind.of)(&bound), blocked: &[] };
            denials.extend(indexed(kind, held.outside(kind, required, &[], budget)));
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
        let granted = of_level(context, kind, PathPattern::everything);
        let held = Held { bound: bound.clone(), granted: &granted, blocked: &filesystem.blocked };
        denials.extend(indexed(kind, held.outside(kind, required, &required.permissions.filesystem.blocked, budget)));
    }
    for kind in &NAMES {
        let granted = of_level(context, kind, NamePattern::everything);
        let held = Held { bound: bound.clone(), granted: &granted, blocked: &[] };
        denials.extend(indexed(kind, held.outside(kind, required, &[], budget)));
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
    let blocked = ceiling.blocked.as_deref().unwrap_or_default();
    for kind in &PATHS {
        let allowed = kind.listed(ceiling).cloned().unwrap_or_else(|| vec![PathPattern::everything()]);
        let held = Held { bound: Bound::Ceiling, granted: &allowed, blocked };
        denials.extend(indexed(kind, held.outside(kind, granted, without, budget)));
    }
    for kind in &NAMES {
        let allowed = kind.listed(ceiling).cloned().unwrap_or_else(|| vec![NamePattern::everything()]);
        let held = Held { bound: Bound::Ceiling, granted: &allowed, blocked: &[] };
        denials.extend(indexed(kind, held.outside(kind, granted, &[], budget)));
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
    let environment = &required.permissions.environment;
    let listed: Vec<NamePattern> = environment.read.iter().chain(&environment.write).cloned().collect();
    for (index, name) in names.iter().enumerate() {
        if !listed.iter().any(|pattern| pattern.matches(name)) {
            let cause = Cause::EnvironmentNotRequired { name: name.clone(), required: listed.clone() };
            denials.push(Denial::new(FieldPath::new("env").index(index).child("name"), cause));
        }
    }
}

/// What the level makes of a list: nothing, all, or exactly the list.
fn of_level<P: Clone>(context: &Context, kind: &Kind<P>, everything: fn() -> P) -> Vec<P> {
    match context.level {
        Level::Pure => Vec::new(),
        Level::Full => vec![everything()],
        Level::Controlled | Level::Sandboxed => (kind.of)(&context.permissions).clone(),
    }
}

/// What requirements are held against.
struct Held<'a, P> {
    bound: Bound,
    granted: &'a [P],
    blocked: &'a [P],
}

impl<P: Language + Clone + ToString> Held<'_, P> {
    /// The requirements that are outside, by their index.
    fn outside(&self, kind: &Kind<P>, required: &Required, without: &[P], budget: &mut Budget) -> Vec<(usize, Cause)> {
        let patterns = (kind.of)(&required.permissions);
        let granted: Arc<[P]> = self.granted.into();
        let mut bounds = Bounds::new(self.granted, self.blocked, without);
        let mut outside = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            let why = match bounds.counterexample(pattern, budget) {
                Ok(None) => continue,
                Ok(Some(counterexample)) => match self.blocked.iter().find(|b| matches(*b, true, &counterexample)) {
                    Some(by) => Why::Blocked { counterexample, by: by.to_string() },
                    None => Why::NotGranted { counterexample },
                },
                Err(_) => Why::TooComplex,
            };
            let cause = (kind.cause)(Outside {
                required: pattern.clone(),
                why,
                granted: Arc::clone(&granted),
                bound: self.bound.clone(),
                required_by: required.required_by(kind),
            });
            outside.push((index, cause));
        }
        outside
    }
}

fn indexed<P>(kind: &Kind<P>, outside: Vec<(usize, Cause)>) -> impl Iterator<Item = Denial> {
    let field = kind.field();
    outside.into_iter().map(move |(index, cause)| Denial::new(field.index(index), cause))
}

fn processes_denied(bound: Bound, required_by: Option<String>) -> Denial {
    Denial::new("requires.permissions.system.processCreation", Cause::ProcessCreation { bound, required_by })
}
