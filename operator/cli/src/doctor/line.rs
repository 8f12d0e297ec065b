//! What was found, and how it is printed.

use serde::Serialize;

use crate::printable::printable;
use crate::{Format, Outcome, PrintError, Streams};

use super::kata::KataReport;

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// One for each check, in a fixed order.
    pub checks: Vec<Line>,
    /// What is to be written where, of a node with Kata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kata: Option<KataReport>,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What was looked at.
    pub check: String,
    /// What came of it.
    pub state: State,
    /// What there is.
    pub found: String,
    /// What to do; empty where there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advice: String,
    /// How it is known what follows, of a setting of Kata: `measured` on a running one, or `documented`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<&'static str>,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It holds.
    Ok,
    /// Nobody here can tell.
    Unknown,
    /// Less than it could be; executions don't rely on it.
    Warn,
    /// Something that executions rely on doesn't hold.
    Fail,
}

impl State {
    const ALL: [Self; 4] = [Self::Ok, Self::Warn, Self::Fail, Self::Unknown];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Line {
    pub(super) fn new(check: impl Into<String>, state: State, found: impl Into<String>, advice: &str) -> Self {
        Self { check: check.into(), state, found: found.into(), advice: advice.to_owned(), known: None }
    }

    pub(super) fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(check, State::Ok, found, "")
    }
}

impl Report {
    /// The exit code: what only warns, or can't be told, is no failure.
    pub fn outcome(&self) -> Outcome {
        if self.checks.iter().any(|line| line.state == State::Fail) { Outcome::Findings } else { Outcome::Done }
    }
}

/// Prints a report.
///
/// # Errors
/// If it can't be written.
pub fn print(report: &Report, format: Format, streams: &mut Streams<'_>) -> Result<(), PrintError> {
    let text = match format {
        Format::Json => serde_json::to_string_pretty(report).map_err(PrintError::format)? + "\n",
        Format::Text => printable(&text(report)),
    };
    streams.out.write_all(text.as_bytes())?;
    Ok(())
}

fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    for Line { check, state, found, advice, known } in &report.checks {
        let known = known.map(|known| format!(" [{known}]")).unwrap_or_default();
        lines.push(format!("{:<8}{check}{known}", state.as_str()));
        lines.push(format!("        {found}"));
        if !advice.is_empty() {
            lines.push(format!("        do: {advice}"));
        }
    }
    if let Some(kata) = &report.kata {
        lines.push(kata.text());
    }
    let count = |state: State| report.checks.iter().filter(|line| line.state == state).count();
    let counts: Vec<String> = State::ALL.map(|state| format!("{} {}", count(state), state.as_str())).into();
    lines.push(format!("{}\n", counts.join(", ")));
    lines.join("\n")
}
