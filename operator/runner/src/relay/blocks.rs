//! Blocks of addresses that a workload may connect to, and how its own loopback comes to have them.
//!
//! A loopback has all addresses of a block that it was given one of: so a connection to any of them is one to the relay, which
//! sees where it was meant to go. Measured in gVisor and Linux alike, but for the last address of a block: that is for broadcasts,
//! unless it was given first.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ccos_policy::{Cidr, PortRange};

/// A block, with the ports at which its addresses may be connected to.
#[derive(Clone, Debug)]
pub struct Block {
    /// Addresses of IPv4.
    pub cidr: Cidr,
    /// Their ports.
    pub ports: Vec<PortRange>,
}

/// An address of the loopback, and how many bits of it are the block's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// One of the block.
    pub address: Ipv4Addr,
    /// Up to 32.
    pub prefix: u8,
}

/// The loopback's own, which the relay has no need to be given.
const LOOPBACK: (u32, u8) = (0x7f00_0000, 8);

/// A block as a number and a length.
fn parts(cidr: &Cidr) -> Option<(u32, u8)> {
    match cidr.net().network() {
        IpAddr::V4(address) => Some((address.to_bits(), cidr.net().prefix_len())),
        IpAddr::V6(_) => None,
    }
}

const fn last((network, prefix): (u32, u8)) -> u32 {
    match u32::MAX.checked_shr(prefix as u32) {
        Some(hosts) => network | hosts,
        None => network,
    }
}

const fn contains(outer: (u32, u8), inner: (u32, u8)) -> bool {
    outer.1 <= inner.1 && outer.0 <= inner.0 && inner.0 <= last(outer)
}

/// Whether an address is in one of them, and not the loopback's own.
#[must_use]
pub fn holds(blocks: &[Block], address: IpAddr) -> bool {
    !address.is_loopback() && blocks.iter().any(|block| block.cidr.contains(address))
}

/// What the loopback is given, in this order, so that it has all addresses of the blocks. What is in another is left out; the
/// first eight bits of `0.0.0.0/0` too, which stand for no host.
#[must_use]
pub fn addresses(blocks: &[Block]) -> Vec<Address> {
    let given: Vec<(u32, u8)> = blocks.iter().filter_map(|block| parts(&block.cidr)).flat_map(apart).collect();
    let outermost: BTreeSet<(u32, u8)> = given
        .iter()
        .filter(|inner| !contains(LOOPBACK, **inner))
        .filter(|inner| !given.iter().any(|outer| outer != *inner && contains(*outer, **inner)))
        .copied()
        .collect();
    let address = |bits: u32, prefix: u8| Address { address: Ipv4Addr::from_bits(bits), prefix };
    let each = |block: (u32, u8)| {
        // First: a broadcast address that is there already stays a host's.
        let end = (block.1 < 31 && last(block) != u32::MAX).then(|| address(last(block), 32));
        end.into_iter().chain([address(block.0, block.1)])
    };
    outermost.into_iter().flat_map(each).collect()
}

/// A block that begins with `0.0.0.0/8`, without that: Linux gives a loopback no block that begins there.
fn apart(block: (u32, u8)) -> Vec<(u32, u8)> {
    match block {
        (0, 8..) => Vec::new(),
        // 1.0.0.0/8, 2.0.0.0/7, 4.0.0.0/6, and so on.
        (0, prefix) => (prefix..8).rev().map(|bits| (1 << (31 - u32::from(bits)), bits + 1)).collect(),
        other => vec![other],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(all: &[&str]) -> Vec<Block> {
        all.iter().map(|cidr| Block { cidr: cidr.parse().unwrap(), ports: Vec::new() }).collect()
    }

    fn given(all: &[&str]) -> String {
        let all: Vec<String> =
            addresses(&blocks(all)).iter().map(|one| format!("{}/{}", one.address, one.prefix)).collect();
        all.join(" ")
    }

    #[test]
    fn a_block_is_given_by_one_address_after_its_last() {
        assert_eq!(given(&["10.1.2.0/24"]), "10.1.2.255/32 10.1.2.0/24");
        assert_eq!(given(&["10.1.2.4/31"]), "10.1.2.4/31");
        assert_eq!(given(&["10.1.2.4/32"]), "10.1.2.4/32");
        assert_eq!(given(&["240.0.0.0/4"]), "240.0.0.0/4");
    }

    #[test]
    fn what_is_within_another_or_the_loopback_s_own_is_not_given_twice() {
        assert_eq!(given(&["10.1.0.0/16", "10.0.0.0/8", "10.0.0.0/8", "10.1.2.3/32"]), "10.255.255.255/32 10.0.0.0/8");
        assert_eq!(given(&["127.0.0.0/8", "127.0.0.1/32"]), "");
        assert_eq!(given(&["2001:db8::/32"]), "");
    }

    #[test]
    fn everything_is_given_in_parts_without_what_stands_for_no_host() {
        let expected = "1.255.255.255/32 1.0.0.0/8 3.255.255.255/32 2.0.0.0/7 7.255.255.255/32 4.0.0.0/6 \
                        15.255.255.255/32 8.0.0.0/5 31.255.255.255/32 16.0.0.0/4 63.255.255.255/32 32.0.0.0/3 \
                        127.255.255.255/32 64.0.0.0/2 128.0.0.0/1";
        assert_eq!(given(&["0.0.0.0/0"]), expected);
        assert_eq!(given(&["0.0.0.0/8"]), "");
    }

    #[test]
    fn an_address_of_the_loopback_is_in_no_block() {
        let all = blocks(&["0.0.0.0/0"]);
        assert!(holds(&all, "203.0.113.9".parse().unwrap()));
        assert!(!holds(&all, "127.192.0.1".parse().unwrap()));
        assert!(!holds(&blocks(&["10.1.2.0/24"]), "10.1.3.0".parse().unwrap()));
    }
}
