//! What runners tell the operator at the end: results of any size, at once, and only by the pod itself.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use ccos_e2e::fixture::pod;
use ccos_e2e::{EndReason, Namespace, cluster, context, execution, kubectl, namespace};
use serde_json::{Value, json};

/// JSON whose quotation is twice as long, of so many bytes.
fn large(bytes: usize) -> String {
    format!("import json\nprint(json.dumps(['a'] * {}))", bytes / 5)
}

/// The endpoint as the machine sees it, past the network policy that lets only executions in.
struct Endpoint {
    forward: Child,
    address: String,
    /// kubectl says each connection, and would end if nobody could hear it.
    _said: BufReader<ChildStdout>,
}

impl Endpoint {
    fn open() -> Self {
        let mut forward = Command::new("kubectl")
            .args(["--kubeconfig", cluster::kubeconfig().to_str().unwrap(), "-n", "ccos-system"])
            .args(["port-forward", "--address=127.0.0.1", "deployment/ccos-controller", ":8443"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(forward.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let address = line.split_whitespace().nth(2).unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { forward, address, _said: said }
    }

    /// The status of an answer, and what it says.
    fn post(&self, token: Option<&str>, body: &str) -> (String, String) {
        let authorization =
            token.map_or_else(|| "X-None: x".to_owned(), |token| format!("Authorization: Bearer {token}"));
        // Not as an argument: those have a bound.
        let mut curl = Command::new("curl")
            .args(["--silent", "--insecure", "--max-time", "20", "--write-out", "\n%{http_code}"])
            .args(["--header", &authorization, "--data-binary", "@-"])
            .arg(format!("https://{}/v1/report", self.address))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It may be refused before it is read to its end.
        drop(curl.stdin.take().unwrap().write_all(body.as_bytes()));
        let answer = curl.wait_with_output().unwrap();
        let text = String::from_utf8(answer.stdout).unwrap();
        let (said, status) = text.rsplit_once('\n').unwrap();
        (status.to_owned(), said.to_owned())
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.forward.kill().unwrap();
        self.forward.wait().unwrap();
    }
}

fn token(ns: &Namespace, audience: &str, pod: Option<&str>) -> String {
    let bound = pod.map(|pod| ["--bound-object-kind=Pod".to_owned(), format!("--bound-object-name={pod}")]);
    let audience = format!("--audience={audience}");
    let arguments = ["create".to_owned(), "token".to_owned(), "default".to_owned(), audience];
    let arguments: Vec<String> = arguments.into_iter().chain(bound.into_iter().flatten()).collect();
    ns.kubectl(arguments).trim().to_owned()
}

#[test]
fn a_large_result_is_in_a_config_map() {
    let ns = namespace("large");
    ns.apply(context("analysts"));
    for (name, bytes) in [("some", 4000), ("most", 1_000_000)] {
        let ended = ns.accepts(execution(name).python(&large(bytes)).limit("memory", "128Mi")).completes();
        let result = &ended.object["status"]["result"];
        assert_eq!(result["inline"], Value::Null);
        let kept = ns.get(&format!("configmap/{}", result["configMapRef"]["name"].as_str().unwrap()));
        assert_eq!(kept["immutable"], true);
        assert_eq!(kept["metadata"]["ownerReferences"][0]["uid"], ended.object["metadata"]["uid"]);
        let text = kept["data"]["result.json"].as_str().unwrap();
        assert_eq!(result["sha256"], json!(ccos_profile::digest(text.as_bytes()).trim_start_matches("sha256:")));
        let words: Vec<String> = serde_json::from_str(text).unwrap();
        assert_eq!(words.len(), bytes / 5);
    }
}

#[test]
fn a_large_result_has_to_fit_its_schema() {
    let ns = namespace("unfit");
    ns.apply(context("analysts"));
    let schema = json!({"type": "array", "maxItems": 3});
    let ended = ns.accepts(execution("unfit").python(&large(4000)).capability("outputSchema", schema));
    let ended = ended.ends(EndReason::InvalidResult);
    assert!(ended.message().contains("outputSchema"), "{}", ended.message());
    assert_eq!(ended.object["status"]["result"], Value::Null);
    assert!(ns.list("configmaps").iter().all(|map| map["data"]["result.json"].is_null()));
}

#[test]
fn its_log_can_be_read_after_its_end() {
    let ns = namespace("log");
    ns.apply(context("analysts"));
    let one = ns.accepts(execution("talks").python("import sys\nprint('said', file=sys.stderr)"));
    one.completes();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(ns.kubectl(["logs", &one.child()]).contains("said"));
}

#[test]
fn nobody_reports_for_another() {
    let ns = namespace("forged");
    ns.apply(context("analysts"));
    let busybox = cluster::image("CCOS_BUSYBOX_IMAGE");
    ns.apply(pod("stranger", &busybox, &["/bin/sleep", "100"], &[]));
    let victim = ns.accepts(execution("victim").sleeps(20));
    victim.starts();
    let endpoint = Endpoint::open();
    let forged = json!({"report": {"version": 1, "end": "Completed", "result": "forged", "proven": []}}).to_string();
    let unbound = token(&ns, "ccos-report", None);
    let stranger = token(&ns, "ccos-report", Some("stranger"));
    let elsewhere = token(&ns, "https://kubernetes.default.svc", Some(&victim.child()));
    for (given, status) in [
        (None, "401"),
        (Some("x"), "401"),
        (Some(unbound.as_str()), "401"),
        (Some(stranger.as_str()), "404"),
        (Some(elsewhere.as_str()), "401"),
    ] {
        let answer = endpoint.post(given, &forged);
        assert_eq!(answer.0, status, "{given:?}: {answer:?}");
    }
    // What the pod itself may do, an administrator can, who makes tokens for it: so it was the token that was missing.
    let own = token(&ns, "ccos-report", Some(&victim.child()));
    for body in ["", "{}"] {
        let answer = endpoint.post(Some(&own), body);
        assert_eq!(answer.0, "400", "{answer:?}");
    }
    // It is not read to its end, so that curl may find the connection closed before it finds the answer.
    let answer = endpoint.post(Some(&own), &"[".repeat(3 << 20));
    assert!(["413", "000"].contains(&answer.0.as_str()), "{answer:?}");
    assert_eq!(endpoint.post(Some(&own), &forged).0, "200");
    assert_eq!(*victim.completes().result(), json!("forged"));
    // The first word counts, and a token is worth nothing when its pod is gone.
    ns.kubectl(["delete", "pod", &victim.child(), "--now"]);
    // The API server may believe the token for some seconds more, but there is no such pod.
    let answer = endpoint.post(Some(&own), &forged);
    assert!(["401", "404"].contains(&answer.0.as_str()), "{answer:?}");
}

#[test]
fn the_code_has_no_way_to_report() {
    let ns = namespace("inside");
    ns.apply(context("analysts"));
    let service = kubectl(["get", "service", "ccos-report", "-o", "jsonpath={.spec.clusterIP}"]);
    let address = service.inside("ccos-system").succeeds();
    let code = format!(
        "
import json, socket
found = []
for path in ('/ccos/tokens/report', '/proc/1/root/ccos/tokens/report', '/proc/self/root/ccos/tokens/report'):
    try: found.append(open(path).read())
    except OSError: pass
try: found.append(str(socket.create_connection(('{address}', 8443), 5)))
except OSError: pass
print(json.dumps(found))
"
    );
    assert_eq!(*ns.accepts(execution("looks").python(&code)).completes().result(), json!([]));
}
