//! Patterns of paths, hosts, addresses, names and ports: a value that exists is valid, so nothing later has to ask what
//! an odd one means. A text that isn't understood is an error, never "matches nothing": in `blocked` that would fail open.

pub mod automaton;
pub mod budget;
pub mod cidr;
pub mod glob;
pub mod host;
pub mod inclusion;
pub mod list;
pub mod name;
pub mod path;
pub mod port;
mod prefixes;
pub mod selector;
mod trie;

use thiserror::Error;

pub use cidr::Cidr;
pub use host::HostPattern;
pub use list::List;
pub use name::NamePattern;
pub use path::{PathPattern, Reach};
pub use port::PortRange;
pub use selector::Selectors;

/// A pattern, and what may be in it, in characters: as long as the wire's schema allows.
pub const MAX_CHARS: usize = 1024;

/// Wildcards in one pattern. The determinised form of a pattern grows exponentially with them; four cover what people
/// write (`/data/*/out/**/*.csv`), and keep a pattern's validity independent of the patterns next to it.
pub const MAX_WILDCARDS: usize = 4;

/// Why a text is not a pattern. Positions count characters from 0.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// There is no text.
    #[error("expected {expected}, but found nothing")]
    Empty {
        /// What should have been there.
        expected: &'static str,
    },
    /// Longer than [`MAX_CHARS`].
    #[error("expected at most {MAX_CHARS} characters, but found {found}")]
    TooLong {
        /// How many there are.
        found: usize,
    },
    /// A path that does not begin at the root.
    #[error("expected a path that begins with '/', but found {found:?} at 0")]
    Relative {
        /// The first character.
        found: char,
    },
    /// Two slashes in a row.
    #[error("expected a name after '/', but found another '/' at {at}")]
    EmptySegment {
        /// Where the second slash is.
        at: usize,
    },
    /// A slash at the end of a path other than `/`.
    #[error("expected no slash at the end, but found '/' at {at}; without it, the path and all below it are meant")]
    TrailingSlash {
        /// Where it is.
        at: usize,
    },
    /// A segment `.` or `..`. Not resolved: what it leads to depends on symbolic links.
    #[error("expected a name, but found the segment {found:?} at {at}; write the path that it leads to")]
    DotSegment {
        /// Where the segment begins.
        at: usize,
        /// `.` or `..`.
        found: &'static str,
    },
    /// A character that means something in other glob languages, but not here.
    #[error("expected only the wildcards `*`, `?` and `**`, but found {found:?} at {at}")]
    Metacharacter {
        /// Where it is.
        at: usize,
        /// Which.
        found: char,
    },
    /// NUL, or another character that would garble a terminal.
    #[error("expected printable characters, but found {found:?} at {at}")]
    Control {
        /// Where it is.
        at: usize,
        /// Which.
        found: char,
    },
    /// `**` next to something else within a segment.
    #[error("expected `**` to be a whole segment, but found {found:?} at {at}")]
    PartialDoubleStar {
        /// Where the segment begins.
        at: usize,
        /// The segment.
        found: String,
    },
    /// More segments than [`path::MAX_SEGMENTS`].
    #[error("expected at most {} segments, but found {found}", path::MAX_SEGMENTS)]
    TooManySegments {
        /// How many there are.
        found: usize,
    },
    /// More wildcards than [`MAX_WILDCARDS`].
    #[error("expected at most {MAX_WILDCARDS} wildcards, but found {found}")]
    TooManyWildcards {
        /// How many there are.
        found: usize,
    },
    /// A bare `*` as a host.
    #[error("expected a host such as example.com or *.example.com, but found a bare `*`; name the domains")]
    BareStar,
    /// A `*` in a host that is not the whole first label.
    #[error("expected `*` only as the first label of a host (`*.example.com`), but found it at {at}")]
    StarInHost {
        /// Where it is.
        at: usize,
    },
    /// A scheme, a path or a user in a host.
    #[error("expected a host name only, but found {found:?} at {at}")]
    NotAHost {
        /// Where it is.
        at: usize,
        /// Which.
        found: char,
    },
    /// A port in a host.
    #[error("expected a host without a port, but found ':' at {at}; write the port in `ports`")]
    PortInHost {
        /// Where it is.
        at: usize,
    },
    /// An address as a host: hosts and addresses are separate languages.
    #[error("expected a host name, but found the address {found:?}; write a cidr")]
    AddressAsHost {
        /// The address.
        found: String,
    },
    /// A last label that resolvers take for a part of an address, such as `0x7f.1` or `017700000001`.
    #[error("expected a host name, but its last label {found:?} reads as part of an address; write a cidr")]
    NumericHost {
        /// The label.
        found: String,
    },
    /// Not a name by IDNA (UTS 46, non-transitional, STD 3), or a label or the whole is too long.
    #[error("expected a host name by IDNA with labels of 1 to 63 characters and 253 in all, but found {found:?}")]
    Idna {
        /// The host, without the wildcard.
        found: String,
    },
    /// A block of addresses without its length.
    #[error("expected address/length such as {single}, but found no length")]
    NoPrefix {
        /// The block of that one address.
        single: String,
    },
    /// Not a block of addresses.
    #[error("expected a block of addresses such as 203.0.113.0/24 or 2001:db8::/32, but found {found:?}")]
    NotACidr {
        /// The text.
        found: String,
    },
    /// Host bits are set: it is not clear whether the address or the block is meant.
    #[error("expected the first address of the block, {masked}, but found {found}")]
    HostBits {
        /// What was written.
        found: String,
        /// The block that it is in.
        masked: String,
    },
    /// Not a character of an environment variable's name.
    #[error(
        "expected letters, digits and `_`, not beginning with a digit, or the wildcards `*` and `?`, but found {found:?} at {at}"
    )]
    NotAName {
        /// Where it is.
        at: usize,
        /// Which.
        found: char,
    },
    /// Not a port.
    #[error("expected a port from 1 to 65535, but found {found:?}")]
    NotAPort {
        /// The text.
        found: String,
    },
    /// A range that ends before it begins.
    #[error("expected a last port of at least {first}, but found {last}")]
    ReversedPorts {
        /// The first port.
        first: u16,
        /// The last port.
        last: u16,
    },
}

/// Refuses what no pattern may be: nothing, too much, or garbling.
fn check_text(text: &str, expected: &'static str) -> Result<(), PatternError> {
    if text.is_empty() {
        return Err(PatternError::Empty { expected });
    }
    let found = text.chars().count();
    if found > MAX_CHARS {
        return Err(PatternError::TooLong { found });
    }
    match text.chars().enumerate().find(|(_, c)| c.is_control()) {
        Some((at, found)) => Err(PatternError::Control { at, found }),
        None => Ok(()),
    }
}

/// A text as a value: shown, compared, ordered and serialized as what [`std::str::FromStr`] accepts.
macro_rules! as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}
use as_text;
