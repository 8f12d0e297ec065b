//! What is told of a trail.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::keys::Writer;

/// How many findings are listed: whoever made a log of nothing but wrong lines must not fill the reader's memory.
const LISTED: usize = 1000;

/// What was done to the trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Kind {
    /// A line is not as it was signed.
    Changed,
    /// Lines are missing before another one, or a whole chain is.
    Removed,
    /// A line stands behind a later one.
    Reordered,
    /// A line is there twice.
    Repeated,
    /// A line is of nobody who may write there.
    Foreign,
    /// A writer's key signed two lines of one number: it is somebody else's, too.
    Forked,
    /// Lines are missing at the end.
    Truncated,
    /// A line says otherwise than the receipt does.
    Differs,
}

impl Kind {
    /// In a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Reordered => "reordered",
            Self::Repeated => "repeated",
            Self::Foreign => "foreign",
            Self::Forked => "forked",
            Self::Truncated => "truncated",
            Self::Differs => "differs",
        }
    }
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Its name.
    pub file: String,
    /// From 1.
    pub line: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Where, if there is such a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// What was done.
    pub kind: Kind,
    /// To which chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// Which line of the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// For people.
    pub message: String,
}

impl Finding {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { place: None, kind, chain: None, seq: None, message: message.into() }
    }

    pub(super) fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    pub(super) fn of(self, chain: &str, seq: u64) -> Self {
        Self { chain: Some(chain.to_owned()), seq: Some(seq), ..self }
    }
}

pub(super) fn at(finding: Finding, place: Option<&Place>) -> Finding {
    Finding { place: place.cloned(), ..finding }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, kind, chain, seq, message } = self;
        if let Some(Place { file, line }) = place {
            write!(f, "{file}:{line}: ")?;
        }
        write!(f, "{}: ", kind.as_str())?;
        if let Some((chain, seq)) = chain.as_ref().zip(*seq) {
            write!(f, "number {seq} of chain {}: ", chain.chars().take(8).collect::<String>())?;
        }
        f.write_str(message)
    }
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChainReport {
    /// Its name.
    pub chain: String,
    /// Whose it is.
    pub writer: Writer,
    /// How many lines of it there are.
    pub lines: u64,
    /// Number of the first.
    pub first: u64,
    /// Number of the last.
    pub last: u64,
    /// Time of the first.
    pub from: Timestamp,
    /// Time of the last.
    pub to: Timestamp,
    /// Whether its process ended it in order.
    pub closed: bool,
}

/// All that is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether nothing is wrong.
    pub clean: bool,
    /// Lines of the trail.
    pub lines: u64,
    /// Other lines.
    pub others: u64,
    /// Lines that are in several files.
    pub copies: u64,
    /// Executions that lines were looked for.
    pub executions: u64,
    /// By chain.
    pub chains: Vec<ChainReport>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Further findings that are not listed.
    pub findings_more: u64,
}

#[derive(Debug, Default)]
pub(super) struct Findings {
    listed: Vec<Finding>,
    more: u64,
}

impl Findings {
    pub(super) fn add(&mut self, finding: Finding) {
        if self.listed.len() < LISTED {
            self.listed.push(finding);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.add(finding);
        }
    }
}

pub(super) fn report(
    lines: u64,
    others: u64,
    copies: u64,
    executions: u64,
    chains: Vec<ChainReport>,
    findings: Findings,
) -> Report {
    let Findings { listed: mut findings, more: findings_more } = findings;
    findings.sort();
    findings.dedup();
    let clean = findings.is_empty() && findings_more == 0;
    Report { clean, lines, others, copies, executions, chains, findings, findings_more }
}
