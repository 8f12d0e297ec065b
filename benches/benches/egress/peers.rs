//! Proxies as processes, each with rules that let the same destination through.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cluster::{Cluster, NAME, NAMESPACE, REPLICA};
use crate::load::WORLD;

/// Where a proxy listens, on each of [`crate::load::NEAR`].
const PORT: u16 = 3128;

/// A proxy that runs, until it is dropped.
pub struct Peer {
    pub name: &'static str,
    /// What its requests name.
    host: String,
    /// What else they have.
    authorization: String,
    child: Child,
    folder: PathBuf,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

impl Peer {
    /// The binary that is shipped. Its API server is a double; all else is its own.
    pub async fn ours(cluster: &Cluster) -> Self {
        let folder = folder("ours");
        let config = folder.join("kubeconfig");
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}],\n\
             clusters: [{{name: c, cluster: {{server: 'http://{}'}}}}], users: [{{name: u, user: {{}}}}]}}\n",
            cluster.address
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(std::env::var_os("CCOS_EGRESS").expect("CCOS_EGRESS: run benches/egress.sh"));
        command.env("KUBECONFIG", config).env("RUST_LOG", "warn").env("POD_IPS", "127.0.0.1");
        command.args(["--listen=0.0.0.0:3128", "--admin=127.0.0.1:8080", "--replicas=127.0.0.1:3129"]);
        command.args(["--namespace", NAMESPACE, "--uid", REPLICA, "--nameserver=127.0.0.1"]);
        command.args(["--cluster-cidr=10.9.0.0/16", &format!("--allowed-cidr={WORLD}/32")]);
        let authorization = format!("Proxy-Authorization: Bearer {}\r\n", cluster.token);
        Self::start("ccos-egress", command, NAME.to_owned(), authorization, folder).await
    }

    /// By the name, of which it keeps the address as ours does.
    pub async fn squid() -> Self {
        let folder = folder("squid");
        let config = format!(
            "http_port {PORT}\nacl granted dstdomain .test\nacl blocked dstdomain secret.test\nacl CONNECT method CONNECT\n\
             acl ports port 1-65535\nhttp_access deny blocked\nhttp_access deny !CONNECT\nhttp_access allow granted ports\n\
             http_access deny all\ndns_nameservers 127.0.0.1\ncache deny all\naccess_log none\ncache_log /dev/null\n\
             pid_filename none\npinger_enable off\nmax_filedescriptors 8192\ncoredump_dir none\nshutdown_lifetime 0\n"
        );
        let file = write(&folder, "squid.conf", &config);
        let mut command = Command::new("squid");
        command.arg("-N").arg("-f").arg(file);
        Self::start("squid", command, NAME.to_owned(), String::new(), folder).await
    }

    /// By the address: it keeps no names, and would ask for each connection.
    pub async fn tinyproxy() -> Self {
        let folder = folder("tinyproxy");
        let filter = write(&folder, "filter", &format!("^{}$\n", WORLD.to_string().replace('.', "\\.")));
        let config = format!(
            "Port {PORT}\nTimeout 600\nMaxClients 4096\nLogLevel Critical\nFilter \"{}\"\nFilterDefaultDeny Yes\n",
            filter.display()
        );
        let file = write(&folder, "tinyproxy.conf", &config);
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(file);
        Self::start("tinyproxy", command, WORLD.to_string(), String::new(), folder).await
    }

    async fn start(
        name: &'static str,
        mut command: Command,
        host: String,
        authorization: String,
        folder: PathBuf,
    ) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name}: {error}"));
        let peer = Self { name, host, authorization, child, folder };
        // A new replica of ours waits for 13 s: there could be one that it can't know of.
        for _ in 0..300 {
            if peer.answers(&peer.request_to(9)).await.is_some_and(|answer| !answer.contains("not-ready")) {
                return peer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{name} does not serve");
    }

    /// The request for a tunnel to a port of the world.
    pub fn request_to(&self, port: u16) -> String {
        Self::request(&self.host, port, &self.authorization)
    }

    fn request(host: &str, port: u16, authorization: &str) -> String {
        format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{authorization}\r\n")
    }

    /// That it says no to what is not granted: all of them, or none would do what is measured.
    pub async fn refuses(&self, port: u16) {
        for host in ["secret.test", "a.example", "10.0.1.1"] {
            let answer = self.answers(&Self::request(host, port, &self.authorization)).await.unwrap();
            assert!(answer.contains(" 403 "), "{}: {host}: {answer}", self.name);
        }
        if !self.authorization.is_empty() {
            let stranger = self.authorization.replace(".s", ".t");
            let answer = self.answers(&Self::request(&self.host, port, &stranger)).await.unwrap();
            assert!(answer.contains("unidentified"), "{}: a stranger: {answer}", self.name);
        }
    }

    /// The beginning of its answer, if it listens.
    async fn answers(&self, request: &str) -> Option<String> {
        let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], PORT))).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = vec![0; 1024];
        let read = stream.read(&mut answer).await.ok()?;
        Some(String::from_utf8_lossy(&answer[..read]).into_owned())
    }

    /// Processor time so far, in user and kernel.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which is in parentheses; fields 14 and 15, in ticks of 10 ms (proc(5)).
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<u64>().unwrap();
        Duration::from_millis(10 * (ticks(11) + ticks(12)))
    }

    /// The most memory that was ever resident, in MiB.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ccos-bench-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file
}
