//! Where rules of networks are, and an index of them by that: a required rule meets only those whose place has something
//! in common with its own.

use std::collections::{BTreeSet, HashMap};

use crate::pattern::host::HostName;
use crate::pattern::list::Indexed;
use crate::pattern::{Cidr, HostPattern, Selectors};
use crate::permissions::{Inbound, InboundPeer, Outbound, Peer};

/// Peers of either direction. None of a kind ever meets one of another.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    Host(&'a HostPattern),
    Cidr(&'a Cidr),
    Selectors(&'a Selectors),
}

/// What is at a place.
pub(crate) trait Placed {
    fn place(&self) -> Place<'_>;
}

impl Placed for Peer {
    fn place(&self) -> Place<'_> {
        match self {
            Self::Host(host) => Place::Host(host),
            Self::Cidr(cidr) => Place::Cidr(cidr),
        }
    }
}

impl Placed for Outbound {
    fn place(&self) -> Place<'_> {
        self.peer.place()
    }
}

impl Placed for Inbound {
    fn place(&self) -> Place<'_> {
        match &self.from {
            InboundPeer::Cidr(cidr) => Place::Cidr(cidr),
            InboundPeer::Selectors(selectors) => Place::Selectors(selectors),
        }
    }
}

/// What is in a list, by its place.
#[derive(Debug, Default)]
pub struct Places {
    names: HashMap<HostName, Vec<usize>>,
    domains: HashMap<HostName, Vec<usize>>,
    /// Names and domains by their labels from the last to the first: those below a domain are next to each other.
    labels: Vec<(String, usize)>,
    blocks: HashMap<Cidr, Vec<usize>>,
    /// Lengths that blocks have.
    lengths: BTreeSet<u8>,
    /// Blocks by kind and first address: those inside of a block are next to each other.
    starts: Vec<(bool, u128, usize)>,
    /// Any may have pods in common with any.
    selectors: Vec<usize>,
}

macro_rules! indexed_by_place {
    ($($what:ty),*) => {$(
        impl Indexed for $what {
            type Index = Places;

            fn index(items: &[Self]) -> Places {
                Places::of(items)
            }
        }
    )*};
}
indexed_by_place!(Peer, Outbound, Inbound);

impl Places {
    fn of<R: Placed>(items: &[R]) -> Self {
        let mut places = Self::default();
        for (index, item) in items.iter().enumerate() {
            match item.place() {
                Place::Host(host) => {
                    let by_name = match host {
                        HostPattern::Exact(_) => &mut places.names,
                        HostPattern::Domain(_) => &mut places.domains,
                    };
                    by_name.entry(host.name().clone()).or_default().push(index);
                    places.labels.push((labels(host.name()), index));
                }
                Place::Cidr(cidr) => {
                    places.blocks.entry(*cidr).or_default().push(index);
                    places.lengths.insert(cidr.net().prefix_len());
                    places.starts.push((cidr.is_ipv4(), cidr.bounds().0, index));
                }
                Place::Selectors(_) => places.selectors.push(index),
            }
        }
        places.labels.sort_unstable();
        places.starts.sort_unstable();
        places
    }

    /// All that have something in common with the place, in the order of the list.
    pub(crate) fn near(&self, place: Place<'_>) -> Vec<usize> {
        let mut near = Vec::new();
        match place {
            Place::Host(host) => {
                let name = host.name();
                near.extend(name.and_above().filter_map(|above| self.domains.get(above)).flatten());
                match host {
                    HostPattern::Exact(_) => near.extend(self.names.get(name).into_iter().flatten()),
                    HostPattern::Domain(_) => {
                        let domain = labels(name);
                        let from = self.labels.partition_point(|(labels, _)| *labels < domain);
                        let rest = self.labels.iter().skip(from);
                        let below = rest.take_while(|(labels, _)| labels.starts_with(&domain));
                        near.extend(below.map(|(_, index)| index));
                    }
                }
            }
            Place::Cidr(cidr) => {
                let around = self.lengths.range(..=cidr.net().prefix_len()).filter_map(|&length| cidr.around(length));
                near.extend(around.filter_map(|block| self.blocks.get(&block)).flatten());
                let (first, last) = cidr.bounds();
                let from = self.starts.partition_point(|&(v4, start, _)| (v4, start) < (cidr.is_ipv4(), first));
                let rest = self.starts.iter().skip(from);
                let inside = rest.take_while(|(v4, start, _)| (*v4, *start) <= (cidr.is_ipv4(), last));
                near.extend(inside.map(|(_, _, index)| index));
            }
            Place::Selectors(_) => near.extend(&self.selectors),
        }
        near.sort_unstable();
        near.dedup();
        near
    }
}

/// `com.example.` of `example.com`.
fn labels(name: &HostName) -> String {
    name.as_str().rsplit('.').flat_map(|label| [label, "."]).collect()
}
