//! The audit trail of the cluster is whole, and what is done to it is found.

use std::path::PathBuf;
use std::process::Command;

use ccos_e2e::{Execution, Namespace, Reason, cluster, context, execution, kubectl, namespace, until};
use serde_json::{Value, json};

/// How each line begins.
const START: &str = r#"{"audit":"ccos/1","#;

/// The moment, as the operator's clock has it: on one machine.
fn now() -> String {
    jiff::Timestamp::now().to_string()
}

/// The logs of all pods of the operator, each a file of a folder of this test, beside keys and executions.
struct Collected {
    folder: PathBuf,
    since: String,
    until: String,
}

impl Collected {
    fn new(title: &str, since: &str) -> Self {
        let folder = std::env::temp_dir().join(ccos_e2e::namespace::unique(title));
        std::fs::create_dir_all(&folder).unwrap();
        let collected = Self { folder, since: since.to_owned(), until: now() };
        collected.write("executions.json", &kubectl(["get", "capex", "-A"]).json().to_string());
        let names = ["get", "configmap", "ccos-audit-webhook", "ccos-audit-controller", "ccos-receipt-keys"];
        collected.write("keys.json", &kubectl(names).inside(cluster::OPERATOR).json().to_string());
        for pod in pods() {
            let text = kubectl(["logs", &pod, "--tail=-1"]).inside(cluster::OPERATOR).succeeds();
            collected.write(&format!("{pod}.log"), &text);
            // Of a container that was restarted: a controller that lost its Lease on a busy machine.
            let before = kubectl(["logs", &pod, "--tail=-1", "--previous"]).inside(cluster::OPERATOR).run();
            if before.ok {
                collected.write(&format!("{pod}.previous.log"), &before.out);
            }
        }
        collected
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).unwrap();
    }

    /// The logs, by name, with their lines.
    fn logs(&self) -> Vec<(String, Vec<String>)> {
        let files = std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let mut logs: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
        logs.sort();
        let lines = |path: &PathBuf| std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
        logs.iter().map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), lines(path))).collect()
    }

    /// The log and the place there of the one line that has all of this.
    #[track_caller]
    fn find(&self, words: &[&str]) -> (String, usize, Value) {
        let found: Vec<(String, usize, String)> = self
            .logs()
            .into_iter()
            .flat_map(|(name, lines)| lines.into_iter().enumerate().map(move |(at, line)| (name.clone(), at, line)))
            .filter(|(_, _, line)| line.starts_with(START) && words.iter().all(|word| line.contains(word)))
            .collect();
        assert_eq!(found.len(), 1, "{words:?}: {found:#?}");
        let (name, at, line) = found[0].clone();
        (name, at, serde_json::from_str::<Value>(&line).unwrap()["event"].clone())
    }

    /// What `ccos audit verify` says of the logs, after this was done to one of them.
    fn after(&self, name: &str, change: impl FnOnce(&mut Vec<String>)) -> (Option<i32>, Value) {
        let (_, original) = self.logs().into_iter().find(|(log, _)| log == name).unwrap();
        let mut changed = original.clone();
        change(&mut changed);
        self.write(name, &changed.join("\n"));
        let verdict = self.verify(&["--keys", "keys.json", "--executions", "executions.json"]);
        self.write(name, &original.join("\n"));
        verdict
    }

    /// Exit code and report of `ccos audit verify`.
    fn verify(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let mut command = Command::new(cluster::image("CCOS_CLI"));
        command.current_dir(&self.folder).env("KUBECONFIG", cluster::kubeconfig());
        command.args(["audit", "verify", "-o", "json", "--since", &self.since, "--until", &self.until]);
        let output = command.args(arguments).arg(".").output().unwrap();
        let report = serde_json::from_slice(&output.stdout);
        (output.status.code(), report.unwrap_or_else(|error| panic!("{error}: {output:?}")))
    }

    /// Nothing is wrong.
    #[track_caller]
    fn is_whole(&self, arguments: &[&str]) -> Value {
        let (code, report) = self.verify(arguments);
        assert_eq!((code, &report["clean"]), (Some(0), &json!(true)), "{report:#}");
        report
    }
}

impl Drop for Collected {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what was collected is in {}", self.folder.display());
        } else {
            std::fs::remove_dir_all(&self.folder).unwrap_or_default();
        }
    }
}

/// The operator's pods.
fn pods() -> Vec<String> {
    let label = "app.kubernetes.io/component in (webhook,controller)";
    let all = kubectl(["get", "pods", "-l", label]).inside(cluster::OPERATOR).json();
    let names = all["items"].as_array().unwrap().iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned());
    names.collect()
}

/// These kinds of findings, and exit code 1.
#[track_caller]
fn finds((code, report): &(Option<i32>, Value), kind: &str) {
    assert_eq!(*code, Some(1), "{report:#}");
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["kind"] == kind), "expected {kind}: {report:#}");
}

/// The inputs hold a word that nobody else has.
fn secretive(name: &str) -> Execution {
    execution(name).set("inputs", json!({"word": "xylophone-in-the-inputs"}))
}

fn denied(ns: &Namespace) {
    ns.rejects(execution("denied").reads("/etc/**"))
        .with(Reason::FileReadDenied, "requires.permissions.filesystem.read[0]");
}

#[test]
#[ignore = "alone: one of them restarts the webhook"]
fn what_happens_is_on_record_and_what_is_done_to_the_record_is_found() {
    let ns = namespace("audit");
    let since = now();
    ns.apply(context("analysts"));
    ns.accepts(secretive("ran")).completes();
    denied(&ns);
    let collected = Collected::new("trail", &since);
    let namespace = format!(r#""namespace":"{}""#, ns.name);
    let of = |name: &str, kind: &str| {
        collected.find(&[&namespace, &format!(r#""name":"{name}""#), &format!(r#""type":"{kind}""#)])
    };

    let report = collected.is_whole(&["--keys", "keys.json", "--executions", "executions.json"]);
    assert!(report["chains"].as_array().unwrap().len() >= 3, "two webhooks and a controller: {report:#}");
    let (_, _, registered) = of("analysts", "Registration");
    assert_eq!(registered["outcome"], "Admitted");
    let (log, line, admitted) = of("ran", "Decision");
    assert_eq!(admitted["outcome"], "Admitted");
    let (_, _, started) = of("ran", "Start");
    assert_eq!(started["nonce"], admitted["receipt"]["nonce"]);
    assert_eq!(started["decisionDigest"], admitted["receipt"]["decisionDigest"]);
    assert_eq!(started["decision"]["isolation"], "GVisor");
    let (end_log, end_line, ended) = of("ran", "End");
    assert_eq!((&ended["reason"], &ended["nonce"]), (&json!("Completed"), &started["nonce"]));
    let (_, _, refused) = of("denied", "Decision");
    assert_eq!(refused["outcome"], "Denied");
    assert_eq!(refused["causes"][0]["reason"], "FileReadDenied");
    let lines: Vec<String> = collected.logs().into_iter().flat_map(|(_, lines)| lines).collect();
    assert!(lines.iter().all(|line| !line.contains("xylophone")), "inputs are in a log");

    // The twin of all that follows: changing nothing changes nothing.
    assert_eq!(collected.after(&log, |_| {}).0, Some(0));
    // The end of a file goes with the line: what is behind it can't tell of it.
    finds(&collected.after(&log, |lines| lines.truncate(line)), "Truncated");
    finds(&collected.after(&end_log, |lines| lines.truncate(end_line)), "Truncated");
    finds(
        &collected.after(&log, |lines| lines[line] = lines[line].replace(r#""user":"admin""#, r#""user":"eve""#)),
        "Changed",
    );
    finds(&collected.after(&log, |lines| lines.insert(line, lines[line].clone())), "Repeated");
    let remove_the_one_before = |lines: &mut Vec<String>| {
        let before = lines[..end_line].iter().rposition(|line| line.starts_with(START)).unwrap();
        lines.remove(before);
    };
    finds(&collected.after(&end_log, remove_the_one_before), "Removed");
    // A line of another cluster.
    let foreign = lines.iter().find(|line| line.starts_with(START)).unwrap().replace(r#""kid":""#, r#""kid":"0"#);
    finds(&collected.after(&log, |lines| lines.push(foreign)), "Foreign");
    // A whole log.
    finds(&collected.after(&end_log, Vec::clear), "Truncated");
}

#[test]
#[ignore = "alone: one of them restarts the webhook"]
fn nothing_is_recorded_of_a_dry_run() {
    let ns = namespace("audit-dry");
    ns.apply(context("analysts"));
    ns.would_accept(execution("dry"));
    let collected = Collected::new("dry", &now());
    let namespace = format!(r#""namespace":"{}""#, ns.name);
    collected.find(&[&namespace, r#""name":"analysts""#]);
    let lines: Vec<String> = collected.logs().into_iter().flat_map(|(_, lines)| lines).collect();
    let told = lines.iter().any(|line| {
        line.starts_with(START) && line.contains(&namespace) && line.contains(r#""kind":"CapabilityExecution""#)
    });
    assert!(!told);
}

#[test]
#[ignore = "alone: one of them restarts the webhook"]
fn a_webhook_that_restarts_begins_a_chain_that_verifies_against_the_cluster() {
    let ns = namespace("audit-restart");
    ns.apply(context("analysts"));
    let before = pods();
    kubectl(["rollout", "restart", "deployment/ccos-webhook"]).inside(cluster::OPERATOR).succeeds();
    kubectl(["rollout", "status", "deployment/ccos-webhook", "--timeout=120s"]).inside(cluster::OPERATOR).succeeds();
    // Those before are gone, and with them what they had still to say.
    until("the pods before are gone", 60, || {
        let left = pods();
        let webhooks = |pods: &[String]| pods.iter().filter(|pod| pod.contains("webhook")).cloned().collect::<Vec<_>>();
        webhooks(&before).iter().all(|pod| !webhooks(&left).contains(pod)).then_some(())
    });
    let since = now();
    ns.accepts(execution("again")).completes();
    denied(&ns);
    let collected = Collected::new("restart", &since);
    // Keys, heads and executions of the cluster itself.
    let report = collected.is_whole(&[]);
    assert!(report["executions"].as_u64().unwrap() >= 1, "{report:#}");
    // The key is the same one: the trail from before would verify too.
    let keys = kubectl(["get", "configmap", "ccos-audit-webhook"]).inside(cluster::OPERATOR).json();
    let keys = keys["data"].as_object().unwrap().keys().filter(|name| name.starts_with("key.")).count();
    assert_eq!(keys, 1);
}
