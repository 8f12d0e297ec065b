//! A server to reach, and clients that reach it through a proxy. Each answer is checked.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::peers::{Peer, WORLD};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// A server that sends back what it hears. Its port.
pub async fn origin() -> u16 {
    let listener = TcpListener::bind((WORLD, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
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
    port
}

/// A server that sends [`BULK`] bytes to whoever says something. Its port.
pub async fn source() -> u16 {
    let listener = TcpListener::bind((WORLD, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
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
        .map(|_| {
            let (proxy, request) = (peer.address, peer.request_to(port));
            tokio::spawn(async move {
                let mut stream = tunnel(proxy, request.as_bytes()).await.unwrap();
                stream.write_all(b"\0").await.unwrap();
                let (mut buffer, mut got) = (vec![0; 256 * 1024], 0);
                while got < BULK {
                    let read = stream.read(&mut buffer).await.unwrap();
                    assert!(read > 0, "{got} of {BULK} bytes");
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

async fn tunnel(proxy: SocketAddr, request: &[u8]) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(proxy).await?;
    stream.write_all(request).await?;
    let mut head = Vec::new();
    let mut part = [0; 512];
    while !head.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut part).await?;
        assert!(read > 0, "refused: {:?}", String::from_utf8_lossy(&head));
        head.extend_from_slice(&part[..read]);
    }
    assert!(
        head.starts_with(b"HTTP/1.1 200") || head.starts_with(b"HTTP/1.0 200"),
        "{:?}",
        String::from_utf8_lossy(&head)
    );
    Ok(stream)
}

async fn exchange(stream: &mut TcpStream) {
    stream.write_all(REQUEST).await.unwrap();
    let mut answer = [0; REQUEST.len()];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, REQUEST);
}

/// Opens a tunnel, exchanges a small request, closes it, again and again; how long each took.
pub async fn churn(peer: &Peer, workers: usize, during: Duration) -> Vec<Duration> {
    let end = Instant::now() + during;
    let tasks: Vec<_> = (0..workers)
        .map(|_| {
            let (proxy, request) = (peer.address, peer.request_to(peer.origin));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < end {
                    let start = Instant::now();
                    let mut stream = tunnel(proxy, request.as_bytes()).await.unwrap();
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
pub async fn hold(peer: &Peer, number: usize) -> Vec<TcpStream> {
    let (mut held, request) = (Vec::with_capacity(number), peer.request_to(peer.origin));
    for _ in 0..number {
        let mut stream = tunnel(peer.address, request.as_bytes()).await.unwrap();
        exchange(&mut stream).await;
        held.push(stream);
    }
    held
}
