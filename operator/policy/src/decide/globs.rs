//! Which globs can be held: one is expanded once, before the start, to the files that there are. So it means what it
//! says only where none can appear later.

use super::enforce::SCRATCH;
use super::instead;
use super::required::{BLOCKED, COMMANDS, EXECUTE, READ, Required, WRITE};
use crate::decision::{Cause, Denial};
use crate::isolation::Isolation;
use crate::pattern::budget::Budget;
use crate::pattern::inclusion::Held;
use crate::pattern::{List, PathPattern, Reach};
use crate::request::Context;

const CREATED: &str = "can't hold a glob of what may be written: what is created later would be another file";
const BESIDE: &str = "can't take a glob out of what is granted";

/// For `docs/status.md`.
pub(super) const UNENFORCED: [(&str, &str); 2] = [
    ("requires.permissions.filesystem.write[] with a wildcard other than a trailing `/**`", CREATED),
    (
        "requires.permissions.filesystem.read[], execute[], blocked[], system.commands[] with such a wildcard, where its paths may be written: a required write, a volume that is not read-only, /tmp; for blocked[] any volume",
        "it is expanded once, before the start; name each path, or a folder",
    ),
];

/// Where files come and go without anybody's writing: nothing can be blocked there by what is seen before the start.
const PROCESSES: &str = "/proc";

/// Denies the globs that can't be held.
pub(super) fn check(
    required: &Required,
    context: Option<&Context>,
    isolation: Isolation,
    budget: &mut Budget,
    denials: &mut Vec<Denial>,
) {
    for kind in [READ, WRITE, EXECUTE, BLOCKED, COMMANDS] {
        let is_blocked = kind.field() == BLOCKED.field();
        let mut changing: Option<List<PathPattern>> = None;
        for (index, pattern) in (kind.of)(&required.permissions).iter().enumerate() {
            if pattern.literal().is_some() {
                continue;
            }
            let (why, instead_of) = if kind.field() == WRITE.field() {
                (CREATED.to_owned(), None)
            } else if is_blocked && isolation == Isolation::Container {
                (BESIDE.to_owned(), Some(Isolation::GVisor))
            } else {
                let changing = changing.get_or_insert_with(|| self::changing(required, context, is_blocked));
                match meets(required, is_blocked, pattern, changing, budget) {
                    None => continue,
                    Some(why) => (why, None),
                }
            };
            let advice = instead::of_glob(&kind, pattern, required, context, budget);
            let cause = Cause::Unenforceable {
                value: Some(pattern.to_string()),
                advice: format!("{isolation} {why}; {advice}"),
                instead: instead_of,
                required_by: required.required_by(&kind),
            };
            denials.push(Denial::new(kind.field().index(index), cause));
        }
    }
}

/// All places whose files may change while the execution runs. A `ConfigMap` or Secret is renewed as a whole: what is
/// shown of it stays as it was, but what should be hidden in it may come.
fn changing(required: &Required, context: Option<&Context>, for_blocked: bool) -> List<PathPattern> {
    let writes = (WRITE.of)(&required.permissions).iter().filter(|write| write.literal().is_some()).cloned();
    let volumes = context.map_or(&[][..], |context| &context.volumes);
    let volumes = volumes.iter().filter(|volume| volume.writable || for_blocked);
    let places = SCRATCH.into_iter().chain(for_blocked.then_some(PROCESSES));
    let places = places.filter_map(|place| place.parse().ok());
    writes.chain(volumes.map(|volume| volume.mount_path.clone())).chain(places).collect()
}

/// Why the glob can't be held, where it means a path that may change.
fn meets(
    required: &Required,
    is_blocked: bool,
    pattern: &PathPattern,
    changing: &List<PathPattern>,
    budget: &mut Budget,
) -> Option<String> {
    let (everything, nothing) = (List::from(vec![PathPattern::everything()]), List::default());
    // What is blocked besides is not blocked by this one.
    let without = if is_blocked { &nothing } else { &required.permissions.filesystem.blocked };
    let mut outside = Held::new(Reach::Below, &everything, changing, without);
    match outside.counterexample(pattern, budget) {
        Ok(None) => None,
        Ok(Some(path)) => {
            let place = outside.blocking(&path).map_or("/", PathPattern::literal_base);
            Some(format!("can't hold a glob where files may change, such as {path} in {place}"))
        }
        Err(_) => Some("can't tell whether the glob meets files that may change: too complex".to_owned()),
    }
}
