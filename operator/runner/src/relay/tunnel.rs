//! What is said to the proxy, and what it says: HTTP/1.1 CONNECT.

use std::net::SocketAddr;

use ccos_profile::egress::{OWNER_HEADER, REASON_HEADER, REFUSALS, Refusal, Usage};
use httparse::{EMPTY_HEADER, Response, Status};

use super::names::Target;

/// The head of an answer is a few lines.
pub const MOST_HEAD_BYTES: usize = 8 * 1024;

/// Those of ours are four.
const MOST_HEADERS: usize = 32;

/// What the bytes so far say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// More is to come.
    Incomplete,
    /// The tunnel is open; the peer's bytes begin here.
    Open(usize),
    /// It is not.
    Refused {
        /// HTTP's.
        status: u16,
        /// The proxy's own word for it, where it is known.
        why: Option<Refusal>,
    },
    /// Not here: this replica serves the execution.
    Elsewhere(SocketAddr),
    /// No answer of a proxy.
    Invalid,
}

/// Asks what was refused. As [`request`].
#[must_use]
pub fn refusals(token: &str) -> Option<Vec<u8>> {
    let visible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    visible.then(|| format!("{REFUSALS}Host: proxy\r\nProxy-Authorization: Bearer {token}\r\n\r\n").into_bytes())
}

/// What was refused, of the whole answer to [`refusals`].
#[must_use]
pub fn refused(answer: &[u8]) -> Option<Usage> {
    match head(answer) {
        Head::Open(length) => serde_json::from_slice(answer.get(length..)?).ok(),
        Head::Incomplete | Head::Refused { .. } | Head::Elsewhere(_) | Head::Invalid => None,
    }
}

/// Asks for a tunnel. A token with anything but visible characters would say more than a token: then there is no request.
#[must_use]
pub fn request(host: &Target, port: u16, token: &str) -> Option<Vec<u8>> {
    let visible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    visible.then(|| {
        format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nProxy-Authorization: Bearer {token}\r\n\r\n")
            .into_bytes()
    })
}

/// Reads the head of the answer.
#[must_use]
pub fn head(bytes: &[u8]) -> Head {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut response = Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(Status::Partial) if bytes.len() < MOST_HEAD_BYTES => Head::Incomplete,
        Ok(Status::Partial) | Err(_) => Head::Invalid,
        Ok(Status::Complete(length)) => match response.code {
            Some(200) => Head::Open(length),
            Some(status) => {
                let header = |name| {
                    let mut headers = response.headers.iter();
                    let header = headers.find(|header| header.name.eq_ignore_ascii_case(name));
                    header.and_then(|header| std::str::from_utf8(header.value).ok())
                };
                let why = header(REASON_HEADER).and_then(reason);
                let owner = header(OWNER_HEADER).and_then(|owner| owner.parse().ok());
                match owner.filter(|_| why == Some(Refusal::Elsewhere)) {
                    Some(owner) => Head::Elsewhere(owner),
                    None => Head::Refused { status, why },
                }
            }
            None => Head::Invalid,
        },
    }
}

fn reason(token: &str) -> Option<Refusal> {
    Refusal::ALL.into_iter().find(|refusal| refusal.token() == token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_host_and_shows_the_token() {
        let host = Target::Name("World-A.test.".parse().unwrap());
        let expected =
            "CONNECT world-a.test:443 HTTP/1.1\r\nHost: world-a.test:443\r\nProxy-Authorization: Bearer a.b-c\r\n\r\n";
        assert_eq!(request(&host, 443, "a.b-c"), Some(expected.as_bytes().to_vec()));
        let address = request(&Target::Address([192, 0, 2, 7].into()), 80, "t").unwrap();
        assert!(address.starts_with(b"CONNECT 192.0.2.7:80 HTTP/1.1\r\nHost: 192.0.2.7:80\r\n"));
        for token in ["", "a b", "a\r\nb", "a\n", "ä"] {
            assert_eq!(request(&host, 443, token), None, "{token:?}");
        }
    }

    #[test]
    fn what_follows_the_head_is_the_peers() {
        let answer = b"HTTP/1.1 200 Connection established\r\n\r\nSSH-2.0";
        let Head::Open(length) = head(answer) else { panic!() };
        assert_eq!(&answer[length..], b"SSH-2.0");
        for cut in 0..length {
            assert_eq!(head(&answer[..cut]), Head::Incomplete, "{cut}");
        }
    }

    #[test]
    fn a_refusal_says_why() {
        for (answer, status, why) in [
            ("HTTP/1.1 403 Forbidden\r\nccos-reason: blocked\r\n\r\n", 403, Some(Refusal::Blocked)),
            (
                "HTTP/1.1 429 Too Many Requests\r\nCCOS-Reason: too-many-connections\r\n\r\n",
                429,
                Some(Refusal::TooManyConnections),
            ),
            ("HTTP/1.1 403 Forbidden\r\nccos-reason: other\r\n\r\n", 403, None),
            ("HTTP/1.1 302 Found\r\nLocation: x\r\n\r\n", 302, None),
            ("HTTP/1.1 201 Created\r\n\r\n", 201, None),
        ] {
            assert_eq!(head(answer.as_bytes()), Head::Refused { status, why }, "{answer}");
        }
    }

    #[test]
    fn another_replica_is_named_by_its_address_or_not_at_all() {
        let head = |reason: &str, owner: &str| {
            head(
                format!("HTTP/1.1 421 Misdirected Request\r\nccos-reason: {reason}\r\nccos-owner: {owner}\r\n\r\n")
                    .as_bytes(),
            )
        };
        assert_eq!(head("elsewhere", "10.0.0.7:3128"), Head::Elsewhere(SocketAddr::from(([10, 0, 0, 7], 3128))));
        let refused = Head::Refused { status: 421, why: Some(Refusal::Elsewhere) };
        for owner in ["", "proxy.example.com:3128", "10.0.0.7", "10.0.0.7:3128, 10.0.0.8:3128"] {
            assert_eq!(head("elsewhere", owner), refused, "{owner}");
        }
        assert_eq!(head("blocked", "10.0.0.7:3128"), Head::Refused { status: 421, why: Some(Refusal::Blocked) });
    }

    #[test]
    fn what_was_refused_is_read_whole_or_not_at_all() {
        let body = r#"{"bytesSent":1,"bytesReceived":2,"connections":1,"denials":[{"reason":"host-mismatch","target":"a:80","count":2,"firstSeen":7}],"deniedMore":0}"#;
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let usage = refused(answer.as_bytes()).unwrap();
        assert_eq!((usage.denials[0].reason, usage.denials[0].count), (Refusal::HostMismatch, 2));
        assert_eq!(refused(&answer.as_bytes()[..answer.len() - 1]), None);
        assert_eq!(refused(b"HTTP/1.1 403 Forbidden\r\nccos-reason: unidentified\r\n\r\n"), None);
    }

    #[test]
    fn what_is_no_answer_opens_nothing() {
        assert_eq!(head(b"SSH-2.0-OpenSSH\r\n"), Head::Invalid);
        assert_eq!(head(format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(MOST_HEAD_BYTES)).as_bytes()), Head::Invalid);
        assert_eq!(head(format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(33)).as_bytes()), Head::Invalid);
    }
}
