//! The proof that the pod's network policy is in force, where the code shares the pod's network.
//!
//! Engines apply policies late: a pod may run before they do. So two ports of one pod of the proxy are tried, one that the policy opens
//! and one that it does not, while the proxy's own policy opens both: where the first one answers and the second one is silent, it is
//! this pod's policy that holds. Silence alone would prove nothing, since a network that is not there yet is silent as well.
//!
//! Before there is any process of the workload's, by a process of the runner's: what the kernel keeps from the code (ports that are
//! not granted) would be silent by that.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use ccos_profile::egress::{CANARY, CANARY_HEADER};
use httparse::{EMPTY_HEADER, Response};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use super::{ConfinementFailed, NAMES};

/// How long a late engine is waited for: less than the set-up has.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks.
const AGAIN: Duration = Duration::from_millis(100);

/// For the port that is open.
const ANSWER: Duration = Duration::from_secs(1);

/// What is silent for this long, and for five times as long as the other port took to answer, does not answer.
const SILENCE: Duration = Duration::from_millis(200);

/// Connections at once: one packet may be lost, but not all of them.
const AT_ONCE: usize = 4;

/// An answer of ours is a few lines.
const MOST_ANSWER_BYTES: u64 = 4096;

/// Those of ours are three.
const MOST_HEADERS: usize = 16;

/// The policy was seen to hold.
#[derive(Clone, Copy, Debug)]
pub struct Fenced(());

impl Fenced {
    #[cfg(test)]
    pub(crate) const fn for_test() -> Self {
        Self(())
    }
}

/// Waits until the policy holds, for a while.
///
/// # Errors
/// What was seen last, when that is over.
pub fn wait(proxy: SocketAddr) -> Result<Fenced, ConfinementFailed> {
    #[cfg(feature = "sabotage")]
    if crate::kernel::sabotage::is_without("fence") {
        return Ok(Fenced(()));
    }
    within(proxy, PATIENCE)
}

fn within(proxy: SocketAddr, patience: Duration) -> Result<Fenced, ConfinementFailed> {
    let until = Instant::now() + patience;
    loop {
        match look(proxy) {
            Ok(fenced) => return Ok(fenced),
            Err(why) if Instant::now() >= until => return Err(why),
            Err(_) => std::thread::sleep(AGAIN),
        }
    }
}

fn look(proxy: SocketAddr) -> Result<Fenced, ConfinementFailed> {
    let canary = ask(proxy)?;
    // Of the same pod: what is said of one of its ports must not be compared with another pod's.
    let open = SocketAddr::new(canary.ip(), proxy.port());
    let took = answers(open)?;
    silent(canary, SILENCE.max(took.saturating_mul(5)))?;
    // That was not because it was gone.
    answers(open)?;
    Ok(Fenced(()))
}

fn unanswered(what: String, found: &impl ToString) -> ConfinementFailed {
    ConfinementFailed::NoAnswer { field: NAMES, probe: what, found: found.to_string() }
}

/// Where the canary of a replica is.
fn ask(proxy: SocketAddr) -> Result<SocketAddr, ConfinementFailed> {
    let failed = |error: std::io::Error| unanswered(format!("ask {proxy}, which the network policy opens"), &error);
    let mut stream = TcpStream::connect_timeout(&proxy, ANSWER).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER)).map_err(failed)?;
    stream.write_all(format!("{CANARY}Host: proxy\r\n\r\n").as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(MOST_ANSWER_BYTES).read_to_end(&mut answer).map_err(failed)?;
    let named = named(&answer).filter(|canary| canary.port() != proxy.port());
    named.ok_or_else(|| unanswered(format!("ask {proxy} for its second port"), &"no answer of this release's proxy"))
}

fn named(answer: &[u8]) -> Option<SocketAddr> {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut response = Response::new(&mut headers);
    let complete = response.parse(answer).is_ok_and(|status| status.is_complete());
    let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(CANARY_HEADER))?;
    std::str::from_utf8(header.value).ok()?.parse().ok().filter(|_| complete && response.code == Some(200))
}

/// How long a connection takes.
fn answers(open: SocketAddr) -> Result<Duration, ConfinementFailed> {
    let started = Instant::now();
    let stream = TcpStream::connect_timeout(&open, ANSWER);
    stream.map_err(|error| unanswered(format!("connect to {open}, which the network policy opens"), &error))?;
    Ok(started.elapsed())
}

/// Nothing comes of any connection, or an engine says that it is not allowed.
fn silent(canary: SocketAddr, bound: Duration) -> Result<(), ConfinementFailed> {
    let probe = || format!("connect to {canary}, which the network policy closes");
    let unclear = |errno| ConfinementFailed::Unclear { field: NAMES, probe: probe(), errno };
    let until = Instant::now() + bound;
    let mut waiting = Vec::new();
    for _ in 0..AT_ONCE {
        match begin(canary) {
            Ok(socket) => waiting.push(socket),
            Err(errno) if is_no(errno) => {}
            Err(errno) => return Err(unclear(errno)),
        }
    }
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if waiting.is_empty() || left.is_zero() {
            return Ok(());
        }
        let mut ready: Vec<_> = waiting.iter().map(|socket| PollFd::new(socket, PollFlags::OUT)).collect();
        match poll(&mut ready, Timespec::try_from(left).ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(unclear(errno)),
        }
        let told: Vec<bool> = ready.iter().map(|socket| !socket.revents().is_empty()).collect();
        drop(ready);
        let mut still = Vec::new();
        for (socket, told) in waiting.into_iter().zip(told) {
            match told.then(|| sockopt::socket_error(&socket)) {
                None => still.push(socket),
                Some(Ok(Ok(()))) => return Err(ConfinementFailed::GotThrough { field: NAMES, probe: probe() }),
                Some(Ok(Err(errno))) if is_no(errno) => {}
                Some(Ok(Err(errno)) | Err(errno)) => return Err(unclear(errno)),
            }
        }
        waiting = still;
    }
}

/// What a firewall may say instead of nothing. Not `ECONNREFUSED`: a pod says so as well, where nobody listens.
fn is_no(errno: Errno) -> bool {
    [Errno::ACCESS, Errno::PERM, Errno::HOSTUNREACH, Errno::NETUNREACH, Errno::TIMEDOUT].contains(&errno)
}

fn begin(to: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    match connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    /// A proxy that names this canary.
    fn proxy(canary: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut asked = [0; 512];
                if stream.read(&mut asked).is_ok_and(|length| length > 0) {
                    let _ = write!(stream, "HTTP/1.1 200 OK\r\n{CANARY_HEADER}: {canary}\r\nContent-Length: 0\r\n\r\n");
                }
            }
        });
        own
    }

    /// A port at which connections are dropped as a policy drops them: nobody takes those that wait, and no more may wait.
    fn dropping() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let own = listener.local_addr().unwrap();
        let connected = std::iter::from_fn(|| TcpStream::connect_timeout(&own, Duration::from_millis(200)).ok());
        let connected = connected.take(16).collect();
        (listener, connected, own)
    }

    #[test]
    fn an_open_port_that_answers_beside_one_that_is_silent_is_a_fence() {
        let (_listener, _connected, canary) = dropping();
        let started = Instant::now();
        assert!(within(proxy(canary), SHORT).is_ok());
        assert!(started.elapsed() >= SILENCE);
    }

    #[test]
    fn a_port_that_answers_is_none_and_neither_is_one_that_says_nobody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let canary = listener.local_addr().unwrap();
        let error = within(proxy(canary), SHORT).unwrap_err();
        assert!(matches!(error, ConfinementFailed::GotThrough { .. }), "{error}");
        assert!(
            error.to_string().contains(&format!("connect to {canary}, which the network policy closes")),
            "{error}"
        );
        drop(listener);
        let error = within(proxy(canary), SHORT).unwrap_err();
        assert!(matches!(error, ConfinementFailed::Unclear { errno: Errno::CONNREFUSED, .. }), "{error}");
    }

    /// A network that is not there yet is silent, too.
    #[test]
    fn silence_without_an_answer_beside_it_is_no_fence() {
        let (_listener, _connected, silent) = dropping();
        let error = within(silent, SHORT).unwrap_err();
        assert!(matches!(error, ConfinementFailed::NoAnswer { .. }), "{error}");
    }

    #[test]
    fn only_a_whole_answer_that_says_yes_names_a_canary() {
        let good = "HTTP/1.1 200 OK\r\nccos-canary: 10.0.0.7:3130\r\n\r\n";
        assert_eq!(named(good.as_bytes()), Some(SocketAddr::from(([10, 0, 0, 7], 3130))));
        for bad in [
            "HTTP/1.1 405 Method Not Allowed\r\nccos-canary: 10.0.0.7:3130\r\n\r\n",
            "HTTP/1.1 200 OK\r\nccos-canary: 10.0.0.7:3130\r\n",
            "HTTP/1.1 200 OK\r\nccos-canary: proxy:3130\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "",
        ] {
            assert_eq!(named(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_fence_that_comes_late_is_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let canary = listener.local_addr().unwrap();
        let until = Instant::now() + Duration::from_millis(700);
        let open = listener.try_clone().unwrap();
        open.set_nonblocking(true).unwrap();
        let accepting = std::thread::spawn(move || {
            while Instant::now() < until {
                drop(open.accept());
            }
        });
        let started = Instant::now();
        assert!(within(proxy(canary), Duration::from_secs(20)).is_ok());
        assert!(started.elapsed() > Duration::from_millis(700), "{:?}", started.elapsed());
        accepting.join().unwrap();
    }
}
