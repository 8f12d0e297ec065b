//! The report, as small as the termination message has to be.

use ccos_profile::{End, Report, TERMINATION_MESSAGE_LIMIT, VERSION};

/// A report that only says why there was nothing else.
#[must_use]
pub fn failed(end: End, message: String) -> Report {
    // Of a command that could not be started, as shells say it.
    let exit_code = (end == End::NonZeroExit).then_some(127);
    let (signal, result, usage, network) = (None, None, None, None);
    Report { version: VERSION, end, message, exit_code, signal, result, usage, proven: Vec::new(), network }
}

/// One line of JSON of at most [`TERMINATION_MESSAGE_LIMIT`] bytes. The kubelet would cut a longer one in its
/// middle, so the message is cut here, and what remains is still a report.
///
/// Budget: result 2,048, proofs below 900, usage and the rest below 300; so the message keeps at least 800.
#[must_use]
pub fn line(report: &Report) -> String {
    let mut report = report.clone();
    loop {
        let text = serde_json::to_string(&report).unwrap_or_default();
        let over = text.len().saturating_sub(TERMINATION_MESSAGE_LIMIT);
        if over == 0 {
            return text;
        }
        if report.message.is_empty() {
            // Proofs are texts of this crate and the result is bounded before: not reached, but never silent either.
            report.result = None;
            report.proven.clear();
            report.message = String::from("report too large");
            continue;
        }
        // A character may be six bytes of JSON; cutting as many as are over converges from above.
        let keep = report.message.len().saturating_sub(over.div_ceil(6).max(4));
        report.message.truncate(report.message.floor_char_boundary(keep));
        if report.message.pop().is_some() && !report.message.is_empty() {
            report.message.push('…');
        }
    }
}

/// The first bytes of what a workload wrote, harmless for terminals and logs.
#[must_use]
pub fn excerpt(bytes: &[u8], most: usize) -> String {
    let shown = bytes.get(..most).unwrap_or(bytes);
    let rest = if shown.len() < bytes.len() { "…" } else { "" };
    // Apostrophes are common in messages of people, and harmless between quotation marks.
    let text = shown.escape_ascii().to_string().replace("\\'", "'");
    format!("\"{text}\"{rest}")
}

#[cfg(test)]
mod tests {
    use ccos_profile::mechanism::{self, Mechanism};
    use ccos_profile::{INLINE_RESULT_LIMIT, Proof, Usage};
    use serde_json::Value;

    use super::*;

    fn largest() -> Report {
        let proof = |one: &Mechanism| Proof { field: one.field.into(), mechanism: one.name.into() };
        Report {
            version: VERSION,
            end: End::ConfinementFailed,
            message: String::new(),
            exit_code: Some(i32::MIN),
            signal: Some(i32::MIN),
            result: Some(Value::String("x".repeat(INLINE_RESULT_LIMIT - 2))),
            usage: Some(Usage {
                cpu_time_millis: u64::MAX,
                peak_memory_bytes: u64::MAX,
                wall_time_millis: u64::MAX,
                disk_bytes: u64::MAX,
            }),
            proven: mechanism::ALL.iter().map(proof).collect(),
        }
    }

    #[test]
    fn the_largest_report_keeps_its_result_and_800_bytes_of_message() {
        for (message, kept) in [("y".repeat(5000), 800), ("\u{1}".repeat(5000), 800 / 6), ("€\"".repeat(2000), 300)] {
            let report = Report { message, ..largest() };
            let line = line(&report);
            let back: Report = serde_json::from_str(&line).unwrap();
            assert!(line.len() <= TERMINATION_MESSAGE_LIMIT, "{}", line.len());
            assert!(back.message.len() >= kept && back.message.ends_with('…'), "{}", back.message.len());
            assert_eq!((back.result, back.proven), (report.result, report.proven));
        }
    }

    #[test]
    fn an_excerpt_has_no_control_characters() {
        assert_eq!(excerpt(b"\x1b[31mred\n\xff", 9), "\"\\x1b[31mred\\n\"…");
        assert_eq!(excerpt(b"", 9), "\"\"");
        assert_eq!(excerpt(b"can't \\'", 9), "\"can't \\\\'\"");
    }
}
