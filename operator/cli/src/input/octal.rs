//! Numbers that begin with 0: kubectl reads YAML 1.1, where such a number is octal, and we read 1.2, where it is not.
//! Whatever is decided of one here, the cluster would decide of another.

use std::fmt;

/// Such a number, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Octal(String);

impl Octal {
    /// The one that a text begins with, if it does, and ends there: in quotes, it would begin with those.
    pub(crate) fn at_start(text: &str) -> Option<Self> {
        let end = text.find(|c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}')).unwrap_or(text.len());
        let token = text.get(..end)?;
        let digits = token.strip_prefix(['-', '+']).unwrap_or(token);
        let is_one = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_one.then(|| Self(token.to_owned()))
    }
}

impl fmt::Display for Octal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(token) = self;
        write!(f, "{token}: kubectl takes a number that begins with 0 for an octal one")?;
        if let Ok(number) = i64::from_str_radix(token, 8) {
            write!(f, ", here {number}")?;
        }
        f.write_str("; write it without the 0")
    }
}
