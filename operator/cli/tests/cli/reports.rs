//! What other programs read.

use std::path::Path;

use ccos_cli::Outcome;
use ccos_cli::check::{CheckArgs, CheckFormat};
use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use serde_json::{Value, json};

use crate::WORLD;
use crate::check::{Said, args, check, folder, only, piped};

/// A world in a file, whose capability requires more than is granted: the field is the provider's.
fn written(name: &str, output: CheckFormat) -> Said {
    let text = WORLD.replace(r#"{read: ["/data/**"]}}}"#, r#"{read: ["/data/**", "/etc"]}}}"#);
    let path = folder(name, &[("all of it.yaml", &text)]);
    check(&CheckArgs { output, ..args(&[&path]) }, "")
}

fn broken(output: CheckFormat) -> Said {
    let text = WORLD.replace("level: Controlled", "level: Wild");
    check(&CheckArgs { output, ..args(&[Path::new("-")]) }, &text)
}

fn statuses(said: &Said) -> Vec<(String, Option<(NonSuccessKind, String)>)> {
    let report = Report::deserialize_from_str(&said.out).unwrap();
    let cases = report.test_suites.into_iter().flat_map(|suite| suite.test_cases);
    cases
        .map(|case| {
            let status = match case.status {
                TestCaseStatus::NonSuccess { kind, ty, .. } => Some((kind, ty.unwrap().into_string())),
                _ => None,
            };
            (case.name.into_string(), status)
        })
        .collect()
}

#[test]
fn junit_has_a_case_for_each_execution() {
    let said = check(&CheckArgs { output: CheckFormat::Junit, ..args(&[Path::new("-")]) }, WORLD);
    assert_eq!(said.outcome, Outcome::Denied);
    let failure = |reason: &str| Some((NonSuccessKind::Failure, reason.to_owned()));
    assert_eq!(
        statuses(&said),
        [
            ("data/good".to_owned(), None),
            ("data/greedy".to_owned(), failure("LimitExceeded")),
            ("other/lost".to_owned(), failure("ContextNotFound")),
        ]
    );
    assert!(said.out.contains("requires.limits.memory 512Mi: exceeds 256Mi"), "{}", said.out);
}

#[test]
fn junit_has_an_error_for_what_is_invalid_and_decides_nothing() {
    let said = broken(CheckFormat::Junit);
    assert_eq!(said.outcome, Outcome::Invalid);
    assert_eq!(statuses(&said), [("spec.level".to_owned(), Some((NonSuccessKind::Error, "Invalid".to_owned())))]);
}

/// What the schema of SARIF 2.1.0 requires of the objects that are used, and the only fields that it knows of them.
fn assert_sarif(log: &Value) {
    let only = |value: &Value, required: &[&str], optional: &[&str]| {
        let fields: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert!(required.iter().all(|name| value.get(name).is_some()), "{required:?} in {value}");
        assert!(fields.iter().all(|name| required.contains(&&***name) || optional.contains(&&***name)), "{value}");
    };
    only(log, &["version", "runs"], &["$schema"]);
    assert_eq!(log["version"], "2.1.0");
    let message = |value: &Value| only(value, &["text"], &[]);
    let location = |value: &Value| {
        only(value, &["physicalLocation"], &["logicalLocations", "message"]);
        only(&value["physicalLocation"], &["artifactLocation"], &["region"]);
        let uri = value["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
        assert!(uri.bytes().all(|byte| byte.is_ascii_graphic()), "{uri}");
        if let Some(region) = value["physicalLocation"].get("region") {
            assert!(region["startLine"].as_u64().unwrap() >= 1, "{region}");
        }
        for logical in value["logicalLocations"].as_array().into_iter().flatten() {
            only(logical, &["fullyQualifiedName"], &["kind"]);
        }
    };
    for run in log["runs"].as_array().unwrap() {
        only(run, &["tool"], &["results"]);
        only(&run["tool"], &["driver"], &[]);
        let driver = &run["tool"]["driver"];
        only(driver, &["name"], &["version", "rules"]);
        for rule in driver["rules"].as_array().unwrap() {
            only(rule, &["id"], &["shortDescription", "help"]);
            message(&rule["shortDescription"]);
        }
        for finding in run["results"].as_array().unwrap() {
            only(finding, &["message"], &["ruleId", "ruleIndex", "level", "locations", "relatedLocations"]);
            message(&finding["message"]);
            let index = usize::try_from(finding["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(driver["rules"][index]["id"], finding["ruleId"]);
            finding["locations"].as_array().unwrap().iter().for_each(location);
            finding["relatedLocations"].as_array().into_iter().flatten().for_each(location);
        }
    }
}

fn at(location: &Value) -> (&str, u64) {
    let physical = &location["physicalLocation"];
    let uri = physical["artifactLocation"]["uri"].as_str().unwrap();
    (uri.rsplit('/').next().unwrap(), physical["region"]["startLine"].as_u64().unwrap())
}

#[test]
fn sarif_points_at_the_line_of_the_field() {
    let said = written("sarif", CheckFormat::Sarif);
    assert_eq!(said.outcome, Outcome::Denied);
    let log: Value = serde_json::from_str(&said.out).unwrap();
    assert_sarif(&log);
    let results = log["runs"][0]["results"].as_array().unwrap();
    let of = |rule: &str| results.iter().find(|one| one["ruleId"] == rule).unwrap();

    let limit = of("LimitExceeded");
    assert_eq!(at(&limit["locations"][0]), ("all%20of%20it.yaml", 40), "the execution's own line");
    assert_eq!(
        limit["message"]["text"],
        "CapabilityExecution data/greedy is denied: requires.limits.memory: 512Mi: exceeds 256Mi"
    );

    let file = of("FileReadDenied");
    assert_eq!(at(&file["locations"][0]), ("all%20of%20it.yaml", 32), "capabilityRef: what names the capability");
    assert_eq!(at(&file["relatedLocations"][0]), ("all%20of%20it.yaml", 20), "the capability's requirement");
    assert_eq!(
        file["locations"][0]["logicalLocations"][0]["fullyQualifiedName"],
        "CapabilityExecution data/good requires.permissions.filesystem.read[1]"
    );
}

#[test]
fn sarif_names_what_is_invalid() {
    let said = broken(CheckFormat::Sarif);
    assert_eq!(said.outcome, Outcome::Invalid);
    let log: Value = serde_json::from_str(&said.out).unwrap();
    assert_sarif(&log);
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 1, "{results:?}");
    assert_eq!(results[0]["ruleId"], "Invalid");
    assert_eq!(at(&results[0]["locations"][0]), ("-", 5));
}

#[test]
fn openreports_has_a_report_for_each_namespace() {
    let said = written("openreports", CheckFormat::Openreports);
    let reports: Vec<Value> = serde_saphyr::from_multiple(&said.out).unwrap();
    let head = |report: &Value| {
        assert_eq!(report["apiVersion"], "openreports.io/v1alpha1");
        (report["kind"].clone(), report["metadata"]["namespace"].clone(), report["summary"]["fail"].clone())
    };
    assert_eq!(
        reports.iter().map(head).collect::<Vec<_>>(),
        [(json!("Report"), json!("data"), json!(3)), (json!("Report"), json!("other"), json!(2))]
    );
    let finding = &reports[0]["results"][0];
    assert_eq!(
        *finding,
        json!({
            "source": "ccos", "policy": "SecurityContext \"analysts\"", "rule": "FileReadDenied", "category": "confinement",
            "severity": "high", "timestamp": {"seconds": 1_767_225_600, "nanos": 0}, "result": "fail", "scored": true,
            "resources": [{"apiVersion": "security.ccos.dev/v1alpha1", "kind": "CapabilityExecution", "namespace": "data", "name": "good"}],
            "message": finding["message"],
            "properties": {"field": "requires.permissions.filesystem.read[1]", "file": finding["properties"]["file"], "line": "32"},
        })
    );
    assert!(finding["message"].as_str().unwrap().contains("not granted"), "{finding}");

    let said = broken(CheckFormat::Openreports);
    let reports: Vec<Value> = serde_saphyr::from_multiple(&said.out).unwrap();
    assert_eq!(reports[0]["summary"], json!({"pass": 0, "fail": 0, "warn": 0, "error": 1, "skip": 0}));
}

#[test]
fn the_output_of_helm_template_is_read_and_its_templates_are_named() {
    let templates = ["context", "provider", "data", "good", "greedy", "lost"];
    let document = |(document, name): (&str, &str)| format!("# Source: jobs/templates/{name}.yaml\n{document}");
    let rendered: Vec<String> = WORLD.split("---\n").zip(templates).map(document).collect();
    let rendered = format!("---\n{}", rendered.join("---\n"));
    let said = piped(&rendered);
    assert_eq!(said.outcome, Outcome::Denied);
    assert_eq!(said.out, piped(WORLD).out);
    let log = check(&CheckArgs { output: CheckFormat::Sarif, ..args(&[Path::new("-")]) }, &rendered).out;
    let log: Value = serde_json::from_str(&log).unwrap();
    assert_sarif(&log);
    let location = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    // The lines of a pipe are not the template's.
    assert_eq!(*location, json!({"artifactLocation": {"uri": "jobs/templates/greedy.yaml"}}));

    let said = piped(&rendered.replace("level: Controlled", "level: Wild"));
    assert!(
        said.notes.contains("-:7 (jobs/templates/context.yaml): SecurityContext data/analysts: spec.level:"),
        "{}",
        said.notes
    );
}

#[test]
fn what_helm_says_to_people_is_no_manifest() {
    let notes = format!("{WORLD}NOTES:\n1. Get the application URL: http://127.0.0.1\n");
    let dry_run = format!("NAME: jobs\nLAST DEPLOYED: Thu\nSTATUS: pending-install\nHOOKS:\nMANIFEST:\n---\n{WORLD}");
    for (text, line) in [(notes, 48), (dry_run, 2)] {
        let said = piped(&text);
        assert_eq!((said.outcome, said.out.as_str()), (Outcome::Invalid, ""));
        let expected = format!(
            "-:{line}: this is text that Helm wrote for people, such as notes: give the output of `helm template`"
        );
        assert!(said.notes.starts_with(&expected), "{}", said.notes);
    }
}

#[test]
fn what_is_left_out_is_counted_by_kind() {
    let others = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\n".repeat(2);
    let said = piped(&format!("{others}{WORLD}"));
    assert_eq!(said.notes, "left out: 3 objects of other kinds (1 ConfigMap, 2 Deployment)\n");
    let said = piped(&only(&["name: good"]));
    assert!(!said.notes.contains("left out"), "{}", said.notes);
}
