//! Host patterns: which names may be connected to. Addresses are another language: see [`super::Cidr`].

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::{PatternError, as_text};

/// Characters of a whole host name: what DNS can carry (RFC 1035, section 3.1, without the root).
pub(crate) const MAX_HOST: usize = 253;

/// One host, or a domain with all below it. Kept as IDNA's ASCII, lower case, without a trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// This very name.
    Exact(HostName),
    /// `*.domain`: the apex too, and names at any depth below it.
    Domain(HostName),
}

/// A normalised host name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// The name, in IDNA's ASCII and lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `domain` or a name below it, by whole labels.
    #[must_use]
    pub fn is_at_or_below(&self, domain: &Self) -> bool {
        self.0.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// This name and each domain that it is below of.
    pub(crate) fn and_above(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |name| name.split_once('.').map(|(_, domain)| domain))
    }

    /// This name with one more label in front, if that is still a host name.
    pub(crate) fn child(&self, label: &str) -> Option<Self> {
        let child = format!("{label}.{}", self.0);
        (child.len() <= MAX_HOST).then_some(Self(child))
    }
}

impl std::borrow::Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        super::check_text(text, "a host such as example.com")?;
        if text.parse::<IpAddr>().is_ok() || text.starts_with('[') {
            return Err(PatternError::AddressAsHost { found: text.to_owned() });
        }
        for (at, found) in text.chars().enumerate() {
            match found {
                ':' if text.contains("://") => return Err(PatternError::NotAHost { at, found }),
                ':' => return Err(PatternError::PortInHost { at }),
                '*' => return Err(PatternError::StarInHost { at }),
                '/' | '@' | ' ' | '?' | '#' | '_' => return Err(PatternError::NotAHost { at, found }),
                _ => {}
            }
        }
        // Hyphens in the third and fourth place are fine: real hosts have them (r3---sn-x.googlevideo.com).
        let ascii = Uts46::new()
            .to_ascii(text.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::VerifyAllowRootDot)
            .map_err(|_| PatternError::Idna { found: text.to_owned() })?;
        let name = ascii.strip_suffix('.').unwrap_or(&ascii);
        if name.is_empty() {
            return Err(PatternError::Idna { found: text.to_owned() });
        }
        // Again, since IDNA maps full-width digits and dots to ASCII.
        if name.parse::<IpAddr>().is_ok() {
            return Err(PatternError::AddressAsHost { found: name.to_owned() });
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        if reads_as_number(last) {
            return Err(PatternError::NumericHost { found: last.to_owned() });
        }
        Ok(Self(name.to_owned()))
    }
}

/// Whether `inet_aton(3)`, and so most resolvers, would read the label as a number: decimal, octal or hexadecimal. Only
/// the last label matters: with a name there, the whole can't be an address.
fn reads_as_number(label: &str) -> bool {
    match label.strip_prefix("0x") {
        Some(hex) => hex.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text!(HostName);

impl HostPattern {
    /// Whether the pattern means this host.
    #[must_use]
    pub fn matches(&self, host: &HostName) -> bool {
        match self {
            Self::Exact(name) => host == name,
            Self::Domain(domain) => host.is_at_or_below(domain),
        }
    }

    /// The name that it is, or the domain that it spans.
    #[must_use]
    pub fn name(&self) -> &HostName {
        match self {
            Self::Exact(name) | Self::Domain(name) => name,
        }
    }
}

impl FromStr for HostPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if matches!(text, "*" | "*.") {
            return Err(PatternError::BareStar);
        }
        match text.strip_prefix("*.") {
            None => text.parse().map(Self::Exact),
            Some(domain) => domain.parse().map(Self::Domain).map_err(|error| match error {
                PatternError::StarInHost { at } => PatternError::StarInHost { at: at + 2 },
                PatternError::PortInHost { at } => PatternError::PortInHost { at: at + 2 },
                PatternError::NotAHost { at, found } => PatternError::NotAHost { at: at + 2, found },
                PatternError::Control { at, found } => PatternError::Control { at: at + 2, found },
                other => other,
            }),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Domain(domain) => write!(f, "*.{domain}"),
        }
    }
}

as_text!(HostPattern);
