use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use ccos_audit::event::{Object, Open, Stop};
use ccos_audit::{Chain, Event, Writer, keys};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

/// A folder of one test, with the keys.
struct Folder(PathBuf);

fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn trail() -> Vec<String> {
    let mut chain = Chain::new(Writer::Controller, key(), [1; 16]);
    let open = Event::Open(Open { instance: "i".to_owned(), version: "0".to_owned(), after: Vec::new() });
    let stop = |name: &str| {
        let object = Object { name: name.to_owned(), ..Object::default() };
        Event::Stop(Stop { object, reason: "Cancelled".to_owned() })
    };
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    [open, stop("a"), stop("b"), stop("c")].iter().map(|event| chain.append(event, at).unwrap()).collect()
}

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ccos-cli-audit-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        let data = BTreeMap::from([keys::entry(&key().verifying_key())]);
        let config_map =
            |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
        folder.write("keys.json", &json!({"kind": "List", "items": [config_map("ccos-audit-controller")]}).to_string());
        folder.write("webhooks.json", &config_map("ccos-audit-webhook").to_string());
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn verify(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ccos"))
            .current_dir(&self.0)
            .args(["audit", "verify"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Whoever refuses its arguments reads nothing.
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap_or_default();
        child.wait_with_output().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_whole_trail_ends_with_0_and_says_what_there_was() {
    let folder = Folder::new("whole");
    let log = format!("{{\"level\":\"INFO\"}}\n{}\n", trail().join("\n"));
    let output = folder.verify(&["--keys", "keys.json", "-"], &log);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        out(&output),
        "chain 01010101 of the controller: 4 lines, numbers 0 to 3, 2026-01-01T00:00:00Z to 2026-01-01T00:00:00Z, open\n\
         whole: 4 lines of 1 chains, 0 executions; 1 other lines, 0 copies\n"
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("--executions"), "{output:?}");
}

#[test]
fn files_of_a_folder_are_one_trail_whatever_their_order() {
    let folder = Folder::new("folder");
    let lines = trail();
    std::fs::create_dir_all(folder.0.join("trail")).unwrap();
    folder.write("trail/b.jsonl", &format!("{}\n{}\n", lines[0], lines[1]));
    folder.write("trail/a.jsonl", &format!("{}\n{}\n", lines[2], lines[3]));
    folder.write("trail/notes.txt", "not looked at");
    let output = folder.verify(&["--keys", "keys.json", "--strict", "trail"], "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_finding_ends_with_1_in_text_and_in_json() {
    let folder = Folder::new("finding");
    let mut lines = trail();
    lines.remove(1);
    let log = lines.join("\n");
    let output = folder.verify(&["--keys", "keys.json", "-"], &log);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        out(&output).starts_with("-:2: removed: number 2 of chain 01010101: number 1 before it is missing\n"),
        "{output:?}"
    );
    let output = folder.verify(&["--keys", "keys.json", "-o", "json", "-"], &log);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!((&report["clean"], &report["findings"][0]["kind"]), (&json!(false), &json!("Removed")));
}

/// Attack: the keys of one writer are put where the other's are.
#[test]
fn a_key_counts_for_the_writer_of_its_config_map_alone() {
    let folder = Folder::new("writer");
    let output = folder.verify(&["--keys", "webhooks.json", "-"], &trail().join("\n"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(out(&output).contains("a key of the webhook, and says that it is of the controller"), "{output:?}");
}

#[test]
fn an_execution_without_its_end_is_found() {
    let folder = Folder::new("executions");
    let finished = json!({
        "apiVersion": "security.ccos.dev/v1alpha1", "kind": "CapabilityExecution",
        "metadata": {"name": "paris", "namespace": "demo", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "contextRef": {"kind": "SecurityContext", "name": "c"},
            "capabilityRef": {"kind": "CapabilityProvider", "name": "p", "id": "a.b"},
        },
        "status": {"conditions": [{
            "type": "Finished", "status": "True", "reason": "ReceiptInvalid", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:09Z",
        }]},
    });
    folder.write("executions.json", &json!({"kind": "List", "items": [finished]}).to_string());
    let arguments = ["--keys", "keys.json", "--executions", "executions.json", "-"];
    let output = folder.verify(&arguments, &trail().join("\n"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        out(&output).contains("truncated: CapabilityExecution demo/paris ended at 2026-01-01T00:00:09Z as ReceiptInvalid, and no line says so"),
        "{output:?}"
    );
}

#[test]
fn what_can_not_be_read_ends_with_2() {
    let folder = Folder::new("unreadable");
    folder.write("empty.json", r#"{"kind": "List", "items": []}"#);
    folder.write("pod.json", r#"{"kind": "Pod"}"#);
    for (arguments, why) in [
        (vec!["--keys", "nowhere.json", "-"], "cannot read nowhere.json"),
        (vec!["--keys", "empty.json", "-"], "there are no keys"),
        (vec!["--keys", "pod.json", "-"], "expected ConfigMap"),
        (vec!["--keys", "keys.json", "nowhere.log"], "cannot read nowhere.log"),
        (vec!["--keys", "keys.json", "--executions", "pod.json", "-"], "expected CapabilityExecution"),
        (vec!["--keys", "keys.json", "--since", "yesterday", "-"], "yesterday"),
    ] {
        let output = folder.verify(&arguments, "");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{output:?}");
    }
}
