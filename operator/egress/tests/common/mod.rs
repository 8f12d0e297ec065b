//! A proxy on loopback: its own server loop, with a double for the cluster and one for name servers.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ccos_egress::classify::Ranges;
use ccos_egress::identify::{Execution, Identify, Unknown};
use ccos_egress::metrics::Metrics;
use ccos_egress::resolve::Resolve;
use ccos_egress::serve::{Bounds, Check, Proxy, serve};
use ccos_policy::{Cidr, HostName};
use ccos_profile::egress::Refusal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Executions by their token.
#[derive(Clone, Default)]
pub struct Known(Arc<Mutex<HashMap<String, Arc<Execution>>>>);

impl Known {
    pub fn add(&self, token: &str, rules: &str) -> Arc<Execution> {
        let execution = Execution::new("n".to_owned(), token.to_owned(), token.to_owned(), Some(rules.to_owned()));
        let execution = Arc::new(execution);
        self.0.lock().unwrap().insert(token.to_owned(), Arc::clone(&execution));
        execution
    }

    pub fn running(&self, uid: &str) -> Option<Arc<Execution>> {
        self.0.lock().unwrap().get(uid).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Execution>> {
        self.0.lock().unwrap().values().cloned().collect()
    }

    pub fn end(&self, token: &str) {
        self.0.lock().unwrap().remove(token).unwrap().end();
    }
}

impl Identify for Known {
    async fn identify(&self, token: &str) -> Result<Arc<Execution>, Unknown> {
        let known = self.0.lock().unwrap().get(token).cloned();
        known.ok_or_else(|| Unknown::unidentified("nobody runs with this token"))
    }
}

/// Names with their answers: one after the other, the last one for ever.
#[derive(Clone, Default)]
pub struct Names(Arc<HashMap<String, Answers>>);

/// The answers of a name, and how often it was asked for.
type Answers = (Vec<Vec<IpAddr>>, AtomicUsize);

impl Names {
    pub fn new(names: &[(&str, &[&[&str]])]) -> Self {
        let answers = |answers: &[&[&str]]| {
            answers.iter().map(|answer| answer.iter().map(|text| text.parse().unwrap()).collect()).collect()
        };
        let names = names.iter().map(|(name, all)| ((*name).to_owned(), (answers(all), AtomicUsize::new(0))));
        Self(Arc::new(names.collect()))
    }
}

impl Resolve for Names {
    async fn resolve(&self, name: &HostName) -> Result<Vec<IpAddr>, Refusal> {
        let (answers, asked) = self.0.get(name.as_str()).ok_or(Refusal::NotResolved)?;
        let turn = asked.fetch_add(1, Relaxed).min(answers.len() - 1);
        Ok(answers[turn].clone())
    }
}

pub const BOUNDS: Bounds = Bounds {
    connections: 1024,
    request: Duration::from_millis(300),
    resolve: Duration::from_secs(1),
    dial: Duration::from_secs(2),
    first_bytes: Duration::from_millis(300),
    idle: Duration::from_secs(20),
    drain: Duration::from_millis(400),
};

/// A proxy that serves until it is dropped.
pub struct Serving {
    pub address: SocketAddr,
    pub known: Known,
    stop: Option<oneshot::Sender<()>>,
    pub task: JoinHandle<()>,
}

impl Serving {
    pub fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }
}

/// A proxy, with one of its checks taken out or none.
pub async fn proxy(names: Names, ranges: Ranges, bounds: Bounds, without: Option<Check>) -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let known = Known::default();
    let mut proxy = Proxy::new(known.clone(), names, ranges, bounds, Metrics::default());
    if let Some(check) = without {
        proxy = proxy.without(check);
    }
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, Arc::new(proxy), async {
        // Dropped without a word: it serves until the runtime ends.
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
    }));
    Serving { address, known, stop: Some(stop), task }
}

/// The world of these tests: loopback counts as private, and the platform allows this address.
pub const WORLD: &str = "127.0.0.2";
/// An address that is like a neighbour's, a node's, a metadata server's: nobody allows it.
pub const INSIDE: &str = "127.0.0.3";
/// An address of the cluster.
pub const CLUSTER: &str = "127.0.0.4";

pub fn ranges() -> Ranges {
    let parse = |text: &str| vec![text.parse::<Cidr>().unwrap()];
    let mut ranges = Ranges::new(parse("127.0.0.4/32"), [], parse("127.0.0.2/32"));
    ranges.loopback_opens = true;
    ranges
}

/// A server that sends back what it hears.
pub async fn echo(address: &str, port: u16) -> u16 {
    let listener = TcpListener::bind((address, port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = vec![0; 16 * 1024];
                while let Ok(read) = stream.read(&mut buffer).await {
                    if read == 0 || stream.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

/// The head of an answer and its body, if the connection was refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub reason: Option<String>,
    pub body: String,
}

/// Sends bytes to the proxy; the stream if it answers 200, else its answer.
pub async fn ask(proxy: SocketAddr, bytes: &[u8]) -> Result<TcpStream, Answer> {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            Ok(_) | Err(_) => return Err(Answer { status: 0, reason: None, body: String::new() }),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    if status == 200 {
        return Ok(stream);
    }
    let mut body = String::new();
    stream.read_to_string(&mut body).await.unwrap();
    let reason = head.lines().find_map(|line| line.strip_prefix("ccos-reason: ")).map(ToOwned::to_owned);
    Err(Answer { status, reason, body })
}

pub async fn connect(proxy: SocketAddr, token: &str, target: &str) -> Result<TcpStream, Answer> {
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Bearer {token}\r\n\r\n");
    ask(proxy, request.as_bytes()).await
}

/// What comes back for these bytes; `None` if the connection is cut without one.
pub async fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> Option<Vec<u8>> {
    stream.write_all(bytes).await.ok()?;
    let mut back = vec![0; bytes.len()];
    let mut got = 0;
    while got < bytes.len() {
        match tokio::time::timeout(Duration::from_secs(5), stream.read(&mut back[got..])).await {
            Ok(Ok(read)) if read > 0 => got += read,
            _ if got == 0 => return None,
            _ => break,
        }
    }
    back.truncate(got);
    Some(back)
}

pub fn host_rules(host: &str, port: u16) -> String {
    format!(r#"{{"outbound":[{{"host":"{host}","ports":[{{"port":{port},"endPort":{port}}}]}}],"blocked":[]}}"#)
}
