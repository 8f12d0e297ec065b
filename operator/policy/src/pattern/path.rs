//! Path patterns: which absolute paths a grant, a requirement or a block means.
//!
//! Compared as characters, without case folding or normalisation: two names that look alike are two files to the kernel.

use std::fmt;
use std::str::FromStr;

use super::automaton::matches;
use super::{MAX_WILDCARDS, PatternError, as_text, check_text};

/// Segments of one path: deeper than real trees, and a bound on what one pattern can cost.
pub const MAX_SEGMENTS: usize = 32;

/// How far a pattern reaches beyond the paths that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To all that lies below its matches: in lists of files and folders, where one can't be had without the other.
    Below,
    /// No further: in lists of programs, each of which is a file. There, too, a trailing `/**` is all below its base.
    Itself,
}

/// A pattern of absolute paths. `*` (any characters) and `?` (one) stay within a segment, `**` is zero or more whole
/// segments; a trailing `/**` is its base and all below it. What lies below other matches is a matter of [`Reach`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPattern {
    /// INVARIANT: passed [`check`]; kept verbatim, so that `Display` undoes `FromStr`.
    text: String,
    /// Bytes of it before the first segment with a wildcard, without the slash between; 0 for the root.
    base: usize,
    shape: Shape,
}

/// What a pattern consists of besides its literal base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Shape {
    /// Nothing.
    Literal,
    /// `/**`.
    Folder,
    /// Something else, with `/**` at its end or not.
    Glob { is_folder: bool },
}

impl PathPattern {
    /// All paths, of any reach.
    #[must_use]
    pub fn everything() -> Self {
        Self::of("/**")
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path without a trailing `/**`, if it has no wildcard then. Of reach [`Reach::Below`], such a pattern means
    /// that path and all below it, with or without the `/**`.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.shape {
            Shape::Literal | Shape::Folder => Some(self.literal_base()),
            Shape::Glob { .. } => None,
        }
    }

    /// Whether it ends in `/**`, and so means all below whatever its reach.
    #[must_use]
    pub const fn is_folder(&self) -> bool {
        matches!(self.shape, Shape::Folder | Shape::Glob { is_folder: true })
    }

    /// The longest literal path that all matches are at or below: up to the first segment with a wildcard.
    #[must_use]
    pub fn literal_base(&self) -> &str {
        match self.text.get(..self.base) {
            None | Some("") => "/",
            Some(base) => base,
        }
    }

    /// INVARIANT: of a text that passed [`check`].
    fn of(text: &str) -> Self {
        let literal = |segment: &&str| !has_wildcard(segment);
        let base = text.split('/').skip(1).take_while(literal).map(|segment| 1 + segment.len()).sum();
        let (base, shape) = match (text.get(base..), text.ends_with("/**")) {
            _ if text == "/" => (0, Shape::Literal),
            (None | Some(""), _) => (base, Shape::Literal),
            (Some("/**"), _) => (base, Shape::Folder),
            (Some(_), is_folder) => (base, Shape::Glob { is_folder }),
        };
        Self { text: text.to_owned(), base, shape }
    }

    /// Whether it means this path, which has to be absolute and without `.`, `..` or empty segments.
    #[must_use]
    pub fn matches(&self, reach: Reach, path: &str) -> bool {
        matches(self, reach, path)
    }

    /// Its segments; none for `/`.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.text.split('/').filter(|segment| !segment.is_empty())
    }

    /// Whether a literal path lies at or below the literal base of this one; `false` for globs.
    #[must_use]
    pub fn contains_literal(&self, path: &str) -> bool {
        self.literal().is_some_and(|base| is_at_or_below(path, base))
    }
}

/// Whether `path` is `base` or lies below it, by whole segments. Both are absolute paths without a trailing slash.
#[must_use]
pub fn is_at_or_below(path: &str, base: &str) -> bool {
    if base == "/" {
        return true;
    }
    // The one byte says no of nearly all that are apart.
    match path.as_bytes().get(base.len()) {
        None => path == base,
        Some(b'/') => path.starts_with(base),
        Some(_) => false,
    }
}

pub(super) fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?'])
}

impl AsRef<str> for PathPattern {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl FromStr for PathPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        check(text)?;
        Ok(Self::of(text))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

as_text!(PathPattern);

fn check(text: &str) -> Result<(), PatternError> {
    check_text(text, "an absolute path")?;
    for (at, found) in text.chars().enumerate() {
        match found {
            '[' | ']' | '{' | '}' | '\\' => return Err(PatternError::Metacharacter { at, found }),
            _ if at == 0 && found != '/' => return Err(PatternError::Relative { found }),
            _ => {}
        }
    }
    if text == "/" {
        return Ok(());
    }
    let length = text.chars().count();
    let (mut at, mut segments, mut wildcards) = (1, 0, 0);
    for segment in text.split('/').skip(1) {
        match segment {
            "" if at == length => return Err(PatternError::TrailingSlash { at: at - 1 }),
            "" => return Err(PatternError::EmptySegment { at }),
            "." => return Err(PatternError::DotSegment { at, found: "." }),
            ".." => return Err(PatternError::DotSegment { at, found: ".." }),
            "**" => wildcards += 1,
            _ if segment.contains("**") => {
                return Err(PatternError::PartialDoubleStar { at, found: segment.to_owned() });
            }
            _ => wildcards += segment.chars().filter(|c| matches!(c, '*' | '?')).count(),
        }
        segments += 1;
        at += segment.chars().count() + 1;
    }
    if segments > MAX_SEGMENTS {
        return Err(PatternError::TooManySegments { found: segments });
    }
    if wildcards > MAX_WILDCARDS {
        return Err(PatternError::TooManyWildcards { found: wildcards });
    }
    Ok(())
}
