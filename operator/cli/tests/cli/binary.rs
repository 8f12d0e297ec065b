use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::WORLD;
use crate::check::folder;

fn ccos(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ccos"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have ended before it read.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn the_exit_code_says_what_came_of_it() {
    let allowed = WORLD.split("---\n").take(4).collect::<Vec<_>>().join("---\n");
    for (stdin, code) in [(allowed.as_str(), 0), (WORLD, 1), ("", 2), ("a: [", 2)] {
        let output = ccos(&["check", "-"], stdin);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(output.stdout.is_empty(), code == 2, "{output:?}");
    }
}

#[test]
fn every_verb_says_so_by_its_exit_code() {
    let narrow = WORLD.replace("256Mi", "128Mi");
    let table = "apiVersion: cli.security.ccos.dev/v1alpha1\nkind: DecisionTest\nmetadata: {name: t}\nresources: [a.yaml]\nnamespace: data\ncases: [{name: one, execution: good, expect: Allowed}]\n";
    let failing = table.replace("Allowed", "Denied");
    let path =
        folder("binary", &[("a.yaml", WORLD), ("b.yaml", &narrow), ("ok.yaml", table), ("fails.yaml", &failing)]);
    let file = |name: &str| path.join(name).display().to_string();
    for (args, code) in [
        (vec!["diff", &file("a.yaml"), &file("a.yaml")], 0),
        (vec!["diff", &file("a.yaml"), &file("b.yaml")], 1),
        (vec!["diff", &file("a.yaml"), "/nonexistent"], 2),
        (vec!["test", &file("ok.yaml")], 0),
        (vec!["test", &file("fails.yaml")], 1),
        (vec!["test", &file("a.yaml")], 2),
        (vec!["can-i", "use"], 2),
        (vec!["check", &file("a.yaml"), "-o", "sarif"], 1),
        (vec!["check"], 2),
        (vec!["no-such-verb"], 2),
    ] {
        let output = ccos(&args, "");
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    }
}

#[test]
fn shells_can_complete_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let output = ccos(&["completion", shell], "");
        assert!(output.status.success(), "{output:?}");
        let script = String::from_utf8(output.stdout).unwrap();
        for verb in ["can-i", "check", "completion", "diff", "explain", "test"] {
            assert!(script.contains(verb), "{shell} does not complete {verb}");
        }
    }
    // A script that its shell refuses would break whoever loads it.
    let script = ccos(&["completion", "bash"], "").stdout;
    let script = String::from_utf8(script).unwrap();
    let checked = Command::new("bash").args(["-n", "-c", &script]).status().unwrap();
    assert!(checked.success());
}

#[test]
fn as_a_plugin_of_kubectl_it_calls_itself_so() {
    let link = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kubectl-ccos");
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ccos"), &link).unwrap();
    for (program, called) in
        [(link.as_path(), "kubectl ccos check"), (Path::new(env!("CARGO_BIN_EXE_ccos")), "ccos check")]
    {
        let output = Command::new(program).args(["check", "--help"]).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains(&format!("Usage: {called} ")), "{help}");
    }
}
