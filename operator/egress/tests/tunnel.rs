//! What a tunnel carries, and how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    missing_docs,
    dead_code,
    reason = "tests and their helpers, of which each file uses some"
)]

mod common;

use std::time::{Duration, Instant};

use common::{BOUNDS, INSIDE, Names, Serving, WORLD, connect, echo, exchange, host_rules, proxy, ranges};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const TOKEN: &str = "token";

async fn usual() -> Serving {
    proxy(Names::new(&[("a.test", &[&[WORLD]])]), ranges(), BOUNDS, None).await
}

#[tokio::test]
async fn bytes_pass_both_ways_and_are_counted() {
    let port = echo(WORLD, 0).await;
    let serving = usual().await;
    let execution = serving.known.add(TOKEN, &host_rules("a.test", port));
    let stream = connect(serving.address, TOKEN, &format!("a.test:{port}")).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let sent: Vec<u8> = (0..=u8::MAX).cycle().take(1 << 20).collect();
    let bytes = sent.clone();
    let sending = tokio::spawn(async move {
        to.write_all(&bytes).await.unwrap();
        to.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    from.read_to_end(&mut received).await.unwrap();
    sending.await.unwrap();
    assert!(received == sent, "the end of one way leaves the other open until all has passed");
    let usage = execution.account.usage();
    assert_eq!((usage.bytes_sent, usage.bytes_received, usage.connections), (1 << 20, 1 << 20, 1));
}

#[tokio::test]
async fn a_server_may_speak_first() {
    let listener = TcpListener::bind((WORLD, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 ready\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_mins(1)).await;
    });
    let serving = usual().await;
    serving.known.add(TOKEN, &host_rules("a.test", port));
    let mut stream = connect(serving.address, TOKEN, &format!("a.test:{port}")).await.unwrap();
    let mut greeting = [0; 11];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"220 ready\r\n");
}

#[tokio::test]
async fn the_bound_on_bytes_is_kept_each_way_by_all_connections_together() {
    const RATE: u64 = 256 * 1024;
    let port = echo(WORLD, 0).await;
    let serving = usual().await;
    let rules =
        host_rules("a.test", port).replace(r#""blocked":[]"#, &format!(r#""blocked":[],"bytesPerSecond":{RATE}"#));
    serving.known.add(TOKEN, &rules);
    let start = Instant::now();
    let one = || async {
        let stream = connect(serving.address, TOKEN, &format!("a.test:{port}")).await.unwrap();
        let (mut from, mut to) = stream.into_split();
        let sending = tokio::spawn(async move {
            to.write_all(&vec![0; 256 * 1024]).await.unwrap();
            to.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        from.read_to_end(&mut received).await.unwrap();
        sending.await.unwrap();
        received.len() as u64
    };
    let (a, b) = tokio::join!(one(), one());
    let took = start.elapsed().as_secs_f64();
    let exact = (a + b) as f64 / RATE as f64;
    // Not faster than the bound but for its burst; slower only by what a busy machine adds.
    assert!(took > exact * 0.95 - 0.2 && took < exact * 1.5 + 1.0, "{took}s instead of {exact}s");
}

/// A server that sends for ever, and one that hears until the end, and says how long that took. Their ports.
async fn endless() -> (u16, u16, tokio::sync::mpsc::UnboundedReceiver<Duration>) {
    let (source, sink) = (TcpListener::bind((WORLD, 0)).await.unwrap(), TcpListener::bind((WORLD, 0)).await.unwrap());
    let ports = (source.local_addr().unwrap().port(), sink.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = source.accept().await {
            tokio::spawn(async move { while stream.write_all(&[0; 4096]).await.is_ok() {} });
        }
    });
    let (told, took) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = sink.accept().await {
            let (mut buffer, mut first) = (vec![0; 64 * 1024], None);
            while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                first.get_or_insert_with(Instant::now);
            }
            told.send(first.unwrap().elapsed()).unwrap();
        }
    });
    (ports.0, ports.1, took)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_is_within_5_percent_of_the_bound() {
    const RATE: f64 = 512.0 * 1024.0;
    const BYTES: usize = 2 << 20;
    let (source, sink, mut took) = endless().await;
    let serving = usual().await;
    let rules = format!(
        r#"{{"outbound":[{{"host":"a.test","ports":[{{"port":1,"endPort":65535}}]}}],"blocked":[],"bytesPerSecond":{RATE}}}"#
    );
    serving.known.add(TOKEN, &rules);
    let check = |way: &str, seconds: f64| {
        let part = BYTES as f64 / seconds / RATE;
        assert!(part < 1.05, "{way}: {part} of the bound");
        // A busy machine can make it slower, not the bound.
        part > 0.95
    };
    let (mut down, mut up) = (false, false);
    for _ in 0..3 {
        if !down {
            let mut stream = connect(serving.address, TOKEN, &format!("a.test:{source}")).await.unwrap();
            let (mut buffer, mut got, start) = (vec![0; BYTES], 0, Instant::now());
            while got < BYTES {
                got += stream.read(&mut buffer[got..]).await.unwrap();
            }
            down = check("down", start.elapsed().as_secs_f64());
        }
        if !up {
            let mut stream = connect(serving.address, TOKEN, &format!("a.test:{sink}")).await.unwrap();
            stream.write_all(&vec![0; BYTES]).await.unwrap();
            stream.shutdown().await.unwrap();
            up = check("up", took.recv().await.unwrap().as_secs_f64());
        }
    }
    assert!(down && up, "slower than the bound by more than 5 percent three times: down {down}, up {up}");
}

#[tokio::test]
async fn a_name_of_which_one_address_is_refused_is_reached_by_the_other() {
    let port = echo(WORLD, 0).await;
    let names = Names::new(&[("a.test", &[&[INSIDE, WORLD]])]);
    let serving = proxy(names, ranges(), BOUNDS, None).await;
    serving.known.add(TOKEN, &host_rules("a.test", port));
    let mut stream = connect(serving.address, TOKEN, &format!("a.test:{port}")).await.unwrap();
    assert!(exchange(&mut stream, b"\0ping").await.is_some());
}

#[tokio::test]
async fn what_can_not_be_reached_says_why() {
    let closed = TcpListener::bind((WORLD, 0)).await.unwrap().local_addr().unwrap().port();
    let serving = usual().await;
    let rules = format!(
        r#"{{"outbound":[{{"host":"*.test","ports":[{{"port":{closed},"endPort":{closed}}}]}}],"blocked":[]}}"#
    );
    serving.known.add(TOKEN, &rules);
    for (host, reason, body) in [
        ("a.test", "unreachable", format!("a.test:{closed} refuses the connection\n")),
        ("b.test", "not-resolved", "no address for b.test\n".to_owned()),
    ] {
        let answer = connect(serving.address, TOKEN, &format!("{host}:{closed}")).await.unwrap_err();
        assert_eq!((answer.status, answer.reason.as_deref(), answer.body), (502, Some(reason), body));
    }
}

#[tokio::test]
async fn a_silent_tunnel_ends() {
    let port = echo(WORLD, 0).await;
    let bounds = ccos_egress::serve::Bounds { idle: Duration::from_millis(200), ..BOUNDS };
    let serving = proxy(Names::new(&[("a.test", &[&[WORLD]])]), ranges(), bounds, None).await;
    serving.known.add(TOKEN, &host_rules("a.test", port));
    let mut stream = connect(serving.address, TOKEN, &format!("a.test:{port}")).await.unwrap();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(exchange(&mut stream, b"\0").await.is_some(), "one that is used does not end");
    }
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.expect("it ends");
}

#[tokio::test]
async fn a_proxy_that_stops_takes_no_new_ones_and_cuts_the_old_ones_at_its_deadline() {
    let port = echo(WORLD, 0).await;
    let mut serving = usual().await;
    serving.known.add(TOKEN, &host_rules("a.test", port));
    let mut stream = connect(serving.address, TOKEN, &format!("a.test:{port}")).await.unwrap();
    serving.stop();
    tokio::time::sleep(BOUNDS.drain / 4).await;
    assert!(tokio::net::TcpStream::connect(serving.address).await.is_err(), "it still accepts");
    assert!(exchange(&mut stream, b"\0ping").await.is_some(), "what is established lives on");
    let start = Instant::now();
    (&mut serving.task).await.unwrap();
    assert!(start.elapsed() < BOUNDS.drain * 3);
    assert!(exchange(&mut stream, b"\0ping").await.is_none());
}

#[tokio::test]
async fn a_proxy_with_nothing_to_drain_stops_at_once() {
    let bounds = ccos_egress::serve::Bounds { drain: Duration::from_hours(1), ..BOUNDS };
    let mut serving = proxy(Names::default(), ranges(), bounds, None).await;
    serving.stop();
    tokio::time::timeout(Duration::from_secs(5), &mut serving.task).await.expect("it stops").unwrap();
}
