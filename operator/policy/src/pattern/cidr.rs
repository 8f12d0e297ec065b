//! Blocks of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{PatternError, as_text, check_text};

/// A block of addresses without host bits. An IPv4-mapped IPv6 block is the IPv4 block: a socket can't tell them apart.
/// A shorter IPv6 block such as `::/0` does not contain IPv4, for the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(IpNet);

impl Cidr {
    /// All IPv4 addresses.
    pub const IPV4: Self = Self(IpNet::V4(Ipv4Net::new_assert(std::net::Ipv4Addr::UNSPECIFIED, 0)));
    /// All IPv6 addresses.
    pub const IPV6: Self = Self(IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)));

    /// The block.
    #[must_use]
    pub const fn net(&self) -> IpNet {
        self.0
    }

    /// Whether the address is in the block; an IPv4-mapped one is the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether it is a block of IPv4 addresses.
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }

    /// The block of this length that it is in.
    pub(crate) fn around(&self, length: u8) -> Option<Self> {
        IpNet::new(self.0.network(), length).ok().map(|net| Self(net.trunc()))
    }

    /// The first and the last address as numbers.
    pub(crate) fn bounds(&self) -> (u128, u128) {
        match self.0 {
            IpNet::V4(net) => (u128::from(net.network().to_bits()), u128::from(net.broadcast().to_bits())),
            IpNet::V6(net) => (net.network().to_bits(), net.broadcast().to_bits()),
        }
    }
}

impl FromStr for Cidr {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        check_text(text, "a block of addresses such as 203.0.113.0/24")?;
        let not = || PatternError::NotACidr { found: text.to_owned() };
        if let Ok(address) = text.parse::<IpAddr>() {
            let single = IpNet::from(address.to_canonical()).to_string();
            return Err(PatternError::NoPrefix { single });
        }
        // Not `IpNet::from_str`: it takes 010.0.0.0/8, which others read as octal.
        let (address, length) = text.split_once('/').ok_or_else(not)?;
        let address: IpAddr = address.parse().map_err(|_| not())?;
        let length = length.parse::<u8>().ok().filter(|parsed| parsed.to_string() == length).ok_or_else(not)?;
        let net = IpNet::new(address, length).map_err(|_| not())?;
        let masked = net.trunc();
        if masked != net {
            return Err(PatternError::HostBits { found: text.to_owned(), masked: masked.to_string() });
        }
        Ok(Self(canonical(net).ok_or_else(not)?))
    }
}

fn canonical(net: IpNet) -> Option<IpNet> {
    match net {
        IpNet::V4(_) => Some(net),
        IpNet::V6(v6) => match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
            (Some(address), Some(prefix)) => Ipv4Net::new(address, prefix).ok().map(IpNet::V4),
            (Some(_) | None, _) => Some(net),
        },
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

as_text!(Cidr);
