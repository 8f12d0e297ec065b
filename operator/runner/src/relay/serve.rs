//! The relay's work: answers questions, and takes what is connected to the proxy.

use std::io;
#[cfg(feature = "sabotage")]
use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ccos_profile::egress::Refusal;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::names::{Names, Target};
use super::sockets::Sockets;
use super::traffic::{Traffic, say};
use super::way::{Failure, Way};
use super::{MOST_CONNECTIONS, dns};

/// For a question over a connection.
const QUESTION: Duration = Duration::from_secs(10);

/// At one time: a program has one or two.
const MOST_QUESTIONERS: usize = 16;

/// After an error of accept(2), which comes again at once where descriptors have run out.
const RECOVER: Duration = Duration::from_millis(100);

/// What was connected when the workload ended is taken, too.
const LATE: Duration = Duration::from_millis(20);

/// For what the workload sent before it ended.
const FLUSH: Duration = Duration::from_secs(1);

/// For each way of a connection.
const BUFFER: usize = 16 * 1024;

/// What all tasks share.
pub(super) struct Shared {
    pub(super) names: Mutex<Names>,
    pub(super) traffic: Traffic,
    pub(super) way: Way,
    /// Becomes true when the workload has ended.
    pub(super) ended: watch::Receiver<bool>,
}

/// Until the workload has ended, and what it sent before that is sent.
pub(super) async fn serve(sockets: Sockets, shared: Shared) -> io::Result<()> {
    let Sockets { packets, questions, ports } = sockets;
    let mut ended = shared.ended.clone();
    let shared = Arc::new(shared);
    let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut tasks = JoinSet::new();
    let packets = UdpSocket::from_std(packets.into())?;
    tasks.spawn(answer_packets(packets, Arc::clone(&shared)));
    tasks.spawn(answer_connections(listener(questions)?, Arc::clone(&shared)));
    for port in ports {
        tasks.spawn(take(listener(port)?, Arc::clone(&shared), Arc::clone(&connections)));
    }
    // An error: whoever would say it is gone.
    ended.wait_for(|ended| *ended).await.ok();
    sleep(LATE).await;
    tasks.abort_all();
    let all = u32::try_from(MOST_CONNECTIONS).unwrap_or(u32::MAX);
    timeout(FLUSH, connections.acquire_many(all)).await.map(drop).ok();
    if shared.traffic.now().connections > 0 {
        match shared.way.cut().await {
            Some(denials) => denials.iter().for_each(|denial| shared.traffic.cut(denial)),
            None => say("the egress proxy does not say whether it cut connections"),
        }
    }
    Ok(())
}

fn listener(socket: OwnedFd) -> io::Result<TcpListener> {
    TcpListener::from_std(socket.into())
}

impl Shared {
    fn names(&self) -> MutexGuard<'_, Names> {
        // Whoever panicked with it was adding a name.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, message: &[u8]) -> Option<Vec<u8>> {
        let dns::Answer { reply, refused } = dns::answer(message, &mut self.names());
        if let Some(name) = refused {
            self.traffic.refused(Refusal::NotGranted, &name);
        }
        reply
    }

    /// What was connected to, if it is granted at this port.
    fn target(&self, local: SocketAddr) -> Result<Target, String> {
        let names = self.names();
        #[cfg(feature = "sabotage")]
        if let (true, IpAddr::V4(address)) = (crate::kernel::sabotage::is_without("relay"), local.ip()) {
            let name = names.at(address).cloned().map(Target::Name);
            return Ok(name.unwrap_or(Target::Address(address)));
        }
        names.target(local.ip(), local.port())
    }
}

async fn answer_packets(socket: UdpSocket, shared: Arc<Shared>) {
    let mut message = [0; dns::MOST_QUESTION_BYTES];
    loop {
        // Longer ones are cut, and then no questions. Errors are of an answer that was not taken.
        let Ok((length, from)) = socket.recv_from(&mut message).await else {
            sleep(RECOVER).await;
            continue;
        };
        if let Some(reply) = message.get(..length).and_then(|message| shared.answer(message)) {
            socket.send_to(&reply, from).await.ok();
        }
    }
}

async fn answer_connections(listener: TcpListener, shared: Arc<Shared>) {
    let questioners = Arc::new(Semaphore::new(MOST_QUESTIONERS));
    loop {
        let stream = accept(&listener).await;
        let Ok(permit) = Arc::clone(&questioners).try_acquire_owned() else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            timeout(QUESTION, answer_stream(stream, &shared)).await.ok();
            drop(permit);
        });
    }
}

/// Each message has its length before it (RFC 1035, section 4.2.2).
async fn answer_stream(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    loop {
        let length = usize::from(stream.read_u16().await?);
        if length > dns::MOST_QUESTION_BYTES {
            return Ok(());
        }
        let mut message = vec![0; length];
        stream.read_exact(&mut message).await?;
        let Some(reply) = shared.answer(&message) else { return Ok(()) };
        let mut framed = u16::try_from(reply.len()).unwrap_or_default().to_be_bytes().to_vec();
        framed.extend(reply);
        stream.write_all(&framed).await?;
    }
}

pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(_) => sleep(RECOVER).await,
        }
    }
}

/// Takes connections to one port, of whatever name or address.
async fn take(listener: TcpListener, shared: Arc<Shared>, connections: Arc<Semaphore>) {
    loop {
        let stream = accept(&listener).await;
        let Ok(local) = stream.local_addr() else { continue };
        let to = match shared.target(local) {
            Ok(to) => to,
            Err(target) => {
                shared.traffic.refused(Refusal::NotGranted, &target);
                reset(&stream);
                continue;
            }
        };
        let target = format!("{to}:{}", local.port());
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            shared.traffic.refused(Refusal::TooManyConnections, &target);
            reset(&stream);
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            match shared.way.open(&to, local.port()).await {
                Ok((proxy, first)) => relay(stream, proxy, &first, &shared).await,
                Err(failure) => {
                    match failure {
                        Failure::Refused(why) if is_denial(why) => shared.traffic.refused(why, &target),
                        Failure::Refused(why) => say(&format!("{target}: {}", why.token())),
                        Failure::Broken(why) => say(&format!("{target}: {why}")),
                    }
                    reset(&stream);
                }
            }
            drop(permit);
        });
    }
}

/// Whether a refusal is of what the workload wanted, and not a fault on the way.
const fn is_denial(why: Refusal) -> bool {
    match why {
        Refusal::NotGranted
        | Refusal::Blocked
        | Refusal::AddressRefused
        | Refusal::TooManyConnections
        | Refusal::ServerNameMismatch
        | Refusal::HostMismatch => true,
        Refusal::BadRequest
        | Refusal::Unidentified
        | Refusal::BadRules
        | Refusal::NotResolved
        | Refusal::Unreachable
        | Refusal::NotReady
        | Refusal::Elsewhere
        | Refusal::TimedOut => false,
    }
}

/// Both ways, until both have ended. A failure of one is a reset of the other: what was cut must not look complete.
async fn relay(mut stream: TcpStream, mut proxy: TcpStream, first: &[u8], shared: &Shared) {
    shared.traffic.connected();
    stream.set_nodelay(true).ok();
    let mut ended = shared.ended.clone();
    let (mut from_workload, mut to_workload) = stream.split();
    let (mut from_proxy, mut to_proxy) = proxy.split();
    let up = copy(&mut from_workload, &mut to_proxy, |bytes| shared.traffic.sent(bytes));
    let down = async {
        to_workload.write_all(first).await?;
        shared.traffic.received(first.len() as u64);
        tokio::select! {
            done = copy(&mut from_proxy, &mut to_workload, |bytes| shared.traffic.received(bytes)) => done,
            // There is nobody left to read it.
            _ = ended.wait_for(|ended| *ended) => Ok(()),
        }
    };
    if tokio::try_join!(up, down).is_err() {
        reset(&stream);
        reset(&proxy);
    }
}

pub(crate) async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    count: impl Fn(u64),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..length).unwrap_or_default()).await?;
        count(length as u64);
    }
}

/// Closing it will be a reset, not an end.
pub(crate) fn reset(stream: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).ok();
}
