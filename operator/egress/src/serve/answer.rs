//! What a client hears.

use std::net::SocketAddr;
use std::time::Duration;

use ccos_profile::egress::{CANARY_HEADER, CANARY_PORT, OWNER_HEADER, REASON_HEADER, Refusal, Usage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::connect::ConnectError;

/// How long a refused client may go on sending: closing at once would reset the connection, and take the answer along.
const LINGER: Duration = Duration::from_millis(500);

/// A refusal before the tunnel stands.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    /// One line, for people.
    pub(super) message: String,
    status: (u16, &'static str),
    /// Whom to ask instead.
    owner: Option<SocketAddr>,
}

impl Refused {
    pub(super) const fn new(refusal: Refusal, message: String) -> Self {
        Self { refusal, message, status: status(refusal), owner: None }
    }

    pub(super) fn request(error: ConnectError) -> Self {
        Self { refusal: Refusal::BadRequest, message: error.to_string(), status: error.status(), owner: None }
    }

    pub(super) fn request_timeout() -> Self {
        let message = "the request was not complete in time".to_owned();
        Self { refusal: Refusal::BadRequest, message, status: (408, "Request Timeout"), owner: None }
    }

    /// Another replica serves the execution.
    pub(super) fn elsewhere(owner: SocketAddr) -> Self {
        Self {
            owner: Some(owner),
            ..Self::new(Refusal::Elsewhere, format!("ask {owner}, which serves this execution"))
        }
    }
}

const fn status(refusal: Refusal) -> (u16, &'static str) {
    match refusal {
        Refusal::BadRequest => (400, "Bad Request"),
        Refusal::Unidentified
        | Refusal::BadRules
        | Refusal::NotGranted
        | Refusal::Blocked
        | Refusal::AddressRefused
        | Refusal::ServerNameMismatch
        | Refusal::HostMismatch => (403, "Forbidden"),
        Refusal::TooManyConnections => (429, "Too Many Requests"),
        Refusal::NotResolved | Refusal::Unreachable | Refusal::NotReady => (502, "Bad Gateway"),
        Refusal::Elsewhere => (421, "Misdirected Request"),
        Refusal::TimedOut => (504, "Gateway Timeout"),
    }
}

/// Says no, and why. A client that does not listen is its own loss.
pub(super) async fn refuse(client: &mut TcpStream, refused: &Refused) {
    let (code, phrase) = refused.status;
    let body: String = refused.message.chars().filter(|c| !c.is_control()).take(512).chain(['\n']).collect();
    let owner = refused.owner.map(|owner| format!("{OWNER_HEADER}: {owner}\r\n")).unwrap_or_default();
    let text = format!(
        "HTTP/1.1 {code} {phrase}\r\n{REASON_HEADER}: {}\r\n{owner}Content-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        refused.refusal.token(),
        body.len()
    );
    let answer = async {
        client.write_all(text.as_bytes()).await?;
        client.shutdown().await?;
        let mut ignored = [0; 1024];
        while client.read(&mut ignored).await? > 0 {}
        std::io::Result::Ok(())
    };
    // Whether it heard all of it makes no difference to anything.
    let _ = timeout(LINGER, answer).await;
}

/// Tells an execution's runner what there was.
pub(super) async fn tell(client: &mut TcpStream, usage: &Usage) {
    // Numbers and texts: it can always be written.
    let body = serde_json::to_string(usage).unwrap_or_default();
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json";
    let text = format!("{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let answer = async {
        client.write_all(text.as_bytes()).await?;
        client.shutdown().await
    };
    // As with a refusal.
    let _ = timeout(LINGER, answer).await;
}

/// Says where the canary is: at the address by which this very pod was reached, whatever Service led here.
pub(super) async fn point(client: &mut TcpStream) {
    let Ok(own) = client.local_addr() else { return };
    let canary = SocketAddr::new(own.ip().to_canonical(), CANARY_PORT);
    let text =
        format!("HTTP/1.1 200 OK\r\n{CANARY_HEADER}: {canary}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let answer = async {
        client.write_all(text.as_bytes()).await?;
        client.shutdown().await
    };
    // As with a refusal.
    let _ = timeout(LINGER, answer).await;
}

/// Says yes.
pub(super) async fn establish(client: &mut TcpStream) -> std::io::Result<()> {
    client.write_all(b"HTTP/1.1 200 Connection Established\r\n\r\n").await
}
