//! Whether the pod's network policy holds, as seen from the pod.
//!
//! It denies both ways in one object, which an engine applies to a pod as one. So where it lets a pod reach what it grants
//! and nothing else, it also lets in what it grants and nothing else: the one can be tried from here, the other only from
//! where nobody is asked to stand.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// An engine that is late has this long.
const PATIENCE: Duration = Duration::from_secs(15);

/// Two packets: the second is sent after a second.
const ATTEMPT: Duration = Duration::from_millis(1200);

/// Between two looks.
const AGAIN: Duration = Duration::from_millis(200);

/// Waits until `forbidden`, which answers, can't be reached, while what is `granted` can: where neither can, there is no
/// network yet, and nothing is known of what will hold when there is.
///
/// # Errors
/// The engine is later than anyone waits for, or there is none.
pub fn hold(granted: Option<SocketAddr>, forbidden: SocketAddr) -> Result<(), String> {
    hold_within(PATIENCE, granted, forbidden)
}

fn hold_within(patience: Duration, granted: Option<SocketAddr>, forbidden: SocketAddr) -> Result<(), String> {
    let until = Instant::now() + patience;
    let reaches = |address: SocketAddr| TcpStream::connect_timeout(&address, ATTEMPT).is_ok();
    loop {
        let has_network = granted.is_none_or(reaches);
        let is_open = has_network && reaches(forbidden) && !is_overlooked();
        if has_network && !is_open {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(if has_network {
                format!(
                    "proof of permissions.network.inbound: connect {forbidden}: expected the pod's network policy to refuse \
                     it, but it got through for {} s: nothing holds network policies here, or nothing did yet",
                    patience.as_secs()
                )
            } else {
                "proof of permissions.network.inbound: expected to reach the operator, which the pod's network policy \
                 grants, but did not: nothing is known of what holds"
                    .to_owned()
            });
        }
        std::thread::sleep(AGAIN);
    }
}

#[cfg(feature = "sabotage")]
fn is_overlooked() -> bool {
    crate::kernel::sabotage::is_without("fence")
}

#[cfg(not(feature = "sabotage"))]
const fn is_overlooked() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn it_holds_where_only_what_is_granted_is_reached() {
        let listens = || TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = listens().local_addr().unwrap();
        let (one, two) = (listens(), listens());
        let (granted, open) = (one.local_addr().unwrap(), two.local_addr().unwrap());
        let hold = |granted, forbidden| hold_within(Duration::from_millis(300), granted, forbidden);
        assert_eq!(hold(Some(granted), closed), Ok(()));
        assert_eq!(hold(None, closed), Ok(()));
        let why = hold(Some(granted), open).unwrap_err();
        assert!(why.contains(&format!("connect {open}")) && why.contains("got through"), "{why}");
        let why = hold(Some(closed), closed).unwrap_err();
        assert!(why.contains("expected to reach the operator"), "{why}");
    }

    #[test]
    fn an_engine_that_is_late_is_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let closing = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            drop(listener);
        });
        assert_eq!(hold_within(Duration::from_secs(5), None, open), Ok(()));
        closing.join().unwrap();
    }
}
