//! Absolute, normalised paths of the view.
//!
//! Parsed once: whatever holds an [`AbsolutePath`] need not think about `..`, and comparison is by whole segments
//! (`/database` is not within `/data`).

use std::fmt;

use ccos_policy::pattern::path::is_at_or_below;
use thiserror::Error;

/// A path without `.`, `..`, empty segments, NUL or a trailing slash (but for `/` itself).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsolutePath(String);

/// Why a text is no [`AbsolutePath`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("expected an absolute path without \".\", \"..\", empty segments or NUL, but found {found:?}")]
pub struct PathError {
    found: String,
}

impl AbsolutePath {
    /// Parses; never repairs: a path that was "cleaned" is another path than the one that was decided on.
    ///
    /// # Errors
    /// [`PathError`] for anything that is not in the one normal form.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let normal = text == "/"
            || text.strip_prefix('/').is_some_and(|rest| {
                !text.contains('\0') && rest.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
            });
        if normal { Ok(Self(text.to_owned())) } else { Err(PathError { found: text.to_owned() }) }
    }

    /// A path that is written in this crate: not for what comes from anywhere else.
    pub(crate) fn literal(text: &'static str) -> Self {
        debug_assert!(Self::parse(text).is_ok(), "{text}");
        Self(text.to_owned())
    }

    /// As seen where `/` is at `base`: `/a` at `/proc/1/root` is `/proc/1/root/a`.
    #[must_use]
    pub fn at(&self, base: &Self) -> Self {
        match (base.0.as_str(), self.0.as_str()) {
            ("/", _) => self.clone(),
            (_, "/") => base.clone(),
            (base, own) => Self(format!("{base}{own}")),
        }
    }

    /// `/`.
    #[must_use]
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// As a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From the first below `/` to the last.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// Whether it is `base` or below it.
    #[must_use]
    pub fn is_within(&self, base: &Self) -> bool {
        is_at_or_below(&self.0, &base.0)
    }

    /// Whether it is below `base`.
    #[must_use]
    pub fn is_below(&self, base: &Self) -> bool {
        self != base && self.is_within(base)
    }

    /// Itself with one more segment, or nothing where `name` is not a segment.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<Self> {
        let text = if self.0 == "/" { format!("/{name}") } else { format!("{}/{name}", self.0) };
        if name.contains('/') { None } else { Self::parse(&text).ok() }
    }

    /// One segment less; the parent of `/` is `/`, as the kernel has it.
    #[must_use]
    pub fn parent(&self) -> Self {
        match self.0.rsplit_once('/') {
            Some((parent, _)) if !parent.is_empty() => Self(parent.to_owned()),
            _ => Self::root(),
        }
    }

    /// The ancestor-or-self directly below `base`, where it is below `base`.
    #[must_use]
    pub fn step_below(&self, base: &Self) -> Option<Self> {
        if !self.is_below(base) {
            return None;
        }
        self.segments().nth(base.segments().count()).and_then(|segment| base.child(segment))
    }

    /// What follows `base`, as a path of its own: `/data/a` in `/data` is `/a`.
    #[must_use]
    pub fn rest_in(&self, base: &Self) -> Option<Self> {
        if base.0 == "/" {
            return Some(self.clone());
        }
        match self.0.strip_prefix(base.0.as_str()) {
            Some("") => Some(Self::root()),
            Some(rest) if rest.starts_with('/') => Some(Self(rest.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> AbsolutePath {
        AbsolutePath::parse(text).unwrap()
    }

    #[test]
    fn only_the_normal_form_is_a_path() {
        for text in ["/", "/a", "/a/..b/c.", "/ä b/*"] {
            assert_eq!(path(text).as_str(), text);
        }
        for text in ["", "a", "a/b", "//", "/a/", "/a//b", "/./a", "/a/..", "/..", "/a\0b"] {
            assert_eq!(AbsolutePath::parse(text), Err(PathError { found: text.to_owned() }), "{text:?}");
        }
    }

    #[test]
    fn data_does_not_hold_database() {
        assert!(!path("/database").is_within(&path("/data")));
        assert_eq!(path("/database").rest_in(&path("/data")), None);
        assert_eq!(path("/database").step_below(&path("/data")), None);
    }

    #[test]
    fn relations_of_a_path_and_its_ancestors() {
        let deep = path("/a/b/c");
        assert!(deep.is_within(&AbsolutePath::root()) && deep.is_within(&deep) && !deep.is_below(&deep));
        assert_eq!(deep.step_below(&AbsolutePath::root()), Some(path("/a")));
        assert_eq!(deep.step_below(&path("/a")), Some(path("/a/b")));
        assert_eq!(deep.rest_in(&path("/a")), Some(path("/b/c")));
        assert_eq!(deep.rest_in(&deep), Some(AbsolutePath::root()));
        assert_eq!(path("/a").parent().parent(), AbsolutePath::root());
        assert_eq!(deep.at(&path("/a")), path("/a/a/b/c"));
        assert_eq!((deep.at(&AbsolutePath::root()), AbsolutePath::root().at(&deep)), (deep.clone(), deep.clone()));
        assert_eq!(deep.child(".."), None);
        assert_eq!(deep.child("x/y"), None);
    }
}
