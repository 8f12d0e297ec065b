//! Faults with the path of their field.

use std::fmt;
use std::str::FromStr;

/// A value that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field, as the user wrote it, such as `spec.permissions.filesystem.read[0]`.
    pub field: String,
    /// What was given, what is allowed, what to do.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// All that is wrong with one object; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldErrors(pub Vec<FieldError>);

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}

/// Collects faults while an object is read.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<FieldError>);

impl Faults {
    /// Notes a fault.
    pub(crate) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError { field: field.into(), message: message.into() });
    }

    /// Parses one text, or notes why it can't be.
    pub(crate) fn parse<T: FromStr<Err: fmt::Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(field, format!("{}: {error}", quoted(text)));
                None
            }
        }
    }

    /// Parses a list; what can't be parsed is noted and left out, so that the faults of all items are reported.
    pub(crate) fn list<T: FromStr<Err: fmt::Display>, C: FromIterator<T>>(
        &mut self,
        field: &str,
        texts: Option<&[String]>,
    ) -> Option<C> {
        texts.map(|texts| {
            texts.iter().enumerate().filter_map(|(at, text)| self.parse(&format!("{field}[{at}]"), text)).collect()
        })
    }

    /// The faults that were noted.
    pub(crate) fn into_errors(self) -> FieldErrors {
        FieldErrors(self.0)
    }

    /// The value, if there were no faults.
    pub(crate) fn none_or<T>(self, value: T) -> Result<T, FieldErrors> {
        if self.0.is_empty() { Ok(value) } else { Err(FieldErrors(self.0)) }
    }
}

/// A text as it can be shown: in quotes, control characters escaped, cut where it is long.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 128;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{:?}…", text.get(..at).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}
