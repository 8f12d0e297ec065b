use std::path::{Path, PathBuf};

use ccos_cli::diff::{DiffArgs, run};
use ccos_cli::{Format, Outcome, Streams};
use serde_json::{Value, json};

use crate::check::{Said, folder};

const OLD: &str = r#"apiVersion: security.ccos.dev/v1alpha1
kind: SecurityContext
metadata: {name: analysts, namespace: data}
spec:
  level: Controlled
  permissions:
    filesystem: {read: ["/data/**", "/app/lib"], write: ["/work"], blocked: ["/data/private"]}
    network: {outbound: [{host: "*.example.com", ports: [{port: 443}]}]}
    environment: {read: ["APP_*"]}
  limits: {memory: 256Mi}
"#;

fn args(old: &str, new: &str, from: &[&Path]) -> DiffArgs {
    DiffArgs {
        old: old.to_owned(),
        new: new.to_owned(),
        from: from.iter().map(|path| path.to_path_buf()).collect(),
        namespace: "default".to_owned(),
        output: Format::Text,
    }
}

fn diff(args: &DiffArgs) -> Said {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let mut streams = Streams { out: &mut out, notes: &mut notes };
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let outcome = run(args, || Ok(OLD.to_owned()), now, &mut streams).unwrap();
    Said { outcome, out: String::from_utf8(out).unwrap(), notes: String::from_utf8(notes).unwrap() }
}

fn versions(name: &str, new: &str) -> (PathBuf, String, String) {
    let path = folder(name, &[("old.yaml", OLD), ("new.yaml", new)]);
    let file = |name: &str| path.join(name).display().to_string();
    (path.clone(), file("old.yaml"), file("new.yaml"))
}

#[test]
fn what_newly_can_and_cant_run_is_said_with_examples() {
    let new = OLD
        .replace(r#"read: ["/data/**", "/app/lib"]"#, r#"read: ["/data/in", "/etc/**"]"#)
        .replace(r#", blocked: ["/data/private"]"#, "")
        .replace("memory: 256Mi", "memory: 1Gi, threads: 8")
        .replace("443", "443, endPort: 444")
        .replace("level: Controlled", "level: Controlled\n  isolation: {allowed: [GVisor]}\n  expiry: {type: Never}");
    let (_, old, new) = versions("diff", &new);
    let said = diff(&args(&old, &new, &[]));
    assert_eq!(said.outcome, Outcome::Denied, "{}", said.notes);
    assert_eq!(
        said.out,
        r#"SecurityContext data/analysts
  newly allowed
  + permissions.filesystem.read[1] "/etc/**": e.g. /etc
  + permissions.network.outbound[0] "*.example.com ports 443-444": e.g. example.com:444
  + limits.memory 1Gi, was 256Mi
  newly refused
  - permissions.filesystem.read[0] "/data/**": e.g. /data
  - permissions.filesystem.read[1] "/app/lib": e.g. /app/lib
  - limits.threads 64, now 8
  - isolation.allowed Kata
  - isolation.allowed Container
  - isolation.allowed Wasm
  changed
  ~ expiry: absent -> {"type":"Never"}
"#
    );
}

#[test]
fn what_is_newly_blocked_is_newly_refused() {
    let new = OLD.replace(r#"["/data/private"]"#, r#"["/data/private", "/data/*/keys"]"#);
    let (_, old, new) = versions("diff-blocked", &new);
    let expected = "  newly refused\n  - permissions.filesystem.read[0] \"/data/**\": e.g. /data/a/keys, now blocked by /data/*/keys\n";
    let said = diff(&args(&old, &new, &[])).out;
    assert!(said.contains(expected) && !said.contains("newly allowed"), "{said}");
    // And the other way round.
    let said = diff(&args(&new, &old, &[])).out;
    assert!(
        said.contains("e.g. /data/a/keys, was blocked by /data/*/keys") && !said.contains("newly refused"),
        "{said}"
    );
}

#[test]
fn other_words_for_the_same_are_no_difference() {
    let new = OLD
        .replace(r#"["/data/**", "/app/lib"]"#, r#"["/app/lib/**", "/app/lib/x", "/data"]"#)
        .replace("memory: 256Mi", "memory: 268435456, wallTime: 300s")
        .replace(
            "level: Controlled",
            "level: Controlled\n  isolation: {default: GVisor}\n  expiry: {type: After, after: 60m}",
        );
    let (_, old, new) = versions("diff-same", &new);
    let said = diff(&args(&old, &new, &[]));
    assert_eq!((said.outcome, said.out.as_str()), (Outcome::Done, ""), "{}", said.notes);
    assert_eq!(diff(&args(&old, "-", &[])).outcome, Outcome::Done);
}

#[test]
fn programs_get_each_way_apart() {
    let (_, old, new) = versions("diff-json", &OLD.replace("256Mi", "128Mi"));
    let said = diff(&DiffArgs { output: Format::Json, ..args(&old, &new, &[]) });
    assert_eq!(said.outcome, Outcome::Denied);
    assert_eq!(
        serde_json::from_str::<Value>(&said.out).unwrap(),
        json!([{
            "old": "SecurityContext data/analysts", "new": "SecurityContext data/analysts",
            "newlyAllowed": [], "changed": [],
            "newlyRefused": [{"field": "limits.memory", "granted": "256Mi", "other": "128Mi"}],
        }])
    );
}

#[test]
fn folders_are_compared_by_name() {
    let context = |name: &str| OLD.replace("analysts", name);
    let path = folder(
        "diff-folders",
        &[
            ("old/a.yaml", &context("a")),
            ("old/gone.yaml", &context("gone")),
            ("new/a.yaml", &context("a")),
            ("new/fresh.yaml", &context("fresh")),
        ],
    );
    let side = |name: &str| path.join(name).display().to_string();
    let said = diff(&args(&side("old"), &side("new"), &[]));
    assert_eq!(said.outcome, Outcome::Denied);
    let (fresh, gone) = said.out.split_once("\n\n").unwrap();
    for (part, head, side, sign) in [
        (fresh, "SecurityContext data/fresh: is new", "newly allowed", '+'),
        (gone, "SecurityContext data/gone: is gone, and with it whatever ran under it", "newly refused", '-'),
    ] {
        for line in [
            head.to_owned(),
            format!("  {side}"),
            format!("  {sign} permissions.filesystem.read[0] \"/data/**\": e.g. /data"),
            format!("  {sign} limits.memory 256Mi"),
            format!("  {sign} isolation.allowed GVisor"),
        ] {
            assert!(part.lines().any(|said| said == line), "{line}\n--- in ---\n{part}");
        }
    }
    assert!(fresh.ends_with("  changed\n  ~ level: absent -> Controlled"), "{fresh}");
    assert!(gone.ends_with("  changed\n  ~ level: Controlled -> absent\n"), "{gone}");
}

#[test]
fn all_that_a_new_context_grants_is_newly_allowed() {
    let full = OLD.split("  permissions").next().unwrap().replace("Controlled", "Full");
    let path =
        folder("diff-new", &[("old/a.yaml", OLD), ("new/a.yaml", OLD), ("new/b.yaml", &full.replace("analysts", "b"))]);
    let side = |name: &str| path.join(name).display().to_string();
    let said = diff(&args(&side("old"), &side("new"), &[]));
    assert_eq!(said.outcome, Outcome::Denied);
    let expected = "SecurityContext data/b: is new\n  newly allowed\n";
    assert!(said.out.starts_with(expected), "{}", said.out);
    for line in ["  + permissions.filesystem.read everything, at level Full: e.g. /\n", "  ~ level: absent -> Full\n"] {
        assert!(said.out.contains(line), "{}", said.out);
    }
    let said = diff(&DiffArgs { output: Format::Json, ..args(&side("old"), &side("new"), &[]) });
    let report: Value = serde_json::from_str(&said.out).unwrap();
    let new = report.as_array().unwrap().iter().find(|one| one["old"].is_null()).unwrap();
    assert!(new["newlyAllowed"].as_array().unwrap().len() > 10, "{new}");
}

#[test]
fn two_contexts_of_one_folder_are_found_by_name() {
    let cluster = OLD
        .replace("kind: Sec", "kind: ClusterSec")
        .replace("analysts, namespace: data", "base")
        .replace("256Mi", "1Gi");
    let path = folder("diff-named", &[("a.yaml", OLD), ("b.yaml", &cluster)]);
    for old in ["data/analysts", "SecurityContext/data/analysts"] {
        let said = diff(&args(old, "ClusterSecurityContext/base", &[&path]));
        assert_eq!(said.outcome, Outcome::Denied, "{}", said.notes);
        assert!(said.out.starts_with("SecurityContext data/analysts -> ClusterSecurityContext base\n"), "{}", said.out);
        assert!(said.out.contains("  + limits.memory 1Gi, was 256Mi\n"), "{}", said.out);
    }
    let said = diff(&DiffArgs { namespace: "data".to_owned(), ..args("analysts", "nobody", &[&path]) });
    assert_eq!(said.outcome, Outcome::Invalid);
    assert_eq!(
        said.notes,
        "there is no SecurityContext data/nobody; there is ClusterSecurityContext base, SecurityContext data/analysts\n"
    );
}

#[test]
fn what_cant_be_understood_is_2_and_says_where() {
    let (path, old, new) = versions("diff-invalid", &OLD.replace("/work", "/a/../b"));
    let said = diff(&args(&old, &new, &[]));
    assert_eq!((said.outcome, said.out.as_str()), (Outcome::Invalid, ""));
    assert!(
        said.notes
            .starts_with(&format!("{new}:7: SecurityContext data/analysts: spec.permissions.filesystem.write[0]: ")),
        "{}",
        said.notes
    );
    std::fs::write(path.join("none.yaml"), "kind: Pod\napiVersion: v1\n").unwrap();
    let none = path.join("none.yaml").display().to_string();
    let said = diff(&args(&old, &none, &[]));
    assert_eq!((said.outcome, said.notes), (Outcome::Invalid, format!("{none}: there is no context in it\n")));
}
