//! Adds headers to a client's requests: plain HTTP/1.1 in, the same with the header out, for a server that is spoken to by TLS.
//!
//! Requests are found as [`crate::gate`] finds them, so that nothing hides in one. The target is passed on as a path, the header
//! that is added replaces the client's own, and a request that is not below the prefix for every reader gets none.

use std::borrow::Cow;

use ccos_policy::HostName;
use ccos_profile::credential::{PathPrefix, SecretKey};

use crate::gate::{Cut, Http, Look};

/// Bytes of a header's value.
const MAX_VALUE: usize = 4096;

/// What is added, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// In lower case.
    pub header: String,
    /// To paths below this.
    pub prefix: PathPrefix,
    /// Where the value is.
    pub secret: SecretKey,
}

/// A credential with its value. No `Debug`: it would be in a log some day.
pub struct Secret {
    header: String,
    prefix: PathPrefix,
    value: Vec<u8>,
}

impl Secret {
    /// The value as a header can have it, without blanks and ends of line around it.
    #[must_use]
    pub fn new(credential: &Credential, value: &[u8]) -> Option<Self> {
        let value = value.trim_ascii();
        let fits =
            (1..=MAX_VALUE).contains(&value.len()) && value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        let Credential { header, prefix, secret: _ } = credential.clone();
        fits.then(|| Self { header, prefix, value: value.to_owned() })
    }
}

/// Looks at the requests of one connection.
pub struct Injector {
    http: Http,
    host: HostName,
    port: u16,
    secrets: Vec<Secret>,
    #[cfg(feature = "sabotage")]
    pub(crate) naive: bool,
}

impl Injector {
    /// For a connection to this host.
    #[must_use]
    pub fn new(host: HostName, port: u16, secrets: Vec<Secret>) -> Self {
        Self {
            http: Http::default(),
            host,
            port,
            secrets,
            #[cfg(feature = "sabotage")]
            naive: false,
        }
    }

    /// The head with what is added to it.
    fn injected(&self, head: &[u8]) -> Vec<u8> {
        // It was read as a request line and lines that end in CR LF, and so does each of its parts.
        let mut lines = head.split_inclusive(|byte| *byte == b'\n');
        let line = lines.next().unwrap_or_default();
        let mut words = line.trim_ascii_end().splitn(3, |byte| *byte == b' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let version = words.next().unwrap_or_default();
        let target = path_of(target);
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let added: Vec<&Secret> = self.secrets.iter().filter(|secret| self.gets(secret, method, path)).collect();
        let mut out = Vec::with_capacity(head.len() + 256);
        for part in [method, b" ", &target, b" ", version, b"\r\n"] {
            out.extend_from_slice(part);
        }
        for line in lines {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            if line == b"\r\n" {
                for secret in &added {
                    for part in [secret.header.as_bytes(), b": ", &secret.value, b"\r\n"] {
                        out.extend_from_slice(part);
                    }
                }
            }
            if !added.iter().any(|secret| is_same(name, &secret.header)) {
                out.extend_from_slice(line);
            }
        }
        out
    }

    /// TRACE is answered with what was sent: it would tell the value.
    fn gets(&self, secret: &Secret, method: &[u8], path: &[u8]) -> bool {
        #[cfg(feature = "sabotage")]
        if self.naive {
            return path.starts_with(b"/v1");
        }
        !method.eq_ignore_ascii_case(b"TRACE") && secret.prefix.has(path)
    }
}

impl Look for Injector {
    fn look<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Cow<'a, [u8]>), Cut> {
        let (mut at, mut out) = (0, Vec::new());
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let Some((taken, is_head)) = self.http.piece(rest, &self.host, self.port)? else { break };
            let piece = rest.get(..taken).unwrap_or_default();
            if is_head {
                out.extend(self.injected(piece));
            } else {
                out.extend_from_slice(piece);
            }
            at += taken;
        }
        Ok((at, Cow::Owned(out)))
    }
}

/// The path and query of a target, which is one or an http URI.
fn path_of(target: &[u8]) -> Cow<'_, [u8]> {
    const SCHEME: usize = b"http://".len();
    if target.first() == Some(&b'/') || target == b"*" {
        return Cow::Borrowed(target);
    }
    let rest = target.get(SCHEME..).unwrap_or_default();
    let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    match rest.get(end..).unwrap_or_default() {
        path @ [b'/', ..] => Cow::Borrowed(path),
        query => Cow::Owned([b"/", query].concat()),
    }
}

/// Whether a line of this name is the header, also for servers that don't tell `_` from `-`.
fn is_same(name: &[u8], header: &str) -> bool {
    let name = name.trim_ascii();
    let same = |(one, other): (&u8, u8)| one.eq_ignore_ascii_case(&other) || (*one == b'_' && other == b'-');
    name.len() == header.len() && name.iter().zip(header.bytes()).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn injector() -> Injector {
        let secret = SecretKey { name: "s".to_owned(), key: "k".to_owned() };
        let credential =
            Credential { header: "x-api-key".to_owned(), prefix: PathPrefix::parse("/v1").unwrap(), secret };
        let secret = Secret::new(&credential, b"hush\n").unwrap();
        Injector::new("a.test".parse().unwrap(), 443, vec![secret])
    }

    fn sent(bytes: &str) -> String {
        let mut injector = injector();
        let (taken, out) = injector.look(bytes.as_bytes()).unwrap();
        assert_eq!(taken, bytes.len());
        String::from_utf8(out.into_owned()).unwrap()
    }

    #[test]
    fn each_request_below_the_prefix_gets_the_header_and_no_other_one() {
        let out = sent(concat!(
            "GET /v1/a?x=/../b HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
            "POST /other HTTP/1.1\r\nHost: a.test\r\nX-Api-Key: mine\r\nContent-Length: 23\r\n\r\nGET /v1 HTTP/1.1\r\nHost:",
            "GET http://a.test:443/v1 HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET http://a.test?v1 HTTP/1.1\r\nHost: a.test\r\n\r\n",
        ));
        let expected = concat!(
            "GET /v1/a?x=/../b HTTP/1.1\r\nHost: a.test:443\r\nx-api-key: hush\r\n\r\n",
            "POST /other HTTP/1.1\r\nHost: a.test\r\nX-Api-Key: mine\r\nContent-Length: 23\r\n\r\nGET /v1 HTTP/1.1\r\nHost:",
            "GET /v1 HTTP/1.1\r\nHost: a.test\r\nx-api-key: hush\r\n\r\n",
            "GET /?v1 HTTP/1.1\r\nHost: a.test\r\n\r\n",
        );
        assert_eq!(out, expected);
    }

    #[test]
    fn the_clients_own_header_is_dropped_however_it_is_written() {
        for own in ["X-Api-Key: mine", "x-api-key:mine", "X_API_KEY: mine", "X-API_Key: a\r\nx-api-key: b"] {
            let out = sent(&format!("GET /v1 HTTP/1.1\r\nHost: a.test\r\n{own}\r\nX-Api-Key2: kept\r\n\r\n"));
            let expected = "GET /v1 HTTP/1.1\r\nHost: a.test\r\nX-Api-Key2: kept\r\nx-api-key: hush\r\n\r\n";
            assert_eq!(out, expected, "{own}");
        }
    }

    #[test]
    fn trace_would_tell_it() {
        assert!(!sent("TRACE /v1 HTTP/1.1\r\nHost: a.test\r\n\r\n").contains("hush"));
    }

    #[test]
    fn half_a_head_is_held_back() {
        let mut injector = injector();
        assert_eq!(injector.look(b"GET /v1 HTTP/1.1\r\nHost: a").unwrap().0, 0);
        assert!(injector.look(b"GET /v1 HTTP/1.1\r\nHost: b.test\r\n\r\n").is_err());
    }

    #[test]
    fn a_value_is_one_line() {
        let secret = SecretKey { name: "s".to_owned(), key: "k".to_owned() };
        let credential = Credential { header: "x".to_owned(), prefix: PathPrefix::parse("/").unwrap(), secret };
        for value in [b"".as_slice(), b" \n", b"a\r\nHost: b", b"a\0", &[b'x'; MAX_VALUE + 1], "ä".as_bytes()] {
            assert!(Secret::new(&credential, value).is_none(), "{value:?}");
        }
    }
}
