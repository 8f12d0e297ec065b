//! Whether a requirement lies inside what is granted without what is blocked. Exact: most requirements are answered by
//! an index, since all that lies below a path is decided by that path alone unless globs say otherwise; the rest by the
//! automaton, of the patterns that can matter. Both give the same answer, and counterexamples of the same length.

use super::automaton::{Bounds, Language, matches};
use super::budget::{Budget, Exhausted};
use super::list::List;
use super::trie::{Found, Scratch};
use super::{NamePattern, PathPattern, Reach};

/// What requirements are held against: `granted` without `blocked`.
#[derive(Debug)]
pub struct Held<'a, P: Included> {
    reach: Reach,
    granted: &'a List<P>,
    blocked: &'a List<P>,
    /// What the requirements themselves leave out.
    without: &'a List<P>,
    scratch: Scratch,
}

/// A pattern of which lists can be held against each other.
pub trait Included: Language + AsRef<str> {
    /// Answers, or says which patterns the automaton should be asked about.
    #[doc(hidden)]
    fn ask<'a>(&'a self, held: &mut Held<'a, Self>, budget: &mut Budget) -> Result<Answer<'a, Self>, Exhausted>;

    /// The first pattern of a list that means the text, or what the text lies below of.
    #[doc(hidden)]
    fn first(list: &List<Self>, text: &str) -> Option<usize>;
}

/// What an index knows.
#[derive(Debug)]
#[doc(hidden)]
pub enum Answer<'a, P> {
    /// All of it lies inside.
    Inside,
    /// This is a shortest text that does not.
    Outside(String),
    /// It depends on how these meet.
    Depends { granted: Vec<&'a P>, blocked: Vec<&'a P>, without: Vec<&'a P> },
}

impl<'a, P: Included> Held<'a, P> {
    /// `granted` without `blocked`, for requirements without `without`. Both of the latter block what lies below their
    /// matches, whatever the `reach` of requirements and grants: a folder that is covered hides all that is in it, so
    /// that a blocked `/data/*/keys` must not leave `/data/x/keys/k1` open.
    #[must_use]
    pub fn new(reach: Reach, granted: &'a List<P>, blocked: &'a List<P>, without: &'a List<P>) -> Self {
        Self { reach, granted, blocked, without, scratch: Scratch::default() }
    }

    /// A shortest text that is required and not inside; `None` if all is.
    /// # Errors
    /// [`Exhausted`] if finding out costs more than is left: then nothing is known.
    pub fn counterexample(&mut self, required: &'a P, budget: &mut Budget) -> Result<Option<String>, Exhausted> {
        match required.ask(self, budget)? {
            Answer::Inside => Ok(None),
            Answer::Outside(text) => Ok(Some(text)),
            Answer::Depends { granted, blocked, without } => {
                // Making it costs, too.
                let patterns = granted.iter().chain(&blocked).chain(&without);
                budget.pay(patterns.map(|pattern| pattern.as_ref().len()).sum())?;
                Bounds::new(self.reach, granted, blocked, without).counterexample(required, budget)
            }
        }
    }

    /// The first blocked pattern that covers the text.
    #[must_use]
    pub fn blocking(&self, text: &str) -> Option<&'a P> {
        P::first(self.blocked, text).and_then(|place| self.blocked.get(place))
    }
}

impl Included for PathPattern {
    fn ask<'a>(&'a self, held: &mut Held<'a, Self>, budget: &mut Budget) -> Result<Answer<'a, Self>, Exhausted> {
        let base = self.literal_base();
        let mut walk = |list: &List<Self>, budget: &mut Budget| match list.index() {
            Some(trie) => trie.walk(base, &mut held.scratch, budget),
            None => Ok(Found::default()),
        };
        let without = walk(held.without, budget)?;
        if without.below.is_some() {
            return Ok(Answer::Inside);
        }
        let granted = walk(held.granted, budget)?;
        let blocked = walk(held.blocked, budget)?;
        if self.literal().is_some() {
            // The base is required, and no text of the requirement is shorter.
            if granted.of(held.reach).is_none() || blocked.below.is_some() {
                return Ok(Answer::Outside(base.to_owned()));
            }
            if held.reach == Reach::Itself && !self.is_folder() {
                return Ok(Answer::Inside);
            }
        }
        // What is granted below a path that is granted, with all below it, adds nothing.
        let all_granted = match held.reach {
            Reach::Below => granted.below.is_some(),
            Reach::Itself => granted.folder.is_some(),
        };
        let near = |list: &'a List<Self>, budget: &mut Budget| match list.index() {
            Some(trie) => Ok(trie.near(self, budget)?.into_iter().filter_map(|place| list.get(place)).collect()),
            None => Ok(Vec::new()),
        };
        let mut blocking: Vec<&Self> = Vec::new();
        if blocked.below.is_some() || blocked.further {
            blocking = near(held.blocked, budget)?;
            // What the requirement leaves out in the same words does not block it.
            budget.pay(blocking.len() * held.without.len() / 4)?;
            blocking.retain(|pattern| !held.without.contains(pattern));
        }
        if all_granted && blocking.is_empty() {
            return Ok(Answer::Inside);
        }
        Ok(Answer::Depends {
            granted: if all_granted { vec![self] } else { near(held.granted, budget)? },
            blocked: blocking,
            without: if without.further { near(held.without, budget)? } else { Vec::new() },
        })
    }

    fn first(list: &List<Self>, text: &str) -> Option<usize> {
        // Not from the budget of the decision: there is an answer already, which is only to be explained.
        let mut budget = Budget::default();
        match list.index()?.walk(text, &mut Scratch::default(), &mut budget) {
            Ok(found) => found.below,
            Err(Exhausted) => None,
        }
    }
}

impl Included for NamePattern {
    fn ask<'a>(&'a self, held: &mut Held<'a, Self>, budget: &mut Budget) -> Result<Answer<'a, Self>, Exhausted> {
        if held.blocked.is_empty() && held.without.is_empty() {
            let granted = held.granted.index();
            if let Some(name) = self.literal() {
                let found = granted.map_or(Ok(None), |granted| granted.find(name, budget))?;
                return Ok(if found.is_some() { Answer::Inside } else { Answer::Outside(name.to_owned()) });
            }
            if granted.map_or(Ok(false), |granted| granted.covers(self, budget))? {
                return Ok(Answer::Inside);
            }
        }
        let meets =
            |other: &&Self| other.prefix().starts_with(self.prefix()) || self.prefix().starts_with(other.prefix());
        budget.pay(held.granted.len())?;
        Ok(Answer::Depends {
            granted: held.granted.iter().filter(meets).collect(),
            blocked: held.blocked.iter().collect(),
            without: held.without.iter().collect(),
        })
    }

    fn first(list: &List<Self>, text: &str) -> Option<usize> {
        list.iter().position(|pattern| matches(pattern, Reach::Itself, text))
    }
}
