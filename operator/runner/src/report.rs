//! The report, as small as the termination message has to be.

use ccos_profile::{Delivery, End, Report, TERMINATION_MESSAGE_LIMIT, VERSION};

/// A report that only says why there was nothing else.
#[must_use]
pub fn failed(end: End, message: String) -> Delivery {
    // Of a command that could not be started, as shells say it.
    let exit_code = (end == End::NonZeroExit).then_some(127);
    Delivery {
        report: Report {
            version: VERSION,
            end,
            message,
            exit_code,
            signal: None,
            result: None,
            result_digest: None,
            usage: None,
            proven: Vec::new(),
            network: None,
        },
        result: None,
    }
}

/// As much of a message is worth more than denials.
const KEPT_MESSAGE: usize = 400;

/// One line of JSON of at most [`TERMINATION_MESSAGE_LIMIT`] bytes. The kubelet would cut a longer one in its
/// middle, so the message is cut here, and what remains is still a report.
///
/// Budget: result 2,048 (or its digest), proofs below 1,000, usage and the rest below 300, 200 for the network's; so the
/// message keeps at least 500. What is left is for denials: those that find no room are counted.
#[must_use]
pub fn line(report: &Report) -> String {
    let mut report = report.clone();
    loop {
        let text = serde_json::to_string(&report).unwrap_or_default();
        let over = text.len().saturating_sub(TERMINATION_MESSAGE_LIMIT);
        if over == 0 {
            return text;
        }
        let of_network = report.network.as_mut().filter(|_| report.message.len() <= KEPT_MESSAGE);
        if let Some((network, denial)) = of_network.and_then(|network| network.denials.pop().map(|one| (network, one)))
        {
            network.denied_more = network.denied_more.saturating_add(denial.count);
            continue;
        }
        if report.message.is_empty() {
            // Proofs are texts of this crate and the result is bounded before: not reached, but never silent either.
            report.result = None;
            report.proven.clear();
            report.message = String::from("report too large");
            continue;
        }
        // A character may be six bytes of JSON; cutting as many as are over converges from above.
        let denials = report.network.as_ref().is_some_and(|network| !network.denials.is_empty());
        let least = if denials { KEPT_MESSAGE } else { 0 };
        let keep = report.message.len().saturating_sub(over.div_ceil(6).max(4)).max(least);
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
    use ccos_profile::egress::{Denial, Refusal, Usage as Network};
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
            result_digest: None,
            usage: Some(Usage {
                cpu_time_millis: u64::MAX,
                peak_memory_bytes: u64::MAX,
                wall_time_millis: u64::MAX,
                disk_bytes: u64::MAX,
            }),
            proven: mechanism::ALL
                .iter()
                .filter(|one| ![mechanism::OUTBOUND, mechanism::INBOUND].contains(one))
                .map(proof)
                .collect(),
            network: None,
        }
    }

    fn networked(denials: usize, target: usize) -> Report {
        let denial = |number| Denial {
            reason: Refusal::TooManyConnections,
            target: format!("{number:x>target$}"),
            count: u64::MAX / 64,
            first_seen: u64::MAX,
        };
        let proof = |one: &Mechanism| Proof { field: one.field.into(), mechanism: one.name.into() };
        Report {
            proven: mechanism::ALL.iter().map(proof).collect(),
            network: Some(Network {
                bytes_sent: u64::MAX,
                bytes_received: u64::MAX,
                connections: u64::MAX,
                connections_in: u64::MAX,
                denials: (0..denials).map(denial).collect(),
                denied_more: 5,
            }),
            ..largest()
        }
    }

    #[test]
    fn denials_take_what_is_left_and_the_others_are_counted() {
        for message in [String::new(), "y".repeat(300), "y".repeat(5000), "\u{1}".repeat(5000)] {
            for (result, target) in [(None, 20), (None, 256), (largest().result, 20), (largest().result, 256)] {
                let report = Report { message: message.clone(), result, ..networked(32, target) };
                let line = line(&report);
                let back: Report = serde_json::from_str(&line).unwrap();
                assert!(line.len() <= TERMINATION_MESSAGE_LIMIT, "{}", line.len());
                assert!(back.message.len() >= message.len().min(400 / 6), "{}", back.message.len());
                assert_eq!((&back.result, &back.proven), (&report.result, &report.proven));
                let (before, after) = (report.network.unwrap(), back.network.unwrap());
                assert_eq!(after.denials, before.denials[..after.denials.len()]);
                let dropped = before.denials.len() - after.denials.len();
                assert_eq!(after.denied_more, 5 + dropped as u64 * (u64::MAX / 64));
                assert_eq!((after.bytes_sent, after.connections), (u64::MAX, u64::MAX));
            }
        }
        let small = Report { message: "exit status 1".to_owned(), result: None, ..networked(10, 40) };
        let back: Report = serde_json::from_str(&line(&small)).unwrap();
        assert_eq!(back, small);
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
