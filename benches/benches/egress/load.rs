//! A server to reach, and clients that reach it through a proxy. Each answer is checked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::peers::Peer;

/// Where the server to reach is.
pub const WORLD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// Where the proxies are reached, and from where: a client that connects to one of these has it as its own address, too. Several,
/// since our proxy lets one address have few connections of which it does not know yet whose they are.
pub const NEAR: [Ipv4Addr; 8] = {
    let mut near = [Ipv4Addr::UNSPECIFIED; 8];
    let mut at = 0;
    while at < 8 {
        near[at] = Ipv4Addr::new(10, 0, 1, at as u8 + 1);
        at += 1;
    }
    near
};

/// Where all proxies listen.
const PORT: u16 = 3128;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// A server that sends back what it hears.
pub struct Origin {
    pub port: u16,
    /// Connections so far.
    pub accepted: Arc<AtomicU64>,
}

impl Origin {
    pub fn start() -> Self {
        let (listener, port) = listen();
        let accepted = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&accepted);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Relaxed);
                tokio::spawn(async move {
                    let mut buffer = [0; 1024];
                    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                        if stream.write_all(&buffer[..read]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, accepted }
    }
}

fn listen() -> (TcpListener, u16) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(SocketAddr::from((WORLD, 0))).unwrap();
    let listener = socket.listen(4096).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A server that sends [`BULK`] bytes to whoever says something. Its port.
pub fn source() -> u16 {
    let (listener, port) = listen();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let bytes = vec![7; 256 * 1024];
                let mut asked = [0; 16];
                if stream.read(&mut asked).await.is_ok_and(|read| read > 0) {
                    for _ in 0..BULK / bytes.len() {
                        if stream.write_all(&bytes).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    port
}

/// Bytes of one long answer.
pub const BULK: usize = 128 << 20;

/// Takes a long answer through so many tunnels at one time; how long all took.
pub async fn bulk(peer: &Peer, port: u16, tunnels: usize) -> Duration {
    let start = Instant::now();
    let tasks: Vec<_> = (0..tunnels)
        .map(|number| {
            let request = peer.request_to(port);
            tokio::spawn(async move {
                let mut stream = tunnel(number, request.as_bytes()).await;
                // No HTTP: what follows is nobody's header.
                stream.write_all(b"\0").await.unwrap();
                let (mut buffer, mut got) = (vec![0; 256 * 1024], 0);
                while got < BULK {
                    let read = stream.read(&mut buffer).await.unwrap();
                    assert!(read > 0, "{got} of {BULK} bytes");
                    assert!(buffer[..read].iter().all(|byte| *byte == 7));
                    got += read;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    start.elapsed()
}

async fn tunnel(number: usize, request: &[u8]) -> TcpStream {
    let proxy = SocketAddr::from((NEAR[number % NEAR.len()], PORT));
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut head = Vec::new();
    let mut part = [0; 512];
    while !head.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0, "refused: {:?}", String::from_utf8_lossy(&head));
        head.extend_from_slice(&part[..read]);
    }
    let granted = head.starts_with(b"HTTP/1.1 200") || head.starts_with(b"HTTP/1.0 200");
    assert!(granted, "{:?}", String::from_utf8_lossy(&head));
    stream
}

async fn exchange(stream: &mut TcpStream) {
    stream.write_all(REQUEST).await.unwrap();
    let mut answer = [0; REQUEST.len()];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, REQUEST);
}

/// Opens a tunnel, exchanges a small request, closes it, again and again, as so many clients; how long each took.
pub async fn churn(peer: &Peer, port: u16, clients: usize, during: Duration) -> Vec<Duration> {
    let end = Instant::now() + during;
    let tasks: Vec<_> = (0..clients)
        .map(|number| {
            let request = peer.request_to(port);
            tokio::spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < end {
                    let start = Instant::now();
                    let mut stream = tunnel(number, request.as_bytes()).await;
                    exchange(&mut stream).await;
                    times.push(start.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    times
}

/// Opens so many tunnels, exchanges a request in each, and leaves them open.
pub async fn hold(peer: &Peer, port: u16, number: usize) -> Vec<TcpStream> {
    let (mut held, request) = (Vec::with_capacity(number), peer.request_to(port));
    for number in 0..number {
        let mut stream = tunnel(number, request.as_bytes()).await;
        exchange(&mut stream).await;
        held.push(stream);
    }
    held
}
