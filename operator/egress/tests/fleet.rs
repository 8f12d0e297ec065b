//! Several replicas on loopback, each in a runtime of its own, so that it can be killed as a process is.

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

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ccos_egress::fleet::roster::{Seen, Times};
use ccos_egress::fleet::{Fleet, Ports, Replicas, link};
use ccos_egress::identify::Execution;
use ccos_egress::metrics::Metrics;
use ccos_egress::serve::{Bounds, Check, Proxy, serve};
use common::{Answer, BOUNDS, Known, Names, WORLD, connect, exchange, host_rules, ranges};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::sleep;

const TIMES: Times = Times {
    lease: Duration::from_millis(1500),
    margin: Duration::from_millis(500),
    beat: Duration::from_millis(50),
    claim: Duration::from_secs(3),
};

/// The UID of an execution's pod, which is its token here.
const E: &str = "execution";

struct Of(Known);

impl Replicas for Of {
    fn running(&self, uid: &str) -> Option<Arc<Execution>> {
        self.0.running(uid)
    }
    fn all(&self) -> Vec<Arc<Execution>> {
        self.0.all()
    }
    fn is_fresh(&self) -> bool {
        true
    }
    fn token(&self) -> std::io::Result<String> {
        Ok(ME.with(|me| me.borrow().clone()))
    }
    async fn whose(&self, token: &str) -> Option<String> {
        token.strip_prefix("replica-").map(|_| token.to_owned())
    }
}

thread_local! {
    static ME: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

struct Replica {
    uid: String,
    address: SocketAddr,
    known: Known,
    runtime: Option<Runtime>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    /// Whether the API server answers it.
    hears: Arc<AtomicBool>,
}

impl Replica {
    fn kill(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    fn drain(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What the API server has.
type List = Arc<Mutex<Vec<Seen>>>;

struct Cluster {
    list: List,
    replicas: Vec<Replica>,
    ports: Ports,
    block: u8,
    origin: Origin,
    without: Option<Check>,
}

impl Cluster {
    /// So many replicas that serve an execution with so many connections.
    async fn new(replicas: usize, without: Option<Check>) -> Self {
        static BLOCKS: AtomicUsize = AtomicUsize::new(1);
        let block = u8::try_from(BLOCKS.fetch_add(1, Relaxed)).unwrap();
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ports = Ports { proxy: free(), links: free() };
        let mut cluster =
            Self { list: List::default(), replicas: Vec::new(), ports, block, origin: Origin::start().await, without };
        for _ in 0..replicas {
            cluster.add();
        }
        cluster.settled().await;
        cluster
    }

    fn add(&mut self) {
        let number = u8::try_from(self.replicas.len() + 1).unwrap();
        let address = IpAddr::from(Ipv4Addr::new(127, 77, self.block, number));
        let uid = format!("replica-{}-{number}", self.block);
        let (ports, without) = (self.ports, self.without);
        let (known, hears) = (Known::default(), Arc::new(AtomicBool::new(true)));
        let rules =
            host_rules("a.test", self.origin.port).replace(r#""blocked":[]"#, r#""blocked":[],"maxConnections":3"#);
        known.add(E, &rules);
        let me = uid.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .on_thread_start(move || ME.with(|name| name.borrow_mut().clone_from(&me)))
            .enable_all()
            .build()
            .unwrap();
        let drains = Arc::new(AtomicBool::new(false));
        let fleet = Fleet::new(
            Of(known.clone()),
            uid.clone(),
            format!("incarnation-of-{uid}"),
            ports,
            TIMES,
            Arc::clone(&drains),
        );
        let fleet = Arc::new(fleet);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let seen = Seen { uid: uid.clone(), address: Some(address), ready: true, ends_within: None, runs: true };
        self.list.lock().unwrap().push(seen);
        let (list, ear, of) = (Arc::clone(&self.list), Arc::clone(&hears), known.clone());
        runtime.spawn(async move {
            let links = bind(address, ports.links);
            tokio::spawn(link::answer(links, Arc::clone(&fleet)));
            let listed = Arc::clone(&fleet);
            tokio::spawn(async move {
                loop {
                    if ear.load(Relaxed) {
                        let seen = list.lock().unwrap().clone();
                        listed.seen(seen, Instant::now());
                    }
                    sleep(TIMES.beat).await;
                }
            });
            let guarded = Arc::clone(&fleet);
            tokio::spawn(async move { guarded.guard().await });
            let bounds = Bounds { drain: Duration::from_secs(30), ..BOUNDS };
            let names = Names::new(&[("a.test", &[&[WORLD]])]);
            let mut proxy = Proxy::among(of, names, fleet, ranges(), bounds, Metrics::default());
            if let Some(check) = without {
                proxy = proxy.without(check);
            }
            serve(bind(address, ports.proxy), Arc::new(proxy), async move {
                if stopped.await.is_err() {
                    std::future::pending::<()>().await;
                }
                drains.store(true, Relaxed);
            })
            .await;
        });
        let address = SocketAddr::new(address, ports.proxy);
        self.replicas.push(Replica { uid, address, known, runtime: Some(runtime), stop: Some(stop), hears });
    }

    fn target(&self) -> String {
        format!("a.test:{}", self.origin.port)
    }

    async fn ask(&self, replica: usize) -> Result<TcpStream, Answer> {
        connect(self.replicas[replica].address, E, &self.target()).await
    }

    /// Waits until all answer, and not that they are not ready.
    async fn settled(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        for replica in &self.replicas {
            loop {
                assert!(Instant::now() < end, "{} does not serve", replica.uid);
                if let Ok(stream) = TcpStream::connect(replica.address).await {
                    drop(stream);
                    match connect(replica.address, E, &self.target()).await {
                        Err(answer) if answer.reason.as_deref() == Some("not-ready") => {}
                        Ok(_) | Err(_) => break,
                    }
                }
                sleep(TIMES.beat).await;
            }
        }
        sleep(4 * TIMES.beat).await;
    }

    /// As a runner does: goes to any, then to the one that it is told.
    async fn reach(&self) -> Option<TcpStream> {
        for replica in self.replicas.iter().filter(|replica| replica.runtime.is_some()) {
            if TcpStream::connect(replica.address).await.is_err() {
                continue; // it drains
            }
            if let Ok(stream) = connect(replica.address, E, &self.target()).await {
                return Some(stream);
            }
        }
        None
    }

    /// Which of them serves the execution.
    async fn owner(&self) -> usize {
        let mut owners = Vec::new();
        for number in 0..self.replicas.len() {
            if self.replicas[number].runtime.is_some() && self.ask(number).await.is_ok() {
                owners.push(number);
            }
        }
        assert_eq!(owners.len(), 1, "{owners:?} serve it");
        owners[0]
    }
}

fn bind(address: IpAddr, port: u16) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(SocketAddr::new(address, port)).unwrap();
    socket.listen(64).unwrap()
}

/// A server that echoes, and knows by the kernel how many connections there were at most.
struct Origin {
    port: u16,
    most: Arc<AtomicUsize>,
}

impl Origin {
    async fn start() -> Self {
        let listener = TcpListener::bind((WORLD, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let most = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&most);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                counted.fetch_max(established(port), Relaxed);
                tokio::spawn(async move {
                    let mut buffer = [0; 1024];
                    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                        tokio::io::AsyncWriteExt::write_all(&mut stream, &buffer[..read]).await.ok();
                    }
                });
            }
        });
        Self { port, most }
    }
}

/// Connections whose other end has not closed them, by the kernel's own list: a server notices later.
fn established(port: u16) -> usize {
    let text = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    let fields = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|fields| fields.len() > 3 && fields[1].ends_with(&local) && fields[3] == "01").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_serves_an_execution_and_the_others_say_which() {
    let cluster = Cluster::new(3, None).await;
    let owner = cluster.owner().await;
    for number in (0..3).filter(|number| *number != owner) {
        let answer = cluster.ask(number).await.unwrap_err();
        assert_eq!((answer.status, answer.reason.as_deref()), (421, Some("elsewhere")));
        let there = cluster.replicas[owner].address;
        assert_eq!(answer.body, format!("ask {there}, which serves this execution\n"));
    }
}

/// Twice: where the replicas don't ask each other, each gives as many connections as there may be.
#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_granted_over_several_replicas() {
    for (without, most) in [(None, 3), (Some(Check::Claims), 6)] {
        let cluster = Cluster::new(2, without).await;
        let mut open = Vec::new();
        for number in [0, 1, 0, 1, 0, 1, 0, 1] {
            open.extend(cluster.ask(number).await.ok());
        }
        assert_eq!(open.len(), most, "without {without:?}");
        assert_eq!(established(cluster.origin.port), most);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replica_is_replaced_at_once_and_never_are_there_more_than_granted() {
    let mut cluster = Cluster::new(3, None).await;
    for _ in 0..2 {
        let owner = cluster.owner().await;
        let mut open = Vec::new();
        while let Some(stream) = cluster.reach().await {
            open.push(stream);
        }
        assert_eq!(open.len(), 3);
        cluster.replicas[owner].kill();
        let killed = Instant::now();
        let mut again = loop {
            if let Some(stream) = cluster.reach().await {
                break stream;
            }
            assert!(killed.elapsed() < Duration::from_secs(3), "nobody took over");
        };
        assert!(exchange(&mut again, b"\0ping").await.is_some());
        drop((again, open));
        // The API server still has it as ready: the others know by themselves.
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(cluster.origin.most.load(Relaxed), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_draining_replica_has_left_counts_at_the_one_that_took_over() {
    let mut cluster = Cluster::new(2, None).await;
    let owner = cluster.owner().await;
    let mut old = vec![cluster.ask(owner).await.unwrap(), cluster.ask(owner).await.unwrap()];
    cluster.replicas[owner].drain();
    sleep(4 * TIMES.beat).await;
    assert!(TcpStream::connect(cluster.replicas[owner].address).await.is_err(), "it takes new ones");
    let other = 1 - owner;
    let first = cluster.ask(other).await.unwrap();
    assert_eq!(cluster.ask(other).await.unwrap_err().reason.as_deref(), Some("too-many-connections"));
    assert!(exchange(&mut old[0], b"\0ping").await.is_some(), "what is established lives on");
    old.pop();
    let end = Instant::now() + Duration::from_secs(5);
    let second = loop {
        if let Ok(stream) = cluster.ask(other).await {
            break stream;
        }
        assert!(Instant::now() < end, "a connection that ended there is not free here");
        sleep(TIMES.beat).await;
    };
    assert_eq!(cluster.ask(other).await.unwrap_err().reason.as_deref(), Some("too-many-connections"));
    assert_eq!(established(cluster.origin.port), 3);
    drop((first, second, old));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_replica_takes_its_part_and_counts_what_there_is() {
    let mut cluster = Cluster::new(1, None).await;
    let old = [cluster.ask(0).await.unwrap(), cluster.ask(0).await.unwrap()];
    cluster.add();
    cluster.add();
    cluster.settled().await;
    let mut open = Vec::new();
    while let Some(stream) = cluster.reach().await {
        open.push(stream);
    }
    assert_eq!(open.len(), 1);
    assert_eq!(cluster.origin.most.load(Relaxed), 3);
    drop(old);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_nobody_confirms_cuts_what_it_has_within_its_lease() {
    let cluster = Cluster::new(1, None).await;
    let mut stream = cluster.ask(0).await.unwrap();
    assert!(exchange(&mut stream, b"\0ping").await.is_some());
    cluster.replicas[0].hears.store(false, Relaxed);
    let start = Instant::now();
    let mut rest = [0; 1];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut rest)).await.expect("it is cut");
    assert!(matches!(read, Ok(0) | Err(_)));
    assert!(start.elapsed() < TIMES.lease + TIMES.margin, "after {:?}", start.elapsed());
    assert_eq!(cluster.ask(0).await.unwrap_err().reason.as_deref(), Some("not-ready"));
    cluster.replicas[0].hears.store(true, Relaxed);
    cluster.settled().await;
    assert!(cluster.ask(0).await.is_ok(), "it serves again");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_confirm_each_other_while_the_api_server_does_not_answer() {
    let cluster = Cluster::new(2, None).await;
    let owner = cluster.owner().await;
    let mut stream = cluster.ask(owner).await.unwrap();
    for replica in &cluster.replicas {
        replica.hears.store(false, Relaxed);
    }
    sleep(2 * (TIMES.lease + TIMES.margin)).await;
    assert!(exchange(&mut stream, b"\0ping").await.is_some());
    assert!(cluster.ask(owner).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_token_of_a_replica_is_told_nothing() {
    let cluster = Cluster::new(1, None).await;
    let links = SocketAddr::new(cluster.replicas[0].address.ip(), cluster.ports.links);
    let held = cluster.ask(0).await.unwrap();
    for hello in [
        r#"{"hello":{"token":"stranger"}}"#,
        r#"{"claim":{"execution":"execution","number":1}}"#,
        "CONNECT a.test:1 HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(links).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, format!("{hello}\n").as_bytes()).await.unwrap();
        let mut told = String::new();
        tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut told)).await.unwrap().ok();
        assert_eq!(told, "", "{hello}");
    }
    assert!(cluster.replicas[0].known.running(E).unwrap().account.seats.is_held());
    drop(held);
}
