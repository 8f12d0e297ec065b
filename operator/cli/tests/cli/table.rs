use std::path::Path;

use ccos_cli::table::{TestArgs, TestFormat, run};
use ccos_cli::{Outcome, Streams};
use quick_junit::{Report, TestCaseStatus};
use serde_json::{Value, json};

use crate::WORLD;
use crate::check::{Said, folder};

const TABLE: &str = r#"apiVersion: cli.security.ccos.dev/v1alpha1
kind: DecisionTest
metadata: {name: analysts}
namespace: data
resources: [world.yaml]
now: 2026-01-01T00:00:00Z
cases:
- name: a summary
  execution: good
  expect: Allowed
- name: too much memory
  execution: data/greedy
  expect: Denied
  reasons: [LimitExceeded]
  fields: [requires.limits.memory]
- name: other files
  execution:
    contextRef: {kind: SecurityContext, name: analysts}
    capabilityRef: {kind: CapabilityProvider, name: tools, id: csv.summary}
    requires: {permissions: {filesystem: {read: ["/etc"]}}}
  expect: Denied
  reasons: [FileReadDenied]
- name: two dots
  execution:
    kind: CapabilityExecution
    metadata: {name: dots}
    spec:
      contextRef: {kind: SecurityContext, name: analysts}
      capabilityRef: {kind: CapabilityProvider, name: tools, id: csv.summary}
      requires: {permissions: {filesystem: {read: ["/data/../etc"]}}}
  expect: Invalid
  fields: ["spec.requires.permissions.filesystem.read[0]"]
- name: of another namespace
  execution: other/lost
  expect: Denied
  reasons: [CapabilityNotFound, ContextNotFound]
"#;

fn test(name: &str, table: &str, output: TestFormat) -> Said {
    let path = folder(name, &[("world.yaml", WORLD), ("tests.yaml", table), ("notes.yaml", "not: [yaml")]);
    piped(&[&path], output)
}

fn piped(paths: &[&Path], output: TestFormat) -> Said {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let mut streams = Streams { out: &mut out, notes: &mut notes };
    let args = TestArgs { paths: paths.iter().map(|path| path.to_path_buf()).collect(), output };
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let outcome = run(&args, || Ok(String::new()), now, &mut streams).unwrap();
    Said { outcome, out: String::from_utf8(out).unwrap(), notes: String::from_utf8(notes).unwrap() }
}

#[test]
fn what_is_as_expected_passes() {
    let said = test("table-passes", TABLE, TestFormat::Text);
    assert_eq!(said.outcome, Outcome::Done, "{}{}", said.out, said.notes);
    let lines: Vec<&str> = said.out.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "  ok    a summary             Allowed",
            "  ok    too much memory       Denied",
            "  ok    other files           Denied",
            "  ok    two dots              Invalid",
            "  ok    of another namespace  Denied",
            "5 passed, 0 failed",
        ]
    );
}

#[test]
fn what_is_not_fails_with_what_was_found_and_why() {
    for (what, changed, expected) in [
        (
            "answer",
            TABLE.replacen("expect: Allowed", "expect: Denied", 1),
            "  FAIL  a summary             Allowed\n        - Denied\n        + Allowed\n",
        ),
        (
            "reason",
            TABLE.replace("[LimitExceeded]", "[LimitExceeded, NetworkDenied]"),
            "  FAIL  too much memory       Denied\n        - Denied: LimitExceeded, NetworkDenied at requires.limits.memory\n        + Denied: LimitExceeded at requires.limits.memory\n          requires.limits.memory: 512Mi: exceeds 256Mi\n",
        ),
        (
            "a reason that is not expected",
            TABLE.replace("[CapabilityNotFound, ContextNotFound]", "[ContextNotFound]"),
            "        - Denied: ContextNotFound\n        + Denied: CapabilityNotFound, ContextNotFound\n",
        ),
        (
            "field",
            TABLE.replace("read[0]\"]", "write[0]\"]"),
            "        - Invalid at spec.requires.permissions.filesystem.write[0]\n        + Invalid at spec.requires.permissions.filesystem.read[0]\n",
        ),
    ] {
        let said = test("table-fails", &changed, TestFormat::Text);
        assert_eq!(said.outcome, Outcome::Denied, "{what}: {}{}", said.out, said.notes);
        assert!(said.out.contains(expected), "{what}: {}", said.out);
        assert!(said.out.ends_with("4 passed, 1 failed\n"), "{what}: {}", said.out);
    }
}

#[test]
fn a_wider_context_fails_the_test_of_its_bound() {
    let path =
        folder("table-wider", &[("world.yaml", &WORLD.replace("memory: 256Mi", "memory: 1Gi")), ("t.yaml", TABLE)]);
    let said = piped(&[&path.join("t.yaml")], TestFormat::Text);
    assert_eq!(said.outcome, Outcome::Denied);
    assert!(said.out.contains("  FAIL  too much memory       Allowed\n"), "{}", said.out);
}

#[test]
fn a_table_that_cant_be_understood_is_2_and_says_where() {
    for (changed, expected) in [
        (
            TABLE.replace("[LimitExceeded]", "[Greed]"),
            r#":14: DecisionTest analysts: cases[1].reasons: "Greed": expected some of ContextNotFound, "#,
        ),
        (
            TABLE.replacen("expect: Allowed", "expect: Allowed\n  reasons: []", 1),
            ":11: DecisionTest analysts: cases[0].reasons: only what is Denied",
        ),
        (
            TABLE.replace("execution: good", "execution: gone"),
            r#":8: DecisionTest analysts: case "a summary": there is no execution data/gone"#,
        ),
        (TABLE.replace("kind: DecisionTest", "kind: Decisions"), r#":2: kind: "Decisions": expected DecisionTest"#),
        (
            TABLE.replace("namespace: data", "namespaces: data"),
            ":4: DecisionTest analysts: namespaces: unknown field `namespaces`",
        ),
        (
            TABLE.replacen("expect: Denied", "expect: denied", 1),
            r#":13: DecisionTest analysts: cases[1].expect: "denied": expected one of Allowed, Denied, Invalid"#,
        ),
        (
            TABLE.replace("2026-01-01T00:00:00Z", "yesterday"),
            r#":6: DecisionTest analysts: now: "yesterday": expected a time such as 2026-01-01T00:00:00Z"#,
        ),
        (
            TABLE.replacen("execution: good", "execution: good\n  as: {usr: ann}", 1),
            ":10: DecisionTest analysts: cases[0].as.usr: unknown field `usr`",
        ),
        (
            TABLE.replace("cli.security.ccos.dev", "cli.security.ccos.io"),
            r#":1: apiVersion: "cli.security.ccos.io/v1alpha1": a DecisionTest is of cli.security.ccos.dev/v1alpha1"#,
        ),
        (TABLE.replace("[world.yaml]", "[world.yml]"), "world.yml: cannot be read: "),
        (
            TABLE.split("- name").next().unwrap().replace("cases:", "cases: []"),
            ":1: DecisionTest analysts: cases: expected at least one",
        ),
    ] {
        let said = test("table-invalid", &changed, TestFormat::Text);
        assert_eq!((said.outcome, said.out.as_str()), (Outcome::Invalid, ""), "{expected}");
        assert!(said.notes.contains(expected), "{expected}\n--- in ---\n{}", said.notes);
    }
    let none = folder("table-none", &[("world.yaml", WORLD)]);
    let said = piped(&[&none], TestFormat::Text);
    assert_eq!(said.outcome, Outcome::Invalid);
    assert!(said.notes.starts_with("there is nothing to test: no DecisionTest"), "{}", said.notes);
}

#[test]
fn objects_beside_the_table_are_resources_too() {
    let path = folder("table-beside", &[("t.yaml", &format!("{}---\n{WORLD}", TABLE.replace("[world.yaml]", "[]")))]);
    let said = piped(&[&path], TestFormat::Text);
    assert_eq!(said.outcome, Outcome::Done, "{}{}", said.out, said.notes);
}

#[test]
fn programs_get_junit_and_json() {
    let changed = TABLE.replace("[LimitExceeded]", "[NetworkDenied]");
    let said = test("table-junit", &changed, TestFormat::Junit);
    let report = Report::deserialize_from_str(&said.out).unwrap();
    let suite = &report.test_suites[0];
    let failed: Vec<&str> = suite
        .test_cases
        .iter()
        .filter(|case| matches!(case.status, TestCaseStatus::NonSuccess { .. }))
        .map(|case| case.name.as_str())
        .collect();
    assert_eq!((suite.name.as_str(), suite.tests, suite.failures), ("analysts", 5, 1));
    assert_eq!(failed, ["too much memory"]);

    let said = test("table-json", &changed, TestFormat::Json);
    let rows: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        rows[1],
        json!({
            "table": "analysts", "file": rows[1]["file"], "line": 11, "case": "too much memory", "passes": false,
            "expected": {"answer": "Denied", "reasons": ["NetworkDenied"], "fields": ["requires.limits.memory"]},
            "found": {"answer": "Denied", "causes": [
                {"field": "requires.limits.memory", "reason": "LimitExceeded", "message": "512Mi: exceeds 256Mi"},
            ]},
        })
    );
}

#[test]
fn the_examples_pass() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/tests");
    let said = piped(&[&examples], TestFormat::Text);
    assert_eq!(said.outcome, Outcome::Done, "{}{}", said.out, said.notes);
}

#[test]
fn a_row_may_say_for_whom() {
    let text = "forbid(principal, action, resource) unless { principal in Group::\"ci\" };";
    let table = format!(
        "apiVersion: cli.security.ccos.dev/v1alpha1\nkind: DecisionTest\nmetadata: {{name: policies}}\nnamespace: data\nresources: [world.yaml]\ncases:\n\
         - {{name: the pipeline, as: {{user: ann, groups: [ci]}}, execution: good, expect: Allowed}}\n\
         - {{name: somebody, as: {{user: ann}}, execution: good, expect: Denied, reasons: [PolicyDenied], fields: [capabilityRef]}}\n\
         - {{name: nobody, execution: good, expect: Denied, reasons: [PolicyDenied]}}\n\
         ---\napiVersion: security.ccos.dev/v1alpha1\nkind: ExecutionPolicy\nmetadata: {{name: p}}\nspec: {{mode: Enforce, cedar: '{text}'}}\n"
    );
    let said = test("table-policies", &table, TestFormat::Text);
    assert_eq!(said.outcome, Outcome::Done, "{}{}", said.out, said.notes);
}
