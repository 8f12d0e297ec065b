//! What came of tables, for people and for programs.

use std::io::Write;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;

use super::TestFormat;
use super::given::Expected;
use super::judge::{Cause, Found, Judged, Table};
use crate::PrintError;
use crate::printable::line;

pub(super) fn print(tables: &[Table], format: TestFormat, out: &mut dyn Write) -> Result<(), PrintError> {
    match format {
        TestFormat::Text => out.write_all(text(tables).as_bytes())?,
        TestFormat::Json => {
            let rows = tables.iter().flat_map(|table| {
                table.cases.iter().map(|case| {
                    let Judged { name, place, expected, found } = case;
                    json!({
                        "table": table.name, "file": table.file, "line": place.line, "case": name,
                        "passes": case.passes(), "expected": expected, "found": found,
                    })
                })
            });
            let rows: Vec<_> = rows.collect();
            writeln!(out, "{}", serde_json::to_string_pretty(&rows).map_err(PrintError::format)?)?;
        }
        TestFormat::Junit => out.write_all(junit(tables).to_string().map_err(PrintError::format)?.as_bytes())?,
    }
    Ok(())
}

fn text(tables: &[Table]) -> String {
    let mut lines = Vec::new();
    let all = || tables.iter().flat_map(|table| &table.cases);
    let width = all().map(|case| case.name.chars().count()).max().unwrap_or_default();
    for Table { name, file, cases } in tables {
        lines.push(format!("{name} ({file})"));
        for case in cases {
            let head = if case.passes() { "ok  " } else { "FAIL" };
            lines.push(format!("  {head}  {:<width$}  {:?}", case.name, case.found.answer));
            if !case.passes() {
                lines.extend(difference(case).iter().map(|line| format!("        {line}")));
            }
        }
    }
    let failed = all().filter(|case| !case.passes()).count();
    lines.push(format!("{} passed, {failed} failed", all().count() - failed));
    lines.push(String::new());
    lines.iter().map(|text| line(text)).collect::<Vec<_>>().join("\n")
}

/// What was expected, what was found, and why.
fn difference(case: &Judged) -> Vec<String> {
    let Judged { name: _, place: _, expected: Expected { answer, reasons, fields }, found } = case;
    let Found { answer: actual, causes } = found;
    let side = |sign, answer, reasons: Option<Vec<String>>, fields: Option<Vec<String>>| {
        let part = |head: &str, list: Option<Vec<String>>| {
            list.map_or_else(String::new, |list| format!("{head}{}", list.join(", ")))
        };
        format!("{sign} {answer:?}{}{}", part(": ", reasons), part(" at ", fields))
    };
    // Only what was asked for is compared.
    let unique = |mut list: Vec<String>| {
        list.sort();
        list.dedup();
        list
    };
    let found_reasons = causes.iter().filter_map(|cause| cause.reason.map(str::to_owned)).collect();
    let found_fields = causes.iter().map(|cause| cause.field.clone()).collect();
    let mut lines = vec![
        side('-', answer, reasons.clone().map(unique), fields.clone().map(unique)),
        side(
            '+',
            actual,
            reasons.as_ref().map(|_| unique(found_reasons)),
            fields.as_ref().map(|_| unique(found_fields)),
        ),
    ];
    lines.extend(causes.iter().map(|Cause { field, reason: _, message }| format!("  {field}: {message}")));
    lines
}

fn junit(tables: &[Table]) -> Report {
    let mut report = Report::new("ccos test");
    for Table { name, file, cases } in tables {
        let mut suite = TestSuite::new(name);
        for case in cases {
            let status = if case.passes() {
                TestCaseStatus::success()
            } else {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                let lines = difference(case);
                status.set_message(lines.get(..2).unwrap_or_default().join("; "));
                status.set_description(lines.join("\n"));
                status
            };
            let mut row = TestCase::new(&case.name, status);
            row.set_classname(file);
            suite.add_test_case(row);
        }
        report.add_test_suite(suite);
    }
    report
}
