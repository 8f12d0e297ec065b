//! What one execution did: connections at one time, bytes, and what was refused.

mod seats;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ccos_profile::egress::{Denial, MAX_DENIALS, MAX_TARGET, Refusal, Usage};

use crate::decide::Grants;
use crate::pace::Pace;
use crate::shown::escaped;
pub use seats::{NoSeat, Seats};

/// Connections at one time of an execution that has no bound of its own.
pub const MAX_CONNECTIONS: u32 = 256;

/// The account of one execution.
#[derive(Debug)]
pub struct Account {
    /// From the workload to the world.
    pub sending: Pace,
    /// From the world to the workload.
    pub receiving: Pace,
    /// Connections at one time.
    pub seats: Seats,
    connections: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    denials: Mutex<Denials>,
}

#[derive(Debug, Default)]
struct Denials {
    kept: Vec<Denial>,
    more: u64,
}

/// The place of one connection among those that the execution may have at one time; given back when it is dropped.
#[derive(Debug)]
pub struct Seat(Arc<Account>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.seats.back();
    }
}

impl Account {
    /// An account with the bounds of these grants.
    #[must_use]
    pub fn new(grants: &Grants) -> Self {
        Self {
            sending: Pace::new(grants.bytes_per_second),
            receiving: Pace::new(grants.bytes_per_second),
            seats: Seats::new(grants.max_connections.unwrap_or(MAX_CONNECTIONS)),
            connections: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            denials: Mutex::default(),
        }
    }

    /// A seat, if one is free, here and at the other replicas.
    /// # Errors
    /// Why there is none.
    pub fn seat(self: &Arc<Self>) -> Result<Seat, NoSeat> {
        self.seats.take().map(|()| Seat(Arc::clone(self)))
    }

    /// A seat whatever the others have.
    /// # Errors
    /// If there is none left here.
    #[cfg(feature = "sabotage")]
    pub fn forced_seat(self: &Arc<Self>) -> Result<Seat, NoSeat> {
        self.seats.force().map(|()| Seat(Arc::clone(self)))
    }

    /// A connection was established.
    pub fn connected(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// Bytes passed from the workload.
    pub fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }

    /// Bytes passed to the workload.
    pub fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    /// Notes a refusal, and says how often there was this one, or one that found no room.
    pub fn refused(&self, reason: Refusal, target: &str) -> u64 {
        let target = escaped(target, MAX_TARGET);
        let mut denials = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(denial) =
            denials.kept.iter_mut().find(|denial| (denial.reason, &denial.target) == (reason, &target))
        {
            denial.count += 1;
            return denial.count;
        }
        if denials.kept.len() < MAX_DENIALS {
            let first_seen = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            denials.kept.push(Denial { reason, target, count: 1, first_seen });
            return 1;
        }
        denials.more += 1;
        denials.more
    }

    /// All of it.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let denials = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
        Usage {
            bytes_sent: self.sent.load(Relaxed),
            bytes_received: self.received.load(Relaxed),
            connections: self.connections.load(Relaxed),
            // Those don't come this way.
            connections_in: 0,
            denials: denials.kept.clone(),
            denied_more: denials.more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_when_many_ask_at_once_and_seats_come_back() {
        let grants = Grants::parse(r#"{"outbound":[],"blocked":[],"maxConnections":5}"#).unwrap();
        let account = Arc::new(Account::new(&grants));
        assert!(account.seats.hold(account.seats.generation(), Vec::new()));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let account = Arc::clone(&account);
                std::thread::spawn(move || (0..50).filter_map(|_| account.seat().ok()).collect::<Vec<_>>())
            })
            .collect();
        let seats: Vec<Seat> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(seats.len(), 5);
        drop(seats);
        assert!(account.seat().is_ok());
    }

    #[test]
    fn denials_are_counted_escaped_and_bounded() {
        let account = Account::new(&Grants::default());
        assert_eq!(account.refused(Refusal::NotGranted, "a\u{1b}[2J:443"), 1);
        assert_eq!(account.refused(Refusal::NotGranted, "a\u{1b}[2J:443"), 2);
        for port in 0..100 {
            account.refused(Refusal::Blocked, &format!("{}:{port}", "x".repeat(250)));
        }
        let usage = account.usage();
        assert_eq!(usage.denials.len(), MAX_DENIALS);
        assert_eq!(usage.denied_more, 100 - (MAX_DENIALS as u64 - 1));
        assert_eq!(usage.denials[0].target, r"a\u{1b}[2J:443");
        assert_eq!(usage.denials[0].count, 2);
        assert!(usage.denials.iter().all(|denial| denial.target.chars().count() <= MAX_TARGET));
    }
}
