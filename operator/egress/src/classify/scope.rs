//! Addresses by the IANA registries of special-purpose addresses (IPv4 and IPv6), and by where clouds keep credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the registries say of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Globally reachable.
    Public,
    /// `0.0.0.0/8` (RFC 1122) and `::` (RFC 4291): to a socket, often the machine itself.
    Unspecified,
    /// RFC 1122, RFC 4291.
    Loopback,
    /// RFC 3927, RFC 4291; site-local ones too (RFC 3879).
    LinkLocal,
    /// Where clouds hand out the credentials of a node.
    Metadata,
    /// RFC 1918.
    Private,
    /// Carriers' own (RFC 6598); some clusters use them for pods.
    Shared,
    /// RFC 4193.
    UniqueLocal,
    /// RFC 5771, RFC 4291.
    Multicast,
    /// RFC 919.
    Broadcast,
    /// An IPv6 address that stands for an IPv4 one: NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380), compatible
    /// (RFC 4291), translated (RFC 7915), ISATAP (RFC 5214).
    Embedded(Ipv4Addr),
    /// Documentation, benchmarks, protocols, discard, and what nobody was given.
    Reserved,
}

impl Scope {
    /// For people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Unspecified => "the unspecified address",
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "an address of a cloud's metadata",
            Self::Private => "a private address (RFC 1918)",
            Self::Shared => "a carrier's shared address (RFC 6598)",
            Self::UniqueLocal => "a unique local address (RFC 4193)",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Embedded(_) => "an IPv6 address that stands for an IPv4 one",
            Self::Reserved => "a reserved address",
        }
    }
}

/// Blocks of IPv4, the first one that has the address counts.
const IPV4: &[(Ipv4Addr, u32, Scope)] = &[
    // EC2, GCP, Azure, OpenStack and others; tasks of ECS; pods of EKS.
    (Ipv4Addr::new(169, 254, 169, 254), 32, Scope::Metadata),
    (Ipv4Addr::new(169, 254, 170, 2), 32, Scope::Metadata),
    (Ipv4Addr::new(169, 254, 170, 23), 32, Scope::Metadata),
    // Azure's wire server, in a block that is public otherwise; Alibaba; Oracle.
    (Ipv4Addr::new(168, 63, 129, 16), 32, Scope::Metadata),
    (Ipv4Addr::new(100, 100, 100, 200), 32, Scope::Metadata),
    (Ipv4Addr::new(192, 0, 0, 192), 32, Scope::Metadata),
    (Ipv4Addr::UNSPECIFIED, 8, Scope::Unspecified),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Scope::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Scope::Shared),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Scope::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Scope::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Scope::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Scope::Reserved), // protocols, RFC 6890
    (Ipv4Addr::new(192, 0, 2, 0), 24, Scope::Reserved), // documentation, RFC 5737
    (Ipv4Addr::new(192, 88, 99, 0), 24, Scope::Reserved), // relays of 6to4, RFC 7526
    (Ipv4Addr::new(192, 168, 0, 0), 16, Scope::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Scope::Reserved), // benchmarks, RFC 2544
    (Ipv4Addr::new(198, 51, 100, 0), 24, Scope::Reserved),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Scope::Reserved),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Scope::Multicast),
    (Ipv4Addr::BROADCAST, 32, Scope::Broadcast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Scope::Reserved), // RFC 1112
];

const NOTHING: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// Blocks of IPv6, likewise. Where the IPv4 address is embedded, it is filled in later.
const IPV6: &[(Ipv6Addr, u32, Scope)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, Scope::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, Scope::Loopback),
    (Ipv6Addr::UNSPECIFIED, 96, Scope::Embedded(NOTHING)), // compatible
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, Scope::Embedded(NOTHING)), // translated
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, Scope::Embedded(NOTHING)), // NAT64
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, Scope::Embedded(NOTHING)), // NAT64, local
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, Scope::Embedded(NOTHING)), // Teredo
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, Scope::Embedded(NOTHING)), // 6to4
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Scope::Reserved), // protocols, RFC 2928
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Scope::Reserved), // documentation, RFC 3849
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Scope::Reserved), // documentation, RFC 9637
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32, Scope::Metadata), // EC2
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, Scope::Metadata), // GCP
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Scope::UniqueLocal),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Scope::LinkLocal),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Scope::LinkLocal),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Scope::Multicast),
];

/// All that is given out of IPv6 so far.
const UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What the address is. An IPv4-mapped one is the IPv4 address.
#[must_use]
pub fn scope(address: IpAddr) -> Scope {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let found = IPV4.iter().find(|(first, length, _)| same(first.to_bits(), address.to_bits(), 32 - length));
            found.map_or(Scope::Public, |(_, _, scope)| *scope)
        }
        IpAddr::V6(address) => v6(address),
    }
}

fn v6(address: Ipv6Addr) -> Scope {
    let bits = address.to_bits();
    let within = |first: &Ipv6Addr, length: u32| length == 0 || (first.to_bits() ^ bits) >> (128 - length) == 0;
    if let Some((_, _, scope)) = IPV6.iter().find(|(first, length, _)| within(first, *length)) {
        return match scope {
            Scope::Embedded(_) => Scope::Embedded(embedded(address)),
            other => *other,
        };
    }
    // An interface identifier of ISATAP, in whatever network.
    let identifier = u32::try_from((bits >> 32) & 0xffff_ffff).unwrap_or_default();
    if identifier & !0x0200_0000 == 0x5efe {
        return Scope::Embedded(low(bits));
    }
    if within(&UNICAST.0, UNICAST.1) { Scope::Public } else { Scope::Reserved }
}

/// The IPv4 address that an IPv6 one stands for.
fn embedded(address: Ipv6Addr) -> Ipv4Addr {
    let bits = address.to_bits();
    match address.segments() {
        [0x2002, ..] => low(bits >> 80),
        // Teredo keeps the client's address inverted.
        [0x2001, 0, ..] => Ipv4Addr::from_bits(!low(bits).to_bits()),
        // Where in 64:ff9b:1::/48 the address is, is the operator's choice; as a /96 it is at the end.
        _ => low(bits),
    }
}

fn low(bits: u128) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::try_from(bits & 0xffff_ffff).unwrap_or_default())
}

const fn same(a: u32, b: u32, host_bits: u32) -> bool {
    match (a ^ b).checked_shr(host_bits) {
        Some(difference) => difference == 0,
        None => true,
    }
}
