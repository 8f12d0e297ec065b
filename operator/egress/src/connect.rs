//! What the proxy takes: `CONNECT host:port HTTP/1.1` with the token of a pod. Besides, `GET /v1/refusals`, by which a runner asks what
//! was refused to its own execution: a connection that was cut could not be told why; and `GET /v1/canary`, by which it learns which port
//! of this very pod its network policy has to keep from it.
//!
//! Strict, since two readings of one request are how proxies are fooled: no other method, no URI, no body, each header that
//! matters at most once. What follows the head belongs to the tunnel.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ccos_profile::egress::{CANARY, REFUSALS};
use thiserror::Error;

use crate::gate::has_bare_line_feed;

/// Bytes of a head. A token is about 1.2 KiB.
pub const MAX_HEAD: usize = 8 * 1024;

/// Headers of a head.
const MAX_HEADERS: usize = 16;

/// A request, as far as it can be understood without knowing who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// The host as it was written: whether it means anything is [`crate::decide::Host`]'s to say.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The token of `Proxy-Authorization: Bearer`, or the password of `Basic`; not logged, so this type is not `Debug`.
    pub token: Option<String>,
}

/// What was found in the bytes at hand.
#[derive(PartialEq, Eq)]
pub enum Head {
    /// The head is not complete.
    Partial,
    /// A request, and how many bytes its head took.
    Complete(Connect, usize),
    /// A question for what was refused, with the token.
    Refusals(Option<String>),
    /// A question for the canary.
    Canary,
}

/// A request that is refused whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// No HTTP.
    #[error("this is no HTTP/1.1 request")]
    Malformed,
    /// Another method, such as a GET with a whole URI.
    #[error("only CONNECT host:port is served here; send other requests through such a tunnel")]
    Method,
    /// HTTP/1.0, where a head has other rules.
    #[error("use HTTP/1.1")]
    Version,
    /// Longer than [`MAX_HEAD`], or too many headers.
    #[error("the head of the request is too large")]
    TooLarge,
    /// Not `host:port`.
    #[error("expected host:port, with an IPv6 address in brackets")]
    Target,
    /// A `Host` that is not the target, or several.
    #[error("the header Host must be the target, once")]
    Host,
    /// A body, whose end another reader could see elsewhere.
    #[error("CONNECT has no body: remove Content-Length and Transfer-Encoding")]
    Body,
    /// Something else than one `Bearer TOKEN`.
    #[error("expected one Proxy-Authorization: Bearer with a token")]
    Authorization,
}

impl ConnectError {
    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> (u16, &'static str) {
        match self {
            Self::Malformed | Self::Target | Self::Host | Self::Body | Self::Authorization => (400, "Bad Request"),
            Self::Method => (405, "Method Not Allowed"),
            Self::Version => (505, "HTTP Version Not Supported"),
            Self::TooLarge => (431, "Request Header Fields Too Large"),
        }
    }
}

/// Reads a head.
/// # Errors
/// As soon as the bytes can't become a request that is taken.
pub fn parse(bytes: &[u8]) -> Result<Head, ConnectError> {
    // Before httparse, which would wait for the end of a line; also no empty lines in front, which it would skip.
    const METHOD: &[u8] = b"CONNECT ";
    let known = bytes.len().min(METHOD.len());
    let asks = |line: &str| {
        let most = bytes.len().min(line.len());
        most > 0 && bytes.get(..most) == line.as_bytes().get(..most)
    };
    let (refusals, canary) = (asks(REFUSALS), asks(CANARY));
    let question = refusals || canary;
    if !question && bytes.get(..known) != METHOD.get(..known) {
        let word = bytes.iter().take(known).take_while(|byte| **byte != b' ');
        let is_method = bytes.first() != Some(&b' ') && word.into_iter().all(u8::is_ascii_alphabetic);
        return Err(if is_method { ConnectError::Method } else { ConnectError::Malformed });
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(Head::Partial),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(ConnectError::TooLarge),
        Err(_) => return Err(ConnectError::Malformed),
    };
    if has_bare_line_feed(bytes.get(..length).unwrap_or_default()) {
        return Err(ConnectError::Malformed);
    }
    if request.version != Some(1) {
        return Err(ConnectError::Version);
    }
    let target = request.path.ok_or(ConnectError::Target)?;
    let (host, port) = if question { (target, 0) } else { split(target).ok_or(ConnectError::Target)? };
    let (mut hosts, mut token) = (0, None);
    for header in request.headers.iter() {
        // RFC 9110, section 9.3.6: Host is the target once more. Without it, the request line says it all.
        if header.name.eq_ignore_ascii_case("host") {
            hosts += 1;
            if hosts > 1 || !question && !header.value.eq_ignore_ascii_case(target.as_bytes()) {
                return Err(ConnectError::Host);
            }
        } else if header.name.eq_ignore_ascii_case("content-length")
            || header.name.eq_ignore_ascii_case("transfer-encoding")
        {
            return Err(ConnectError::Body);
        } else if header.name.eq_ignore_ascii_case("proxy-authorization")
            && token.replace(credentials(header.value).ok_or(ConnectError::Authorization)?).is_some()
        {
            return Err(ConnectError::Authorization);
        }
    }
    // The head is complete, and so is its first line: it can't be the beginning of both.
    if refusals {
        return Ok(Head::Refusals(token));
    }
    if canary {
        return Ok(Head::Canary);
    }
    Ok(Head::Complete(Connect { host: host.to_owned(), port, token }, length))
}

/// `host:port` with the port in its one form.
fn split(target: &str) -> Option<(&str, u16)> {
    let (host, digits) = target.rsplit_once(':')?;
    let port = digits.parse::<u16>().ok().filter(|port| *port != 0 && port.to_string() == digits)?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    // A name has neither; what else may be in it is the host's matter.
    let plain = !host.contains([':', '[', ']', '/', '@', '?', '#', '%', '\\']);
    (!host.is_empty() && (bracketed || plain)).then_some((host, port))
}

/// A token of `Bearer`, or the password of `Basic`, which is what clients can be told by a URL.
fn credentials(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    let token = if scheme.eq_ignore_ascii_case("bearer") {
        rest.to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        decoded.split_once(':').map(|(_, password)| password.to_owned())?
    } else {
        return None;
    };
    let fits = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
    (fits && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests;
