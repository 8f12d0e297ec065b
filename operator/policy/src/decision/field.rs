//! Fields, as users wrote them.

use std::cmp::Ordering;
use std::fmt;

use serde::Serialize;

/// The path of a field, such as `requires.permissions.filesystem.read[0]`; relative to `spec`.
/// Ordered as people count: `read[2]` before `read[10]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct FieldPath(String);

impl FieldPath {
    /// From its text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A field of this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    /// An entry of this one.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for FieldPath {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for FieldPath {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialOrd for FieldPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FieldPath {
    fn cmp(&self, other: &Self) -> Ordering {
        // The texts themselves last: `a[1]` and `a[01]` count alike, but only equal texts may compare equal.
        natural(&self.0, &other.0).then_with(|| self.0.cmp(&other.0))
    }
}

fn natural(mut left: &str, mut right: &str) -> Ordering {
    loop {
        let (digits_left, digits_right) = (digits(left), digits(right));
        if !digits_left.is_empty() && !digits_right.is_empty() {
            let number = |digits: &str| {
                let significant = digits.trim_start_matches('0');
                (significant.len(), significant.to_owned())
            };
            let order = number(digits_left).cmp(&number(digits_right));
            if order.is_ne() {
                return order;
            }
            left = left.get(digits_left.len()..).unwrap_or_default();
            right = right.get(digits_right.len()..).unwrap_or_default();
            continue;
        }
        let (mut rest_left, mut rest_right) = (left.chars(), right.chars());
        match (rest_left.next(), rest_right.next()) {
            (None, None) => return Ordering::Equal,
            (first_left, first_right) if first_left != first_right => return first_left.cmp(&first_right),
            _ => (left, right) = (rest_left.as_str(), rest_right.as_str()),
        }
    }
}

fn digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}
