//! Servers of the world outside: on an address of the machine, behind a name of the cluster's DNS, with certificates of an
//! authority that only the test knows.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::cluster;
use crate::kubectl::until;
use crate::namespace::unique;

/// The user that a server runs as which refuses to be root's.
const NOBODY: &str = "65534:65534";

/// An authority, and a certificate of it for one name.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
}

/// A server, for as long as this lives.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub port: u16,
}

impl Authority {
    /// A new one, and a certificate for this name.
    #[track_caller]
    pub fn of(name: &str) -> Self {
        let folder = std::env::temp_dir().join(unique("authority"));
        std::fs::create_dir_all(&folder).unwrap();
        let it = Self { folder };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let make =
            |rest: &[&str]| run(Command::new("openssl").args(["req"]).args(key).args(rest).current_dir(&it.folder));
        make(&["-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"]);
        make(&["-subj", &format!("/CN={name}"), "-keyout", "server.key", "-out", "server.csr"]);
        std::fs::write(it.folder.join("names"), format!("subjectAltName=DNS:{name}\n")).unwrap();
        let sign = ["-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
        let sign = [sign.as_slice(), &["-extfile", "names", "-out", "server.pem"]].concat();
        run(Command::new("openssl").arg("x509").args(sign).current_dir(&it.folder));
        it
    }

    /// Its own certificate, in PEM.
    #[must_use]
    pub fn certificate(&self) -> String {
        std::fs::read_to_string(self.folder.join("ca.pem")).unwrap()
    }

    /// HTTP over TLS: greets with the name that it was asked by, and serves `/repository.git`, of one file.
    #[track_caller]
    pub fn serves(&self, address: &str) -> Server {
        self.make_repository();
        let mut command = Command::new("python3");
        command.arg(cluster::root().join("e2e/programs/world.py")).arg(address);
        command.args([self.folder.join("server.pem"), self.folder.join("server.key"), self.folder.join("served")]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Server { child, port: line.trim().parse().expect("a port") }
    }

    /// Such as git reads it from a server that knows nothing of git.
    fn make_repository(&self) {
        let served = self.folder.join("served");
        std::fs::create_dir_all(&served).unwrap();
        let source = self.folder.join("source");
        std::fs::create_dir_all(&source).unwrap();
        std::fs::write(source.join("greeting"), "hello git\n").unwrap();
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            command.args(["-c", "user.name=test", "-c", "user.email=test@example.com"]).args(arguments);
            run(command.env("GIT_CONFIG_GLOBAL", "/dev/null").current_dir(&source));
        };
        git(&["init", "--quiet"]);
        git(&["add", "greeting"]);
        git(&["commit", "--quiet", "--message", "greeting"]);
        git(&["clone", "--quiet", "--bare", ".", "../served/repository.git"]);
        git(&["-C", "../served/repository.git", "update-server-info"]);
    }

    /// A PostgreSQL server with this certificate, that believes who anybody says to be.
    #[track_caller]
    pub fn postgres(&self, address: &str) -> Server {
        let data = self.folder.join("postgres");
        std::fs::create_dir_all(&data).unwrap();
        for name in ["server.pem", "server.key"] {
            std::fs::copy(self.folder.join(name), data.join(name)).unwrap();
        }
        run(Command::new("chmod").arg("600").arg(data.join("server.key")));
        run(Command::new("chown").args(["-R", NOBODY]).arg(&data));
        run(&mut in_debian(&data, &["initdb", "--pgdata=/tmp/data", "--auth=trust", "--username=tester", "--no-sync"]));
        let everybody = "host all all 10.0.0.0/8 trust\n";
        let rules = data.join("data/pg_hba.conf");
        std::fs::write(&rules, std::fs::read_to_string(&rules).unwrap() + everybody).unwrap();
        let port = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
        let settings = [
            format!("--listen_addresses={address}"),
            format!("--port={port}"),
            "--unix_socket_directories=".to_owned(),
            "--ssl=on".to_owned(),
            "--ssl_cert_file=/tmp/server.pem".to_owned(),
            "--ssl_key_file=/tmp/server.key".to_owned(),
            "--fsync=off".to_owned(),
        ];
        let all: Vec<&str> =
            ["postgres", "-D", "/tmp/data"].into_iter().chain(settings.iter().map(String::as_str)).collect();
        let child = in_debian(&data, &all).stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("postgres");
        until("PostgreSQL", 20, || TcpStream::connect((address, port)).ok());
        Server { child, port }
    }
}

/// A program of Debian's PostgreSQL, from the packages that `e2e/languages.sh` unpacked, with `data` as its /tmp. In mounts of its own,
/// which end with it.
fn in_debian(data: &Path, program: &[&str]) -> Command {
    let root = cluster::image("CCOS_POSTGRES");
    let find = format!("{root}/usr/lib/postgresql");
    let version = std::fs::read_dir(&find).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    let mut command = Command::new("unshare");
    let script = r#"
set -e
mount --bind "$1" /mnt
mount --bind /etc /mnt/etc
mount --rbind /dev /mnt/dev
mount --bind "$2" /mnt/tmp
program="/usr/lib/postgresql/$3/bin/$4"
shift 4
exec chroot --userspec=65534:65534 /mnt "$program" "$@"
"#;
    command.args(["--mount", "sh", "-c", script, "sh", &root]).arg(data).arg(version).args(program);
    command.env("LC_ALL", "C").stdout(Stdio::null());
    command
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Drop for Authority {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // PostgreSQL ends its children when it is told to, and not when it is killed.
        drop(Command::new("kill").args(["-INT", &self.child.id().to_string()]).status());
        drop(self.child.wait());
    }
}

/// A server by TLS at `world-a.test`, whose certificate the proxy believes by the chart's values: openssl's, which prints what it
/// hears. It answers `hello`.
#[derive(Debug)]
pub struct Hears {
    child: Child,
    heard: Arc<Mutex<String>>,
}

/// A port at which nobody listens there.
#[track_caller]
pub fn free_port() -> u16 {
    TcpListener::bind((cluster::WORLD_A, 0)).unwrap().local_addr().unwrap().port()
}

/// Starts one.
#[track_caller]
pub fn hears(port: u16) -> Hears {
    let folder = cluster::folder();
    let mut command = Command::new("openssl");
    command.args(["s_server", "-quiet", "-accept", &format!("{}:{port}", cluster::WORLD_A)]);
    command.arg("-cert").arg(folder.join("world.crt")).arg("-key").arg(folder.join("world.key"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("openssl");
    let (mut from, mut to) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let heard = Arc::<Mutex<String>>::default();
    let kept = Arc::clone(&heard);
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let mut kept = kept.lock().unwrap();
            kept.push_str(&String::from_utf8_lossy(&buffer[..read]));
            if kept.ends_with("\r\n\r\n") || kept.ends_with("\n\n") {
                to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").ok();
                to.flush().ok();
            }
        }
    });
    Hears { child, heard }
}

impl Hears {
    /// What it heard since the last time.
    #[track_caller]
    pub fn takes(&self) -> String {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }
}

impl Drop for Hears {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
