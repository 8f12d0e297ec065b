//! Lists of patterns. Each has an index, made when it is first asked for and shared by all copies of the list: a context
//! that is kept parsed is kept indexed, and a decision copies lists without copying patterns.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Serialize, Serializer};

/// What a list can be made of.
pub trait Indexed: Sized {
    /// Finds patterns without looking at each.
    type Index: fmt::Debug + Send + Sync;
    /// Made of all patterns of a list, by their places in it.
    fn index(items: &[Self]) -> Self::Index;
}

/// A list that does not change. Two are equal if their patterns are.
pub struct List<P: Indexed>(Option<Arc<Inner<P>>>);

struct Inner<P: Indexed> {
    items: Box<[P]>,
    /// INVARIANT: of `items`, which never change.
    index: OnceLock<P::Index>,
}

impl<P: Indexed> List<P> {
    /// The index; `None` of an empty list.
    pub(crate) fn index(&self) -> Option<&P::Index> {
        self.0.as_ref().map(|inner| inner.index.get_or_init(|| P::index(&inner.items)))
    }
}

impl<P: Indexed> Deref for List<P> {
    type Target = [P];

    fn deref(&self) -> &[P] {
        self.0.as_ref().map_or(&[], |inner| &inner.items)
    }
}

impl<P: Indexed> From<Vec<P>> for List<P> {
    fn from(items: Vec<P>) -> Self {
        let inner = |items: Vec<P>| Arc::new(Inner { items: items.into(), index: OnceLock::new() });
        Self((!items.is_empty()).then(|| inner(items)))
    }
}

impl<P: Indexed> FromIterator<P> for List<P> {
    fn from_iter<I: IntoIterator<Item = P>>(items: I) -> Self {
        items.into_iter().collect::<Vec<P>>().into()
    }
}

/// A list of its own: copies stay as they are.
impl<P: Indexed + Clone> Extend<P> for List<P> {
    fn extend<I: IntoIterator<Item = P>>(&mut self, more: I) {
        *self = self.iter().cloned().chain(more).collect();
    }
}

impl<'a, P: Indexed> IntoIterator for &'a List<P> {
    type Item = &'a P;
    type IntoIter = std::slice::Iter<'a, P>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<P: Indexed> Default for List<P> {
    fn default() -> Self {
        Self(None)
    }
}

impl<P: Indexed> Clone for List<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: Indexed + PartialEq> PartialEq for List<P> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<P: Indexed + Eq> Eq for List<P> {}

impl<P: Indexed + fmt::Debug> fmt::Debug for List<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<P: Indexed + Serialize> Serialize for List<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}
