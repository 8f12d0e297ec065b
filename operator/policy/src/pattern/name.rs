//! Patterns of environment variables' names.

use std::fmt;
use std::str::FromStr;

use super::glob::Glob;
use super::{MAX_WILDCARDS, PatternError, as_text, check_text, path::has_wildcard};

/// A name (`[A-Za-z_][A-Za-z0-9_]*`), in which `*` stands for any characters of a name and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePattern {
    /// INVARIANT: passed `FromStr`.
    text: String,
}

impl NamePattern {
    /// All names.
    #[must_use]
    pub fn everything() -> Self {
        Self { text: "*".to_owned() }
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name, if it is one without wildcards.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        (!has_wildcard(&self.text)).then_some(&self.text)
    }

    /// What it begins with, up to the first wildcard.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.text.split(['*', '?']).next().unwrap_or_default()
    }

    /// Whether `name` is a valid name that the pattern means.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.literal() {
            Some(literal) => literal == name,
            None => is_name(name) && Glob::new(&self.text).matches(name, &mut 0),
        }
    }
}

/// Whether the text is a variable's name.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().enumerate().all(|(at, c)| is_name_char(at, c))
}

pub(super) fn is_name_char(at: usize, c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit())
}

impl AsRef<str> for NamePattern {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl FromStr for NamePattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        check_text(text, "the name of an environment variable")?;
        let mut wildcards = 0;
        for (at, found) in text.chars().enumerate() {
            if matches!(found, '*' | '?') {
                wildcards += 1;
            } else if !is_name_char(at, found) {
                return Err(PatternError::NotAName { at, found });
            }
        }
        if wildcards > MAX_WILDCARDS {
            return Err(PatternError::TooManyWildcards { found: wildcards });
        }
        Ok(Self { text: text.to_owned() })
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

as_text!(NamePattern);
