//! Networks: whether each required peer may be reached at each required port.
//!
//! Exact, by a finite number of samples: all hosts between two names that patterns mention behave alike, and so do all
//! addresses between two bounds of blocks. Each sample's ports are then held against the union of its grants'. Selectors of
//! pods are held against those of all grants that have a port, for each port at which that changes.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::required::{INBOUND, Kind, OUTBOUND, Required, of_capability};
use crate::decision::{Bound, Cause, Denial, FieldPath, Outside, Why};
use crate::pattern::budget::{Budget, Exhausted};
use crate::pattern::host::HostName;
use crate::pattern::list::Indexed;
use crate::pattern::{HostPattern, List, PortRange, Selectors};
use crate::permissions::{Inbound, Outbound, Peer, RequiredPermissions};
use crate::places::{Place, Placed, Places};
use crate::request::{Capability, Context, Level};

/// An execution narrows what its capability requires, never widens it.
pub(super) fn narrows(required: &Required, capability: &Capability, budget: &mut Budget, denials: &mut Vec<Denial>) {
    let bound = of_capability(capability);
    let blocks = required.own.network_blocked.is_some();
    let blocked = &bound.network.blocked;
    if required.is_own(&OUTBOUND) || blocks {
        let own = Some(&bound.network.outbound);
        check(&OUTBOUND, required, Against { granted: own, blocked, by: Bound::Capability }, budget, denials);
    }
    if required.is_own(&INBOUND) || blocks {
        let own = Some(&bound.network.inbound);
        check(&INBOUND, required, Against { granted: own, blocked, by: Bound::Capability }, budget, denials);
    }
    connections(required.own.max_connections, bound.network.max_connections, Bound::Capability, None, denials);
}

/// What is required lies inside what the context grants.
pub(super) fn granted(required: &Required, context: &Context, budget: &mut Budget, denials: &mut Vec<Denial>) {
    let bound = Bound::Context(context.level);
    let network = &context.permissions.network;
    let none = (List::default(), List::default());
    let (outbound, inbound) = match context.level {
        Level::Pure => (Some(&none.0), Some(&none.1)),
        Level::Full => (None, None),
        Level::Controlled | Level::Sandboxed => (Some(&network.outbound), Some(&network.inbound)),
    };
    let blocked = &network.blocked;
    check(&OUTBOUND, required, Against { granted: outbound, blocked, by: bound.clone() }, budget, denials);
    check(&INBOUND, required, Against { granted: inbound, blocked, by: bound.clone() }, budget, denials);
    let required_by = if required.own.max_connections.is_some() { None } else { required.inherited_from() };
    let granted = context.permissions.network.max_connections;
    connections(required.permissions.network.max_connections, granted, bound, required_by, denials);
}

/// What a context grants lies inside the ceiling; an absent list of that one bounds nothing.
pub(super) fn below(granted: &Required, ceiling: &RequiredPermissions, budget: &mut Budget, denials: &mut Vec<Denial>) {
    let blocked = &ceiling.network_blocked.clone().unwrap_or_default();
    let (outbound, inbound) = (ceiling.outbound.as_ref(), ceiling.inbound.as_ref());
    check(&OUTBOUND, granted, Against { granted: outbound, blocked, by: Bound::Ceiling }, budget, denials);
    check(&INBOUND, granted, Against { granted: inbound, blocked, by: Bound::Ceiling }, budget, denials);
    let connections = granted.permissions.network.max_connections;
    self::connections(connections, ceiling.max_connections, Bound::Ceiling, None, denials);
}

fn connections(
    required: Option<u32>,
    granted: Option<u32>,
    bound: Bound,
    required_by: Option<String>,
    denials: &mut Vec<Denial>,
) {
    if let (Some(required), Some(granted)) = (required, granted)
        && required > granted
    {
        let cause = Cause::Connections { required, granted, bound, required_by };
        denials.push(Denial::new("requires.permissions.network.maxConnections", cause));
    }
}

/// A rule of either direction.
pub(super) trait Rule: Placed + Indexed<Index = Places> + Clone {
    fn ports(&self) -> &[PortRange];
}

impl Rule for Outbound {
    fn ports(&self) -> &[PortRange] {
        &self.ports
    }
}

impl Rule for Inbound {
    fn ports(&self) -> &[PortRange] {
        &self.ports
    }
}

/// One of the peers that behave alike.
#[derive(Clone, PartialEq, Eq)]
enum Sample {
    Host(HostName),
    Address(IpAddr),
}

impl Place<'_> {
    fn has(self, sample: &Sample) -> bool {
        match (self, sample) {
            (Self::Host(pattern), Sample::Host(host)) => pattern.matches(host),
            (Self::Cidr(cidr), Sample::Address(address)) => cidr.contains(*address),
            (Self::Host(_), Sample::Address(_)) | (Self::Cidr(_), Sample::Host(_)) | (Self::Selectors(_), _) => false,
        }
    }
}

impl Sample {
    fn at(&self, port: u16) -> String {
        match self {
            Self::Host(host) => format!("{host}:{port}"),
            Self::Address(address) => SocketAddr::new(*address, port).to_string(),
        }
    }
}

/// What rules are held against.
struct Against<'a, R: Indexed> {
    /// Absent: everything.
    granted: Option<&'a List<R>>,
    blocked: &'a List<Peer>,
    by: Bound,
}

/// Whether a rule lies inside some of the context's grants.
pub(super) fn is_inside<R: Rule>(
    rule: &R,
    granted: &List<R>,
    required: &Required,
    context: &Context,
    budget: &mut Budget,
) -> bool {
    let held = Held {
        granted,
        everything: context.level == Level::Full,
        blocked: &context.permissions.network.blocked,
        without: &required.permissions.network.blocked,
    };
    matches!(held.outside(rule, budget), Ok(None))
}

fn check<R: Rule>(
    kind: &Kind<R>,
    required: &Required,
    against: Against<'_, R>,
    budget: &mut Budget,
    denials: &mut Vec<Denial>,
) {
    let Against { granted, blocked, by } = against;
    let everything = granted.is_none();
    let granted = granted.cloned().unwrap_or_default();
    let held = Held { granted: &granted, everything, blocked, without: &required.permissions.network.blocked };
    // An own `blocked` replaces the capability's, and may so widen a list that is inherited.
    let widened_by_blocked = by == Bound::Capability && !required.is_own(kind);
    for (index, rule) in (kind.of)(&required.permissions).iter().enumerate() {
        let why = match held.outside(rule, budget) {
            Ok(None) => continue,
            Ok(Some(why)) => why,
            Err(Exhausted) => Why::TooComplex,
        };
        let outside = Outside {
            required: rule.clone(),
            why,
            granted: granted.clone(),
            bound: by.clone(),
            required_by: required.required_by(kind),
        };
        let field = if widened_by_blocked {
            FieldPath::new("requires.permissions.network.blocked")
        } else {
            kind.field().index(index)
        };
        denials.push(Denial::new(field, (kind.cause)(outside)));
    }
}

/// What required rules are held against.
struct Held<'a, R: Indexed> {
    granted: &'a List<R>,
    /// Whether all is granted, whatever `granted` says.
    everything: bool,
    blocked: &'a List<Peer>,
    /// The requirement's own `blocked`.
    without: &'a List<Peer>,
}

/// Of what rules are held against, all that has something in common with one of them.
struct Near<'a, R> {
    granted: Vec<&'a R>,
    blocked: Vec<&'a Peer>,
    without: Vec<&'a Peer>,
}

impl<R: Rule> Held<'_, R> {
    fn outside(&self, rule: &R, budget: &mut Budget) -> Result<Option<Why>, Exhausted> {
        let place = rule.place();
        let near = Near {
            granted: near(self.granted, place),
            blocked: near(self.blocked, place),
            without: near(self.without, place),
        };
        budget.pay(1 + near.len())?;
        if let Place::Selectors(selectors) = place {
            return if self.everything {
                Ok(None)
            } else {
                pods_outside(selectors, rule.ports(), &near.granted, budget)
            };
        }
        for sample in near.samples(place, budget)? {
            budget.pay(1 + near.len())?;
            if near.without.iter().any(|peer| peer.place().has(&sample)) {
                continue;
            }
            let first = rule.ports().iter().map(|range| range.first()).min().unwrap_or(1);
            if let Some(by) = near.blocked.iter().find(|peer| peer.place().has(&sample)) {
                return Ok(Some(Why::Blocked { counterexample: sample.at(first), by: by.to_string() }));
            }
            if self.everything {
                continue;
            }
            let granting = near.granted.iter().filter(|rule| rule.place().has(&sample));
            let mut granted: Vec<PortRange> = granting.flat_map(|rule| rule.ports().iter().copied()).collect();
            budget.pay(granted.len() * (1 + rule.ports().len()))?;
            granted.sort_unstable();
            if let Some(port) = rule.ports().iter().filter_map(|range| first_uncovered(*range, &granted)).min() {
                return Ok(Some(Why::NotGranted { counterexample: sample.at(port) }));
            }
        }
        Ok(None)
    }
}

/// Some pods at some port that are not granted. What is blocked are addresses, which the runner holds: a selector knows none.
fn pods_outside<R: Rule>(
    selectors: &Selectors,
    ports: &[PortRange],
    granted: &[&R],
    budget: &mut Budget,
) -> Result<Option<Why>, Exhausted> {
    let bounds = granted
        .iter()
        .flat_map(|rule| rule.ports())
        .flat_map(|range| [Some(range.first()), range.last().checked_add(1)]);
    let mut starts: BTreeSet<u16> =
        bounds.flatten().filter(|port| ports.iter().any(|range| has(*range, *port))).collect();
    starts.extend(ports.iter().map(|range| range.first()));
    for port in starts {
        budget.pay(1 + granted.iter().map(|rule| rule.ports().len()).sum::<usize>())?;
        let at_port = granted.iter().filter(|rule| rule.ports().iter().any(|range| has(*range, port)));
        let others: Vec<&Selectors> = at_port
            .filter_map(|rule| match rule.place() {
                Place::Selectors(selectors) => Some(selectors),
                Place::Host(_) | Place::Cidr(_) => None,
            })
            .collect();
        if let Some(outside) = selectors.outside(&others, budget)? {
            return Ok(Some(Why::NotGranted { counterexample: format!("{outside}, port {port}") }));
        }
    }
    Ok(None)
}

fn has(range: PortRange, port: u16) -> bool {
    (range.first()..=range.last()).contains(&port)
}

fn near<'a, T: Indexed<Index = Places>>(list: &'a List<T>, place: Place<'_>) -> Vec<&'a T> {
    let near = list.index().map(|places| places.near(place)).unwrap_or_default();
    near.into_iter().filter_map(|index| list.get(index)).collect()
}

impl<R: Rule> Near<'_, R> {
    fn len(&self) -> usize {
        self.granted.len() + self.blocked.len() + self.without.len()
    }

    /// One sample of each kind of peers that the place has, the most readable one first.
    fn samples(&self, place: Place<'_>, budget: &mut Budget) -> Result<Vec<Sample>, Exhausted> {
        let others = || {
            let blocked = self.blocked.iter().chain(&self.without).map(|peer| peer.place());
            self.granted.iter().map(|rule| rule.place()).chain(blocked)
        };
        Ok(match place {
            // Not by samples.
            Place::Selectors(_) => Vec::new(),
            Place::Host(HostPattern::Exact(name)) => vec![Sample::Host(name.clone())],
            Place::Host(HostPattern::Domain(domain)) => {
                let others = others().filter_map(|other| match other {
                    Place::Host(host) => Some(host.name()),
                    Place::Cidr(_) | Place::Selectors(_) => None,
                });
                let mentioned = others.filter(|name| name.is_at_or_below(domain)).chain([domain]);
                hosts(&mentioned.collect(), budget)?.into_iter().map(Sample::Host).collect()
            }
            Place::Cidr(cidr) => {
                let (first, last) = cidr.bounds();
                let mut starts = BTreeSet::from([first]);
                for other in others() {
                    if let Place::Cidr(other) = other {
                        let (other_first, other_last) = other.bounds();
                        starts.extend([Some(other_first), other_last.checked_add(1)].into_iter().flatten());
                    }
                }
                let starts = starts.range(first..=last);
                starts.filter_map(|&bits| address(bits, cidr.is_ipv4())).map(Sample::Address).collect()
            }
        })
    }
}

/// Each mentioned host, and below each one that is not mentioned: any other host behaves like that of its nearest
/// mentioned domain. Shortest first.
fn hosts(mentioned: &BTreeSet<&HostName>, budget: &mut Budget) -> Result<Vec<HostName>, Exhausted> {
    let mut hosts: Vec<HostName> = Vec::new();
    for &domain in mentioned {
        budget.pay(mentioned.len())?;
        let suffix = format!(".{domain}");
        let below = mentioned.iter().filter_map(|name| name.as_str().strip_suffix(&suffix));
        let taken: BTreeSet<&str> = below.filter_map(|labels| labels.rsplit('.').next()).collect();
        let fresh = labels().find(|label| !taken.contains(label.as_str()));
        hosts.extend(fresh.and_then(|label| domain.child(&label)));
        hosts.push(domain.clone());
    }
    hosts.sort_by(|a, b| (a.as_str().len(), a.as_str()).cmp(&(b.as_str().len(), b.as_str())));
    Ok(hosts)
}

/// Labels, the shortest first: more than patterns can mention.
fn labels() -> impl Iterator<Item = String> {
    let letters = || ('a'..='z').chain('0'..='9');
    let pairs = letters().flat_map(move |first| letters().map(move |second| format!("{first}{second}")));
    letters().map(String::from).chain(pairs)
}

fn address(bits: u128, is_ipv4: bool) -> Option<IpAddr> {
    if is_ipv4 {
        u32::try_from(bits).ok().map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)))
    } else {
        Some(IpAddr::V6(Ipv6Addr::from_bits(bits)))
    }
}

/// The first port of the range that none of the granted ones has. They are sorted by their first port.
fn first_uncovered(range: PortRange, granted: &[PortRange]) -> Option<u16> {
    let mut port = range.first();
    for grant in granted.iter().filter(|grant| range.first() <= grant.last()) {
        if grant.first() > port {
            break;
        }
        if grant.last() >= range.last() {
            return None;
        }
        port = port.max(grant.last() + 1);
    }
    Some(port)
}
