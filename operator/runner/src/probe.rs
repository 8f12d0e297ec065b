//! The runner as a probe of `ccos doctor --probe`: it says what the node gives a pod, and confines and runs nothing.
//!
//! An execution can't become one: what starts it is the digest of its profile, and no digest is one of these words.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use ccos_profile::probe::{Canary, LISTEN, LOOK, PORT, Seen};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::kernel::landlock_abi;

/// A policy that is enforced late has this long to be.
const ATTEMPTS: u32 = 4;
const ATTEMPT: Duration = Duration::from_secs(1);
const BETWEEN: Duration = Duration::from_millis(300);

/// SYSLOG_ACTION_READ_ALL of syslog(2).
const READ_ALL: libc::c_int = 3;
const LOG_BYTES: usize = 64 * 1024;

/// Does what the arguments ask for, and answers with a line for the termination message; nothing if they ask for no probe.
#[must_use]
pub fn asked(mut arguments: impl Iterator<Item = String>) -> Option<String> {
    match arguments.next()?.as_str() {
        LOOK => Some(serde_json::to_string(&look(arguments.next())).unwrap_or_default()),
        LISTEN => Some(listen()),
        _ => None,
    }
}

fn look(canary: Option<String>) -> Seen {
    let mut seen = Seen {
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        gvisor_log: kernel_log().contains("gVisor"),
        landlock_abi: landlock_abi().ok(),
        maps_users: maps_users(&fs::read_to_string("/proc/self/uid_map").unwrap_or_default()),
        filtered: fs::read_to_string("/proc/self/status")
            .is_ok_and(|status| status.lines().any(|line| line.starts_with("Seccomp:") && !line.ends_with('0'))),
        canary: canary.map(|target| connect(&target)),
        no_user_namespaces: None,
    };
    // Last: from here on this process is another.
    // SAFETY: no descriptor table is unshared, and there is one thread.
    seen.no_user_namespaces =
        unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) }.err().map(|errno| errno.to_string());
    seen
}

/// Where the first user is the first of the node, and all are there, nothing is mapped.
fn maps_users(map: &str) -> bool {
    let fields: Vec<&str> = map.split_whitespace().collect();
    !fields.is_empty() && fields != ["0", "0", "4294967295"]
}

fn kernel_log() -> String {
    let mut buffer = vec![0_u8; LOG_BYTES];
    let length = libc::c_int::try_from(buffer.len()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the kernel writes at most `length` bytes, and the buffer has as many.
    let read = unsafe { libc::klogctl(READ_ALL, buffer.as_mut_ptr().cast(), length) };
    buffer.truncate(usize::try_from(read).unwrap_or(0));
    String::from_utf8_lossy(&buffer).into_owned()
}

fn connect(target: &str) -> Canary {
    let mut refused = None;
    let Ok(address) = target.parse::<SocketAddr>() else {
        let refused = Some(format!("{target}: expected an address and a port"));
        return Canary { passed: None, attempts: 0, refused };
    };
    for attempt in 1..=ATTEMPTS {
        match TcpStream::connect_timeout(&address, ATTEMPT) {
            Ok(_) => return Canary { passed: Some(attempt), attempts: ATTEMPTS, refused },
            Err(error) => refused = Some(error.to_string()),
        }
        std::thread::sleep(BETWEEN);
    }
    Canary { passed: None, attempts: ATTEMPTS, refused }
}

/// Until the pod is deleted.
fn listen() -> String {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)).or_else(|_| TcpListener::bind(("0.0.0.0", PORT)));
    match listener {
        Err(error) => error.to_string(),
        Ok(listener) => {
            listener.incoming().for_each(drop);
            String::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_map_of_all_users_to_themselves_is_none() {
        assert!(!maps_users("         0          0 4294967295\n"));
        assert!(maps_users("         0  165535 65536\n"));
        assert!(!maps_users(""));
    }

    #[test]
    fn a_digest_asks_for_no_probe() {
        let digest = ccos_profile::digest(b"{}");
        assert_eq!(asked([digest].into_iter()), None);
        assert_eq!(asked(std::iter::empty()), None);
    }

    #[test]
    fn a_canary_says_whether_it_got_through() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap().to_string();
        assert_eq!(connect(&target), Canary { passed: Some(1), attempts: ATTEMPTS, refused: None });
        drop(listener);
        let refused = connect(&target);
        assert_eq!(refused.passed, None);
        assert!(refused.refused.unwrap().contains("refused"));
        assert_eq!(connect("world.test:1").attempts, 0);
    }
}
