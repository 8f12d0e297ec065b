//! The examples do what is said of them: each file as it is in the repository, but for its namespace, its image and the names of
//! the world outside.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use ccos_e2e::cluster::WORLD_A as A;
use ccos_e2e::fixture::pod;
use ccos_e2e::world::hears;
use ccos_e2e::{EndReason, Namespace, Running, cluster, kubectl, namespace, until};
use serde_json::json;

/// Of no image: `make demo` replaces it as well.
const PLACEHOLDER: &str =
    "registry.local/examples/python@sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// A file of examples/, here.
fn example(ns: &Namespace, file: &str) -> String {
    let text = std::fs::read_to_string(cluster::root().join("examples").join(file)).unwrap();
    let names = [("*.example.com", "*.test"), ("www.example.com", "world-a.test"), ("api.example.com", "world-a.test")];
    let here = names.iter().fold(text, |text, (name, here)| text.replace(name, here));
    here.replace("namespace: demo", &format!("namespace: {}", ns.name))
        .replace(PLACEHOLDER, &cluster::image("CCOS_PYTHON_IMAGE"))
}

/// As alice, of the group that the examples let use the context.
fn alice() -> [&'static str; 3] {
    ["--as=alice", "--as-group=analysts", "create"]
}

#[test]
fn a_summary_runs_and_whoever_wants_more_is_refused() {
    let ns = namespace("examples");
    for file in ["2-data.yaml", "3-context.yaml", "4-provider.yaml"] {
        kubectl(["apply", "-f", "-"]).input(example(&ns, file)).succeeds();
    }
    let create = |file: &str| kubectl(alice().into_iter().chain(["-f", "-"])).input(example(&ns, file)).run();
    until("alice has her rights", 20, || create("executions/summary.yaml").ok.then_some(()));
    let ended = Running::there(&ns, "summary").ends(EndReason::Completed);
    // As the README prints it.
    assert_eq!(ended.result()["total"], json!(16710.4));
    assert_eq!(ended.result()["groups"][0], json!({"median": 264.6, "region": "east", "revenue": 5046.4, "sales": 17}));
    let refused = create("executions/snoop.yaml");
    for field in ["filesystem.read[2] \"/etc/**\"", "network.outbound[0] \"world-a.test port 443\"", "memory 2Gi"] {
        assert!(!refused.ok && refused.err.contains(field), "{field}: {refused:?}");
    }
    assert!(create("executions/kernel.yaml").ok);
    let ended = Running::there(&ns, "kernel").ends(EndReason::Completed);
    assert_eq!(ended.result()["kernel"], json!("4.19.0-gvisor"));
}

#[test]
fn one_host_is_fetched_from_and_what_that_took_is_in_status() {
    let ns = namespace("examples-fetch");
    let listener = TcpListener::bind((A, 80)).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).is_ok() {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello").ok();
            }
        }
    });
    kubectl(["apply", "-f", "-"]).input(example(&ns, "network/fetch.yaml")).succeeds();
    let ended = Running::there(&ns, "fetch").ends(EndReason::Completed);
    assert_eq!(*ended.result(), json!({"status": 200, "bytes": 5}));
    assert!(ended.bytes("bytesSent") > 0 && ended.bytes("bytesReceived") > 0, "{ended:#?}");
}

#[test]
fn an_api_is_asked_with_a_credential_that_the_script_never_has() {
    let ns = namespace("examples-credential");
    let server = hears(443);
    kubectl(["apply", "-f", "-"]).input(example(&ns, "network/credential.yaml")).succeeds();
    let ended = Running::there(&ns, "ask").ends(EndReason::Completed);
    assert_eq!(*ended.result(), json!({"status": 200, "body": "hello"}));
    let heard = server.takes();
    assert!(heard.contains("GET /v1/items HTTP/1.1"), "{heard}");
    assert!(heard.to_ascii_lowercase().contains("authorization: bearer put-your-token-here"), "{heard}");
}

#[test]
fn a_server_answers_pods_with_the_label_that_is_granted() {
    let ns = namespace("examples-serve");
    kubectl(["apply", "-f", "-"]).input(example(&ns, "network/serve.yaml")).succeeds();
    let serves = Running::there(&ns, "serve");
    serves.starts();
    let ip = ns.get(&format!("pod/{}", serves.child()))["status"]["podIP"].as_str().unwrap().to_owned();
    let ask = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {ip} 8080 2>/dev/null");
    let script =
        format!("n=0; while [ $n -lt 10 ]; do a=$({ask}); if [ -n \"$a\" ]; then n=$((n+1)); else sleep 1; fi; done");
    let mut browser = pod("browser", &cluster::image("CCOS_BUSYBOX_IMAGE"), &["/bin/sh", "-c", &script], &[]);
    browser["metadata"]["labels"] = json!({"app": "browser"});
    ns.apply(browser);
    let ended = serves.ends(EndReason::Completed);
    assert_eq!(*ended.result(), json!({"served": 10}));
    assert_eq!(ended.object["status"]["usage"]["connectionsIn"], json!(10));
}
