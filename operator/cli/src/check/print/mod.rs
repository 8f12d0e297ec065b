//! The formats of a report. Each is written from the same [`Checked`].

mod junit;
mod openreports;
mod sarif;

use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;

use super::{Cause, CheckFormat, Checked, Verdict};
use crate::PrintError;
use crate::input::{Fault, Place};
use crate::printable::{line, printable};

/// Prints what was decided. Nothing is decided of an input with faults; the formats that have a place for faults print
/// those.
pub(super) fn print(
    checked: &Checked,
    format: CheckFormat,
    now: Timestamp,
    out: &mut dyn Write,
) -> Result<(), PrintError> {
    match format {
        CheckFormat::Text if !checked.faults.is_empty() => {}
        CheckFormat::Text => text(&checked.verdicts, out)?,
        CheckFormat::Json => {
            let text = if checked.faults.is_empty() {
                serde_json::to_string_pretty(&checked.verdicts.iter().map(Report::of).collect::<Vec<_>>())
            } else {
                serde_json::to_string_pretty(&checked.faults.iter().map(Invalid::of).collect::<Vec<_>>())
            };
            writeln!(out, "{}", text.map_err(PrintError::format)?)?;
        }
        CheckFormat::Junit => {
            out.write_all(junit::report(checked).to_string().map_err(PrintError::format)?.as_bytes())?;
        }
        CheckFormat::Sarif => {
            let log = sarif::log(checked);
            writeln!(out, "{}", serde_json::to_string_pretty(&log).map_err(PrintError::format)?)?;
        }
        CheckFormat::Openreports => {
            for report in openreports::reports(checked, now) {
                write!(out, "---\n{}", serde_saphyr::to_string(&report).map_err(PrintError::format)?)?;
            }
        }
    }
    Ok(())
}

fn text(verdicts: &[Verdict], out: &mut dyn Write) -> Result<(), PrintError> {
    for Verdict { subject, context: _, place: _, causes: _, rejection } in verdicts {
        match rejection {
            None => writeln!(out, "allowed  {}", line(subject))?,
            Some(text) => writeln!(out, "denied   {}: {}", line(subject), printable(text))?,
        }
    }
    Ok(())
}

/// For programs.
#[derive(Serialize)]
struct Report<'a> {
    execution: &'a str,
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    allowed: bool,
    causes: &'a [Cause],
}

/// Instead, of what can't be understood.
#[derive(Serialize)]
struct Invalid<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    object: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    error: &'a str,
}

impl<'a> Invalid<'a> {
    fn of(fault: &'a Fault) -> Self {
        let Fault { place, field, message } = fault;
        let Place { file, line, template: _, object } = place;
        Self { file, line: *line, object, field: field.as_deref(), error: message }
    }
}

impl<'a> Report<'a> {
    fn of(verdict: &'a Verdict) -> Self {
        let Verdict { subject, context: _, place, causes, rejection: _ } = verdict;
        Self { execution: subject, file: &place.file, line: place.line, allowed: verdict.is_allowed(), causes }
    }
}
