//! Globs of one segment or name: `*` is any characters, `?` is one. And sets of them, by what they begin with.

use std::collections::HashMap;

/// A glob that was looked at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob {
    text: Box<str>,
    /// Bytes before the first wildcard, and after the last one.
    head: usize,
    tail: usize,
    /// Whether one `*` is all that is between.
    is_single_star: bool,
}

impl Glob {
    /// Of a text that has a wildcard.
    pub(super) fn new(text: &str) -> Self {
        let wildcard = ['*', '?'];
        let head = text.find(wildcard).unwrap_or(text.len());
        let tail = text.rfind(wildcard).map_or(0, |last| text.len() - last - 1);
        let is_single_star = text.get(head..text.len() - tail) == Some("*");
        Self { text: text.into(), head, tail, is_single_star }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// What it begins with, before the first wildcard.
    fn head(&self) -> &str {
        self.text.get(..self.head).unwrap_or_default()
    }

    /// Whether it means the name. Adds what that cost, a step for a few comparisons.
    pub(super) fn matches(&self, name: &str, steps: &mut usize) -> bool {
        *steps += 1;
        let (pattern, name) = (self.text.as_bytes(), name.as_bytes());
        let ends_alike = name.len() >= self.head + self.tail
            && pattern.get(..self.head) == name.get(..self.head)
            && pattern.get(pattern.len() - self.tail..) == name.get(name.len() - self.tail..);
        ends_alike && (self.is_single_star || matches(pattern, name, steps))
    }
}

/// Globs, each with something.
#[derive(Debug, Default)]
pub(super) struct Globs {
    /// Those that begin with a wildcard: most of those that people write. Not among the others: to compare empty texts costs
    /// more than to compare all else here, since these have no memory, and AVX-512 has to suppress the faults of reading it.
    bare: Vec<(Glob, usize)>,
    /// The others, by their literal beginnings.
    heads: HashMap<Box<str>, Vec<(Glob, usize)>>,
    /// Of the beginnings, in bytes, each once and in order.
    lengths: Vec<usize>,
}

impl Globs {
    pub(super) fn add(&mut self, glob: Glob, with: usize) {
        let head = glob.head();
        if head.is_empty() {
            self.bare.push((glob, with));
            return;
        }
        if let Err(at) = self.lengths.binary_search(&head.len()) {
            self.lengths.insert(at, head.len());
        }
        self.heads.entry(head.into()).or_default().push((glob, with));
    }

    /// What the glob of this text is with.
    pub(super) fn get(&self, glob: &Glob) -> Option<usize> {
        let alike = if glob.head().is_empty() { &self.bare } else { self.heads.get(glob.head())? };
        alike.iter().find(|(known, _)| known == glob).map(|(_, with)| *with)
    }

    /// Those whose beginnings the name has: no others mean it.
    pub(super) fn before<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a (Glob, usize)> {
        let lengths = self.lengths.iter().take_while(|length| **length <= name.len());
        self.bare.iter().chain(lengths.filter_map(|&length| self.heads.get(name.get(..length)?)).flatten())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(Glob, usize)> {
        self.bare.iter().chain(self.heads.values().flatten())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bare.is_empty() && self.heads.is_empty()
    }

    /// How many beginnings there are to look at.
    pub(super) const fn lengths(&self) -> usize {
        self.lengths.len() + 1
    }
}

/// Whether a name is like a segment of a pattern, for who looks at names one by one.
#[must_use]
pub fn is_like(pattern: &str, name: &str) -> bool {
    matches(pattern.as_bytes(), name.as_bytes(), &mut 0)
}

/// Classic two-pointer match: on a mismatch it goes back to the last `*` only, so it is linear but for the retries. On
/// UTF-8: literals are compared as bytes, wildcards take whole characters.
fn matches(pattern: &[u8], name: &[u8], steps: &mut usize) -> bool {
    let (mut p, mut n, mut compared) = (0, 0, 0);
    let mut retry: Option<(usize, usize)> = None;
    let found = loop {
        let Some(&byte) = name.get(n) else {
            break pattern.get(p..).is_some_and(|rest| rest.iter().all(|&b| b == b'*'));
        };
        compared += 1;
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(b'?') => (p, n) = (p + 1, n + length(byte)),
            Some(&literal) if literal == byte => (p, n) = (p + 1, n + 1),
            Some(_) | None => {
                let Some((after_star, from)) = retry else { break false };
                let next = from + name.get(from).copied().map_or(1, length);
                (p, n) = (after_star, next);
                retry = Some((after_star, next));
            }
        }
    };
    *steps += compared / 4;
    found
}

/// Of the character that begins with this byte.
const fn length(byte: u8) -> usize {
    match byte {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}
