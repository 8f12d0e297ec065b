//! Attacks on the proxy, through its own server loop. Each is made twice: the proxy refuses it, and without the check that it is
//! aimed at it succeeds, so that the refusal is that check's doing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    missing_docs,
    dead_code,
    reason = "tests and their helpers, of which each file uses some"
)]

mod common;

use std::time::Duration;

use ccos_egress::serve::Check;
use common::{BOUNDS, CLUSTER, INSIDE, Names, Serving, WORLD, ask, connect, echo, exchange, host_rules, proxy, ranges};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const TOKEN: &str = "token";

async fn usual(names: Names, without: Option<Check>) -> Serving {
    proxy(names, ranges(), BOUNDS, without).await
}

/// That the proxy refuses the target with this reason, and lets it through without the check.
async fn refused_but_for(check: Check, reason: &str, names: Names, rules: &str, target: &str) {
    let whole = usual(names.clone(), None).await;
    let execution = whole.known.add(TOKEN, rules);
    let answer = connect(whole.address, TOKEN, target).await.err();
    let answer = answer.unwrap_or_else(|| panic!("{target} was reached"));
    assert_eq!(answer.reason.as_deref(), Some(reason), "{target}: {answer:?}");
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.body.ends_with('\n') && answer.body.lines().count() == 1, "one line for people: {answer:?}");
    let denial = &execution.account.usage().denials[0];
    assert_eq!((denial.reason.token(), denial.target.as_str(), denial.count), (reason, target, 1));

    let open = usual(names, Some(check)).await;
    open.known.add(TOKEN, rules);
    let mut stream = connect(open.address, TOKEN, target).await.unwrap_or_else(|answer| panic!("{target}: {answer:?}"));
    assert_eq!(exchange(&mut stream, b"\0ping").await.as_deref(), Some(b"\0ping".as_slice()));
}

#[tokio::test]
async fn a_host_without_a_grant() {
    let port = echo(WORLD, 0).await;
    let names = || Names::new(&[("a.test", &[&[WORLD]]), ("b.test", &[&[WORLD]])]);
    let rules = host_rules("a.test", port);
    refused_but_for(Check::Rules, "not-granted", names(), &rules, &format!("b.test:{port}")).await;
    refused_but_for(Check::Rules, "not-granted", names(), &host_rules("a.test", 1), &format!("a.test:{port}")).await;
    let blocked = rules.replace(r#""blocked":[]"#, r#""blocked":[{"host":"*.test"}]"#);
    refused_but_for(Check::Rules, "blocked", names(), &blocked, &format!("a.test:{port}")).await;
}

#[tokio::test]
async fn an_address_without_a_grant() {
    let port = echo(WORLD, 0).await;
    let rules = host_rules("a.test", port);
    refused_but_for(Check::Rules, "not-granted", Names::default(), &rules, &format!("{WORLD}:{port}")).await;
}

#[tokio::test]
async fn odd_forms_of_an_address_are_not_even_asked_name_servers_about() {
    let port = echo(WORLD, 0).await;
    // Name servers of an attacker would answer these; the C library would need none.
    let odd = ["2130706434", "0x7f000002", "0x7f.2", "0177.0.0.2", "127.2", "127.0.0.02", "127.0.0.2."];
    let answers: &[&[&str]] = &[&[WORLD]];
    let names = Names::new(&odd.map(|name| (name, answers)));
    let serving = usual(names, Some(Check::Rules)).await;
    let rules = r#"{"outbound":[{"cidr":"127.0.0.0/8","ports":[{"port":1,"endPort":65535}]}],"blocked":[]}"#;
    serving.known.add(TOKEN, rules);
    for host in odd.into_iter().chain(["[::ffff:127.0.0.2]", "[::ffff:7f00:2]"]) {
        let answer = connect(serving.address, TOKEN, &format!("{host}:{port}")).await.err();
        let answer = answer.unwrap_or_else(|| panic!("{host} was reached"));
        assert_eq!((answer.status, answer.reason.as_deref()), (403, Some("not-granted")), "{host}: {answer:?}");
    }
    // The twin: the one form that it has is reached.
    assert!(connect(serving.address, TOKEN, &format!("{WORLD}:{port}")).await.is_ok());
}

#[tokio::test]
async fn a_granted_name_that_leads_inside() {
    let port = echo(INSIDE, 0).await;
    let rules = host_rules("a.test", port);
    let target = format!("a.test:{port}");
    for answer in [INSIDE, "::ffff:127.0.0.3"] {
        let names = Names::new(&[("a.test", &[&[answer]])]);
        refused_but_for(Check::Addresses, "address-refused", names, &rules, &target).await;
    }
}

#[tokio::test]
async fn a_granted_name_that_leads_into_the_cluster() {
    // The API server, the proxy's own ports, another pod: all of them are the cluster's, and no grant opens them.
    let port = echo(CLUSTER, 0).await;
    let names = Names::new(&[("a.test", &[&[CLUSTER]])]);
    let rules = host_rules("a.test", port)
        .replace(r#""outbound":["#, r#""outbound":[{"cidr":"127.0.0.0/8","ports":[{"port":1,"endPort":65535}]},"#);
    refused_but_for(Check::Addresses, "address-refused", names, &rules, &format!("a.test:{port}")).await;
    refused_but_for(Check::Addresses, "address-refused", Names::default(), &rules, &format!("{CLUSTER}:{port}")).await;
}

#[tokio::test]
async fn a_granted_name_that_leads_to_a_blocked_address() {
    let port = echo(WORLD, 0).await;
    let names = Names::new(&[("a.test", &[&[WORLD]])]);
    let rules = host_rules("a.test", port).replace(r#""blocked":[]"#, r#""blocked":[{"cidr":"127.0.0.0/30"}]"#);
    refused_but_for(Check::Addresses, "blocked", names, &rules, &format!("a.test:{port}")).await;
}

#[tokio::test]
async fn every_address_that_is_special_however_it_is_written() {
    let answers = [
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "fe80::1",
        "fd00::1",
        "fd00:ec2::254",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001:0:0:0::80ff:fffe",
    ];
    for answer in answers {
        let names = Names::new(&[("a.test", &[&[answer]])]);
        let serving = proxy(names, ccos_egress::classify::Ranges::default(), BOUNDS, None).await;
        serving.known.add(TOKEN, &host_rules("a.test", 443));
        let refused = connect(serving.address, TOKEN, "a.test:443").await.unwrap_err();
        assert_eq!(
            (refused.status, refused.reason.as_deref()),
            (403, Some("address-refused")),
            "{answer}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_name_that_answers_otherwise_the_second_time() {
    let port = echo(INSIDE, 0).await;
    let target = format!("a.test:{port}");
    for check in [None, Some(Check::Pinned)] {
        let serving = usual(Names::new(&[("a.test", &[&[WORLD], &[INSIDE]])]), check).await;
        serving.known.add(TOKEN, &host_rules("a.test", port));
        let first = connect(serving.address, TOKEN, &target).await;
        if check.is_some() {
            // One look for the vetting and another for the dialling: it is led inside.
            assert_eq!(exchange(&mut first.unwrap(), b"\0ping").await.as_deref(), Some(b"\0ping".as_slice()));
            continue;
        }
        // Nothing listens at the address that was looked at, and that one was dialled.
        assert_eq!(first.unwrap_err().reason.as_deref(), Some("unreachable"));
        assert_eq!(
            connect(serving.address, TOKEN, &target).await.unwrap_err().reason.as_deref(),
            Some("address-refused")
        );
    }
}

#[tokio::test]
async fn first_bytes_that_name_another_host() {
    let port = echo(WORLD, 0).await;
    let request = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
    let two = [request("a.test"), request("b.test")].concat();
    let cases = [
        ("host-mismatch", request("b.test")),
        ("host-mismatch", two),
        ("host-mismatch", b"GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n".to_vec()),
        (
            "host-mismatch",
            b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        ),
        ("server-name-mismatch", hello("b.test")),
        ("server-name-mismatch", b"\x16\x03\x01\x00\x04\x01\x00\x00\x00".to_vec()),
    ];
    for (reason, bytes) in cases {
        let names = || Names::new(&[("a.test", &[&[WORLD]])]);
        let whole = usual(names(), None).await;
        let execution = whole.known.add(TOKEN, &host_rules("a.test", port));
        let mut stream = connect(whole.address, TOKEN, &format!("a.test:{port}")).await.unwrap();
        let back = exchange(&mut stream, &bytes).await.unwrap_or_default();
        assert!(back.len() < bytes.len(), "{reason} passed");
        let denials = execution.account.usage().denials;
        assert_eq!(denials.iter().map(|denial| denial.reason.token()).collect::<Vec<_>>(), [reason]);

        let open = usual(names(), Some(Check::FirstBytes)).await;
        open.known.add(TOKEN, &host_rules("a.test", port));
        let mut stream = connect(open.address, TOKEN, &format!("a.test:{port}")).await.unwrap();
        assert_eq!(exchange(&mut stream, &bytes).await, Some(bytes));
    }
    // The twins: the granted name passes the whole proxy.
    for bytes in [request("a.test"), hello("a.test"), b"\0\0\0\x08\x04\xd2\x16\x2f".to_vec()] {
        let whole = usual(Names::new(&[("a.test", &[&[WORLD]])]), None).await;
        whole.known.add(TOKEN, &host_rules("a.test", port));
        let mut stream = connect(whole.address, TOKEN, &format!("a.test:{port}")).await.unwrap();
        assert_eq!(exchange(&mut stream, &bytes).await, Some(bytes));
    }
}

/// A ClientHello with this server name.
fn hello(name: &'static str) -> Vec<u8> {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(name).unwrap();
    let mut client = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn bytes_that_say_slowly_or_never_what_they_are() {
    let port = echo(WORLD, 0).await;
    for (check, bytes) in [(None, b"G".as_slice()), (None, b"\x16\x03"), (Some(Check::FirstBytes), b"G")] {
        let serving = usual(Names::new(&[("a.test", &[&[WORLD]])]), check).await;
        serving.known.add(TOKEN, &host_rules("a.test", port));
        let mut stream = connect(serving.address, TOKEN, &format!("a.test:{port}")).await.unwrap();
        let back = exchange(&mut stream, bytes).await;
        assert_eq!(back.is_some(), check.is_some(), "{check:?} {bytes:?}");
    }
}

#[tokio::test]
async fn requests_that_are_no_connect_reach_nothing() {
    let port = echo(WORLD, 0).await;
    let serving = usual(Names::new(&[("a.test", &[&[WORLD]])]), None).await;
    let execution = serving.known.add(TOKEN, &host_rules("a.test", port));
    let auth = format!("Proxy-Authorization: Bearer {TOKEN}\r\n");
    for (request, status) in [
        (format!("GET http://a.test:{port}/ HTTP/1.1\r\nHost: a.test:{port}\r\n{auth}\r\n"), 405),
        (format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{auth}\r\n"), 405),
        (format!("CONNECT http://a.test:{port}/ HTTP/1.1\r\n{auth}\r\n"), 400),
        (format!("CONNECT a.test:{port} HTTP/1.1\r\nHost: b.test:{port}\r\n{auth}\r\n"), 400),
        (format!("CONNECT a.test:{port} HTTP/1.1\r\n{auth}Content-Length: 3\r\n\r\n"), 400),
        (format!("CONNECT a.test:{port} HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\n\r\n"), 400),
        (format!("CONNECT a.test:{port} HTTP/1.1\n{auth}\r\n"), 400),
        (format!("CONNECT a.test:{port} HTTP/1.0\r\n{auth}\r\n"), 505),
        (format!("CONNECT a.test:{port} HTTP/1.1\r\n{auth}x: {}\r\n\r\n", "y".repeat(9000)), 431),
        (format!("CONNECT a.test:{port} HTTP/1.1\r\n{auth}{}\r\n", "x: y\r\n".repeat(40)), 431),
    ] {
        let answer = ask(serving.address, request.as_bytes()).await.expect_err(&request);
        assert_eq!((answer.status, answer.reason.as_deref()), (status, Some("bad-request")), "{request:.90}");
    }
    assert_eq!(execution.account.usage().connections, 0);
    let good = format!("CONNECT a.test:{port} HTTP/1.1\r\n{auth}\r\n");
    assert!(ask(serving.address, good.as_bytes()).await.is_ok(), "the twin");
}

#[tokio::test]
async fn a_second_request_behind_the_first_belongs_to_the_tunnel() {
    let port = echo(WORLD, 0).await;
    let serving = usual(Names::new(&[("a.test", &[&[WORLD]])]), None).await;
    let execution = serving.known.add(TOKEN, &host_rules("a.test", port));
    let one = format!("CONNECT a.test:{port} HTTP/1.1\r\nProxy-Authorization: Bearer {TOKEN}\r\n\r\n");
    let mut stream = ask(serving.address, format!("{one}{one}").as_bytes()).await.unwrap();
    // No second answer: the gate sees a CONNECT among the tunnel's bytes, and cuts.
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
    let usage = execution.account.usage();
    assert_eq!((usage.connections, usage.denials[0].reason.token()), (1, "host-mismatch"));
}

#[tokio::test]
async fn what_was_refused_is_told_to_whose_it_is_and_to_nobody_else() {
    let port = echo(WORLD, 0).await;
    let serving = usual(Names::new(&[("a.test", &[&[WORLD]])]), None).await;
    serving.known.add(TOKEN, &host_rules("a.test", port));
    serving.known.add("other", &host_rules("a.test", port));
    let mut fronting = connect(serving.address, TOKEN, &format!("a.test:{port}")).await.unwrap();
    assert_eq!(exchange(&mut fronting, b"GET / HTTP/1.1\r\nHost: b.test\r\n\r\n").await, None);
    let asks = |token: &str| format!("GET /v1/refusals HTTP/1.1\r\nProxy-Authorization: Bearer {token}\r\n\r\n");
    let told = async |token: &str| {
        let mut body = String::new();
        ask(serving.address, asks(token).as_bytes()).await?.read_to_string(&mut body).await.unwrap();
        Ok::<_, common::Answer>(serde_json::from_str::<ccos_profile::egress::Usage>(&body).unwrap())
    };
    let own = told(TOKEN).await.unwrap();
    assert_eq!((own.denials[0].reason.token(), own.denials[0].count, own.connections), ("host-mismatch", 1, 1));
    assert_eq!(told("other").await.unwrap(), ccos_profile::egress::Usage::default());
    assert_eq!(told("nobody").await.unwrap_err().reason.as_deref(), Some("unidentified"));
}

#[tokio::test]
async fn anybody_is_told_where_the_canary_of_this_very_pod_is() {
    let serving = usual(Names::default(), None).await;
    let mut stream = tokio::net::TcpStream::connect(serving.address).await.unwrap();
    stream.write_all(b"GET /v1/canary HTTP/1.1\r\nHost: proxy\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let expected = format!("ccos-canary: {}:3130\r\n", serving.address.ip());
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&expected), "{answer}");
}

#[tokio::test]
async fn a_request_that_comes_drop_by_drop() {
    for check in [None, Some(Check::RequestTime)] {
        let serving = usual(Names::default(), check).await;
        let mut stream = tokio::net::TcpStream::connect(serving.address).await.unwrap();
        let dripping = async {
            for byte in b"CONNECT a.test:443 HTTP/1.1\r\nx: ".iter().chain(std::iter::repeat(&b'y')) {
                if tokio::io::AsyncWriteExt::write_all(&mut stream, &[*byte]).await.is_err() {
                    return;
                }
                let mut buffer = [0; 64];
                if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut buffer)).await {
                    return; // an answer, or the end
                }
            }
        };
        // Four times as long as a request may take; shorter than it takes to fill the head.
        let ended = tokio::time::timeout(4 * BOUNDS.request, dripping).await.is_ok();
        assert_eq!(ended, check.is_none(), "{check:?}");
    }
}

#[tokio::test]
async fn tokens_of_nobody_of_others_and_of_the_dead() {
    let port = echo(WORLD, 0).await;
    let target = format!("a.test:{port}");
    let serving = usual(Names::new(&[("a.test", &[&[WORLD]])]), None).await;
    serving.known.add("mine", &host_rules("b.test", port));
    serving.known.add("other", &host_rules("a.test", port));
    for token in ["stranger", "Mine", "mine=", ""] {
        let answer = connect(serving.address, token, &target).await.unwrap_err();
        assert!(matches!(answer.reason.as_deref(), Some("unidentified" | "bad-request")), "{token}: {answer:?}");
    }
    let none = ask(serving.address, format!("CONNECT {target} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap_err();
    assert_eq!((none.status, none.reason.as_deref()), (403, Some("unidentified")));
    // One's own token gives one's own rights; the twin is the one whose rights they are.
    assert_eq!(connect(serving.address, "mine", &target).await.unwrap_err().reason.as_deref(), Some("not-granted"));
    assert!(connect(serving.address, "other", &target).await.is_ok());
    serving.known.end("other");
    assert_eq!(connect(serving.address, "other", &target).await.unwrap_err().reason.as_deref(), Some("unidentified"));
}

#[tokio::test]
async fn a_connection_that_outlives_its_execution() {
    let port = echo(WORLD, 0).await;
    for check in [None, Some(Check::End)] {
        let serving = usual(Names::new(&[("a.test", &[&[WORLD]])]), check).await;
        serving.known.add(TOKEN, &host_rules("a.test", port));
        let mut stream = connect(serving.address, TOKEN, &format!("a.test:{port}")).await.unwrap();
        assert!(exchange(&mut stream, b"\0one").await.is_some());
        serving.known.end(TOKEN);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(exchange(&mut stream, b"\0two").await.is_some(), check.is_some(), "{check:?}");
    }
}

#[tokio::test]
async fn more_connections_than_granted() {
    let port = echo(WORLD, 0).await;
    let rules = host_rules("a.test", port).replace(r#""blocked":[]"#, r#""blocked":[],"maxConnections":3"#);
    for check in [None, Some(Check::Connections)] {
        let serving = usual(Names::new(&[("a.test", &[&[WORLD]])]), check).await;
        serving.known.add(TOKEN, &rules);
        let attempts = (0..20).map(|_| async { connect(serving.address, TOKEN, &format!("a.test:{port}")).await });
        let all = futures::future::join_all(attempts).await;
        let (open, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
        if check.is_some() {
            assert_eq!(open.len(), 20);
            continue;
        }
        assert_eq!(open.len(), 3);
        let mut refused = refused.into_iter().map(Result::unwrap_err);
        assert!(refused.all(|answer| (answer.status, answer.reason.as_deref()) == (429, Some("too-many-connections"))));
        // One that ends makes room for another.
        drop(open);
        let mut again = connect(serving.address, TOKEN, &format!("a.test:{port}")).await;
        for _ in 0..100 {
            if again.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            again = connect(serving.address, TOKEN, &format!("a.test:{port}")).await;
        }
        assert!(again.is_ok());
    }
}

#[tokio::test]
async fn rules_that_cannot_be_read() {
    let port = echo(WORLD, 0).await;
    let serving = usual(Names::new(&[("a.test", &[&[WORLD]])]), None).await;
    serving.known.add(TOKEN, &host_rules("a.test", port).replace(r#""blocked":[]"#, r#""blocked":[{"host":"*"}]"#));
    let answer = connect(serving.address, TOKEN, &format!("a.test:{port}")).await.unwrap_err();
    assert_eq!((answer.status, answer.reason.as_deref()), (403, Some("bad-rules")));
}
