//! What a client asks the proxy itself for.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::answer::Refused;
use crate::connect::{self, Connect, ConnectError, Head};

/// What a client wants.
pub(super) enum Wanted {
    /// A tunnel, and what it sent behind the request.
    Tunnel(Connect, Vec<u8>),
    /// To know what was refused, with its token.
    Refusals(Option<String>),
    /// To know where the canary is.
    Canary,
}

impl Wanted {
    /// Who asks.
    pub(super) fn token(&self) -> &str {
        match self {
            Self::Tunnel(Connect { token, .. }, _) | Self::Refusals(token) => token.as_deref().unwrap_or_default(),
            Self::Canary => "",
        }
    }
}

/// The request. `Err(None)`: the client is gone.
pub(super) async fn request(client: &mut TcpStream) -> Result<Wanted, Option<Refused>> {
    let mut bytes = Vec::with_capacity(2048);
    loop {
        let room = (connect::MAX_HEAD - bytes.len()).max(1) as u64;
        if client.take(room).read_buf(&mut bytes).await.map_err(|_| None)? == 0 {
            return Err((!bytes.is_empty()).then(|| Refused::request(ConnectError::Malformed)));
        }
        match connect::parse(&bytes).map_err(|error| Some(Refused::request(error)))? {
            Head::Partial => {}
            Head::Complete(request, length) => return Ok(Wanted::Tunnel(request, bytes.split_off(length))),
            Head::Refusals(token) => return Ok(Wanted::Refusals(token)),
            Head::Canary => return Ok(Wanted::Canary),
        }
    }
}
