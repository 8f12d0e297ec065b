//! JUnit XML: a suite for each file, a test case for each execution.

use std::collections::BTreeMap;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::check::{Checked, Verdict};
use crate::input::Fault;

/// The report. Characters that XML can't have are dropped by the crate.
pub(super) fn report(checked: &Checked) -> Report {
    let Checked { faults, warnings: _, verdicts } = checked;
    let mut suites: BTreeMap<&str, TestSuite> = BTreeMap::new();
    for fault in faults {
        suite(&mut suites, &fault.place.file).add_test_case(invalid(fault));
    }
    // Nothing is decided of an input with faults.
    for verdict in verdicts.iter().filter(|_| faults.is_empty()) {
        suite(&mut suites, &verdict.place.file).add_test_case(decided(verdict));
    }
    let mut report = Report::new("ccos check");
    report.add_test_suites(suites.into_values());
    report
}

fn suite<'a, 'b>(suites: &'b mut BTreeMap<&'a str, TestSuite>, file: &'a str) -> &'b mut TestSuite {
    suites.entry(file).or_insert_with(|| TestSuite::new(file))
}

fn decided(verdict: &Verdict) -> TestCase {
    let status = match (&verdict.rejection, verdict.causes.first()) {
        (None, _) => TestCaseStatus::success(),
        (Some(rejection), first) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(first.map_or("Denied", |cause| cause.reason));
            status.set_message(rejection.lines().next().unwrap_or_default());
            status.set_description(rejection);
            status
        }
    };
    case(&verdict.subject, &verdict.context, status)
}

fn invalid(fault: &Fault) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type("Invalid");
    status.set_message(&fault.message);
    status.set_description(fault.to_string());
    let name = fault.field.as_deref().unwrap_or("file");
    case(name, if fault.place.object.is_empty() { "input" } else { &fault.place.object }, status)
}

fn case(name: &str, class: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case
}
