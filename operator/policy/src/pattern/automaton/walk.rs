//! The walk itself: breadth first over sets of states, so that the first counterexample is a shortest one.

use std::collections::HashSet;
use std::rc::Rc;

use super::super::budget::{Budget, Exhausted};
use super::super::name::is_name_char;
use super::{Bounds, Owner, Token, Universe};

/// Where in a text a state is: what is a text at all does not depend on patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// No character yet.
    Begin,
    /// After a slash.
    Slash,
    /// In a segment that is `.` so far.
    Dot,
    /// In a segment that is `..` so far.
    DotDot,
    /// In a segment or name that could end here.
    Inside,
}

impl Universe {
    fn step(self, place: Place, c: char) -> Option<Place> {
        match (self, place, c) {
            (Self::Names, Place::Begin, c) => is_name_char(0, c).then_some(Place::Inside),
            (Self::Names, Place::Slash | Place::Dot | Place::DotDot | Place::Inside, c) => {
                is_name_char(1, c).then_some(Place::Inside)
            }
            (Self::Paths, Place::Begin | Place::Inside, '/') => Some(Place::Slash),
            (Self::Paths, Place::Begin, _) | (Self::Paths, Place::Slash | Place::Dot | Place::DotDot, '/') => None,
            (Self::Paths, Place::Slash, '.') => Some(Place::Dot),
            (Self::Paths, Place::Dot, '.') => Some(Place::DotDot),
            (Self::Paths, Place::Slash | Place::Dot | Place::DotDot | Place::Inside, _) => Some(Place::Inside),
        }
    }

    fn is_text(self, place: Place) -> bool {
        match place {
            Place::Begin => self == Self::Paths,
            Place::Inside => true,
            Place::Slash | Place::Dot | Place::DotDot => false,
        }
    }

    /// A character that none of `used` is, the most readable one; all of them behave alike. Never `.`, which behaves
    /// like the others at best.
    fn other(self, used: &[char]) -> Option<char> {
        let names = ('a'..='z').chain('0'..='9').chain('A'..='Z').chain(['_']);
        let more = ['-', '+', ',', '=', '@', '~', '%', '!'].into_iter().chain('\u{c0}'..='\u{ffff}');
        match self {
            Self::Names => names.into_iter().find(|c| !used.contains(c)),
            Self::Paths => names.chain(more).find(|c| !used.contains(c)),
        }
    }
}

/// Letters and digits first: of the shortest counterexamples, the first one found is named.
fn readability(c: char) -> (u8, char) {
    let rank = match c {
        'a'..='z' => 0,
        '0'..='9' | 'A'..='Z' => 1,
        '/' => 2,
        _ => 3,
    };
    (rank, c)
}

type State = Rc<(Place, Vec<usize>)>;

struct Node {
    state: State,
    /// The node before, and the character from there.
    from: Option<(usize, char)>,
}

/// One breadth-first walk. The nodes are its queue, too: those behind `next` are done.
struct Walk<'a> {
    bounds: &'a Bounds,
    nodes: Vec<Node>,
    seen: HashSet<State>,
}

/// A shortest text that is required and not granted; `None` if there is none.
pub(super) fn counterexample(bounds: &Bounds, budget: &mut Budget) -> Result<Option<String>, Exhausted> {
    Walk { bounds, nodes: Vec::new(), seen: HashSet::new() }.run(budget)
}

impl Walk<'_> {
    fn run(mut self, budget: &mut Budget) -> Result<Option<String>, Exhausted> {
        let mut begin = Vec::new();
        self.bounds.enter(self.bounds.begin, &mut begin);
        self.add(Place::Begin, begin, None);
        let mut next = 0;
        while let Some(node) = self.nodes.get(next) {
            let state = Rc::clone(&node.state);
            let (place, set) = &*state;
            if self.bounds.universe.is_text(*place) && self.is_counterexample(set) {
                return Ok(Some(self.text(next)));
            }
            // Apart, so that a character costs what goes on with it, not what is there.
            let (mut literals, mut others) = (Vec::new(), Vec::new());
            for &index in set {
                match self.bounds.at(index) {
                    Token::Char(c) => literals.push((c, index)),
                    Token::One | Token::Star | Token::Enter | Token::Deep => others.push(index),
                    Token::End(_) => {}
                }
            }
            literals.sort_unstable();
            for c in self.characters(set) {
                let from = literals.partition_point(|&(literal, _)| literal < c);
                let own = literals.iter().skip(from).take_while(|(literal, _)| *literal == c).map(|&(_, index)| index);
                let reached = self.bounds.step(others.iter().copied().chain(own), c);
                budget.pay(others.len().max(reached.len()) + 1)?;
                if let Some(place) = self.bounds.universe.step(*place, c) {
                    self.add(place, reached, Some((next, c)));
                }
            }
            next += 1;
        }
        Ok(None)
    }

    fn add(&mut self, place: Place, set: Vec<usize>, from: Option<(usize, char)>) {
        if let Some(set) = self.bounds.reduce(set) {
            let state = Rc::new((place, set));
            if self.seen.insert(Rc::clone(&state)) {
                self.nodes.push(Node { state, from });
            }
        }
    }

    fn is_counterexample(&self, set: &[usize]) -> bool {
        let ends = |owner| set.iter().any(|&index| self.bounds.at(index) == Token::End(owner));
        ends(Owner::Required) && !ends(Owner::Without) && (!ends(Owner::Granted) || ends(Owner::Blocked))
    }

    /// The characters that lead to different states, each class of them by one.
    fn characters(&self, set: &[usize]) -> Vec<char> {
        // What the requirement can't follow leads nowhere: along a literal one, a single character is left.
        let required = set.iter().filter(|&&index| self.bounds.owner(index) == Owner::Required);
        let follows_any = required.clone().any(|&index| match self.bounds.at(index) {
            Token::One | Token::Star | Token::Deep => true,
            Token::Char(_) | Token::Enter | Token::End(_) => false,
        });
        let literals = |indices: &mut dyn Iterator<Item = &usize>| {
            let mut characters: Vec<char> = indices
                .filter_map(|&index| match self.bounds.at(index) {
                    Token::Char(c) => Some(c),
                    Token::Enter | Token::Deep => Some('/'),
                    Token::One | Token::Star | Token::End(_) => None,
                })
                .collect();
            characters.sort_unstable_by_key(|&c| readability(c));
            characters.dedup();
            characters
        };
        if !follows_any {
            return literals(&mut required.into_iter());
        }
        let mut characters = literals(&mut set.iter());
        characters.extend(self.bounds.universe.other(&characters));
        characters.sort_unstable_by_key(|&c| readability(c));
        characters
    }

    fn text(&self, node: usize) -> String {
        let mut characters = Vec::new();
        let mut from = self.nodes.get(node).and_then(|node| node.from);
        while let Some((before, c)) = from {
            characters.push(c);
            from = self.nodes.get(before).and_then(|node| node.from);
        }
        if characters.is_empty() {
            return "/".to_owned();
        }
        characters.iter().rev().collect()
    }
}
