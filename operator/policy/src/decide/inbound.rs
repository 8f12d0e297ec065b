//! Which connections in can be held: whose source a NetworkPolicy and the runner know, at ports that nobody else needs.

use std::collections::BTreeSet;

use super::connections::MOST_PORTS;
use super::required::{INBOUND, OUTBOUND, Required};
use crate::decision::{Cause, Denial, FieldPath};
use crate::isolation::Isolation;
use crate::pattern::PortRange;
use crate::permissions::InboundPeer;

/// Text of all rules together, in bytes: the pod keeps it, so that its network policy can be told from a changed one.
const MOST_TEXT: usize = 16 * 1024;

/// Where the resolver of code that connects to something is.
const RESOLVER: u16 = 53;

const ISOLATIONS: &str = "connections in are held in GVisor and Kata alone; or write [], which is held: none";
const IPV6: &str = "sources by IPv6 address can't be held yet; write a block of IPv4";
const TOO_MANY_PORTS: &str = "at most 64 different ports can be held; name those that are used";
const SHARED: &str = "the port is one that the code connects to (or 53, its resolver's), which the runner holds for that; listen on another";
const TOO_LONG: &str = "the sources are more text (16 KiB) than a pod can keep; select them by fewer labels";
const BANDWIDTH: &str =
    "it is not held for connections in yet; require no inbound, or in a context that does not bound the bandwidth";

/// What is refused of it: a field and what to do.
pub(super) const UNENFORCED: [(&str, &str); 6] = [
    ("requires.permissions.network.inbound in Container and Wasm", ISOLATIONS),
    ("requires.permissions.network.inbound[].cidr of IPv6", IPV6),
    ("requires.permissions.network.inbound with many ports", TOO_MANY_PORTS),
    ("requires.permissions.network.inbound at a port that outbound has, too", SHARED),
    ("requires.permissions.network.inbound with much text", TOO_LONG),
    ("requires.permissions.network.inbound with limits.networkBytesPerSecond", BANDWIDTH),
];

/// Denies what can't be held.
pub(super) fn check(required: &Required, isolation: Isolation, is_paced: bool, denials: &mut Vec<Denial>) {
    let rules = (INBOUND.of)(&required.permissions);
    if rules.is_empty() {
        return;
    }
    let mut deny = |field: FieldPath, value: Option<String>, advice: &str, instead| {
        let required_by = required.required_by(&INBOUND);
        denials
            .push(Denial::new(field, Cause::Unenforceable { value, advice: advice.to_owned(), instead, required_by }));
    };
    match isolation {
        Isolation::GVisor | Isolation::Kata => {}
        Isolation::Container | Isolation::Wasm => {
            deny(INBOUND.field(), Some(isolation.to_string()), ISOLATIONS, Some(Isolation::GVisor));
        }
    }
    let outbound = (OUTBOUND.of)(&required.permissions);
    let resolver = PortRange::new(RESOLVER, RESOLVER).ok().filter(|_| !outbound.is_empty());
    let taken: Vec<PortRange> = outbound.iter().flat_map(|rule| rule.ports.iter().copied()).chain(resolver).collect();
    for (index, rule) in rules.iter().enumerate() {
        match &rule.from {
            InboundPeer::Cidr(block) if !block.is_ipv4() => {
                deny(INBOUND.field().index(index), Some(rule.to_string()), IPV6, None);
            }
            InboundPeer::Cidr(_) | InboundPeer::Selectors(_) => {}
        }
        let shared =
            rule.ports.iter().filter_map(|range| taken.iter().filter_map(|other| meet(*range, *other)).min()).min();
        if let Some(port) = shared {
            deny(INBOUND.field().index(index), Some(format!("port {port}")), SHARED, None);
        }
    }
    let mut ports = BTreeSet::new();
    // Stops at the first too many: a range may be all there are.
    let mut all = rules.iter().flat_map(|rule| &rule.ports).flat_map(|range| range.first()..=range.last());
    if all.any(|port| ports.insert(port) && ports.len() > MOST_PORTS) {
        deny(INBOUND.field(), None, TOO_MANY_PORTS, None);
    }
    if rules.iter().map(|rule| rule.to_string().len()).sum::<usize>() > MOST_TEXT {
        deny(INBOUND.field(), None, TOO_LONG, None);
    }
    if is_paced {
        deny(INBOUND.field(), Some("with limits.networkBytesPerSecond".to_owned()), BANDWIDTH, None);
    }
}

/// The first port of both.
fn meet(one: PortRange, two: PortRange) -> Option<u16> {
    let first = one.first().max(two.first());
    (first <= one.last().min(two.last())).then_some(first)
}
