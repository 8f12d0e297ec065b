//! For people.

use std::io::{self, Write};

use ccos_audit::Report;
use ccos_audit::verify::ChainReport;

use crate::printable::line;

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Report { clean, lines, others, copies, executions, chains, findings, findings_more } = report;
    for finding in findings {
        writeln!(out, "{}", line(&finding.to_string()))?;
    }
    if *findings_more > 0 {
        writeln!(out, "and {findings_more} more")?;
    }
    for ChainReport { chain, writer, lines, first, last, from, to, closed } in chains {
        let name: String = chain.chars().take(8).collect();
        let state = if *closed { "closed" } else { "open" };
        writeln!(
            out,
            "chain {name} of the {writer}: {lines} lines, numbers {first} to {last}, {from} to {to}, {state}"
        )?;
    }
    writeln!(
        out,
        "{}: {lines} lines of {} chains, {executions} executions; {others} other lines, {copies} copies",
        if *clean { "whole" } else { "not whole" },
        chains.len(),
    )
}
