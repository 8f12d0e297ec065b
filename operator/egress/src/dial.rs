//! Connecting to addresses that were vetted, and to nothing else.

use std::time::Duration;

use ccos_profile::egress::Refusal;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::classify::Vetted;

/// How long an address has for itself before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the first of the addresses that answers.
/// # Errors
/// [`Refusal::Unreachable`] if all refuse, [`Refusal::TimedOut`] if none answers within this time.
pub async fn dial(to: &[Vetted], within: Duration) -> Result<TcpStream, Refusal> {
    timeout(within, race(to)).await.unwrap_or(Err(Refusal::TimedOut))
}

async fn race(to: &[Vetted]) -> Result<TcpStream, Refusal> {
    let mut waiting = to.iter();
    let mut dialled = FuturesUnordered::new();
    loop {
        let more = waiting.next();
        if let Some(address) = more {
            dialled.push(TcpStream::connect(address.address()));
        }
        let next = dialled.next();
        let answered = if waiting.len() == 0 {
            next.await
        } else {
            tokio::select! { answered = next => answered, () = sleep(HEAD_START) => continue }
        };
        match answered {
            Some(Ok(stream)) => return Ok(stream),
            None if waiting.len() == 0 => return Err(Refusal::Unreachable),
            Some(Err(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::net::TcpListener;

    use super::*;

    /// Only public addresses pass, and none is at hand here.
    fn vetted(address: SocketAddr) -> Vetted {
        Vetted::unvetted(address)
    }

    #[tokio::test]
    async fn the_first_that_answers_wins_and_a_refusal_is_no_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        let stream = dial(&[vetted(closed), vetted(open)], Duration::from_secs(5)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        assert_eq!(dial(&[vetted(closed)], Duration::from_secs(5)).await.unwrap_err(), Refusal::Unreachable);
        assert_eq!(dial(&[], Duration::from_secs(5)).await.unwrap_err(), Refusal::Unreachable);
    }
}
