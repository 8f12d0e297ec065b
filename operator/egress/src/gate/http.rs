//! Plain HTTP/1.1 from the client's side: each request's head, and where its body ends.
//!
//! It is stricter than servers are: what two readers could see differently (two lengths, a length and chunks, an odd chunk)
//! is cut, since a request could hide in it.

use std::ops::ControlFlow;

use ccos_policy::HostName;
use ccos_profile::egress::Refusal;

use super::{Cut, MAX_HELD};
use crate::shown::escaped;

/// Headers of a request.
const MAX_HEADERS: usize = 100;

/// Digits of a chunk's size: more bytes than any body has.
const MAX_SIZE_LINE: usize = 15;

/// Where in the stream of requests the next byte is.
#[derive(Default)]
pub(crate) enum Http {
    /// In a head.
    #[default]
    Head,
    /// In a body, with this many bytes to go.
    Body(u64),
    /// In a line that holds a chunk's size.
    ChunkSize,
    /// In a chunk, with this many bytes to go.
    Chunk(u64),
    /// At the end of line after a chunk.
    ChunkEnd,
    /// At the empty line that ends all chunks.
    LastEnd,
}

impl Http {
    /// The next piece of these bytes, which are not empty: how long it is, and whether it is the head of a request. `None`: they
    /// are too few.
    pub(crate) fn piece(&mut self, bytes: &[u8], host: &HostName, port: u16) -> Result<Option<(usize, bool)>, Cut> {
        let is_head = matches!(self, Self::Head);
        match self.step(bytes, host, port)? {
            ControlFlow::Continue(taken) => Ok(Some((taken, is_head))),
            ControlFlow::Break(()) => Ok(None),
        }
    }

    /// How many of these bytes may pass.
    pub(super) fn clear(&mut self, bytes: &[u8], host: &HostName, port: u16) -> Result<usize, Cut> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.step(rest, host, port)? {
                ControlFlow::Continue(taken) => at += taken,
                ControlFlow::Break(()) => break,
            }
        }
        Ok(at)
    }

    /// Takes one thing from bytes that are not empty, or breaks if there are too few of them.
    fn step(&mut self, bytes: &[u8], host: &HostName, port: u16) -> Result<ControlFlow<(), usize>, Cut> {
        let (next, taken) = match self {
            Self::Head => match head(bytes, host, port)? {
                None => return Ok(ControlFlow::Break(())),
                Some(found) => found,
            },
            Self::Body(left) | Self::Chunk(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left = left.saturating_sub(taken as u64);
                if *left > 0 {
                    return Ok(ControlFlow::Continue(taken));
                }
                (if matches!(self, Self::Chunk(_)) { Self::ChunkEnd } else { Self::Head }, taken)
            }
            Self::ChunkSize => match bytes.windows(2).position(|pair| pair == b"\r\n") {
                None if bytes.len() > MAX_SIZE_LINE + 1 => return Err(cut("a chunk's size is too long")),
                None => return Ok(ControlFlow::Break(())),
                Some(end) => {
                    let size =
                        bytes.get(..end).and_then(chunk_size).ok_or_else(|| cut("a chunk's size is no number"))?;
                    (if size == 0 { Self::LastEnd } else { Self::Chunk(size) }, end + 2)
                }
            },
            // Not passed on unseen: a server that takes a lone LF here would read the next size from another byte on.
            Self::ChunkEnd | Self::LastEnd => match bytes {
                [b'\r', b'\n', ..] => (if matches!(self, Self::ChunkEnd) { Self::ChunkSize } else { Self::Head }, 2),
                [b'\r'] => return Ok(ControlFlow::Break(())),
                [_, ..] | [] => return Err(cut("a chunk does not end as it should, or there are trailers")),
            },
        };
        *self = next;
        Ok(ControlFlow::Continue(taken))
    }
}

/// What follows the head at the start of these bytes, and how long it is; `None` if there are too few.
fn head(bytes: &[u8], host: &HostName, port: u16) -> Result<Option<(Http, usize)>, Cut> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HELD => length,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HELD => return Ok(None),
        Ok(_) => return Err(cut("the head of a request is too long")),
        Err(error) => return Err(cut(&format!("a request can't be read: {error}"))),
    };
    if has_bare_line_feed(bytes.get(..length).unwrap_or_default()) {
        return Err(cut("a line of a request ends without CR"));
    }
    if request.version.is_none_or(|version| version > 1) || request.method == Some("CONNECT") {
        return Err(cut("a request is neither HTTP/1.0 nor HTTP/1.1 to this host"));
    }
    named(request.path.unwrap_or_default(), host, port)?;
    let (mut hosts, mut length_of_body, mut chunked) = (0_u32, None, false);
    for header in request.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim_matches([' ', '\t']);
        if header.name.eq_ignore_ascii_case("host") {
            hosts += 1;
            authority(value, host, port)?;
        } else if header.name.eq_ignore_ascii_case("content-length") {
            let number = value.parse::<u64>().ok().filter(|number| number.to_string() == value);
            let number = number.ok_or_else(|| cut("Content-Length is no number"))?;
            if length_of_body.replace(number).is_some() {
                return Err(cut("a request has two lengths"));
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !value.eq_ignore_ascii_case("chunked") {
                return Err(cut("a request has another Transfer-Encoding than chunked"));
            }
            chunked = true;
        }
    }
    if hosts != 1 {
        return Err(cut(&format!("a request has {hosts} headers Host")));
    }
    let next = match (length_of_body, chunked) {
        (None | Some(0), false) => Http::Head,
        (Some(left), false) => Http::Body(left),
        (None, true) if request.version == Some(1) => Http::ChunkSize,
        (None | Some(_), true) => return Err(cut("a request has a length and chunks, or chunks in HTTP/1.0")),
    };
    Ok(Some((next, length)))
}

/// An absolute URI wins over `Host` (RFC 9112, section 3.2.2), so it has to be of the same host.
fn named(target: &str, host: &HostName, port: u16) -> Result<(), Cut> {
    if target.starts_with('/') || target == "*" {
        return Ok(());
    }
    let rest = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")).and(target.get(7..));
    let rest = rest.ok_or_else(|| cut("the target of a request is neither a path nor an http URI"))?;
    authority(rest.split(['/', '?', '#']).next().unwrap_or_default(), host, port)
}

fn authority(text: &str, host: &HostName, port: u16) -> Result<(), Cut> {
    let (name, digits) = match text.rsplit_once(':') {
        Some((name, digits)) => (name, Some(digits)),
        None => (text, None),
    };
    let same_port = digits.is_none_or(|digits| digits == port.to_string());
    if same_port && name.parse::<HostName>().is_ok_and(|name| name == *host) {
        return Ok(());
    }
    let shown = escaped(text, 256);
    Err(cut(&format!("a request is for {shown:?}, but {host}:{port} was connected to")))
}

/// Lines that end without CR: httparse takes them, others don't.
pub(crate) fn has_bare_line_feed(head: &[u8]) -> bool {
    head.first() == Some(&b'\n') || head.windows(2).any(|pair| matches!(pair, [before, b'\n'] if *before != b'\r'))
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    let digits = !text.is_empty() && text.len() <= MAX_SIZE_LINE && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| digits)
}

fn cut(message: &str) -> Cut {
    Cut { refusal: Refusal::HostMismatch, message: message.to_owned() }
}
