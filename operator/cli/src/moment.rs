//! Times as people give them.

use jiff::Timestamp;

/// Reads one.
///
/// # Errors
/// If it is none: with what is expected.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("{text:?}: expected a time such as 2026-01-01T00:00:00Z"))
}
