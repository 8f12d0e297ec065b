//! How fast an execution's bytes go, one way: over all its connections together.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// What goes at once after a pause: long enough for timers, too short to matter.
const BURST: Duration = Duration::from_millis(100);

/// Bytes that are read at once at most.
const MAX_CHUNK: usize = 16 * 1024;

/// A bound on bytes for each second.
#[derive(Debug)]
pub struct Pace {
    /// `None`: unbounded.
    bound: Option<Bound>,
}

#[derive(Debug)]
struct Bound {
    /// Never 0.
    bytes_per_second: u64,
    /// Until when the line is taken by what was reserved.
    taken: Mutex<Option<Instant>>,
}

impl Pace {
    /// `None` is unbounded. `0` is not granted by anything, and goes at one byte for each second.
    #[must_use]
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        let bound =
            |bytes_per_second: u64| Bound { bytes_per_second: bytes_per_second.max(1), taken: Mutex::new(None) };
        Self { bound: bytes_per_second.map(bound) }
    }

    /// Bytes to read at once, so that none waits long for the others.
    #[must_use]
    pub fn chunk(&self) -> usize {
        let tenth = |bound: &Bound| usize::try_from(bound.bytes_per_second / 10).unwrap_or(MAX_CHUNK);
        self.bound.as_ref().map_or(MAX_CHUNK, |bound| tenth(bound).clamp(256, MAX_CHUNK))
    }

    /// Takes the line for so many bytes, and says when they may go.
    #[must_use]
    pub fn reserve(&self, bytes: usize, now: Instant) -> Instant {
        let Some(Bound { bytes_per_second, taken }) = &self.bound else { return now };
        let nanos = (bytes as u128 * 1_000_000_000).div_ceil(u128::from(*bytes_per_second));
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = now.checked_sub(BURST).unwrap_or(now);
        let from = taken.map_or(rested, |until| until.max(rested));
        let until = from.checked_add(cost).unwrap_or(from);
        *taken = Some(until);
        until.max(now)
    }

    /// Waits until so many bytes may go.
    pub async fn take(&self, bytes: usize) {
        if self.bound.is_some() {
            sleep_until(self.reserve(bytes, Instant::now())).await;
        }
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "small numbers")]
mod tests {
    use super::*;

    #[test]
    fn no_order_of_reservations_is_faster_than_the_bound() {
        let start = Instant::now();
        for (rate, sizes) in [(1_000_u64, vec![1, 999, 256, 4_096]), (1 << 20, vec![16_384; 200]), (1, vec![3, 3])] {
            let pace = Pace::new(Some(rate));
            let (mut sent, mut last) = (0_u64, start);
            for size in sizes {
                last = last.max(pace.reserve(size, start));
                sent += size as u64;
            }
            let (took, exact) = ((last - start + BURST).as_secs_f64(), sent as f64 / rate as f64);
            assert!((took - exact).abs() < 0.001, "{sent} bytes at {rate}/s took {took}s instead of {exact}s");
        }
    }

    #[test]
    fn a_pause_earns_no_more_than_the_burst() {
        let (start, pace) = (Instant::now(), Pace::new(Some(1_000)));
        let _ = pace.reserve(10, start);
        let later = start + Duration::from_hours(1);
        assert_eq!(pace.reserve(100, later), later);
        assert_eq!(pace.reserve(100, later), later + Duration::from_millis(100));
    }

    #[test]
    fn unbounded_never_waits() {
        let now = Instant::now();
        assert_eq!(Pace::new(None).reserve(usize::MAX, now), now);
    }
}
