use std::path::{Path, PathBuf};

use ccos_cli::check::{CheckArgs, CheckFormat, Cluster, run};
use ccos_cli::{Outcome, Streams};
use ccos_policy::Isolations;
use serde_json::{Value, json};

use crate::WORLD;

pub struct Said {
    pub outcome: Outcome,
    pub out: String,
    pub notes: String,
}

pub fn args(paths: &[&Path]) -> CheckArgs {
    CheckArgs {
        paths: paths.iter().map(|path| path.to_path_buf()).collect(),
        profile: None,
        without_escalate: false,
        namespace: "default".to_owned(),
        user: None,
        groups: Vec::new(),
        output: CheckFormat::Text,
        explain: false,
    }
}

pub fn check(args: &CheckArgs, stdin: &str) -> Said {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let mut streams = Streams { out: &mut out, notes: &mut notes };
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let outcome = run(args, || Ok(stdin.to_owned()), now, &mut streams).unwrap();
    Said { outcome, out: String::from_utf8(out).unwrap(), notes: String::from_utf8(notes).unwrap() }
}

pub fn piped(stdin: &str) -> Said {
    check(&args(&[Path::new("-")]), stdin)
}

/// The documents of the world that have this text, joined.
pub fn only(texts: &[&str]) -> String {
    let documents = WORLD.split("---\n").filter(|document| texts.iter().any(|text| document.contains(text)));
    documents.collect::<Vec<_>>().join("---\n")
}

pub fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    for (file, text) in files {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn each_execution_has_its_line_and_one_denial_is_enough_for_1() {
    let said = piped(WORLD);
    assert_eq!(said.outcome, Outcome::Denied);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines[0], "allowed  data/good");
    assert_eq!(
        lines[1],
        r#"denied   data/greedy: CapabilityExecution "greedy" requires more than SecurityContext "analysts" grants:"#
    );
    assert_eq!(lines[2], "  requires.limits.memory 512Mi: exceeds 256Mi");
    assert_eq!(said.notes, "left out: 1 object of other kinds (1 ConfigMap)\n");
}

#[test]
fn all_allowed_is_0() {
    let said = piped(&only(&["\nkind: SecurityContext", "\nkind: CapabilityProvider", "name: good"]));
    assert_eq!((said.outcome, said.out.as_str()), (Outcome::Done, "allowed  data/good\n"));
}

#[test]
fn the_report_for_programs_is_exactly_this() {
    let said = check(&CheckArgs { output: CheckFormat::Json, ..args(&[Path::new("-")]) }, WORLD);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        report,
        json!([
            {"execution": "data/good", "file": "-", "line": 27, "allowed": true, "causes": []},
            {"execution": "data/greedy", "file": "-", "line": 34, "allowed": false, "causes": [
                {"field": "requires.limits.memory", "reason": "LimitExceeded", "message": "512Mi: exceeds 256Mi"},
            ]},
            {"execution": "other/lost", "file": "-", "line": 42, "allowed": false, "causes": [
                {"field": "contextRef", "reason": "ContextNotFound", "message": "SecurityContext \"analysts\" not found in the files that were given: give its file too, such as `ccos check - contexts/`"},
                {"field": "capabilityRef", "reason": "CapabilityNotFound", "message": "CapabilityProvider \"tools\" not found in the files that were given: give its file too, such as `ccos check - contexts/`"},
            ]},
        ])
    );
}

#[test]
fn files_folders_and_lists_lead_to_the_same_answer() {
    let documents: Vec<Value> = serde_saphyr::from_multiple(WORLD).unwrap();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": documents}).to_string();
    let of_kind =
        json!({"apiVersion": "security.ccos.dev/v1alpha1", "kind": "CapabilityExecutionList", "items": documents});
    let path = folder(
        "same",
        &[
            ("a/grants.yaml", &only(&["\nkind: SecurityContext"])),
            ("a/b/c.yml", &only(&["\nkind: CapabilityProvider"])),
            ("z.json", &json!({"apiVersion": "v1", "kind": "List", "items": &documents[3..]}).to_string()),
            ("README.md", "not read: ["),
        ],
    );
    let expected = piped(WORLD).out;
    assert_eq!(check(&args(&[&path]), "").out, expected);
    assert_eq!(check(&args(&[&path.join("a"), &path.join("z.json")]), "").out, expected);
    assert_eq!(piped(&list).out, expected);
    assert_eq!(piped(&of_kind.to_string()).out, expected);
}

#[test]
fn an_object_without_a_namespace_is_in_the_given_one() {
    let nowhere = WORLD.replace(", namespace: data", "").replace(", namespace: other", "");
    assert!(piped(&nowhere).out.starts_with("allowed  default/good\n"));
    let said = check(&CheckArgs { namespace: "team".to_owned(), ..args(&[Path::new("-")]) }, &nowhere);
    assert!(said.out.starts_with("allowed  team/good\n"), "{}", said.out);
}

#[test]
fn executions_with_made_up_names_may_share_their_start() {
    let nameless = only(&["name: good"]).replace("name: good", "generateName: run-");
    let said = piped(&format!(
        "{}---\n{nameless}---\n{nameless}",
        only(&["\nkind: SecurityContext", "\nkind: CapabilityProvider"])
    ));
    assert_eq!(said.out, "allowed  data/run-\nallowed  data/run-\n");
}

#[test]
fn all_faults_of_all_files_come_at_once_and_nothing_is_decided() {
    let path = folder(
        "faults",
        &[
            ("1.yaml", &WORLD.replace("level: Controlled", "level: Wild\n  levels: 1")),
            ("2.yaml", "a: [1"),
            ("3.yaml", &only(&["name: good"]).replace("v1alpha1", "v2")),
            (
                "4.yaml",
                &only(&["name: lost"])
                    .replace("name: lost", "name: bad")
                    .replace("spec:", "spec:\n  retry: 1\n  env: [{name: CCOS_X, value: v}]"),
            ),
            ("5.yaml", "just text"),
            ("6.yaml", &only(&["name: greedy"])),
            ("7.yaml", "apiVersion: security.ccos.dev/v1alpha1\nkind: Wish\nmetadata: {name: w}\n"),
            ("8.yaml", &only(&["name: good"]).replace("name: good, ", "")),
        ],
    );
    let said = check(&args(&[&path, Path::new("/nonexistent.yaml")]), "");
    assert_eq!((said.outcome, said.out.as_str()), (Outcome::Invalid, ""));
    let folder = path.display();
    for expected in [
        format!(
            "{folder}/1.yaml:5: SecurityContext data/analysts: spec.level: \"Wild\": expected one of Pure, Controlled, Full, Sandboxed"
        ),
        format!("{folder}/1.yaml:6: SecurityContext data/analysts: spec.levels: unknown field"),
        format!("{folder}/2.yaml: "),
        format!("{folder}/3.yaml:1: apiVersion: security.ccos.dev/v2: expected security.ccos.dev/v1alpha1"),
        format!("{folder}/4.yaml:5: CapabilityExecution other/bad: spec.retry: unknown field"),
        format!("{folder}/5.yaml:1: expected an object with apiVersion and kind"),
        format!(
            "{folder}/6.yaml:1: CapabilityExecution data/greedy: is given twice: also in {folder}/1.yaml:35: CapabilityExecution data/greedy"
        ),
        format!("{folder}/7.yaml:2: Wish default/w: kind: \"Wish\" is none of CapabilityExecution, "),
        format!("{folder}/8.yaml:3: CapabilityExecution data/(unnamed): metadata.name: is required"),
        "/nonexistent.yaml: cannot be read: ".to_owned(),
    ] {
        assert!(said.notes.lines().any(|line| line.starts_with(&expected)), "{expected}\n--- in ---\n{}", said.notes);
    }
}

#[test]
fn what_the_webhook_would_call_invalid_is_invalid() {
    let cases = [
        (WORLD.replace(r#"read: ["/data/**"]}}"#, r#"read: ["/a/../b"]}}"#), "spec.permissions.filesystem.read[0]: "),
        (WORLD.replace("version: 1.0.0", "version: latest"), "spec.version: "),
        (
            WORLD.replace("Controlled", "Sandboxed").replace("[GVisor, Kata]", "[GVisor, Container]"),
            "spec.isolation.allowed: level Sandboxed allows",
        ),
        (WORLD.replace("{name: data, mountPath", "{name: Data, mountPath"), r#"spec.volumes[0].name: "Data": "#),
        (WORLD.replace("memory: 512Mi", "memory: 512MB"), "spec.requires.limits.memory: "),
    ];
    for (text, field) in cases {
        let said = piped(&text);
        assert_eq!((said.outcome, said.out.as_str()), (Outcome::Invalid, ""), "{field}");
        assert!(said.notes.contains(field), "{field}: {}", said.notes);
    }
}

#[test]
fn nothing_to_check_is_2_and_grants_alone_are_0() {
    for nothing in ["", "---\n", "apiVersion: v1\nkind: Pod\n"] {
        let said = piped(nothing);
        assert_eq!(said.outcome, Outcome::Invalid, "{nothing:?}");
        assert!(said.notes.contains("there is nothing to check"), "{}", said.notes);
    }
    let said = piped(&only(&["\nkind: SecurityContext"]));
    assert_eq!(said.outcome, Outcome::Done);
    assert!(said.notes.contains("there is no execution to decide"), "{}", said.notes);
}

#[test]
fn a_profile_says_what_the_cluster_can_do() {
    let kata = "runnerImage: r\npriorityClassName: p\nisolations: {Kata: {runtimeClass: kata, userNamespaces: true}}\n";
    let path = folder("profile", &[("kata.yaml", kata), ("bad.yaml", "isolations: 7")]);
    let with = |name: &str| CheckArgs { profile: Some(path.join(name)), ..args(&[Path::new("-")]) };
    let text = only(&["\nkind: SecurityContext", "\nkind: CapabilityProvider", "name: good"]);
    let said = check(&with("kata.yaml"), &text);
    assert_eq!(said.outcome, Outcome::Denied, "GVisor, the default, is not there");
    let on_kata =
        text.replace("{name: good, namespace: data}\nspec:", "{name: good, namespace: data}\nspec:\n  isolation: Kata");
    assert_eq!(check(&with("kata.yaml"), &on_kata).outcome, Outcome::Done);
    for name in ["bad.yaml", "none.yaml"] {
        let said = check(&with(name), &text);
        assert_eq!(said.outcome, Outcome::Invalid, "{name}");
        assert!(said.notes.starts_with(&path.join(name).display().to_string()), "{}", said.notes);
    }
}

#[test]
fn the_profile_without_a_file_is_the_charts_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/ccos/values.yaml");
    let values: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut chart: Isolations = serde_json::from_value(values["isolations"].clone()).unwrap();
    // As the template does.
    for (isolation, profile) in &mut chart.0 {
        profile.egress = values["egress"]["enabled"] == true && *isolation != ccos_policy::Isolation::Container;
    }
    let Cluster { isolations, ceiling } = Cluster::default();
    assert_eq!(isolations, chart);
    assert_eq!(ceiling, ccos_plan::wire::ceiling(&values["ceiling"]).unwrap());
}

#[test]
fn a_context_above_the_ceiling_is_told_and_denied_to_who_may_not_escalate() {
    let profile = "runnerImage: r\npriorityClassName: p\nisolations: {GVisor: {runtimeClass: g, userNamespaces: true}}\n\
        ceiling: {permissions: {filesystem: {blocked: [/data/private]}}}\n";
    let path = folder("ceiling", &[("p.yaml", profile), ("bad.yaml", &profile.replace("blocked", "bloked"))]);
    let with = |name: &str, without_escalate| CheckArgs {
        profile: Some(path.join(name)),
        without_escalate,
        ..args(&[Path::new("-")])
    };
    let text = only(&["\nkind: SecurityContext", "\nkind: CapabilityProvider", "name: good"]);
    let line =
        r#"  spec.permissions.filesystem.read[0] "/data/**": above the cluster's ceiling, which blocks /data/private"#;
    let said = check(&with("p.yaml", false), &text);
    assert_eq!((said.outcome, said.out.as_str()), (Outcome::Done, "allowed  data/good\n"));
    assert!(said.notes.contains("needs the RBAC verb `escalate`") && said.notes.contains(line), "{}", said.notes);
    let said = check(&with("p.yaml", true), &text);
    assert_eq!(said.outcome, Outcome::Denied);
    assert!(said.out.contains("denied   SecurityContext data/analysts") && said.out.contains(line), "{}", said.out);
    let said = check(&with("bad.yaml", false), &text);
    assert_eq!(said.outcome, Outcome::Invalid);
    assert!(said.notes.contains("ceiling.permissions.filesystem.bloked: unknown field"), "{}", said.notes);
}

#[test]
fn a_file_cant_garble_the_terminal() {
    let text = only(&["name: lost"]).replace("name: lost", "name: \"l\\u001b[31m\\u202e\"");
    let said = piped(&text);
    let all = format!("{}{}", said.out, said.notes);
    assert!(!all.contains('\u{1b}') && !all.contains('\u{202e}'), "{all:?}");
    assert!(all.contains(r"CapabilityExecution other/l\u{1b}[31m\u{202e}: metadata.name: "), "{all:?}");
}

#[test]
fn what_only_a_cluster_can_check_denies_nothing_here_and_is_said() {
    let digest = "tools@sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let signed = WORLD.replace(digest, "tools:1").replace(
        "  capabilities:\n  - id: csv.summary\n",
        "  signature: {cosign: {keyless: {issuer: https://issuer.example.com, identity: ann@example.com}}}\n  capabilities:\n  - id: csv.summary\n    inputSchema: {required: [city]}\n",
    );
    let said = piped(&signed);
    for expected in [
        "CapabilityProvider data/tools: not checked here: what the tag \"1\" names is looked up in the cluster",
        "not checked here: that it is signed by \"ann@example.com\", by \"https://issuer.example.com\" is verified in the cluster",
    ] {
        assert!(said.notes.contains(expected), "{}", said.notes);
    }
    // Schemas are.
    assert!(said.out.contains("inputs: "), "{}", said.out);
    let fits = signed.replace("id: csv.summary}\n---", "id: csv.summary}\n  inputs: {city: Paris}\n---");
    assert!(piped(&fits).out.starts_with("allowed  data/good\n"), "{}", piped(&fits).out);
}

#[test]
fn a_schema_that_is_none_is_invalid_input() {
    let schema = "  - id: csv.summary\n    inputSchema: {type: objekt}\n";
    let said = piped(&WORLD.replace("  - id: csv.summary\n", schema));
    assert_eq!(said.outcome, Outcome::Invalid);
    assert!(said.notes.contains("spec.capabilities[0].inputSchema/type: "), "{}", said.notes);
}

#[test]
fn an_execution_without_a_context_gets_the_default_of_its_namespace() {
    let namespace = |labels: &str| {
        format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: data, labels: {{{labels}}}}}\n")
    };
    let text = only(&["\nkind: SecurityContext", "\nkind: CapabilityProvider", "name: good"])
        .replace("  contextRef: {kind: SecurityContext, name: analysts}\n", "");
    let said = piped(&format!("{text}{}", namespace("security.ccos.dev/default-context: analysts")));
    assert_eq!((said.outcome, said.out.as_str()), (Outcome::Done, "allowed  data/good\n"));
    let said = piped(&format!("{text}{}", namespace("security.ccos.dev/default-context: lost")));
    assert!(said.out.contains(r#"contextRef: SecurityContext "lost" not found"#), "{}", said.out);
    for without in [text.clone(), format!("{text}{}", namespace("a: b"))] {
        let said = piped(&without);
        assert_eq!(said.outcome, Outcome::Denied);
        assert!(said.out.contains("  contextRef: none is named, and the namespace has no label"), "{}", said.out);
    }
}
