//! Others in the pod's network, who connect to it.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The pod's own address in its network.
const POD: [u8; 4] = [10, 255, 255, 2];

/// Where the world is.
pub(crate) const WORLD: &str = "10.255.255.1";

/// For a pod to start, and to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// One visit after the other.
#[derive(Debug, Default)]
pub(crate) struct Visitor {
    ports: Vec<u16>,
    /// Somebody listens where the pod looks for an API server.
    pub(crate) open: bool,
    answers: Option<mpsc::Receiver<(u16, String)>>,
}

impl Visitor {
    pub(crate) fn to(ports: &[u16]) -> Self {
        Self { ports: ports.to_vec(), ..Self::default() }
    }

    /// From the network namespace of this name. The first port is tried until it answers, the others once.
    pub(crate) fn start(&mut self, namespace: &str) {
        let (path, ports, open) = (format!("/run/netns/{namespace}"), self.ports.clone(), self.open);
        let (answer, answers) = mpsc::channel();
        self.answers = Some(answers);
        let (listening, ready) = mpsc::channel();
        std::thread::spawn(move || {
            let namespace = File::open(path).unwrap();
            // SAFETY: setns takes no pointers; it is of this thread alone.
            assert_eq!(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
            let _api_server = open.then(|| TcpListener::bind((WORLD, 443)).unwrap());
            listening.send(()).unwrap();
            let until = Instant::now() + PATIENCE;
            for (at, port) in ports.into_iter().enumerate() {
                let answer_of = || visit(SocketAddr::from((POD, port)));
                let mut found = answer_of();
                while at == 0 && found.starts_with("error") && Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(100));
                    found = answer_of();
                }
                answer.send((port, found)).ok();
            }
            // What listens ends with the thread.
            std::thread::sleep(if open { PATIENCE } else { Duration::ZERO });
        });
        ready.recv().unwrap();
    }

    /// What was answered at each port.
    pub(crate) fn answers(self) -> Vec<(u16, String)> {
        let patience = if self.open { Duration::ZERO } else { PATIENCE };
        let each = self.ports.iter().map_while(|_| self.answers.as_ref()?.recv_timeout(patience).ok());
        each.collect()
    }
}

/// What is answered to a line; an error by its kind.
fn visit(address: SocketAddr) -> String {
    let all = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"hello\n")?;
        let mut all = String::new();
        stream.read_to_string(&mut all)?;
        if all.is_empty() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(all) }
    };
    all().unwrap_or_else(|error| format!("error {:?}", error.kind()))
}
