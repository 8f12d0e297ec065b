//! What is wrong with a text, and where.

use std::fmt;

use miette::Diagnostic;

/// Something that is wrong with a text, with its place and, where Cedar knows it, what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line and column, from 1; absent: the whole text.
    pub at: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, message } = self;
        if let Some((line, column)) = at {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(message)
    }
}

impl Fault {
    pub(crate) fn new(at: Option<(usize, usize)>, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    /// From Cedar's diagnostic of a text: its message, what was expected there, and its help.
    pub(crate) fn of(text: &str, diagnostic: &dyn Diagnostic) -> Self {
        let labels: Vec<_> = diagnostic.labels().into_iter().flatten().collect();
        let at = labels.first().map(|label| place(text, label.offset()));
        let mut message = diagnostic.to_string();
        // Cedar names the policy by a number of its own; the place says it better.
        if let Some((_, rest)) = message.strip_prefix("for policy `").and_then(|rest| rest.split_once('`')) {
            message = String::from(rest.trim_start_matches([',', ':', ' ']));
        }
        for label in labels.iter().filter_map(|label| label.label()) {
            message.push_str(": ");
            message.push_str(label);
        }
        if let Some(help) = diagnostic.help() {
            message.push_str("; ");
            message.push_str(&help.to_string());
        }
        Self::new(at, message)
    }
}

/// Line and column of an offset in bytes, from 1; columns count characters.
pub(crate) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
