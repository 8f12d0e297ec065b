//! By way of a proxy that stands before the world. It is told the very address that was looked at, so that it resolves nothing.

use std::net::SocketAddr;
use std::time::Duration;

use ccos_profile::egress::Refusal;
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
    /// [`Refusal::Unreachable`] if it can't be reached, or connects to none; [`Refusal::TimedOut`] if not within this time.
    pub async fn dial(&self, at: &[SocketAddr], to: &[Vetted], within: Duration) -> Result<TcpStream, Refusal> {
        let dialled = async {
            for address in to {
                // An error: perhaps the next address.
                if let Ok(stream) = self.connect(at, address.address()).await {
                    return Ok(stream);
                }
            }
            Err(Refusal::Unreachable)
        };
        timeout(within, dialled).await.unwrap_or(Err(Refusal::TimedOut))
    }

    async fn connect(&self, at: &[SocketAddr], to: SocketAddr) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(at).await?;
        let authorization = self.authorization.as_ref();
        let authorization = authorization.map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
        let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !answered(&mut stream, &mut head).await? {}
        Ok(stream)
    }
}

/// Reads on in the head of an answer, and not a byte behind it: those are the server's. Whether it was all of it, and a yes.
async fn answered(stream: &mut TcpStream, head: &mut Vec<u8>) -> std::io::Result<bool> {
    let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let (mut next, before) = ([0; 1024], head.len());
    let seen = stream.peek(&mut next).await?;
    head.extend_from_slice(next.get(..seen).unwrap_or_default());
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let (length, is_whole) = match response.parse(head) {
        Ok(httparse::Status::Complete(length)) if response.code == Some(200) => (length, true),
        Ok(httparse::Status::Partial) if seen > 0 && head.len() < MAX_HEAD => (head.len(), false),
        Ok(_) | Err(_) => return Err(refused()),
    };
    let mut taken = vec![0; length.saturating_sub(before)];
    stream.read_exact(&mut taken).await?;
    Ok(is_whole)
}
