//! A difference for people and for programs.

use std::io::Write;

use serde_json::Value;

use super::compare::{Change, Difference, Field};
use crate::printable::line as line_of;
use crate::{Format, PrintError};

pub(super) fn print(differences: &[Difference], format: Format, out: &mut dyn Write) -> Result<(), PrintError> {
    match format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(differences).map_err(PrintError::format)?)?,
        Format::Text => {
            let texts: Vec<String> = differences.iter().filter(|one| !one.is_none()).map(text).collect();
            out.write_all(texts.join("\n").as_bytes())?;
        }
    }
    Ok(())
}

fn text(difference: &Difference) -> String {
    let Difference { old, new, newly_allowed, newly_refused, changed } = difference;
    let mut lines = vec![match (old, new) {
        (Some(old), Some(new)) if old == new => old.clone(),
        (Some(old), Some(new)) => format!("{old} -> {new}"),
        (None, Some(new)) => format!("{new}: is new"),
        (Some(old), None) => format!("{old}: is gone, and with it whatever ran under it"),
        (None, None) => String::new(),
    }];
    for (head, sign, other, changes) in
        [("newly allowed", '+', "was", newly_allowed), ("newly refused", '-', "now", newly_refused)]
    {
        if !changes.is_empty() {
            lines.push(format!("  {head}"));
        }
        for change in changes {
            lines.push(format!("  {sign} {}", line(change, other)));
        }
    }
    if !changed.is_empty() {
        lines.push("  changed".to_owned());
    }
    for Field { field, old, new } in changed {
        lines.push(format!("  ~ {field}: {} -> {}", value(old), value(new)));
    }
    lines.push(String::new());
    lines.iter().map(|text| line_of(text)).collect::<Vec<_>>().join("\n")
}

fn line(change: &Change, when: &str) -> String {
    let Change { field, granted, example, blocked_by, other, too_complex } = change;
    let granted = if field.ends_with(']') { format!(" {granted:?}") } else { format!(" {granted}") };
    let detail = match (example, blocked_by, other) {
        (Some(example), None, _) => format!(": e.g. {example}"),
        (Some(example), Some(by), _) => format!(": e.g. {example}, {when} blocked by {by}"),
        (None, _, Some(other)) => format!(", {when} {other}"),
        (None, _, None) if *too_complex => ": too complex to tell what of it".to_owned(),
        (None, _, None) => String::new(),
    };
    format!("{field}{granted}{detail}")
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "absent".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
