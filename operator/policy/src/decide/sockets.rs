//! Unix sockets that are files. A sandbox lets none of the node's through, so what can be connected to is what the
//! execution makes itself; a grant of anything else could only be ignored.

use super::enforce::SCRATCH;
use super::required::{IPC, Required, WRITE};
use crate::decision::{Cause, Denial};
use crate::isolation::Isolation;
use crate::pattern::budget::Budget;
use crate::pattern::inclusion::Held;
use crate::pattern::{List, PathPattern};
use crate::request::Context;

const OTHERS: &str = "no socket of anybody else's can be connected to from inside a sandbox; those that the execution makes itself need no grant";
const NONE: &str = "lets no socket through but pairs, since its Landlock can't hold which";

/// For `docs/status.md`.
pub(super) const UNENFORCED: (&str, &str) = (
    "requires.permissions.ipc.connect of a path outside of the execution's own scratch space; in Container of any path",
    OTHERS,
);

/// Denies what can't be connected to.
pub(super) fn check(
    required: &Required,
    context: Option<&Context>,
    isolation: Isolation,
    budget: &mut Budget,
    denials: &mut Vec<Denial>,
) {
    let sockets = (IPC.of)(&required.permissions);
    if sockets.is_empty() {
        return;
    }
    let (own, shared) = places(required, context);
    let nothing = List::default();
    let mut of_its_own = Held::new(IPC.reach, &own, &shared, &nothing);
    for (index, pattern) in sockets.iter().enumerate() {
        let outside = of_its_own.counterexample(pattern, budget);
        let (advice, instead) = match (isolation, outside) {
            (Isolation::GVisor | Isolation::Kata, Ok(None)) => continue,
            (Isolation::Container | Isolation::Wasm, Ok(None)) => {
                (format!("{isolation} {NONE}"), Some(Isolation::GVisor))
            }
            (_, Ok(Some(path))) => (format!("{OTHERS}, and {path} is not its own; remove it"), None),
            (_, Err(_)) => (format!("{OTHERS}, and this is too complex to tell; name each path"), None),
        };
        let (value, required_by) = (Some(pattern.to_string()), required.required_by(&IPC));
        let cause = Cause::Unenforceable { value, advice, instead, required_by };
        denials.push(Denial::new(IPC.field().index(index), cause));
    }
}

/// Where nobody but the execution can make a socket, and what in it is shared with others. A volume in memory is of one
/// pod only.
fn places(required: &Required, context: Option<&Context>) -> (List<PathPattern>, List<PathPattern>) {
    let volumes = context.map_or(&[][..], |context| &context.volumes);
    let shared = volumes.iter().filter(|volume| !volume.in_memory).map(|volume| volume.mount_path.clone()).collect();
    let writes = (WRITE.of)(&required.permissions).iter().filter(|write| write.literal().is_some()).cloned();
    let scratch = SCRATCH.into_iter().filter_map(|place| place.parse().ok());
    (scratch.chain(writes).collect(), shared)
}
