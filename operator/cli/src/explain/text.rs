//! An explanation for people.

use std::io::{self, Write};

use super::report::{ConditionSeen, Explanation, ReceiptSeen, State, Verified};
use crate::printable::printable;

/// Writes it.
pub(super) fn write(explanation: &Explanation, out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::new();
    describe(explanation, &mut text);
    // All of it at once: much of it was written by others, the code that ran among them.
    out.write_all(printable(&text).as_bytes())
}

fn describe(explanation: &Explanation, text: &mut String) {
    let Explanation {
        execution,
        capability,
        context,
        isolation,
        desired_state,
        receipt,
        conditions,
        state,
        enforcement,
        attempts,
        usage,
        denials,
        result,
    } = explanation;
    let mut line = |indent: usize, content: &str| {
        for part in content.lines() {
            text.push_str(&" ".repeat(indent));
            text.push_str(part);
            text.push('\n');
        }
    };
    line(0, &format!("CapabilityExecution {execution}"));
    line(2, &format!("capability  {capability}"));
    line(2, &format!("context     {context}"));
    if let Some(isolation) = isolation {
        line(2, &format!("isolation   {isolation:?}"));
    }
    if let Some(desired) = desired_state {
        line(2, &format!("desired     {desired:?}"));
    }

    line(0, "\nReceipt");
    for part in receipt_lines(receipt) {
        line(2, &part);
    }

    line(0, "\nConditions");
    if conditions.is_empty() {
        line(2, "none yet: the controller has not looked at it; does it run?");
    }
    for ConditionSeen { kind, status, reason, message, since, meaning } in conditions {
        line(2, &format!("{kind:<10} {status:<8} {reason}, since {since}"));
        line(4, meaning);
        line(4, message);
    }

    if let Some(State { finished, reason, message, advice }) = state {
        line(0, if *finished { "\nEnd" } else { "\nState" });
        line(2, &if message.is_empty() { reason.clone() } else { format!("{reason}: {message}") });
        if let Some(advice) = advice {
            line(2, &format!("what to do: {advice}"));
        }
    }

    if !enforcement.is_empty() {
        line(0, "\nEnforcement");
        let width = enforcement.iter().map(|one| one.field.len()).max().unwrap_or_default();
        for one in enforcement {
            line(2, &format!("{:<width$}  {}, proven: {}", one.field, one.mechanism, one.proven));
        }
    }
    if !attempts.is_empty() {
        line(0, "\nAttempts");
        for one in attempts {
            let reason = one.reason.as_deref().unwrap_or("not over");
            let code = one.exit_code.map(|code| format!(", exit status {code}")).unwrap_or_default();
            line(2, &format!("pod {}: {reason}{code}", one.pod_name));
        }
    }
    if let Some(usage) = usage {
        line(0, "\nUsage");
        for (name, value) in used(usage) {
            line(2, &format!("{name:<14} {value}"));
        }
    }
    if !denials.is_empty() {
        line(0, "\nRefused while it ran");
        for one in denials {
            line(2, &format!("{} {} ({} times, first at {})", one.kind, one.target, one.count, one.first_seen.0));
        }
    }
    if let Some(result) = result {
        line(0, "\nResult");
        if let Some(value) = &result.inline {
            line(2, &serde_json::to_string_pretty(value).unwrap_or_default());
        }
        if let Some(reference) = &result.config_map_ref {
            let digest = result.sha256.as_deref().unwrap_or("unknown");
            line(2, &format!("in ConfigMap {:?}, SHA-256 {digest}", reference.name));
        }
    }
}

fn receipt_lines(receipt: &ReceiptSeen) -> Vec<String> {
    let ReceiptSeen { verified, why, requester, admitted_at, decision_digest } = receipt;
    let head = match verified {
        Verified::Yes => "genuine: signed by the webhook, for this object as it is",
        Verified::No => "NOT genuine",
        Verified::Unknown => "not verified",
    };
    let mut lines = vec![why.as_ref().map_or_else(|| head.to_owned(), |why| format!("{head}: {why}"))];
    let says = if *verified == Verified::Yes { "" } else { "it says: " };
    if let (Some(requester), Some(at)) = (requester, admitted_at) {
        lines.push(format!("{says}admitted for user {requester:?} at {at}"));
    }
    if let Some(digest) = decision_digest {
        lines.push(format!("{says}decision {digest}"));
    }
    lines
}

fn used(usage: &ccos_crds::execution::Usage) -> Vec<(&'static str, String)> {
    let ccos_crds::execution::Usage {
        cpu_time,
        peak_memory,
        wall_time,
        disk_written,
        bytes_sent,
        bytes_received,
        connections,
        connections_in,
    } = usage;
    [
        ("cpuTime", cpu_time.as_ref().map(ToString::to_string)),
        ("peakMemory", peak_memory.as_ref().map(ToString::to_string)),
        ("wallTime", wall_time.as_ref().map(ToString::to_string)),
        ("diskWritten", disk_written.as_ref().map(ToString::to_string)),
        ("bytesSent", bytes_sent.as_ref().map(ToString::to_string)),
        ("bytesReceived", bytes_received.as_ref().map(ToString::to_string)),
        ("connections", connections.as_ref().map(ToString::to_string)),
        ("connectionsIn", connections_in.as_ref().map(ToString::to_string)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}
