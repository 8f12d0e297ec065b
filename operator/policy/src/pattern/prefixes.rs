//! An index of name patterns by what they begin with.

use std::collections::HashMap;

use super::NamePattern;
use super::budget::{Budget, Exhausted};
use super::glob::{Glob, Globs};
use super::list::Indexed;

/// Name patterns of a list, by their places in it.
#[derive(Debug)]
pub struct Prefixes {
    literals: HashMap<Box<str>, usize>,
    globs: Globs,
}

impl Indexed for NamePattern {
    type Index = Prefixes;

    fn index(items: &[Self]) -> Prefixes {
        let mut index = Prefixes { literals: HashMap::new(), globs: Globs::default() };
        for (place, pattern) in items.iter().enumerate() {
            if let Some(name) = pattern.literal() {
                index.literals.entry(name.into()).or_insert(place);
            } else {
                index.globs.add(Glob::new(pattern.as_str()), place);
            }
        }
        index
    }
}

impl Prefixes {
    /// The first pattern that means the name.
    pub(super) fn find(&self, name: &str, budget: &mut Budget) -> Result<Option<usize>, Exhausted> {
        let mut steps = 1 + self.globs.lengths();
        let mut first = self.literals.get(name).copied();
        for (glob, place) in self.globs.before(name) {
            if first.is_none_or(|first| *place < first) && glob.matches(name, &mut steps) {
                first = Some(*place);
            }
        }
        budget.pay(steps)?;
        Ok(first)
    }

    /// Whether a single pattern means all that the glob means: a beginning of it with a `*`, or the same glob.
    pub(super) fn covers(&self, pattern: &NamePattern, budget: &mut Budget) -> Result<bool, Exhausted> {
        let mut steps = 1 + self.globs.lengths();
        let mut covers = |(glob, _): &(Glob, usize)| {
            steps += 1;
            let text = glob.as_str();
            text == pattern.as_str() || text.strip_suffix('*').is_some_and(|head| pattern.prefix().starts_with(head))
        };
        let covered = self.globs.before(pattern.prefix()).any(&mut covers);
        budget.pay(steps)?;
        Ok(covered)
    }
}
