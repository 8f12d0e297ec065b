//! The first bytes of a client have to name the host that was granted: a shared address serves many names, and only one of
//! them was decided about.
//!
//! - A TLS ClientHello must have the granted host as its server name, else the connection is cut. Without a server name too.
//!   With an encrypted ClientHello, the outer name counts; what is inside can't be seen.
//! - Of plain HTTP/1.1, the `Host` of *each* request must be the granted host. A body without a clear end, an absolute URI of
//!   another host, HTTP/2 without TLS, or a change of protocol: cut, since the next request could not be found.
//! - Anything else passes: a database's or SSH's bytes name no host. So does all that follows a ClientHello: it is encrypted.
//!
//! Bytes are held back until it is clear what they are. An execution that was granted an address, not a name, has no name
//! to hold its bytes against, and they pass.

mod http;
mod tls;

use std::borrow::Cow;

use ccos_policy::HostName;
use ccos_profile::egress::Refusal;

use crate::decide::Host;
pub(crate) use http::{Http, has_bare_line_feed};
use tls::{Hello, Tls};

/// Bytes that are held back at most: more than any ClientHello or head of a request that is let through.
pub const MAX_HELD: usize = 16 * 1024;

/// Looks at what a client sends, before it is sent on.
pub(crate) trait Look {
    /// How many of these bytes are done with, and what is sent on for them. They begin with the first that was not; what is
    /// held back is shown again, with more behind it.
    fn look<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Cow<'a, [u8]>), Cut>;
}

impl Look for Gate {
    fn look<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Cow<'a, [u8]>), Cut> {
        let cleared = self.clear(bytes)?;
        Ok((cleared, Cow::Borrowed(bytes.get(..cleared).unwrap_or_default())))
    }
}

/// Bytes that must not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// [`Refusal::ServerNameMismatch`] or [`Refusal::HostMismatch`].
    pub refusal: Refusal,
    /// For people.
    pub message: String,
}

/// Looks at what the client sends.
pub struct Gate {
    granted: Option<Granted>,
    state: State,
}

/// What a client may name.
#[derive(Clone)]
struct Granted {
    host: HostName,
    port: u16,
}

enum State {
    Undecided,
    Tls(Box<Tls>),
    Http(Http),
    Open,
}

impl Gate {
    /// A gate for a connection to this host.
    #[must_use]
    pub fn new(host: &Host, port: u16) -> Self {
        match host {
            Host::Name(host) => Self { granted: Some(Granted { host: host.clone(), port }), state: State::Undecided },
            Host::Address(_) => Self { granted: None, state: State::Open },
        }
    }

    /// How many of these bytes may pass now. They begin with the first that did not pass yet; what is held back has to be
    /// shown again, with more behind it.
    /// # Errors
    /// If the connection must be cut.
    pub fn clear(&mut self, bytes: &[u8]) -> Result<usize, Cut> {
        let Some(granted) = &self.granted else { return Ok(bytes.len()) };
        if let State::Undecided = self.state {
            self.state = match sniff(bytes) {
                Sniffed::TooFew if bytes.len() < MAX_HELD => return Ok(0),
                Sniffed::Tls => State::Tls(Box::default()),
                Sniffed::Http | Sniffed::TooFew => State::Http(Http::default()),
                Sniffed::Other => State::Open,
            };
        }
        match &mut self.state {
            State::Tls(tls) => {
                let named = match tls.hello(bytes)? {
                    Hello::Partial if bytes.len() < MAX_HELD => return Ok(0),
                    Hello::Partial => return Err(tls::too_long()),
                    Hello::Named(name) => Some(name),
                    Hello::Nameless => None,
                };
                tls::check(named.as_deref(), &granted.host)?;
                self.state = State::Open;
                Ok(bytes.len())
            }
            State::Http(http) => http.clear(bytes, &granted.host, granted.port),
            State::Open | State::Undecided => Ok(bytes.len()),
        }
    }

    /// Whether all bytes pass from here on.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }
}

/// What bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sniffed {
    /// It can't be told yet.
    TooFew,
    /// A record of a TLS handshake.
    Tls,
    /// A request of HTTP, or what a lenient server may take for one.
    Http,
    /// Neither.
    Other,
}

/// Methods as far as servers know them, and the preface of HTTP/2.
const METHODS: [&[u8]; 16] = [
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"TRACE",
    b"CONNECT",
    b"PRI",
    b"PROPFIND",
    b"REPORT",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"SEARCH",
];

/// The content type of a TLS handshake record.
const HANDSHAKE: u8 = 22;

/// Whether a client speaks HTTP without TLS; `None`: it can't be told yet.
pub(crate) fn is_plain_http(bytes: &[u8]) -> Option<bool> {
    match sniff(bytes) {
        Sniffed::TooFew if bytes.len() < MAX_HELD => None,
        Sniffed::TooFew | Sniffed::Http => Some(true),
        Sniffed::Tls | Sniffed::Other => Some(false),
    }
}

/// What these bytes are. Lenient in what is HTTP, since a server may be: in any case, with empty lines and blanks in front.
fn sniff(bytes: &[u8]) -> Sniffed {
    if bytes.first() == Some(&HANDSHAKE) {
        return Sniffed::Tls;
    }
    let line = bytes.trim_ascii_start();
    let (line, whole) = match line.iter().position(|byte| *byte == b'\n') {
        Some(end) => (line.get(..end).unwrap_or_default(), true),
        None => (line, false),
    };
    let word = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let ends = word.len() < line.len() || whole;
    if ends && METHODS.iter().any(|method| method.eq_ignore_ascii_case(word)) {
        return Sniffed::Http;
    }
    if line.windows(5).any(|part| part.eq_ignore_ascii_case(b"HTTP/")) {
        return Sniffed::Http;
    }
    // Requests are text; TAB is a blank to some.
    let text = line.iter().all(|byte| matches!(byte, b'\t' | b'\r' | b' '..=b'~' | 0x80..));
    if text && !whole { Sniffed::TooFew } else { Sniffed::Other }
}

#[cfg(test)]
mod tests;
