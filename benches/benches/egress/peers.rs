//! Proxies as processes.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ccos_egress::classify::Ranges;
use ccos_egress::identify::{Execution, Identify, Unknown};
use ccos_egress::metrics::Metrics;
use ccos_egress::resolve::Resolve;
use ccos_egress::serve::{Bounds, Proxy, serve};
use ccos_policy::HostName;
use ccos_profile::egress::Refusal;
use tokio::net::{TcpListener, TcpStream};

/// The variable that tells this program to be our proxy, with the port to listen on.
pub const SERVE: &str = "CCOS_BENCH_EGRESS";

/// Where the server to reach is: loopback, which counts as private here.
pub const WORLD: &str = "127.0.0.2";

/// A proxy that runs, until it is dropped.
pub struct Peer {
    pub name: &'static str,
    pub address: SocketAddr,
    /// Where small requests go.
    pub origin: u16,
    ours: bool,
    child: Child,
    folder: Option<PathBuf>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        if let Some(folder) = &self.folder {
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
}

impl Peer {
    pub async fn ours(origin: u16) -> Result<Self, String> {
        let port = free();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(SERVE, port.to_string());
        Self::start("ccos-egress", port, command, origin, None).await
    }

    pub async fn squid(origin: u16) -> Result<Self, String> {
        let port = free();
        let folder = folder("squid");
        let config = format!(
            "http_port 127.0.0.1:{port}\nhttp_access allow all\ncache deny all\naccess_log none\ncache_log /dev/null\n\
             pid_filename none\npinger_enable off\nmax_filedescriptors 8192\ncoredump_dir none\n"
        );
        let file = folder.join("squid.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("squid");
        command.args(["-N", "-f"]).arg(&file);
        Self::start("squid", port, command, origin, Some(folder)).await
    }

    pub async fn tinyproxy(origin: u16) -> Result<Self, String> {
        let port = free();
        let folder = folder("tinyproxy");
        let config = format!("Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 4096\nLogLevel Critical\n");
        let file = folder.join("tinyproxy.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("tinyproxy");
        command.args(["-d", "-c"]).arg(&file);
        Self::start("tinyproxy", port, command, origin, Some(folder)).await
    }

    async fn start(
        name: &'static str,
        port: u16,
        mut command: Command,
        origin: u16,
        folder: Option<PathBuf>,
    ) -> Result<Self, String> {
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = spawned.map_err(|error| format!("{name} is left out: {error}; apt-get install {name}"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let peer = Self { name, address, origin, ours: name == "ccos-egress", child, folder };
        for _ in 0..100 {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(peer);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(format!("{name} is left out: it does not listen"))
    }

    /// The request for a tunnel to the server's port: ours by name and with a token.
    pub fn request_to(&self, port: u16) -> String {
        if self.ours {
            let target = format!("a.test:{port}");
            return format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Bearer t\r\n\r\n");
        }
        format!("CONNECT {WORLD}:{port} HTTP/1.1\r\nHost: {WORLD}:{port}\r\n\r\n")
    }

    /// Processor time so far, in user and kernel.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which is in parentheses; fields 14 and 15, in ticks of 10 ms (proc(5)).
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<u64>().unwrap();
        Duration::from_millis(10 * (ticks(11) + ticks(12)))
    }

    /// Resident memory, in KiB.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

fn free() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ccos-bench-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

struct One(Arc<Execution>);

impl Identify for One {
    async fn identify(&self, _: &str) -> Result<Arc<Execution>, Unknown> {
        Ok(Arc::clone(&self.0))
    }
}

struct Loopback;

impl Resolve for Loopback {
    async fn resolve(&self, _: &HostName) -> Result<Vec<IpAddr>, Refusal> {
        Ok(vec![WORLD.parse().unwrap()])
    }
}

/// Our proxy, as it is but for the two doubles.
pub async fn serve_ours(port: u16) {
    let rules =
        r#"{"outbound":[{"host":"*.test","ports":[{"port":1,"endPort":65535}]}],"blocked":[],"maxConnections":4096}"#;
    let execution = Execution::new("n".to_owned(), "p".to_owned(), "u".to_owned(), Some(rules.to_owned()));
    let mut ranges = Ranges::new(Vec::new(), [], vec![format!("{WORLD}/32").parse().unwrap()]);
    ranges.loopback_opens = true;
    let minute = Duration::from_mins(1);
    let bounds = Bounds {
        connections: 4096,
        request: minute,
        resolve: minute,
        dial: minute,
        first_bytes: minute,
        idle: 10 * minute,
        drain: Duration::ZERO,
    };
    let proxy = Proxy::new(One(Arc::new(execution)), Loopback, ranges, bounds, Metrics::default());
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    serve(listener, Arc::new(proxy), std::future::pending()).await;
}
