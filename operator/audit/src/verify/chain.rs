//! One chain, as far as it was seen.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::report::{ChainReport, Finding, Findings, Kind, Place};
use crate::keys::Writer;
use crate::line::{Head, Line, NONE};

/// A genuine line.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) digest: String,
    pub(super) prev: String,
    pub(super) time: Timestamp,
    pub(super) file: usize,
    pub(super) line: u64,
}

/// Chains and numbers that lines claim which were found wrong.
pub(super) type Claimed = BTreeSet<(String, u64)>;

/// A chain's lines.
#[derive(Debug)]
pub(super) struct Seen {
    writer: Writer,
    entries: BTreeMap<u64, Entry>,
    /// The last file with a line of this chain, and the highest number there.
    last: (usize, u64),
    copies: u64,
    closed: bool,
}

impl Seen {
    pub(super) const fn new(writer: Writer) -> Self {
        Self { writer, entries: BTreeMap::new(), last: (0, 0), copies: 0, closed: false }
    }

    pub(super) const fn writer(&self) -> Writer {
        self.writer
    }

    pub(super) const fn copies(&self) -> u64 {
        self.copies
    }

    /// Takes a line; tells what is wrong with its place.
    pub(super) fn take(&mut self, line: &Line, entry: Entry, closes: bool) -> Option<(Kind, String)> {
        let (file, highest) = self.last;
        let behind = file == entry.file && line.seq <= highest && !self.entries.is_empty();
        self.last = (entry.file, if file == entry.file { highest.max(line.seq) } else { line.seq });
        self.closed |= closes;
        if let Some(other) = self.entries.get(&line.seq) {
            if other.digest != entry.digest {
                let message = format!("its writer signed another line of this number, in line {}", other.line);
                return Some((Kind::Forked, message));
            }
            // The same in another file is a copy: logs overlap.
            if other.file != entry.file {
                self.copies += 1;
                return None;
            }
            return Some((Kind::Repeated, format!("it is in line {} already", other.line)));
        }
        self.entries.insert(line.seq, entry);
        behind.then(|| (Kind::Reordered, format!("it stands behind number {highest} of its chain")))
    }

    /// Looks for what is missing between the lines, and before the first.
    pub(super) fn gaps(
        &self,
        id: &str,
        since: Option<Timestamp>,
        claimed: &Claimed,
        findings: &mut Findings,
        files: &[String],
    ) {
        let place = |entry: &Entry| Place {
            file: entry.file.checked_sub(1).and_then(|at| files.get(at)).cloned().unwrap_or_else(|| "-".to_owned()),
            line: entry.line,
        };
        let mut before: Option<(u64, &Entry)> = None;
        for (seq, entry) in &self.entries {
            let from = before.map_or(0, |(seq, _)| seq + 1);
            let expected = before.map_or(NONE, |(_, before)| before.digest.as_str());
            let wrong = claimed.range((id.to_owned(), from)..(id.to_owned(), *seq)).count();
            let missing = (seq - from).saturating_sub(u64::try_from(wrong).unwrap_or(u64::MAX));
            let excused = since.is_some_and(|since| entry.time <= since);
            if missing > 0 && !excused {
                let message = match (missing, seq - from) {
                    (1, 1) => format!("number {from} before it is missing"),
                    (missing, all) if missing == all => {
                        format!("numbers {from} to {} before it are missing", seq - 1)
                    }
                    (missing, _) => format!("{missing} of numbers {from} to {} before it are missing", seq - 1),
                };
                findings.add(Finding::new(Kind::Removed, message).at(place(entry)).of(id, *seq));
            } else if from == *seq && entry.prev != expected {
                let message = "it follows another line than the one before it";
                findings.add(Finding::new(Kind::Forked, message).at(place(entry)).of(id, *seq));
            }
            before = Some((*seq, entry));
        }
    }

    pub(super) fn report(self, chain: String) -> ChainReport {
        let Self { writer, entries, last: _, copies: _, closed } = self;
        let first = entries.first_key_value().map(|(seq, entry)| (*seq, entry.time)).unwrap_or_default();
        let last = entries.last_key_value().map(|(seq, entry)| (*seq, entry.time)).unwrap_or_default();
        let lines = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        ChainReport { chain, writer, lines, first: first.0, last: last.0, from: first.1, to: last.1, closed }
    }
}

/// Whether a chain has the line that somebody vouches for.
pub(super) fn reaches(chain: Option<&Seen>, head: &Head, claimed: &Claimed, by: &str) -> Option<Finding> {
    let Head { chain: id, seq, digest, time } = head;
    let Some(chain) = chain else {
        let message = format!("no line of it is here, but {by} knows {} of them, the last of {time}", seq + 1);
        return Some(Finding::new(Kind::Removed, message));
    };
    match chain.entries.get(seq) {
        Some(entry) if entry.digest == *digest => None,
        Some(_) => Some(Finding::new(Kind::Forked, format!("{by} knows another line of this number"))),
        None if claimed.contains(&(id.clone(), *seq)) => None,
        None if chain.entries.last_key_value().is_some_and(|(last, _)| last < seq) => {
            let last = chain.entries.last_key_value().map_or(0, |(last, _)| *last);
            Some(Finding::new(Kind::Truncated, format!("it ends here with number {last}, but {by} knows number {seq}")))
        }
        // Said as a gap.
        None => None,
    }
}
