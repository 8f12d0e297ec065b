//! By way of a proxy that stands before the world. It is told the very address that was looked at, so that it resolves nothing.

use std::net::SocketAddr;
use std::time::Duration;

use ccos_profile::egress::Refusal;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::classify::Vetted;
use crate::decide::Host;

/// Bytes of the head of an answer.
const MAX_HEAD: usize = 8 * 1024;

/// Headers of an answer.
const MAX_HEADERS: usize = 64;

/// The proxy that all connections go by.
#[derive(Clone)]
pub struct Upstream {
    /// Where it is. An administrator's word: what executions must not reach is not asked of it.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// What it is told of who asks: the value of `Proxy-Authorization`. Not for the log, so this type is not `Debug`.
    pub authorization: Option<String>,
}

impl Upstream {
    /// Reads `host:port`.
    /// # Errors
    /// What it should be.
    pub fn parse(text: &str, authorization: Option<String>) -> Result<Self, &'static str> {
        let wrong = "expected host:port, with an IPv6 address in brackets";
        let (host, port) = text.rsplit_once(':').ok_or(wrong)?;
        let port = port.parse::<u16>().ok().filter(|port| *port != 0).ok_or(wrong)?;
        let host = Host::parse(host).map_err(|_| wrong)?;
        let fits = authorization.iter().all(|value| value.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        if fits {
            Ok(Self { host, port, authorization })
        } else {
            Err("the authorization must be one line of visible characters")
        }
    }

    /// Connects to the first of the addresses that it connects to. `at`: its own addresses.
    /// # Errors
    /// What happened, to the last of the addresses.
    pub async fn dial(&self, at: &[SocketAddr], to: &[Vetted], within: Duration) -> Result<TcpStream, Failed> {
        let dialled = async {
            let mut last = Failed::NoAddress;
            for address in to {
                match self.connect(at, address.address()).await {
                    Ok(stream) => return Ok(stream),
                    Err(failed) => last = failed, // perhaps the next address
                }
            }
            Err(last)
        };
        timeout(within, dialled).await.unwrap_or(Err(Failed::Silent))
    }

    async fn connect(&self, at: &[SocketAddr], to: SocketAddr) -> Result<TcpStream, Failed> {
        let mut stream = TcpStream::connect(at).await.map_err(Failed::Gone)?;
        let authorization = self.authorization.as_ref();
        let authorization = authorization.map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
        let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await.map_err(Failed::Gone)?;
        let mut head = Vec::new();
        while !answered(&mut stream, &mut head).await? {}
        Ok(stream)
    }
}

/// Why it does not connect. The words complete "a.example:443 is not reached: the upstream proxy".
#[derive(Debug, Error)]
pub enum Failed {
    /// Nothing to connect to.
    #[error("was given no address")]
    NoAddress,
    /// It can't be spoken to.
    #[error("is not there: {0}")]
    Gone(#[source] std::io::Error),
    /// It says no.
    #[error("answers {0}")]
    No(u16),
    /// What it says is no answer.
    #[error("gives no answer of HTTP")]
    Odd,
    /// It says nothing.
    #[error("does not answer in time")]
    Silent,
}

impl Failed {
    /// What the client is told.
    #[must_use]
    pub const fn refusal(&self) -> Refusal {
        match self {
            Self::Silent => Refusal::TimedOut,
            Self::NoAddress | Self::Gone(_) | Self::No(_) | Self::Odd => Refusal::Unreachable,
        }
    }
}

/// Reads on in the head of an answer, and not a byte behind it: those are the server's. Whether it was all of it, and a yes.
async fn answered(stream: &mut TcpStream, head: &mut Vec<u8>) -> Result<bool, Failed> {
    let (mut next, before) = ([0; 1024], head.len());
    let seen = stream.peek(&mut next).await.map_err(Failed::Gone)?;
    head.extend_from_slice(next.get(..seen).unwrap_or_default());
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let (length, is_whole) = match response.parse(head) {
        Ok(httparse::Status::Complete(length)) if response.code == Some(200) => (length, true),
        Ok(httparse::Status::Partial) if seen > 0 && head.len() < MAX_HEAD => (head.len(), false),
        Ok(httparse::Status::Complete(_)) => return Err(response.code.map_or(Failed::Odd, Failed::No)),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Failed::Odd),
    };
    let mut taken = vec![0; length.saturating_sub(before)];
    stream.read_exact(&mut taken).await.map_err(Failed::Gone)?;
    Ok(is_whole)
}
