//! Inclusion of patterns, exactly: is there a text that is required, and granted by none or blocked?
//!
//! The patterns together are one nondeterministic automaton. Its subset construction is walked breadth first from the
//! empty text, in step with the requirement, and only where all of it can still matter; so the first text that is
//! required and not granted is a shortest one. Not regex-automata: its searches find matches, not differences, and its
//! determinisation would build all states of 128 grants where a requirement usually meets a handful.

mod walk;

use super::budget::STEPS_PER_REQUIREMENT;
use super::list::Indexed;
use super::{NamePattern, PathPattern, Reach};

pub use super::budget::{Budget, Exhausted};

/// A pattern that this automaton understands.
pub trait Language: Indexed {
    /// The texts there are.
    const UNIVERSE: Universe;
    /// Appends the pattern's tokens.
    fn tokens(&self, reach: Reach, tokens: &mut Vec<Token>);
}

/// Which texts there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Universe {
    /// Absolute paths, as `/name` for each segment: the root is the empty text.
    Paths,
    /// Names of environment variables.
    Names,
}

/// A step of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// This character.
    Char(char),
    /// One character of a segment.
    One,
    /// Any characters of a segment.
    Star,
    /// Enters a `**`: takes the slash of a first segment, or goes past the [`Token::Deep`] that must follow.
    Enter,
    /// Inside a `**`: anything.
    Deep,
    /// The end of a pattern.
    End(Owner),
}

/// What a pattern says about the texts that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// They are required.
    Required,
    /// They are not required, although a pattern says so: the requirement's own `blocked`.
    Without,
    /// They are granted.
    Granted,
    /// They are not granted, although a pattern says so: the context's `blocked`.
    Blocked,
}

impl Language for PathPattern {
    const UNIVERSE: Universe = Universe::Paths;

    fn tokens(&self, reach: Reach, tokens: &mut Vec<Token>) {
        for segment in self.segments() {
            if segment == "**" {
                tokens.extend([Token::Enter, Token::Deep]);
            } else {
                tokens.push(Token::Char('/'));
                tokens.extend(segment.chars().map(token));
            }
        }
        // A trailing `/**` is all below already.
        if reach == Reach::Below && !self.is_folder() {
            tokens.extend([Token::Enter, Token::Deep]);
        }
    }
}

impl Language for NamePattern {
    const UNIVERSE: Universe = Universe::Names;

    fn tokens(&self, _reach: Reach, tokens: &mut Vec<Token>) {
        tokens.extend(self.as_str().chars().map(token));
    }
}

fn token(c: char) -> Token {
    match c {
        '*' => Token::Star,
        '?' => Token::One,
        literal => Token::Char(literal),
    }
}

/// What a requirement is held against.
#[derive(Clone, Debug)]
pub struct Bounds {
    universe: Universe,
    /// Of requirements and grants.
    reach: Reach,
    tokens: Vec<Token>,
    /// Of each token.
    owners: Vec<Owner>,
    starts: Vec<usize>,
}

impl Bounds {
    /// `granted` without `blocked`, for requirements without `without`; the latter two with all below their matches.
    #[must_use]
    pub fn new<'a, P: Language + 'a>(
        reach: Reach,
        granted: impl IntoIterator<Item = &'a P>,
        blocked: impl IntoIterator<Item = &'a P>,
        without: impl IntoIterator<Item = &'a P>,
    ) -> Self {
        let universe = P::UNIVERSE;
        let mut bounds = Self { universe, reach, tokens: Vec::new(), owners: Vec::new(), starts: Vec::new() };
        granted.into_iter().for_each(|pattern| bounds.push(pattern, Owner::Granted, reach));
        blocked.into_iter().for_each(|pattern| bounds.push(pattern, Owner::Blocked, Reach::Below));
        without.into_iter().for_each(|pattern| bounds.push(pattern, Owner::Without, Reach::Below));
        bounds
    }

    fn push<P: Language>(&mut self, pattern: &P, owner: Owner, reach: Reach) {
        self.starts.push(self.tokens.len());
        pattern.tokens(reach, &mut self.tokens);
        self.tokens.push(Token::End(owner));
        self.owners.resize(self.tokens.len(), owner);
    }

    /// A shortest text that is required and outside the bounds; `None` if all lies inside.
    /// # Errors
    /// [`Exhausted`] if finding out costs more than is left: then nothing is known.
    pub fn counterexample<P: Language>(
        &mut self,
        required: &P,
        budget: &mut Budget,
    ) -> Result<Option<String>, Exhausted> {
        let (tokens, starts) = (self.tokens.len(), self.starts.len());
        self.push(required, Owner::Required, self.reach);
        let mut own = Budget::of(budget.left.min(STEPS_PER_REQUIREMENT));
        let granted = own.left;
        let found = walk::counterexample(self, &mut own);
        budget.left -= granted - own.left;
        self.tokens.truncate(tokens);
        self.owners.truncate(tokens);
        self.starts.truncate(starts);
        found
    }

    fn at(&self, index: usize) -> Token {
        // INVARIANT: every pattern ends with an End, and nothing steps past one.
        self.tokens.get(index).copied().unwrap_or(Token::End(Owner::Blocked))
    }

    /// Adds the state and those that are reached from it without a character.
    fn enter(&self, index: usize, set: &mut Vec<usize>) {
        set.push(index);
        match self.at(index) {
            Token::Star | Token::Deep => self.enter(index + 1, set),
            Token::Enter => self.enter(index + 2, set),
            Token::Char(_) | Token::One | Token::End(_) => {}
        }
    }

    fn step(&self, set: &[usize], c: char) -> Vec<usize> {
        let mut next = Vec::with_capacity(set.len());
        for &index in set {
            match self.at(index) {
                Token::Char(literal) if literal == c => self.enter(index + 1, &mut next),
                Token::One if c != '/' => self.enter(index + 1, &mut next),
                Token::Star if c != '/' => self.enter(index, &mut next),
                Token::Enter if c == '/' => self.enter(index + 1, &mut next),
                Token::Deep => self.enter(index, &mut next),
                Token::Char(_) | Token::One | Token::Star | Token::Enter | Token::End(_) => {}
            }
        }
        next
    }

    /// Sorts the states, and drops those that can't change the answer any more; `None` if no text from here on can be a
    /// counterexample.
    fn reduce(&self, mut set: Vec<usize>) -> Option<Vec<usize>> {
        set.sort_unstable();
        set.dedup();
        let all = |owner| set.iter().any(|&index| self.is_everything(index, owner));
        let (without, blocked, granted) = (all(Owner::Without), all(Owner::Blocked), all(Owner::Granted));
        if without {
            return None;
        }
        if blocked {
            set.retain(|&i| match self.owner(i) {
                Owner::Required | Owner::Without => true,
                Owner::Granted => false,
                Owner::Blocked => self.is_everything(i, Owner::Blocked) || self.at(i) == Token::End(Owner::Blocked),
            });
        } else if granted {
            set.retain(|&i| match self.owner(i) {
                Owner::Required | Owner::Without | Owner::Blocked => true,
                Owner::Granted => self.is_everything(i, Owner::Granted) || self.at(i) == Token::End(Owner::Granted),
            });
        }
        let has = |owner| set.iter().any(|&i| self.owner(i) == owner);
        let all_granted = granted && !has(Owner::Blocked);
        (has(Owner::Required) && !all_granted).then_some(set)
    }

    /// Whether all texts from this state on belong to the owner.
    fn is_everything(&self, index: usize, owner: Owner) -> bool {
        let everything = match self.universe {
            Universe::Paths => Token::Deep,
            Universe::Names => Token::Star,
        };
        self.at(index) == everything && self.at(index + 1) == Token::End(owner)
    }

    fn owner(&self, index: usize) -> Owner {
        self.owners.get(index).copied().unwrap_or(Owner::Blocked)
    }
}

/// Whether the pattern means this text.
pub fn matches<P: Language>(pattern: &P, reach: Reach, text: &str) -> bool {
    let universe = P::UNIVERSE;
    let mut bounds = Bounds { universe, reach, tokens: Vec::new(), owners: Vec::new(), starts: Vec::new() };
    pattern.tokens(reach, &mut bounds.tokens);
    bounds.tokens.push(Token::End(Owner::Granted));
    let mut set = Vec::new();
    bounds.enter(0, &mut set);
    let text = if P::UNIVERSE == Universe::Paths && text == "/" { "" } else { text };
    for c in text.chars() {
        set = bounds.step(&set, c);
        set.sort_unstable();
        set.dedup();
    }
    set.iter().any(|&index| bounds.at(index) == Token::End(Owner::Granted))
}
