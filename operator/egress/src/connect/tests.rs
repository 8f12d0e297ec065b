use proptest::prelude::*;

use super::*;

const GOOD: &str =
    "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nProxy-Authorization: Bearer t.o-k_en=\r\n\r\n";

fn outcome(text: &str) -> Result<(), ConnectError> {
    match parse(text.as_bytes())? {
        Head::Complete(..) => Ok(()),
        Head::Partial | Head::Refusals(_) | Head::Canary => panic!("{text:?} is not complete"),
    }
}

fn complete(text: &str) -> (Connect, usize) {
    match parse(text.as_bytes()) {
        Ok(Head::Complete(request, length)) => (request, length),
        _ => panic!("{text:?} is refused"),
    }
}

#[test]
fn a_request_is_its_target_and_its_token() {
    let (request, length) = complete(&format!("{GOOD}\u{16}\u{3}"));
    assert_eq!((request.host.as_str(), request.port), ("a.example", 443));
    assert_eq!(request.token.as_deref(), Some("t.o-k_en="));
    assert_eq!(length, GOOD.len());
    let (request, _) = complete("CONNECT [2001:db8::1]:1 HTTP/1.1\r\nproxy-authorization: basic OnQ=\r\n\r\n");
    assert_eq!((request.host.as_str(), request.port, request.token.as_deref()), ("[2001:db8::1]", 1, Some("t")));
    assert_eq!(complete("CONNECT a:443 HTTP/1.1\r\n\r\n").0.token, None);
}

#[test]
fn every_prefix_of_a_request_is_waited_for() {
    for length in 0..GOOD.len() {
        assert!(matches!(parse(&GOOD.as_bytes()[..length]), Ok(Head::Partial)), "{length}");
    }
}

#[test]
fn what_was_refused_is_asked_for_with_the_token_and_in_one_form() {
    let good = "GET /v1/refusals HTTP/1.1\r\nHost: proxy\r\nProxy-Authorization: Bearer t\r\n\r\n";
    assert!(matches!(parse(good.as_bytes()), Ok(Head::Refusals(Some(token))) if token == "t"));
    for length in 0..good.len() {
        assert!(matches!(parse(&good.as_bytes()[..length]), Ok(Head::Partial)), "{length}");
    }
    for (text, expected) in [
        ("GET /v1/refusals?x HTTP/1.1\r\n\r\n", ConnectError::Method),
        ("GET /v1/refusals HTTP/1.0\r\n\r\n", ConnectError::Method),
        ("GET /v1/refusals HTTP/1.1\r\nContent-Length: 1\r\n\r\n", ConnectError::Body),
    ] {
        assert_eq!(outcome(text), Err(expected), "{text}");
    }
}

#[test]
fn the_canary_is_asked_for_by_anybody_and_in_one_form() {
    let good = "GET /v1/canary HTTP/1.1\r\nHost: proxy\r\n\r\n";
    assert!(matches!(parse(good.as_bytes()), Ok(Head::Canary)));
    for length in 0..good.len() {
        assert!(matches!(parse(&good.as_bytes()[..length]), Ok(Head::Partial)), "{length}");
    }
    for (text, expected) in [
        ("GET /v1/canaries HTTP/1.1\r\n\r\n", ConnectError::Method),
        ("GET /v1/canary HTTP/1.0\r\n\r\n", ConnectError::Method),
        ("GET /v1/canary HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", ConnectError::Body),
    ] {
        assert_eq!(outcome(text), Err(expected), "{text}");
    }
}

#[test]
fn other_requests_are_refused_and_told_why() {
    let token = "Proxy-Authorization: Bearer t\r\n";
    for (text, expected) in [
        ("GET http://a.example/ HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Method),
        ("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n".to_owned(), ConnectError::Method),
        ("connect a:443 HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Method),
        ("POST a:443 HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Method),
        ("\r\nCONNECT a:443 HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Malformed),
        ("PRI * HTTP/2.0\r\n\r\n".to_owned(), ConnectError::Method),
        ("\u{16}\u{3}\u{1}\r\n".to_owned(), ConnectError::Malformed),
        ("\u{5}\u{1}\u{0}\r\n".to_owned(), ConnectError::Malformed),
        ("CONNECT a:443 HTTP/1.0\r\n\r\n".to_owned(), ConnectError::Version),
        ("CONNECT a:443 HTTP/2.0\r\n\r\n".to_owned(), ConnectError::Malformed),
        ("CONNECT a:443\r\n\r\n".to_owned(), ConnectError::Malformed),
        ("CONNECT  a:443 HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Malformed),
        ("CONNECT a:443 HTTP/1.1\n\n".to_owned(), ConnectError::Malformed),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\n\r\n".to_owned(), ConnectError::Malformed),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n x: y\r\n\r\n".to_owned(), ConnectError::Malformed),
        ("CONNECT a:443 HTTP/1.1\r\nHost : a:443\r\n\r\n".to_owned(), ConnectError::Malformed),
        ("CONNECT http://a:443 HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Target),
        ("CONNECT http://a:443/ HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Target),
        ("CONNECT /a:443 HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Target),
        ("CONNECT u@a:443 HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Target),
        ("CONNECT a%2eb:443 HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Target),
        ("CONNECT a HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Target),
        ("CONNECT a: HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Target),
        ("CONNECT :443 HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Target),
        ("CONNECT a:0 HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Target),
        ("CONNECT a:0443 HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Target),
        ("CONNECT a:+443 HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Target),
        ("CONNECT a:65536 HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Target),
        ("CONNECT a:443:80 HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Target),
        ("CONNECT ::1:443 HTTP/1.1\r\n\r\n".to_owned(), ConnectError::Target),
        ("CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n".to_owned(), ConnectError::Host),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), ConnectError::Host),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nHost: a:443\r\n\r\n".to_owned(), ConnectError::Host),
        ("CONNECT a:443 HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(), ConnectError::Body),
        ("CONNECT a:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), ConnectError::Body),
        (format!("CONNECT a:443 HTTP/1.1\r\n{token}{token}\r\n"), ConnectError::Authorization),
        ("CONNECT a:443 HTTP/1.1\r\nProxy-Authorization: Bearer\r\n\r\n".to_owned(), ConnectError::Authorization),
        ("CONNECT a:443 HTTP/1.1\r\nProxy-Authorization: Bearer a b\r\n\r\n".to_owned(), ConnectError::Authorization),
        ("CONNECT a:443 HTTP/1.1\r\nProxy-Authorization: Digest x\r\n\r\n".to_owned(), ConnectError::Authorization),
        ("CONNECT a:443 HTTP/1.1\r\nProxy-Authorization: Basic !\r\n\r\n".to_owned(), ConnectError::Authorization),
        (format!("CONNECT a:443 HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(MAX_HEADERS + 1)), ConnectError::TooLarge),
        (format!("CONNECT a:443 HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(MAX_HEAD)), ConnectError::TooLarge),
        (format!("CONNECT a:443 HTTP/1.1\r\nx: {}", "y".repeat(MAX_HEAD)), ConnectError::TooLarge),
        (format!("CONNECT {}", "a".repeat(MAX_HEAD)), ConnectError::TooLarge),
    ] {
        assert_eq!(outcome(&text), Err(expected), "{:?}", text.get(..80).unwrap_or(&text));
    }
}

proptest! {
    #[test]
    fn what_is_taken_is_one_complete_connect_and_no_more(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..GOOD.len()) {
        let mut changed = GOOD.as_bytes().to_vec();
        changed.splice(at..at, bytes);
        if let Ok(Head::Complete(request, length)) = parse(&changed) {
            let head = &changed[..length];
            prop_assert!(head.starts_with(b"CONNECT ") && head.ends_with(b"\r\n\r\n"));
            prop_assert_eq!(head.windows(4).filter(|four| four == b"\r\n\r\n").count(), 1);
            let target = format!("{}:{}", request.host, request.port);
            let line = format!("CONNECT {target} HTTP/1.1\r\n");
            prop_assert!(String::from_utf8_lossy(head).starts_with(&line));
        }
    }
}
