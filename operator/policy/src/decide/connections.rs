//! Which connections can be held exactly: those out by name or by address, by the egress proxy.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::required::{OUTBOUND, Required};
use crate::decision::{Cause, Denial, FieldPath};
use crate::isolation::{Isolation, Isolations};
use crate::pattern::Cidr;
use crate::permissions::{Outbound, Peer};

/// Different ports of all destinations together: each is a socket that is held open beside the code.
pub const MOST_PORTS: usize = 64;

pub(super) const NO_PROXY: &str = "needs the egress proxy, which this cluster has not enabled for it (egress.enabled in the \
     chart's values; in Container isolations.Container.egress, too); or write [], which is held: no network at all";
pub(super) const IPV6: &str =
    "destinations by IPv6 address can't be held: what the code's network has is IPv4; write a host, or a block of IPv4";
pub(super) const NO_HOST: &str =
    "127.0.0.0/8 is the code's own loopback, and 0.0.0.0/8 no host: neither is reached by the network; remove it";
pub(super) const IN_THE_POD: &str = "the pod's loopback can't be given other addresses without a capability, which Container has none of; \
     write a host";
pub(super) const TOO_MANY_PORTS: &str = "at most 64 different ports can be held; name those that are used";

/// Denies what can't be held.
pub(super) fn check(required: &Required, isolation: Isolation, isolations: &Isolations, denials: &mut Vec<Denial>) {
    let outbound = (OUTBOUND.of)(&required.permissions);
    let able = |isolation: Isolation| isolations.0.get(&isolation).is_some_and(|profile| profile.egress);
    let mut deny = |field: FieldPath, value: Option<String>, advice: &str, instead| {
        let required_by = required.required_by(&OUTBOUND);
        denials
            .push(Denial::new(field, Cause::Unenforceable { value, advice: advice.to_owned(), instead, required_by }));
    };
    if !outbound.is_empty() && !able(isolation) {
        let instead = [Isolation::GVisor, Isolation::Kata].into_iter().find(|&other| other != isolation && able(other));
        deny(OUTBOUND.field(), None, &format!("{isolation} {NO_PROXY}"), instead);
    } else {
        for (index, rule) in outbound.iter().enumerate() {
            match rule.peer {
                Peer::Cidr(block) if !block.is_ipv4() => {
                    deny(OUTBOUND.field().index(index), Some(rule.to_string()), IPV6, None);
                }
                Peer::Cidr(block) if is_no_host(&block) => {
                    deny(OUTBOUND.field().index(index), Some(rule.to_string()), NO_HOST, None);
                }
                Peer::Cidr(_) if isolation == Isolation::Container => {
                    let instead = [Isolation::GVisor, Isolation::Kata].into_iter().find(|&other| able(other));
                    deny(OUTBOUND.field().index(index), Some(rule.to_string()), IN_THE_POD, instead);
                }
                Peer::Host(_) | Peer::Cidr(_) => {}
            }
        }
        if has_too_many_ports(outbound.iter()) {
            deny(OUTBOUND.field(), None, TOO_MANY_PORTS, None);
        }
    }
}

/// Whether all of a block is the loopback's, or stands for no host.
fn is_no_host(block: &Cidr) -> bool {
    let net = block.net();
    matches!(net.network(), IpAddr::V4(first) if matches!(first.octets(), [0 | 127, ..])) && net.prefix_len() >= 8
}

fn has_too_many_ports<'a>(rules: impl Iterator<Item = &'a Outbound>) -> bool {
    let mut ports = BTreeSet::new();
    // Stops at the first too many: a range may be all there are.
    rules.flat_map(|rule| &rule.ports).flat_map(|range| range.first()..=range.last()).any(|port| {
        ports.insert(port);
        ports.len() > MOST_PORTS
    })
}
