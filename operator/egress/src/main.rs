//! `ccos-egress`: the proxy through which executions reach the hosts that they were granted.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use ccos_egress::admin::{self, Admin};
use ccos_egress::classify::Ranges;
use ccos_egress::cluster::{Cluster, OfApi, OfCluster};
use ccos_egress::fleet::roster::Times;
use ccos_egress::fleet::{self, Fleet, Ports, link};
use ccos_egress::metrics::Metrics;
use ccos_egress::originate::Originate;
use ccos_egress::resolve::Dns;
use ccos_egress::serve::{self, Bounds, Proxy};
use ccos_egress::upstream::Upstream;
use ccos_policy::Cidr;
use ccos_profile::egress::CANARY_PORT;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

/// Descriptors that are not two ends of a connection: clients that were not asked who they are, watches, name servers.
const OTHER_DESCRIPTORS: u64 = 2048 + 256;

/// Runs the proxy.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where executions are served.
    #[arg(long, default_value = "[::]:3128")]
    listen: SocketAddr,
    /// Where probes and metrics are served.
    #[arg(long, default_value = "[::]:8080")]
    admin: SocketAddr,
    /// Where other replicas are served.
    #[arg(long, default_value = "[::]:3129")]
    replicas: SocketAddr,
    /// Where executions must not get to: by this they see that their network policy holds.
    #[arg(long, default_value_t = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, CANARY_PORT)))]
    canary: SocketAddr,
    /// The proxy's own namespace.
    #[arg(long, env = "POD_NAMESPACE")]
    namespace: String,
    /// The UID of the proxy's own pod.
    #[arg(long, env = "POD_UID")]
    uid: String,
    /// The file with the token that is shown to other replicas.
    #[arg(long, default_value = "/var/run/ccos/replica/token")]
    replica_token: PathBuf,
    /// Files with authorities, in PEM, whose certificates hosts may have to which credentials are added; those that don't exist
    /// are left out.
    #[arg(long = "authorities", value_name = "FILE")]
    authorities: Vec<PathBuf>,
    /// A proxy that all connections go by, by HTTP CONNECT and by address.
    #[arg(long, value_name = "HOST:PORT")]
    upstream: Option<String>,
    /// The file with what that proxy is told as Proxy-Authorization.
    #[arg(long, value_name = "FILE", requires = "upstream")]
    upstream_authorization: Option<PathBuf>,
    /// Blocks of addresses of pods, services and nodes: out of reach, whatever grants them.
    #[arg(long = "cluster-cidr", value_name = "CIDR")]
    cluster: Vec<Cidr>,
    /// Blocks of private addresses to which granted names may lead.
    #[arg(long = "allowed-cidr", value_name = "CIDR")]
    allowed: Vec<Cidr>,
    /// Name servers. Absent: those of /etc/resolv.conf.
    #[arg(long = "nameserver", value_name = "ADDRESS")]
    nameservers: Vec<IpAddr>,
    /// The proxy's own addresses.
    #[arg(long, env = "POD_IPS", value_delimiter = ',')]
    own: Vec<IpAddr>,
    /// The API server inside the cluster. Some clusters have a name here, whose address is public, or among the cluster's.
    #[arg(long, env = "KUBERNETES_SERVICE_HOST")]
    api_server: Option<String>,
    /// Connections of all executions at one time.
    #[arg(long, default_value_t = 4096)]
    max_connections: usize,
    /// Seconds for which nothing may move in a connection.
    #[arg(long, default_value_t = 600)]
    idle_seconds: u64,
    /// Seconds for which established connections live on after SIGTERM.
    #[arg(long, default_value_t = 30)]
    drain_seconds: u64,
}

/// What keeps the proxy from running.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("cannot set up TLS: another provider is installed")]
    Tls,
    #[error("cannot find the cluster")]
    Config(#[source] kube::config::InferConfigError),
    #[error("cannot make a client")]
    Client(#[source] kube::Error),
    #[error("cannot use the authorities of --authorities")]
    Authorities(#[source] std::io::Error),
    #[error("cannot read --upstream-authorization")]
    UpstreamAuthorization(#[source] std::io::Error),
    #[error("--upstream {0:?}: {1}")]
    Upstream(String, &'static str),
    #[error("the kernel gives no random bytes")]
    Random(#[source] std::io::Error),
    #[error("cannot read which name servers there are")]
    Resolver(#[source] hickory_resolver::net::NetError),
    #[error("cannot serve on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
    #[error("{wanted} descriptors are needed for --max-connections, but the limit is {limit}")]
    Descriptors { wanted: u64, limit: u64 },
    #[error("serving ended")]
    Serve(#[source] tokio::task::JoinError),
    #[error("the watch of pods ended")]
    WatchEnded,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            error!(%error, source, "the proxy ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), StartError> {
    raise_descriptors(args.max_connections)?;
    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| StartError::Tls)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let metrics = Metrics::default();
    let config = kube::Config::infer().await.map_err(StartError::Config)?;
    let client = kube::Client::try_from(config.clone()).map_err(StartError::Client)?;
    let originate = originate(&args.authorities, client.clone()).map_err(StartError::Authorities)?;
    let pods = kube::Api::namespaced(client, &args.namespace);
    let (cluster, watched) = Cluster::watch(config, metrics.clone()).map_err(StartError::Client)?;
    let cluster = Arc::new(cluster);
    let drains = Arc::new(AtomicBool::new(false));
    let replicas = listen(args.replicas)?;
    let canary = tokio::spawn(hang_up(listen(args.canary)?));
    let ports = Ports { proxy: args.listen.port(), links: args.replicas.port() };
    let of_cluster = OfCluster {
        cluster: Arc::clone(&cluster),
        namespace: args.namespace.clone(),
        token: args.replica_token.clone(),
    };
    let (uid, incarnation) = (args.uid.clone(), incarnation()?);
    let fleet = Arc::new(Fleet::new(of_cluster, uid, incarnation, ports, Times::USUAL, Arc::clone(&drains)));
    let admin = Admin {
        cluster: Arc::clone(&cluster),
        fleet: Arc::clone(&fleet),
        metrics: metrics.clone(),
        drains: Arc::clone(&drains),
    };
    let admin = tokio::spawn(admin::serve(listen(args.admin)?, admin));

    let bounds = Bounds {
        connections: args.max_connections,
        request: Duration::from_secs(10),
        resolve: Duration::from_secs(6),
        dial: Duration::from_secs(10),
        first_bytes: Duration::from_secs(10),
        idle: Duration::from_secs(args.idle_seconds),
        drain: Duration::from_secs(args.drain_seconds),
    };
    let dns = Dns::new(&args.nameservers).map_err(StartError::Resolver)?;
    let upstream = upstream(&args)?;
    let mut proxy =
        Proxy::among(cluster, dns, Arc::clone(&fleet), ranges(&args), bounds, metrics).originates(originate);
    if let Some(upstream) = upstream {
        proxy = proxy.behind(upstream);
    }
    let listener = listen(args.listen)?;
    info!(address = %args.listen, "serves");
    let stop = async move {
        terminate.recv().await;
        drains.store(true, Relaxed);
    };
    // A task of its own: this one is in the main thread, which would have to be woken for each connection.
    let served = tokio::spawn(serve::serve(listener, Arc::new(proxy), stop));
    let result = tokio::select! {
        served = served => served.map_err(StartError::Serve),
        () = watched => Err(StartError::WatchEnded),
        // Neither ends before the process: not while it drains either.
        () = link::answer(replicas, Arc::clone(&fleet)) => Err(StartError::WatchEnded),
        () = fleet::watch_list(pods, Arc::clone(&fleet)) => Err(StartError::WatchEnded),
        () = fleet.guard() => Err(StartError::WatchEnded),
    };
    admin.abort();
    canary.abort();
    result
}

/// That a connection came about is all that it is for.
async fn hang_up(canary: TcpListener) {
    loop {
        match canary.accept().await {
            Ok(connection) => drop(connection),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// TLS that trusts these authorities, and Secrets by the proxy's own rights.
fn originate(files: &[PathBuf], client: kube::Client) -> std::io::Result<Originate> {
    let mut authorities = Vec::new();
    for file in files {
        match std::fs::read(file) {
            Ok(pem) => authorities.push(pem),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => warn!(?file, "there are no such authorities"),
            Err(error) => return Err(error),
        }
    }
    Originate::new(&authorities, Arc::new(OfApi::new(client)))
}

/// The proxy before the world, if there is one.
fn upstream(args: &Args) -> Result<Option<Upstream>, StartError> {
    let Some(text) = &args.upstream else { return Ok(None) };
    let file = args.upstream_authorization.as_ref();
    let value = file.map(std::fs::read_to_string).transpose().map_err(StartError::UpstreamAuthorization)?;
    let upstream = Upstream::parse(text, value.map(|value| value.trim_end().to_owned()));
    upstream.map(Some).map_err(|why| StartError::Upstream(text.clone(), why))
}

/// A name for this process that no other one ever has.
fn incarnation() -> Result<String, StartError> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/uuid").map_err(StartError::Random)?;
    Ok(text.trim().to_owned())
}

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    serve::listen(address).map_err(|source| StartError::Listen { address, source })
}

/// What is given, and the two addresses that no one has to name: the proxy itself, and the API server.
fn ranges(args: &Args) -> Ranges {
    let single = |address: &IpAddr| {
        let length = if address.is_ipv4() { 32 } else { 128 };
        format!("{address}/{length}").parse::<Cidr>().ok()
    };
    let own = args.own.iter().copied().chain(args.api_server.as_deref().and_then(|host| host.parse().ok()));
    let own = own.filter_map(|address| single(&address));
    let ranges = Ranges::new(args.cluster.clone(), own, args.allowed.clone());
    if !ranges.cluster_known {
        warn!("no --cluster-cidr: rules of executions open no private address, since it could be one of the cluster's");
    }
    ranges
}

/// Each connection has two. Failing now says why; failing at the thousandth connection would not.
fn raise_descriptors(connections: usize) -> Result<(), StartError> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = 2 * connections as u64 + OTHER_DESCRIPTORS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let limit = maximum.unwrap_or(wanted);
    let raised = wanted.min(limit);
    let set = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum });
    if set.is_err() || raised < wanted { Err(StartError::Descriptors { wanted, limit }) } else { Ok(()) }
}
