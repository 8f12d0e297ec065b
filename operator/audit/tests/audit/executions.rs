//! The end of a trail, held against the executions of the cluster.

use ccos_audit::verify::{Expected, Finished, Kind, Scope};
use ccos_audit::{Report, Verifier};

use crate::given::{at, finds, known, receipt, trail};

fn execution(name: &str) -> Expected {
    Expected {
        display: format!("demo/{name}"),
        namespace: "demo".to_owned(),
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        receipt: Some(receipt(name)),
        pods: vec![(format!("{name}-1"), Some(at(6)))],
        finished: Some(Finished { reason: "Completed".to_owned(), at: at(7) }),
    }
}

fn verify(lines: &[String], since: Option<i64>, executions: &[Expected]) -> Report {
    verify_in(lines, Scope { since: since.map(at), ..Scope::default() }, executions)
}

fn verify_in(lines: &[String], scope: Scope, executions: &[Expected]) -> Report {
    let keys = known(&[]);
    let mut verifier = Verifier::new(&keys, scope);
    verifier.file("log");
    for line in lines {
        verifier.line(line);
    }
    for execution in executions {
        verifier.expect(execution);
    }
    verifier.finish()
}

#[test]
fn each_admission_start_and_end_has_its_line() {
    let report = verify(&trail(2).lines, None, &[execution("e0"), execution("e1")]);
    finds(&report, &[]);
    assert_eq!(report.executions, 2);
}

#[test]
fn a_cut_end_is_found_by_what_it_told_of() {
    let lines = trail(2).lines;
    let executions = [execution("e0"), execution("e1")];
    // The last line, of the webhook's closing, told of no execution.
    for (cut, message) in [
        (2, vec!["demo/e1 ended at 2026-01-01T00:00:07Z as Completed, and no line says so"]),
        (
            3,
            vec![
                "demo/e1 ended at 2026-01-01T00:00:07Z as Completed, and no line says so",
                "demo/e1 had the pod e1-1, and no line says that it started",
            ],
        ),
        (
            5,
            vec![
                "demo/e1 ended at 2026-01-01T00:00:07Z as Completed, and no line says so",
                "demo/e1 had the pod e1-1, and no line says that it started",
                "demo/e1 was admitted at 2026-01-01T00:00:05Z, by its receipt, and no line says so",
            ],
        ),
    ] {
        let report = verify(&lines[..lines.len() - cut], None, &executions);
        finds(&report, &[Kind::Truncated]);
        let said: Vec<&str> = report.findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(said, message);
    }
}

#[test]
fn an_end_of_another_reason_is_no_line_of_this_end() {
    let mut other = execution("e0");
    other.finished = Some(Finished { reason: "Cancelled".to_owned(), at: at(7) });
    finds(&verify(&trail(1).lines, None, &[other]), &[Kind::Truncated]);
}

#[test]
fn a_line_that_says_otherwise_than_the_receipt_is_found() {
    let mut other = execution("e0");
    other.receipt.as_mut().unwrap().spec_digest = "sha256:other".to_owned();
    finds(&verify(&trail(1).lines, None, &[other]), &[Kind::Differs]);
    let mut other = execution("e0");
    other.name = "renamed".to_owned();
    finds(&verify(&trail(1).lines, None, &[other]), &[Kind::Differs]);
}

#[test]
fn what_has_no_valid_receipt_needs_only_its_end() {
    let mut smuggled = execution("e0");
    smuggled.receipt = None;
    smuggled.pods.clear();
    finds(&verify(&trail(1).lines, None, std::slice::from_ref(&smuggled)), &[]);
    smuggled.uid = "another".to_owned();
    finds(&verify(&trail(1).lines, None, &[smuggled]), &[Kind::Truncated]);
}

#[test]
fn executions_of_before_the_moment_in_question_are_not_missed() {
    finds(&verify(&[], Some(7), &[execution("e0")]), &[]);
    finds(&verify(&[], Some(6), &[execution("e0")]), &[Kind::Truncated]);
    finds(&verify(&[], None, &[execution("e0")]), &[Kind::Truncated]);
}

/// The end of the first execution is of second 7, its pod ran at second 6, and it was admitted at second 5.
#[test]
fn what_happened_after_the_lines_were_collected_is_not_missed() {
    let lines = trail(1).lines;
    let until = |seconds| Scope { until: Some(at(seconds)), ..Scope::default() };
    let cut = |lines_less: usize| &lines[..lines.len() - lines_less];
    // Without the end; without the start; without the admission.
    for (less, before, after) in [(2, 6, 7), (3, 5, 6), (5, 4, 5)] {
        finds(&verify_in(cut(less), until(before), &[execution("e0")]), &[]);
        finds(&verify_in(cut(less), until(after), &[execution("e0")]), &[Kind::Truncated]);
    }
    // A pod that has not run may be younger than the lines.
    let mut starting = execution("e0");
    starting.pods = vec![("e0-1".to_owned(), None)];
    starting.finished = None;
    finds(&verify_in(cut(3), until(9), std::slice::from_ref(&starting)), &[]);
    finds(&verify_in(cut(3), Scope::default(), &[starting]), &[Kind::Truncated]);
}
