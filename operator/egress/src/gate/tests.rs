use proptest::prelude::*;
use rustls::pki_types::ServerName;

use super::*;

const HOST: &str = "a.example";

fn gate() -> Gate {
    Gate::new(&Host::parse(HOST).unwrap(), 80)
}

/// Shows the bytes in pieces of this size, and collects what passes.
fn pass(bytes: &[u8], piece: usize) -> Result<Vec<u8>, Cut> {
    let (mut gate, mut held, mut passed) = (gate(), Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        held.extend_from_slice(piece);
        let cleared = gate.clear(&held)?;
        passed.extend(held.drain(..cleared));
    }
    Ok(passed)
}

fn passes(bytes: &[u8]) {
    for piece in [1, 2, 7, usize::MAX] {
        assert_eq!(
            pass(bytes, piece).as_deref(),
            Ok(bytes),
            "in pieces of {piece}: {:?}",
            String::from_utf8_lossy(bytes)
        );
    }
}

/// Cut before the last byte passed; says why.
fn cuts(bytes: &[u8], refusal: Refusal) -> String {
    // Byte by byte, what is long is read as often as it is long.
    let pieces: &[usize] = if bytes.len() < 2048 { &[1, 2, 7, usize::MAX] } else { &[1000, usize::MAX] };
    let messages: Vec<String> = pieces
        .iter()
        .copied()
        .map(|piece| {
            let cut = pass(bytes, piece).err();
            let cut =
                cut.unwrap_or_else(|| panic!("passed in pieces of {piece}: {:.200}", String::from_utf8_lossy(bytes)));
            assert_eq!(cut.refusal, refusal, "{}", cut.message);
            cut.message
        })
        .collect();
    messages.last().unwrap().clone()
}

fn hello(name: &'static str, tweak: impl FnOnce(&mut rustls::ClientConfig)) -> Vec<u8> {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    tweak(&mut config);
    let mut client =
        rustls::ClientConnection::new(std::sync::Arc::new(config), ServerName::try_from(name).unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// The same handshake message in records of this size.
fn in_records(hello: &[u8], size: usize) -> Vec<u8> {
    let message = &hello[5..];
    message
        .chunks(size)
        .flat_map(|part| {
            let length = u16::try_from(part.len()).unwrap().to_be_bytes();
            [&[22, 3, 1, length[0], length[1]], part].concat()
        })
        .collect()
}

#[test]
fn a_hello_with_the_granted_name_passes_whole_or_in_pieces() {
    let hello = hello("a.example", |_| {});
    passes(&hello);
    passes(&in_records(&hello, 50));
    passes(&in_records(&hello, 1));
    passes(&self::hello("A.Example", |_| {}));
    // Early data, and whatever else follows.
    passes(&[hello.as_slice(), &[23, 3, 3, 0, 1, 7]].concat());
}

#[test]
fn a_hello_with_another_name_or_none_is_cut() {
    let message = cuts(&hello("b.example", |_| {}), Refusal::ServerNameMismatch);
    assert_eq!(message, "the TLS server name is b.example, but a.example was connected to");
    cuts(&in_records(&hello("b.example", |_| {}), 20), Refusal::ServerNameMismatch);
    cuts(&hello("x.a.example", |_| {}), Refusal::ServerNameMismatch);
    cuts(&hello("a.example", |config| config.enable_sni = false), Refusal::ServerNameMismatch);
    cuts(&hello("192.0.2.1", |_| {}), Refusal::ServerNameMismatch);
}

#[test]
fn a_hello_that_cannot_be_read_is_cut() {
    let hello = hello("a.example", |_| {});
    let mut long = hello.clone();
    long[1..5].copy_from_slice(&[3, 1, 0xff, 0xff]);
    cuts(&long, Refusal::ServerNameMismatch);
    let mut finished = hello.clone();
    finished[5] = 20;
    cuts(&finished, Refusal::ServerNameMismatch);
    cuts(&[22, 3, 1, 0, 4, 1, 0, 0, 0], Refusal::ServerNameMismatch);
    cuts(&[[22, 3, 1, 0, 4, 2, 0, 0, 0].as_slice(), &hello].concat(), Refusal::ServerNameMismatch);
    // A message that says that it is longer than anything that is read.
    let endless: Vec<u8> = [[22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff].to_vec(), vec![0; 2 * MAX_HELD]].concat();
    assert!(pass(&endless, 1000).is_err());
}

#[test]
fn requests_for_the_granted_host_pass_with_all_their_bodies() {
    for text in [
        "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "GET / HTTP/1.1\r\nhost:A.EXAMPLE:80\r\nUser-Agent: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.example.\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a.example\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "FROB / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.example\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nGET /GET /2 HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\r\nc\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        // What Java's client asks of every server without TLS; most go on in HTTP/1.1.
        "GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nHost: a.example\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\n\r\n",
    ] {
        passes(text.as_bytes());
    }
}

#[test]
fn any_request_for_another_host_is_cut_the_later_ones_too() {
    let ok = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let evil = "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n";
    let post = |headers: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a.example\r\n{headers}\r\n{body}");
    for text in [
        evil.to_owned(),
        format!("{ok}{evil}"),
        format!("{}{evil}", post("Content-Length: 3\r\n", "abc")),
        format!("{}{evil}", post("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n")),
        format!("\r\n\r\n{evil}"),
        format!(" {evil}"),
        evil.replace("GET", "get"),
        evil.replace("GET", "FROB"),
        evil.replace(' ', "\t"),
        evil.replace("HTTP/1.1", "http/1.1"),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET /\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost:\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: b.example#a.example\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a.example@b.example\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n Host: b.example\r\nHost: a.example\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nX: y\r\n Host: b.example\r\nHost: a.example\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost : b.example\r\nHost: a.example\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\nHost: a.example\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a.example\rHost: b.example\r\n\r\n".to_owned(),
        "GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n".to_owned(),
        "GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n".to_owned(),
        "GET http://a.example@b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n".to_owned(),
        "GET b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n".to_owned(),
        "CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        // A change of protocol that the server took: what follows is no HTTP/1.1.
        format!("{}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ok.replace("\r\n\r\n", "\r\nUpgrade: h2c\r\n\r\n")),
        format!("{}\u{81}\u{5}hello\r\n\r\n", ok.replace("\r\n\r\n", "\r\nUpgrade: websocket\r\n\r\n")),
        // Two readings of where a body ends.
        post("Content-Length: 1\r\nContent-Length: 1\r\n", "a"),
        post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: \u{b}chunked\r\n", "0\r\n\r\n"),
        post("Content-Length: +1\r\n", "a"),
        post("Content-Length: 01\r\n", "a"),
        post("Content-Length: 1, 1\r\n", "a"),
        post("Content-Length: 0x1\r\n", "a"),
        post("Content-Length: 99999999999999999999\r\n", "a"),
        post("Transfer-Encoding: chunked\r\n", "1;x=y\r\na\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "0x1\r\na\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "1\r\nab\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "1\r\na\n15\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "0\r\nTrailer: x\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n"),
        post("Transfer-Encoding: chunked\r\n", "1                 \r\n"),
        post("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0"),
        format!("GET / HTTP/1.1\r\nHost: a.example\r\nx: {}\r\n\r\n", "y".repeat(MAX_HELD)),
    ] {
        cuts(text.as_bytes(), Refusal::HostMismatch);
    }
}

#[test]
fn other_protocols_pass_and_a_beginning_of_text_is_held_back() {
    // PostgreSQL's SSLRequest, SSH, SMTP, Redis, MQTT.
    for bytes in [
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f".as_slice(),
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"EHLO me\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"\x10\x0c\x00\x04MQTT",
    ] {
        assert_eq!(pass(bytes, usize::MAX).as_deref(), Ok(bytes));
    }
    for text in ["G", "GET", "GE T", "EHLO", "\r\n\r\n", "FROB / HTT"] {
        assert_eq!(pass(text.as_bytes(), 1), Ok(Vec::new()), "{text:?}");
    }
}

#[test]
fn without_a_name_there_is_nothing_to_hold_against() {
    let mut gate = Gate::new(&Host::parse("203.0.113.1").unwrap(), 80);
    assert!(gate.is_open());
    assert_eq!(gate.clear(b"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n"), Ok(35));
}

/// Pieces of requests, so that what is made of them is nearly one.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /x HTTP/1.1\r\n",
        "Host: a.example\r\n",
        "Host: b.example\r\n",
        "Content-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        "4\r\n",
        "0\r\n",
        "abcd",
        "X: y\r\n",
    ])
}

proptest! {
    #[test]
    fn pieces_change_nothing(pieces in prop::collection::vec(piece(), 0..16), size in 1_usize..40) {
        let bytes = pieces.concat().into_bytes();
        let (whole, split) = (pass(&bytes, usize::MAX), pass(&bytes, size));
        prop_assert_eq!(whole.is_err(), split.is_err());
        if let (Ok(whole), Ok(split)) = (whole, split) {
            prop_assert_eq!(whole, split);
        }
    }

    /// What passes has as many heads for the granted host as it has heads.
    #[test]
    fn no_other_host_passes_in_a_head(pieces in prop::collection::vec(piece(), 0..16)) {
        let bytes = pieces.concat().into_bytes();
        if let Ok(passed) = pass(&bytes, usize::MAX) {
            for host in heads(&passed) {
                prop_assert_eq!(host.as_deref(), Some("a.example"), "{:?}", String::from_utf8_lossy(&passed));
            }
        }
    }

    #[test]
    fn any_bytes_end_in_a_decision_within_what_is_held(start in prop::collection::vec(any::<u8>(), 0..64), rest in any::<u8>()) {
        let mut bytes = start;
        bytes.resize(MAX_HELD, rest);
        let mut gate = gate();
        prop_assert!(gate.clear(&bytes) != Ok(0));
    }
}

/// The hosts of the heads in a stream, read by another reader: simple, and only of what the pieces above can make.
fn heads(bytes: &[u8]) -> Vec<Option<String>> {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    let mut hosts = Vec::new();
    loop {
        text = text.trim_start_matches("\r\n").to_owned();
        if !text.starts_with("GET") && !text.starts_with("POST") {
            return hosts;
        }
        let Some((head, rest)) = text.clone().split_once("\r\n\r\n").map(|(a, b)| (a.to_owned(), b.to_owned())) else {
            return hosts;
        };
        hosts.push(head.lines().find_map(|line| line.strip_prefix("Host: ")).map(ToOwned::to_owned));
        text = if head.contains("chunked") {
            match rest.find("0\r\n\r\n") {
                Some(end) => rest[end + 5..].to_owned(),
                None => return hosts,
            }
        } else if head.contains("Content-Length") {
            rest.get(4..).unwrap_or_default().to_owned()
        } else {
            rest
        };
    }
}
