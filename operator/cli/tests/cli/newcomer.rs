//! What somebody sees who does it for the first time, and what somebody else wrote into the files.

use std::path::Path;

use ccos_cli::Outcome;
use ccos_cli::check::{CheckArgs, CheckFormat, Cluster};
use serde_json::{Value, json};

use crate::WORLD;
use crate::check::{args, check, folder, only, piped};

/// The context, the provider and the execution that is allowed.
fn good() -> String {
    only(&["\nkind: SecurityContext", "\nkind: CapabilityProvider", "name: good"])
}

#[test]
fn a_kind_of_ours_in_another_group_is_not_passed_over() {
    for (wrong, kind) in [
        ("security.ccos.io/v1alpha1", "CapabilityExecution"),
        ("v1", "CapabilityExecution"),
        ("example.com/v1", "ExecutionPolicy"),
        ("security.ccos.io/v1alpha1", "CapabilityExecutionList"),
    ] {
        let said = piped(&format!("{}---\napiVersion: {wrong}\nkind: {kind}\nmetadata: {{name: x}}\n", good()));
        assert_eq!((said.outcome, said.out.as_str()), (Outcome::Invalid, ""), "{wrong}");
        let expected = format!(": apiVersion: {wrong:?}: a {kind} is of security.ccos.dev/v1alpha1\n");
        assert!(said.notes.contains(&expected), "{}", said.notes);
    }
}

#[test]
fn a_volume_at_a_place_of_the_runner_is_invalid() {
    let said = piped(&good().replace("mountPath: /data", "mountPath: /proc"));
    assert_eq!(said.outcome, Outcome::Invalid);
    let expected = "spec.volumes[0].mountPath: \"/proc\": expected a folder that is not the runner's own";
    assert!(said.notes.contains(expected), "{}", said.notes);
}

#[test]
fn what_was_not_given_may_be_in_the_cluster() {
    let said = piped(&only(&["name: good"]));
    assert_eq!(said.outcome, Outcome::Denied);
    let where_ = "not found in the files that were given: give its file too, such as `ccos check - contexts/`";
    for what in ["contextRef: SecurityContext \"analysts\"", "capabilityRef: CapabilityProvider \"tools\""] {
        assert!(said.out.contains(&format!("{what} {where_}")), "{}", said.out);
    }
    let said = check(&CheckArgs { output: CheckFormat::Sarif, ..args(&[Path::new("-")]) }, &only(&["name: good"]));
    let log: Value = serde_json::from_str(&said.out).unwrap();
    let help = &log["runs"][0]["tool"]["driver"]["rules"][0]["help"]["text"];
    assert_eq!(*help, "give the file of the context to `ccos check`, too, or correct contextRef");
}

#[test]
fn one_that_can_never_start_is_warned_of() {
    let said =
        piped(&good().replace("  limits: {memory: 256Mi}\n", "  limits: {memory: 64Mi}\n  capacity: {memory: 64Mi}\n"));
    assert_eq!(said.outcome, Outcome::Done);
    let expected = "admitted, though it never starts: it alone would hold 80Mi of memory, more than the 64Mi of spec.capacity of SecurityContext \"analysts\"; require less, or ask for more";
    assert!(said.notes.contains(expected), "{}", said.notes);
    let said =
        piped(&good().replace("  limits: {memory: 256Mi}\n", "  limits: {memory: 64Mi}\n  capacity: {memory: 80Mi}\n"));
    assert!(!said.notes.contains("never starts"), "{}", said.notes);
}

#[test]
fn a_context_whose_list_lacks_the_default_is_warned_of_and_its_denial_says_why() {
    let said = piped(&good().replace("allowed: [GVisor, Kata]", "allowed: [Kata]"));
    assert_eq!(said.outcome, Outcome::Denied);
    let expected = "isolation \"GVisor\": not allowed, and the default where the context has none; allowed: Kata; name one, or ask the context's author to set spec.isolation.default";
    assert!(said.out.contains(expected), "{}", said.out);
    assert!(
        said.notes.contains("warning: -:1: SecurityContext data/analysts: spec.isolation.default: absent"),
        "{}",
        said.notes
    );
    let said = piped(&good().replace("allowed: [GVisor, Kata]", "allowed: [Kata], default: Kata"));
    assert_eq!((said.outcome, said.notes.as_str()), (Outcome::Done, ""));
}

#[test]
fn programs_are_told_what_is_invalid() {
    let said = check(
        &CheckArgs { output: CheckFormat::Json, ..args(&[Path::new("-")]) },
        &WORLD.replace("level: Controlled", "level: Wild"),
    );
    assert_eq!(said.outcome, Outcome::Invalid);
    assert_eq!(
        serde_json::from_str::<Value>(&said.out).unwrap(),
        json!([{
            "file": "-", "line": 5, "object": "SecurityContext data/analysts", "field": "spec.level",
            "error": "\"Wild\": expected one of Pure, Controlled, Full, Sandboxed",
        }])
    );
}

#[test]
fn a_profile_needs_only_what_decides() {
    let profile = "isolations: {Kata: {runtimeClass: kata, userNamespaces: true}}\n";
    assert_eq!(Cluster::parse(profile).unwrap().isolations.0.len(), 1);
    let object = format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  profile.yaml: |\n    {profile}");
    assert_eq!(Cluster::parse(&object).unwrap_err(), "this is the ConfigMap: give its data[\"profile.yaml\"]");
    // Those that build pods by it need all of it.
    let error = ccos_plan::ClusterProfile::parse(profile).unwrap_err();
    assert_eq!(error.to_string(), "runnerImage: is required");
}

#[test]
fn a_number_that_kubectl_reads_as_another_is_refused() {
    let said = piped(&WORLD.replace("memory: 512Mi", "threads: 0100"));
    assert_eq!((said.outcome, said.out.as_str()), (Outcome::Invalid, ""));
    let expected = "-:40: CapabilityExecution data/greedy: spec.requires.limits.threads: 0100: kubectl takes a number that begins with 0 for an octal one, here 64; write it without the 0\n";
    assert!(said.notes.contains(expected), "{}", said.notes);
    // What is not ours is none of our business.
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {mode: 0644}\n";
    assert_eq!(piped(&format!("{}---\n{pod}", good())).outcome, Outcome::Done);
}

/// What a file of somebody's pull request says, against whoever reads the log of its check.
#[test]
fn a_file_cant_add_lines_of_its_own() {
    const INJECTED: &str = "X)\\n::stop-commands::t\\nallowed  prod/payments";
    let forged =
        |text: &str| text.lines().any(|line| line.trim_start().starts_with("::") || line.starts_with("allowed  prod"));
    let kind = format!("apiVersion: v1\nkind: \"{INJECTED}\"\nmetadata: {{name: x}}\n");
    let name = only(&["name: lost"]).replace("name: lost", &format!("name: \"{INJECTED}\""));
    let field = only(&["name: lost"]).replace("spec:", &format!("spec:\n  \"{INJECTED}\": 1"));
    let top = only(&["name: lost"]).replace("spec:", &format!("\"{INJECTED}\": 1\nspec:"));
    let context = only(&["name: lost"]).replace("name: analysts", &format!("name: \"{INJECTED}\""));
    let syntax = "a: [\n::stop-commands::t\nallowed  prod/payments\n".to_owned();
    for text in [kind, name, field, top, context, syntax] {
        for explain in [false, true] {
            let said = check(&CheckArgs { explain, ..args(&[Path::new("-")]) }, &format!("{}---\n{text}", good()));
            assert!(!forged(&said.out) && !forged(&said.notes), "{text}\n{}\n{}", said.out, said.notes);
            assert!(format!("{}{}", said.out, said.notes).contains("stop-commands"), "{text}\n{}", said.notes);
        }
    }
}

#[test]
fn a_finding_has_no_links_of_the_files_own() {
    let link = "[all is well](https://evil.example)";
    let text = only(&["name: good"]).replace("spec:", &format!("spec:\n  \"{link}\": 1"));
    let said = check(&CheckArgs { output: CheckFormat::Sarif, ..args(&[Path::new("-")]) }, &text);
    assert_eq!(said.outcome, Outcome::Invalid);
    // Names are shown as they are; messages are read as Markdown.
    let mut texts = said.out.lines().filter(|line| line.contains("\"text\""));
    assert!(said.out.contains("all is well") && texts.all(|line| !line.contains("](https")), "{}", said.out);
}

#[test]
fn a_related_place_says_which_capability_requires_it() {
    let text = WORLD.replace(r#"{read: ["/data/**"]}}}"#, r#"{read: ["/data/**", "/etc"]}}}"#);
    let path = folder("required-by", &[("world.yaml", &text)]);
    let said = check(&CheckArgs { output: CheckFormat::Sarif, ..args(&[&path]) }, "");
    let log: Value = serde_json::from_str(&said.out).unwrap();
    let related = &log["runs"][0]["results"][0]["relatedLocations"][0]["message"]["text"];
    assert_eq!(*related, "required here, by csv.summary");
}
