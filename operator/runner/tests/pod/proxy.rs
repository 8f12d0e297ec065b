//! A stand-in for the egress proxy and for all the world behind it, in the pod's network.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// Where the pod finds it.
pub(crate) const ADDRESS: &str = "10.255.255.1:3128";

/// The second port of the proxy, which no execution's policy opens.
const CANARY: &str = "10.255.255.1:3130";

/// Somebody else of the world, who tells the test what was sent there.
const WORLD: &str = "10.255.255.1:8081";

/// Ends with the test's process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxy {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Listens in the network namespace of this name.
    pub(crate) fn start(&self, namespace: &str) {
        let (path, asked) = (format!("/run/netns/{namespace}"), Arc::clone(&self.asked));
        let (listening, ready) = mpsc::channel();
        std::thread::spawn(move || {
            let namespace = File::open(path).unwrap();
            // SAFETY: setns takes no pointers; it is of this thread alone.
            assert_eq!(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
            let listener = TcpListener::bind(ADDRESS).unwrap();
            let (canary, world) = (TcpListener::bind(CANARY).unwrap(), TcpListener::bind(WORLD).unwrap());
            let packets = UdpSocket::bind(WORLD).unwrap();
            std::thread::spawn(move || canary.incoming().for_each(drop));
            let heard = Arc::clone(&asked);
            std::thread::spawn(move || {
                for mut stream in world.incoming().flatten() {
                    let mut first = [0; 64];
                    let length = stream.read(&mut first).unwrap_or_default();
                    heard.lock().unwrap().push(format!("direct {}", String::from_utf8_lossy(&first[..length])));
                }
            });
            let heard = Arc::clone(&asked);
            std::thread::spawn(move || {
                while packets.recv(&mut [0; 64]).is_ok() {
                    heard.lock().unwrap().push("packet".to_owned());
                }
            });
            listening.send(()).unwrap();
            for stream in listener.incoming() {
                let asked = Arc::clone(&asked);
                std::thread::spawn(move || serve(stream.unwrap(), &asked));
            }
        });
        ready.recv().unwrap();
    }

    /// What it was asked for: `host:port token`, and what came after, of a peer that keeps it.
    pub(crate) fn asked(self) -> Vec<String> {
        // What was sent last may be on its way.
        std::thread::sleep(Duration::from_millis(200));
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, asked: &Mutex<Vec<String>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    if head.starts_with("GET /v1/canary ") {
        stream.write_all(format!("HTTP/1.1 200 OK\r\nccos-canary: {CANARY}\r\n\r\n").as_bytes()).ok()?;
        return None;
    }
    let target = head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    let token = head.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: Bearer ")).unwrap_or("none");
    asked.lock().unwrap().push(format!("{target} {token}"));
    let answer = match target.split('.').next()? {
        "blocked" => "HTTP/1.1 403 Forbidden\r\nccos-reason: blocked\r\nContent-Length: 0\r\n\r\n",
        "many" => "HTTP/1.1 429 Too Many Requests\r\nccos-reason: too-many-connections\r\n\r\n",
        "gone" => "HTTP/1.1 502 Bad Gateway\r\nccos-reason: unreachable\r\n\r\n",
        "odd" => "SSH-2.0-OpenSSH\r\n",
        "mute" => "",
        _ => "HTTP/1.1 200 OK\r\n\r\n",
    };
    stream.write_all(answer.as_bytes()).ok()?;
    if !answer.contains(" 200 ") {
        return None;
    }
    if target.starts_with("keeps.") {
        let mut all = String::new();
        stream.read_to_string(&mut all).ok()?;
        asked.lock().unwrap().push(all);
        return None;
    }
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).ok()?;
    stream.write_all(format!("hello from {target}").as_bytes()).ok()
}
