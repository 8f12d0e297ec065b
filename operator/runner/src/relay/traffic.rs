//! What is counted: bytes, connections, and what was refused.

use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ccos_profile::egress::{Denial, MAX_DENIALS, MAX_TARGET, Refusal, Usage};

/// The counters of one attempt, shared between the relay and whoever reports.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Arc<Mutex<Usage>>);

impl Traffic {
    fn usage(&self) -> MutexGuard<'_, Usage> {
        // Whoever panicked with it was adding a number.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it is now.
    #[must_use]
    pub fn now(&self) -> Usage {
        self.usage().clone()
    }

    /// A connection that was established.
    pub fn connected(&self) {
        let mut usage = self.usage();
        usage.connections = usage.connections.saturating_add(1);
    }

    /// One that somebody else established to the workload.
    pub fn connected_in(&self) {
        let mut usage = self.usage();
        usage.connections_in = usage.connections_in.saturating_add(1);
    }

    /// Bytes out.
    pub fn sent(&self, bytes: u64) {
        let mut usage = self.usage();
        usage.bytes_sent = usage.bytes_sent.saturating_add(bytes);
    }

    /// Bytes in.
    pub fn received(&self, bytes: u64) {
        let mut usage = self.usage();
        usage.bytes_received = usage.bytes_received.saturating_add(bytes);
    }

    /// What the proxy cut, as it counted it.
    pub fn cut(&self, denial: &Denial) {
        let Denial { reason, target, count, first_seen } = denial;
        let target = shown(target);
        let mut usage = self.usage();
        if usage.add(*reason, &target, *first_seen) {
            if let Some(added) = usage.denials.last_mut() {
                added.count = *count;
            }
            drop(usage);
            say(&format!("{target}: cut: {}", reason.token()));
        }
    }

    /// Something that was refused. The first time it is said in the pod's log, too: there a person looks first.
    pub fn refused(&self, reason: Refusal, target: &str) {
        let target = shown(target);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if self.usage().add(reason, &target, now) {
            say(&format!("{target}: refused: {}", reason.token()));
        }
    }
}

/// Adds to a list of what was refused.
trait Add {
    /// Whether it is a new one.
    fn add(&mut self, reason: Refusal, target: &str, now: u64) -> bool;
}

impl Add for Usage {
    fn add(&mut self, reason: Refusal, target: &str, now: u64) -> bool {
        if let Some(known) = self.denials.iter_mut().find(|one| one.reason == reason && one.target == target) {
            known.count = known.count.saturating_add(1);
            return false;
        }
        if self.denials.len() >= MAX_DENIALS {
            self.denied_more = self.denied_more.saturating_add(1);
            return false;
        }
        self.denials.push(Denial { reason, target: target.to_owned(), count: 1, first_seen: now });
        true
    }
}

/// A target is the workload's own text: harmless for terminals, and short.
fn shown(target: &str) -> String {
    target.escape_default().take(MAX_TARGET).collect()
}

/// A line in the pod's log. Nobody reading it is no reason to stop.
pub fn say(text: &str) {
    writeln!(std::io::stderr(), "ccos: {text}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_refusal_is_counted_and_others_are_bounded() {
        let mut usage = Usage::default();
        assert!(usage.add(Refusal::NotGranted, "a:1", 5));
        assert!(!usage.add(Refusal::NotGranted, "a:1", 9));
        assert!(usage.add(Refusal::Blocked, "a:1", 9));
        assert_eq!(usage.denials.first().map(|one| (one.count, one.first_seen)), Some((2, 5)));
        for number in 0..100 {
            usage.add(Refusal::NotGranted, &format!("{number}"), 9);
        }
        assert_eq!((usage.denials.len(), usage.denied_more), (MAX_DENIALS, 70));
    }

    #[test]
    fn a_target_is_short_and_has_no_control_characters() {
        assert_eq!(shown("a\x1b[31m\n"), r"a\u{1b}[31m\n");
        assert_eq!(shown(&"x".repeat(5000)).len(), MAX_TARGET);
    }
}
