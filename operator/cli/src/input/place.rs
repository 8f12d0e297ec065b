//! Where something is, and what is wrong there.

use std::fmt;

use ccos_plan::wire::FieldError;

use crate::printable::{line as line_of, printable};

/// Where something is. Shown as compilers do, so that terminals and editors find it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file; `-` for standard input.
    pub file: String,
    /// From 1; absent: the whole file.
    pub line: Option<u64>,
    /// The template that Helm made it from, as its `# Source:` says.
    pub template: Option<String>,
    /// Such as `SecurityContext data/analysts`.
    pub object: String,
}

impl Place {
    /// A whole file.
    #[must_use]
    pub fn file(file: &str) -> Self {
        Self { file: file.to_owned(), ..Self::default() }
    }

    /// Another line of the same.
    #[must_use]
    pub fn at(&self, line: u64) -> Self {
        Self { line: Some(line), ..self.clone() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, template, object } = self;
        f.write_str(&line_of(file))?;
        if let Some(line) = line {
            write!(f, ":{line}")?;
        }
        if let Some(template) = template {
            write!(f, " ({})", line_of(template))?;
        }
        if !object.is_empty() {
            write!(f, ": {}", line_of(object))?;
        }
        Ok(())
    }
}

/// Something that is wrong with the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// Which field; absent: all of it.
    pub field: Option<String>,
    /// What, and what to do.
    pub message: String,
}

impl Fault {
    /// Of a whole object or file.
    #[must_use]
    pub fn at(place: Place, message: impl Into<String>) -> Self {
        Self { place, field: None, message: message.into() }
    }

    /// Of a field.
    #[must_use]
    pub fn field(place: Place, error: FieldError) -> Self {
        let FieldError { field, message } = error;
        Self { place, field: Some(field), message }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, field, message } = self;
        if *place != Place::default() {
            write!(f, "{place}: ")?;
        }
        if let Some(field) = field {
            write!(f, "{}: ", line_of(field))?;
        }
        // Some have several lines, such as a piece of the file; none of them is to look like one of ours.
        f.write_str(&printable(message).replace('\n', "\n    "))
    }
}
