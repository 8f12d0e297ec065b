//! An index of path patterns by their segments: one walk along a path finds all patterns that mean it, or something
//! below it, without looking at the others.

use std::collections::HashMap;

use super::budget::{Budget, Exhausted};
use super::glob::{Glob, Globs};
use super::list::Indexed;
use super::path::has_wildcard;
use super::{PathPattern, Reach};

/// Path patterns of a list, by their places in it.
#[derive(Debug)]
pub struct Trie {
    /// The first is the root.
    nodes: Vec<Node>,
}

/// Where patterns with the same first segments are at.
#[derive(Debug, Default)]
struct Node {
    names: HashMap<Box<str>, usize>,
    globs: Globs,
    /// What comes after a `**`. That one is here, too: it may be no segment.
    deep: Option<usize>,
    /// Whether this is after a `**`, which takes any more segments.
    is_deep: bool,
    /// The first pattern that ends here.
    itself: Option<usize>,
    /// The first one that ends here with `/**`.
    folder: Option<usize>,
}

/// Nodes of a walk, kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    alive: Vec<usize>,
    next: Vec<usize>,
}

/// What a walk along a path has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The first pattern that means the path, of [`Reach::Below`].
    pub(super) below: Option<usize>,
    /// The first one that means it, of [`Reach::Itself`].
    pub(super) itself: Option<usize>,
    /// The first one that means it and all below it, of any reach.
    pub(super) folder: Option<usize>,
    /// Whether patterns mean something below it that don't mean the path.
    pub(super) further: bool,
}

impl Found {
    pub(super) const fn of(&self, reach: Reach) -> Option<usize> {
        match reach {
            Reach::Below => self.below,
            Reach::Itself => self.itself,
        }
    }
}

impl Indexed for PathPattern {
    type Index = Trie;

    fn index(items: &[Self]) -> Trie {
        let mut trie = Trie { nodes: vec![Node::default()] };
        for (place, pattern) in items.iter().enumerate() {
            trie.add(place, pattern);
        }
        trie
    }
}

impl Trie {
    fn add(&mut self, place: usize, pattern: &PathPattern) {
        let text = pattern.as_str();
        let path = text.strip_suffix("/**").unwrap_or(text);
        let mut at = 0;
        for segment in segments(path) {
            at = self.child(at, segment);
        }
        if let Some(node) = self.nodes.get_mut(at) {
            let end = if pattern.is_folder() { &mut node.folder } else { &mut node.itself };
            end.get_or_insert(place);
        }
    }

    fn child(&mut self, at: usize, segment: &str) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else { return at };
        let child = if segment == "**" {
            *node.deep.get_or_insert(new)
        } else if has_wildcard(segment) {
            let glob = Glob::new(segment);
            let known = node.globs.get(&glob);
            if known.is_none() {
                node.globs.add(glob, new);
            }
            known.unwrap_or(new)
        } else {
            *node.names.entry(segment.into()).or_insert(new)
        };
        if child == new {
            self.nodes.push(Node { is_deep: segment == "**", ..Node::default() });
        }
        child
    }

    /// Walks along a literal path.
    pub(super) fn walk(&self, path: &str, scratch: &mut Scratch, budget: &mut Budget) -> Result<Found, Exhausted> {
        let mut found = Found::default();
        scratch.alive.clear();
        self.enter(0, &mut scratch.alive);
        let mut here = self.meet(&scratch.alive, &mut found);
        for segment in segments(path) {
            let mut steps = scratch.alive.len();
            scratch.next.clear();
            for node in self.nodes_at(&scratch.alive) {
                if let Some(&child) = node.1.names.get(segment) {
                    self.enter(child, &mut scratch.next);
                }
                steps += node.1.globs.lengths();
                for (glob, child) in node.1.globs.before(segment) {
                    if glob.matches(segment, &mut steps) {
                        self.enter(*child, &mut scratch.next);
                    }
                }
                if node.1.is_deep {
                    self.enter(node.0, &mut scratch.next);
                }
            }
            scratch.turn();
            budget.pay(steps)?;
            here = self.meet(&scratch.alive, &mut found);
            if scratch.alive.is_empty() {
                break;
            }
        }
        found.itself = least(found.folder, here);
        found.further = self.nodes_at(&scratch.alive).any(|(_, node)| node.leads_further());
        Ok(found)
    }

    /// Patterns that may have something in common with this one or with what lies below its matches: none that has is
    /// missing.
    pub(super) fn near(&self, pattern: &PathPattern, budget: &mut Budget) -> Result<Vec<usize>, Exhausted> {
        let mut scratch = Scratch::default();
        let mut near = Vec::new();
        self.enter(0, &mut scratch.alive);
        for segment in pattern.segments() {
            if segment == "**" {
                break;
            }
            let glob = has_wildcard(segment).then(|| Glob::new(segment));
            let mut steps = scratch.alive.len();
            for (at, node) in self.nodes_at(&scratch.alive) {
                near.extend(node.itself.into_iter().chain(node.folder));
                match &glob {
                    None => scratch.next.extend(node.names.get(segment)),
                    Some(glob) => {
                        let names = node.names.iter().filter(|(name, _)| glob.matches(name, &mut steps));
                        scratch.next.extend(names.map(|(_, child)| child));
                    }
                }
                for (own, child) in node.globs.iter() {
                    // Whether two globs meet is not worth finding out here.
                    if glob.is_some() || own.matches(segment, &mut steps) {
                        scratch.next.push(*child);
                    }
                }
                if node.is_deep {
                    scratch.next.push(at);
                }
            }
            for index in 0..scratch.next.len() {
                if let Some(deep) = scratch.next.get(index).and_then(|&at| self.nodes.get(at)?.deep) {
                    self.enter(deep, &mut scratch.next);
                }
            }
            scratch.turn();
            budget.pay(steps)?;
        }
        self.all_from(scratch.alive, &mut near, budget)?;
        near.sort_unstable();
        near.dedup();
        Ok(near)
    }

    fn all_from(&self, mut nodes: Vec<usize>, all: &mut Vec<usize>, budget: &mut Budget) -> Result<(), Exhausted> {
        let mut seen = vec![false; self.nodes.len()];
        while let Some(at) = nodes.pop() {
            let (Some(node), Some(seen)) = (self.nodes.get(at), seen.get_mut(at)) else { continue };
            if std::mem::replace(seen, true) {
                continue;
            }
            budget.pay(1)?;
            all.extend(node.itself.into_iter().chain(node.folder));
            nodes.extend(node.names.values().chain(node.globs.iter().map(|(_, child)| child)).chain(&node.deep));
        }
        Ok(())
    }

    /// Adds the node, and the one after a `**` that may be no segment.
    fn enter(&self, at: usize, set: &mut Vec<usize>) {
        set.push(at);
        if let Some(deep) = self.nodes.get(at).and_then(|node| node.deep) {
            self.enter(deep, set);
        }
    }

    fn nodes_at<'a>(&'a self, set: &'a [usize]) -> impl Iterator<Item = (usize, &'a Node)> {
        set.iter().filter_map(|&at| Some((at, self.nodes.get(at)?)))
    }

    /// Notes the patterns that end at these nodes; those that end at them without `/**` are the answer.
    fn meet(&self, set: &[usize], found: &mut Found) -> Option<usize> {
        let mut here = None;
        for (_, node) in self.nodes_at(set) {
            here = least(here, node.itself);
            found.folder = least(found.folder, node.folder);
        }
        found.below = least(found.below, least(here, found.folder));
        here
    }
}

impl Node {
    fn leads_further(&self) -> bool {
        self.deep.is_some() || !self.globs.is_empty() || !self.names.is_empty()
    }
}

impl Scratch {
    /// The next nodes are those that are alive now, each once.
    fn turn(&mut self) {
        if self.next.len() > 1 {
            self.next.sort_unstable();
            self.next.dedup();
        }
        std::mem::swap(&mut self.alive, &mut self.next);
        self.next.clear();
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

fn least(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, None) => one,
        (None, other) => other,
    }
}
