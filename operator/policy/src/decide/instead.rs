//! What to write instead of a glob that can't be held: something that would be granted.

use super::grants::{ALL_PATHS, of_level};
use super::required::{BLOCKED, Kind, Required, of_capability};
use crate::pattern::budget::Budget;
use crate::pattern::inclusion::Held;
use crate::pattern::{List, PathPattern, Reach};
use crate::request::Context;

/// Advice on a required pattern. Its paths can always be named; the folder above them only where it is granted, or else
/// who follows the advice is denied again.
pub(super) fn of_glob(
    kind: &Kind<PathPattern>,
    pattern: &PathPattern,
    required: &Required,
    context: Option<&Context>,
    budget: &mut Budget,
) -> String {
    let mut advice = format!("name each path, such as {}", example(pattern));
    let base = pattern.literal_base();
    let folder = match kind.reach {
        Reach::Below => base.to_owned(),
        Reach::Itself => format!("{base}/**"),
    };
    if let (false, Ok(whole)) = (base == "/", folder.parse())
        && is_granted(kind, &whole, required, context, budget)
    {
        advice.extend([", or write \"", &folder, "\""]);
    }
    advice
}

/// The pattern with something for each wildcard.
fn example(pattern: &PathPattern) -> String {
    let segments = pattern.segments().filter(|segment| *segment != "**");
    segments.fold(String::new(), |path, segment| path + "/" + &segment.replace(['*', '?'], "a"))
}

/// By all that it is held against, as far as it is known; where the context is not, nothing is.
fn is_granted(
    kind: &Kind<PathPattern>,
    pattern: &PathPattern,
    required: &Required,
    context: Option<&Context>,
    budget: &mut Budget,
) -> bool {
    // What is blocked is taken away: more of it is no more of a right.
    if kind.field() == BLOCKED.field() {
        return true;
    }
    let without = &required.permissions.filesystem.blocked;
    let mut is_inside = |granted: &List<PathPattern>, blocked: &List<PathPattern>| {
        Held::new(kind.reach, granted, blocked, without).counterexample(pattern, budget) == Ok(None)
    };
    let Some(context) = context else { return false };
    let by_context = is_inside(&of_level(context, kind, &ALL_PATHS), &context.permissions.filesystem.blocked);
    let by_capability = match required.capability.filter(|_| required.is_own(kind)) {
        None => true,
        Some(capability) => {
            let own = of_capability(capability);
            is_inside((kind.of)(&own), &own.filesystem.blocked)
        }
    };
    by_context && by_capability
}
