//! A proxy before the world: it is told addresses that were looked at, and there is no way around it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    dead_code,
    reason = "tests and their helpers, of which each file uses some"
)]

mod common;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use ccos_egress::metrics::Metrics;
use ccos_egress::serve::{Check, Proxy, serve};
use ccos_egress::upstream::Upstream;
use common::{BOUNDS, INSIDE, Known, Names, WORLD, connect, echo, exchange, host_rules, ranges};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

const TOKEN: &str = "token";

/// A parent that answers so, and connects if it says yes. What it was asked.
async fn parent(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let target = head.split(' ').nth(1).unwrap().to_owned();
                kept.lock().unwrap().push(head);
                let mut server = TcpStream::connect(target).await.ok()?;
                // In two parts, with the server's first bytes right behind it.
                let (first, rest) = answer.split_at(9);
                stream.write_all(first.as_bytes()).await.ok()?;
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                stream.write_all(format!("{rest}hello").as_bytes()).await.ok()?;
                copy_bidirectional(&mut stream, &mut server).await.ok()
            });
        }
    });
    (address, asked)
}

async fn proxy(upstream: SocketAddr, port: u16) -> (SocketAddr, Known) {
    proxy_without(None, upstream, port).await
}

async fn proxy_without(check: Option<Check>, upstream: SocketAddr, port: u16) -> (SocketAddr, Known) {
    let known = Known::default();
    known.add(TOKEN, &host_rules("*.test", port));
    let names = Names::new(&[("a.test", &[&[WORLD]]), ("inside.test", &[&[INSIDE]])]);
    let upstream = Upstream::parse(&upstream.to_string(), Some("Basic dTpw".to_owned())).unwrap();
    let mut proxy = Proxy::new(known.clone(), names, ranges(), BOUNDS, Metrics::default()).behind(upstream);
    if let Some(check) = check {
        proxy = proxy.without(check);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Arc::new(proxy), std::future::pending()));
    (address, known)
}

#[tokio::test]
async fn it_is_told_the_address_that_was_looked_at_and_no_byte_of_the_servers_is_lost() {
    let port = echo(WORLD, 0).await;
    let (upstream, asked) = parent("HTTP/1.1 200 OK\r\nVia: test\r\n\r\n").await;
    let (address, _) = proxy(upstream, port).await;
    let mut stream = connect(address, TOKEN, &format!("a.test:{port}")).await.unwrap();
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"hello");
    assert_eq!(exchange(&mut stream, b"\0ping").await.as_deref(), Some(b"\0ping".as_slice()));
    let target = format!("{WORLD}:{port}");
    assert_eq!(
        *asked.lock().unwrap(),
        [format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Basic dTpw\r\n\r\n")]
    );
    let refused = connect(address, TOKEN, &format!("inside.test:{port}")).await.unwrap_err();
    assert_eq!(refused.reason.as_deref(), Some("address-refused"));
    assert_eq!(asked.lock().unwrap().len(), 1, "it is not asked for what is refused here");
}

#[tokio::test]
async fn without_the_look_at_addresses_it_would_be_asked_for_those_inside() {
    let port = echo(INSIDE, 0).await;
    let (upstream, asked) = parent("HTTP/1.1 200 OK\r\n\r\n").await;
    let (address, _) = proxy_without(Some(Check::Addresses), upstream, port).await;
    connect(address, TOKEN, &format!("inside.test:{port}")).await.unwrap();
    assert!(asked.lock().unwrap()[0].starts_with(&format!("CONNECT {INSIDE}:{port} ")));
}

#[tokio::test]
async fn there_is_no_way_around_it() {
    let port = echo(WORLD, 0).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (no, _) = parent("HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let (odd, _) = parent("SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    for (upstream, why) in [(nobody, "is not there: "), (no, "answers 403"), (odd, "gives no answer of HTTP")] {
        let (address, _) = proxy(upstream, port).await;
        let refused = connect(address, TOKEN, &format!("a.test:{port}")).await.unwrap_err();
        assert_eq!((refused.status, refused.reason.as_deref()), (502, Some("unreachable")));
        let said = format!("a.test:{port} is not reached: the upstream proxy {why}");
        assert!(refused.body.contains(&said), "{}", refused.body);
    }
}
