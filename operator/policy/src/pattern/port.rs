//! Ranges of TCP ports.

use std::fmt;
use std::str::FromStr;

use super::{PatternError, as_text};

/// Ports from `first` to `last`, both included; never 0, which means "any" to bind(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// All ports.
    pub const ALL: Self = Self { first: 1, last: u16::MAX };

    /// A range of ports.
    /// # Errors
    /// [`PatternError::NotAPort`] for 0, [`PatternError::ReversedPorts`] if `last` is before `first`.
    pub fn new(first: u16, last: u16) -> Result<Self, PatternError> {
        if first == 0 || last == 0 {
            return Err(PatternError::NotAPort { found: "0".to_owned() });
        }
        if last < first {
            return Err(PatternError::ReversedPorts { first, last });
        }
        Ok(Self { first, last })
    }

    /// The first port.
    #[must_use]
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The last port; the first one, if it is a single port.
    #[must_use]
    pub const fn last(self) -> u16 {
        self.last
    }

    /// Whether the port is in the range.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl FromStr for PortRange {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        // Not `u16::from_str`: it would take "+1" and "01", which Display could not undo.
        let port = |text: &str| match text.parse::<u16>() {
            Ok(port) if port.to_string() == text => Ok(port),
            Ok(_) | Err(_) => Err(PatternError::NotAPort { found: text.to_owned() }),
        };
        match text.split_once('-') {
            Some((first, last)) => Self::new(port(first)?, port(last)?),
            None => port(text).and_then(|port| Self::new(port, port)),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

as_text!(PortRange);
