//! The way to the proxy: to any of its replicas, which says which one serves this execution, and then to that one.
//!
//! A replica that is gone is noticed at once, and another one is asked, until one serves: nothing of the workload's was sent
//! before that, so that to ask again changes nothing.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ccos_profile::egress::{Denial, Refusal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::names::Target;
use super::tunnel;

/// For a connection to a replica, which is in the same cluster.
const CONNECT: Duration = Duration::from_secs(1);

/// For the proxy to resolve, connect and answer.
const ANSWER: Duration = Duration::from_secs(40);

/// As long as another replica needs to take over, and some.
const PATIENCE: Duration = Duration::from_secs(6);

/// For the proxy to tell what it refused; an attempt ends that much later where it does not.
const TOLD: Duration = Duration::from_secs(1);

/// Bytes of that: 32 denials of 256 characters, each of at most 6 bytes of JSON, and what is around them.
const MOST_TOLD: u64 = 128 * 1024;

/// Before the next try.
const AGAIN: Duration = Duration::from_millis(100);

/// Which replica to ask.
pub(super) struct Way {
    /// Leads to any of them.
    service: SocketAddr,
    /// The one that serves this execution, as one of them said.
    owner: Mutex<Option<SocketAddr>>,
    token: PathBuf,
}

/// Why a connection was not taken to where it was going.
pub(super) enum Failure {
    /// The proxy or this relay refused it.
    Refused(Refusal),
    /// Something did not work.
    Broken(String),
}

/// What one replica said.
enum Told {
    Elsewhere(SocketAddr),
    Failed(Failure),
    /// Another one could answer.
    Gone(String),
}

impl From<io::Error> for Told {
    fn from(error: io::Error) -> Self {
        Self::Gone(format!("the egress proxy can't be reached: {error}"))
    }
}

impl Way {
    /// Leads to any replica at first.
    pub(super) const fn new(service: SocketAddr, token: PathBuf) -> Self {
        Self { service, owner: Mutex::new(None), token }
    }

    fn owner(&self) -> MutexGuard<'_, Option<SocketAddr>> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A tunnel through the proxy, and the first bytes of the peer's.
    pub(super) async fn open(&self, name: &Target, port: u16) -> Result<(TcpStream, Vec<u8>), Failure> {
        let until = Instant::now() + PATIENCE;
        let mut hops = 0_u32;
        loop {
            let to = self.owner().unwrap_or(self.service);
            let failure = match self.ask(to, name, port).await {
                Ok(open) => return Ok(open),
                Err(Told::Elsewhere(owner)) => {
                    *self.owner() = Some(owner);
                    hops += 1;
                    if hops == 1 {
                        continue;
                    }
                    Failure::Refused(Refusal::Elsewhere)
                }
                Err(Told::Failed(failure @ Failure::Refused(Refusal::NotReady))) => failure,
                Err(Told::Failed(failure)) => return Err(failure),
                Err(Told::Gone(why)) => Failure::Broken(why),
            };
            if Instant::now() >= until {
                return Err(failure);
            }
            if !matches!(failure, Failure::Refused(Refusal::Elsewhere)) {
                // Unless somebody found the next one meanwhile.
                let mut owner = self.owner();
                *owner = owner.filter(|owner| *owner != to);
            }
            sleep(AGAIN).await;
        }
    }

    /// What the proxy refused after it had said yes, which nobody was told: connections that it cut for what they began with. Of
    /// the replica that serves now, by whichever one is asked first. `None`: it does not say.
    pub(super) async fn cut(&self) -> Option<Vec<Denial>> {
        let to = self.owner().unwrap_or(self.service);
        let request = tunnel::refusals(std::fs::read_to_string(&self.token).ok()?.trim_end())?;
        let usage = timeout(TOLD, async {
            let answer = told(to, &request).await?;
            match tunnel::head(&answer) {
                tunnel::Head::Elsewhere(owner) => tunnel::refused(&told(owner, &request).await?),
                _ => tunnel::refused(&answer),
            }
        });
        let mut denials = usage.await.ok()??.denials;
        denials.retain(|denial| matches!(denial.reason, Refusal::ServerNameMismatch | Refusal::HostMismatch));
        Some(denials)
    }

    async fn ask(&self, to: SocketAddr, name: &Target, port: u16) -> Result<(TcpStream, Vec<u8>), Told> {
        let broken = |why: String| Told::Failed(Failure::Broken(why));
        // Each time: the kubelet renews it.
        let token = std::fs::read_to_string(&self.token);
        let token = token.map_err(|error| broken(format!("the egress token can't be read: {error}")))?;
        let request = tunnel::request(name, port, token.trim_end());
        let request = request.ok_or_else(|| broken("the egress token is none".to_owned()))?;
        let late = "the egress proxy did not answer in time";
        let connected = timeout(CONNECT, TcpStream::connect(to)).await;
        let mut proxy = connected.map_err(|_| Told::Gone(late.to_owned()))??;
        proxy.set_nodelay(true)?;
        let answered = timeout(ANSWER, async {
            proxy.write_all(&request).await?;
            let mut bytes = Vec::new();
            loop {
                match tunnel::head(&bytes) {
                    tunnel::Head::Incomplete => {}
                    tunnel::Head::Open(length) => return Ok(bytes.split_off(length)),
                    tunnel::Head::Elsewhere(owner) => return Err(Told::Elsewhere(owner)),
                    tunnel::Head::Refused { why: Some(why), .. } => return Err(Told::Failed(Failure::Refused(why))),
                    tunnel::Head::Refused { status, why: None } => {
                        return Err(broken(format!("the egress proxy answers with status {status}")));
                    }
                    tunnel::Head::Invalid => return Err(broken("the egress proxy speaks no HTTP".to_owned())),
                }
                let room = tunnel::MOST_HEAD_BYTES.saturating_sub(bytes.len()).max(1);
                if (&mut proxy).take(room as u64).read_buf(&mut bytes).await? == 0 {
                    return Err(Told::Gone("the egress proxy hung up".to_owned()));
                }
            }
        });
        let first = answered.await.map_err(|_| broken(late.to_owned()))??;
        Ok((proxy, first))
    }
}

/// The whole answer of one replica.
async fn told(replica: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    let mut proxy = TcpStream::connect(replica).await.ok()?;
    proxy.write_all(request).await.ok()?;
    let mut answer = Vec::new();
    proxy.take(MOST_TOLD).read_to_end(&mut answer).await.ok()?;
    Some(answer)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc;

    use super::*;

    /// A replica that gives these answers one after the other, then listens no more.
    fn replica(answers: Vec<String>) -> (SocketAddr, mpsc::Receiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (gone, ended) = mpsc::channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 512];
                let _ = stream.read(&mut asked).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
            drop(listener);
            gone.send(()).ok();
        });
        (address, ended)
    }

    fn elsewhere(owner: SocketAddr) -> String {
        format!("HTTP/1.1 421 Misdirected Request\r\nccos-reason: elsewhere\r\nccos-owner: {owner}\r\n\r\n")
    }

    const OPEN: &str = "HTTP/1.1 200 OK\r\n\r\n";
    const NOT_READY: &str = "HTTP/1.1 502 Bad Gateway\r\nccos-reason: not-ready\r\n\r\n";
    const BLOCKED: &str = "HTTP/1.1 403 Forbidden\r\nccos-reason: blocked\r\n\r\n";

    async fn open(way: &Way) -> Result<(), Failure> {
        way.open(&Target::Name("a.test".parse().unwrap()), 443).await.map(drop)
    }

    #[test]
    fn the_replica_that_was_named_is_asked_until_it_is_gone_and_then_any_again() {
        let token = std::env::temp_dir().join(format!("ccos-way-{}", std::process::id()));
        std::fs::write(&token, "t").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (owner, gone) = replica(vec![OPEN.to_owned(), OPEN.to_owned()]);
            let (next, _) = replica(vec![OPEN.to_owned()]);
            let (service, _) = replica(vec![elsewhere(owner), NOT_READY.to_owned(), elsewhere(next)]);
            let way = Way::new(service, token.clone());
            assert!(open(&way).await.is_ok());
            assert!(open(&way).await.is_ok(), "the second time without a word to the service");
            gone.recv().unwrap();
            let start = Instant::now();
            assert!(open(&way).await.is_ok(), "after it was gone");
            assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());

            // A no is no reason to ask somebody else.
            let (service, _) = replica(vec![BLOCKED.to_owned(), OPEN.to_owned()]);
            let way = Way::new(service, token.clone());
            assert!(matches!(open(&way).await, Err(Failure::Refused(Refusal::Blocked))));
        });
        std::fs::remove_file(token).unwrap();
    }

    #[test]
    fn what_was_cut_is_told_by_the_replica_that_serves_whichever_is_asked() {
        let token = std::env::temp_dir().join(format!("ccos-cut-{}", std::process::id()));
        std::fs::write(&token, "t").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let body = r#"{"bytesSent":1,"bytesReceived":0,"connections":1,"denials":[{"reason":"host-mismatch","target":"a:80","count":2,"firstSeen":7}],"deniedMore":0}"#;
        let tells = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        runtime.block_on(async {
            let (owner, _) = replica(vec![tells.clone()]);
            let (service, _) = replica(vec![elsewhere(owner)]);
            let cut = Way::new(service, token.clone()).cut().await.unwrap();
            assert_eq!((cut.len(), cut[0].count), (1, 2));

            let (service, _) = replica(vec![NOT_READY.to_owned()]);
            assert_eq!(Way::new(service, token.clone()).cut().await, None, "nobody knows");
        });
        std::fs::remove_file(token).unwrap();
    }
}
