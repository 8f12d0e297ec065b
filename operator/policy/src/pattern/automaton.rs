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
    states: Vec<State>,
    /// The last of the states that patterns begin with.
    begin: Option<usize>,
}

/// Where a token is expected. Patterns of one owner share the states of what they begin with: 128 times `/data/**/x-…`
/// is one `**`, or each would be in it for itself at every character.
#[derive(Clone, Copy, Debug)]
struct State {
    token: Token,
    owner: Owner,
    /// Whether all texts from here on belong to the owner.
    is_everything: bool,
    /// The last of those that come next.
    next: Option<usize>,
    /// Another one that comes next after the same.
    beside: Option<usize>,
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
        let mut bounds = Self { universe: P::UNIVERSE, reach, states: Vec::new(), begin: None };
        granted.into_iter().for_each(|pattern| bounds.push(pattern, Owner::Granted, reach));
        blocked.into_iter().for_each(|pattern| bounds.push(pattern, Owner::Blocked, Reach::Below));
        without.into_iter().for_each(|pattern| bounds.push(pattern, Owner::Without, Reach::Below));
        bounds
    }

    fn push<P: Language>(&mut self, pattern: &P, owner: Owner, reach: Reach) {
        let mut tokens = Vec::new();
        pattern.tokens(reach, &mut tokens);
        tokens.push(Token::End(owner));
        let everything = match self.universe {
            Universe::Paths => Token::Deep,
            Universe::Names => Token::Star,
        };
        let mut before = None;
        for token in tokens {
            let first = self.after(before);
            let known = self.beside(first).find(|(_, state)| state.token == token && state.owner == owner);
            if let Some((index, _)) = known {
                before = Some(index);
                continue;
            }
            let new = self.states.len();
            self.states.push(State { token, owner, is_everything: false, next: None, beside: first });
            match before.and_then(|before: usize| self.states.get_mut(before)) {
                Some(state) => {
                    state.next = Some(new);
                    state.is_everything |= token == Token::End(owner) && state.token == everything;
                }
                None => self.begin = Some(new),
            }
            before = Some(new);
        }
    }

    /// A shortest text that is required and outside the bounds; `None` if all lies inside.
    /// # Errors
    /// [`Exhausted`] if finding out costs more than is left: then nothing is known.
    pub fn counterexample<P: Language>(
        &mut self,
        required: &P,
        budget: &mut Budget,
    ) -> Result<Option<String>, Exhausted> {
        let (states, begin) = (self.states.len(), self.begin);
        self.push(required, Owner::Required, self.reach);
        let mut own = Budget::of(budget.left.min(STEPS_PER_REQUIREMENT));
        let granted = own.left;
        let found = walk::counterexample(self, &mut own);
        budget.left -= granted - own.left;
        // No other state leads to those of the requirement: it has an owner of its own.
        self.states.truncate(states);
        self.begin = begin;
        found
    }

    /// The state, and those beside it.
    fn beside(&self, first: Option<usize>) -> impl Iterator<Item = (usize, &State)> {
        let at = |index: usize| self.states.get(index).map(|state| (index, state));
        std::iter::successors(first.and_then(at), move |(_, state)| state.beside.and_then(at))
    }

    /// The first of those that come next.
    fn after(&self, index: Option<usize>) -> Option<usize> {
        index.map_or(self.begin, |index| self.states.get(index).and_then(|state| state.next))
    }

    fn at(&self, index: usize) -> Token {
        // INVARIANT: every pattern ends with an End, and nothing steps past one.
        self.states.get(index).map_or(Token::End(Owner::Blocked), |state| state.token)
    }

    /// Adds the states, and those that are reached from them without a character.
    fn enter(&self, states: Option<usize>, set: &mut Vec<usize>) {
        for (index, state) in self.beside(states) {
            self.enter_one(index, state, set);
        }
    }

    fn enter_one(&self, index: usize, state: &State, set: &mut Vec<usize>) {
        set.push(index);
        match state.token {
            Token::Star | Token::Deep => self.enter(state.next, set),
            Token::Enter => self.enter(state.next.and_then(|deep| self.after(Some(deep))), set),
            Token::Char(_) | Token::One | Token::End(_) => {}
        }
    }

    fn step(&self, set: impl Iterator<Item = usize>, c: char) -> Vec<usize> {
        let mut next = Vec::new();
        for (index, state) in set.filter_map(|index| Some((index, self.states.get(index)?))) {
            match state.token {
                Token::Char(literal) if literal == c => self.enter(state.next, &mut next),
                Token::One if c != '/' => self.enter(state.next, &mut next),
                Token::Star if c != '/' => self.enter_one(index, state, &mut next),
                Token::Enter if c == '/' => self.enter(state.next, &mut next),
                Token::Deep => self.enter_one(index, state, &mut next),
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
        // Who has a state, and who has all texts from here on.
        let (mut has, mut all) = (Owners::default(), Owners::default());
        for state in set.iter().filter_map(|&index| self.states.get(index)) {
            *has.of(state.owner) = true;
            *all.of(state.owner) |= state.is_everything;
        }
        if all.without || !has.required || (all.granted && !has.blocked) {
            return None;
        }
        if all.blocked || all.granted {
            let settled = |state: &State| state.is_everything || state.token == Token::End(state.owner);
            set.retain(|&index| {
                self.states.get(index).is_some_and(|state| match state.owner {
                    Owner::Required | Owner::Without => true,
                    Owner::Granted => !all.blocked && settled(state),
                    Owner::Blocked => !all.blocked || settled(state),
                })
            });
        }
        Some(set)
    }

    fn owner(&self, index: usize) -> Owner {
        self.states.get(index).map_or(Owner::Blocked, |state| state.owner)
    }
}

/// Something about each of the owners.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each owner")]
struct Owners {
    required: bool,
    without: bool,
    granted: bool,
    blocked: bool,
}

impl Owners {
    const fn of(&mut self, owner: Owner) -> &mut bool {
        match owner {
            Owner::Required => &mut self.required,
            Owner::Without => &mut self.without,
            Owner::Granted => &mut self.granted,
            Owner::Blocked => &mut self.blocked,
        }
    }
}

/// Whether the pattern means this text.
pub fn matches<P: Language>(pattern: &P, reach: Reach, text: &str) -> bool {
    let mut bounds = Bounds { universe: P::UNIVERSE, reach, states: Vec::new(), begin: None };
    bounds.push(pattern, Owner::Granted, reach);
    let mut set = Vec::new();
    bounds.enter(bounds.begin, &mut set);
    let text = if P::UNIVERSE == Universe::Paths && text == "/" { "" } else { text };
    for c in text.chars() {
        set = bounds.step(set.into_iter(), c);
        set.sort_unstable();
        set.dedup();
    }
    set.iter().any(|&index| bounds.at(index) == Token::End(Owner::Granted))
}
