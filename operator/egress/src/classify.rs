//! What an address is, and whether an execution may be led there.
//!
//! A name is granted, but who owns the name chooses its addresses. So an address has to be public, unless the execution's
//! rules or the platform name it; and some are out of reach whatever names them, since from here they would be the proxy
//! itself, its node, or the cluster.

mod scope;

use std::net::{IpAddr, SocketAddr};

use ccos_policy::Cidr;
use ccos_profile::egress::Refusal;

use crate::decide::Grants;
pub use scope::{Scope, scope};

/// What the platform says of addresses: Helm values, and what the proxy knows of itself.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    /// The cluster's own: pods, services, nodes, and this proxy. Never reached, whatever grants them.
    pub cluster: Vec<Cidr>,
    /// Private ones to which granted names may lead.
    pub allowed: Vec<Cidr>,
    /// Whether `cluster` is all of the cluster. Without it, rules of an execution open no private address: it could be one of
    /// the cluster's.
    pub cluster_known: bool,
    /// Treats loopback as private, so that tests have a world without leaving the machine.
    #[cfg(feature = "sabotage")]
    pub loopback_opens: bool,
}

impl Ranges {
    /// The cluster's own blocks, if they are known, with addresses that are the cluster's in any case, and those that the platform
    /// allows.
    #[must_use]
    pub fn new(cluster: Vec<Cidr>, own: impl IntoIterator<Item = Cidr>, allowed: Vec<Cidr>) -> Self {
        let mut ranges = Self { cluster_known: !cluster.is_empty(), cluster, allowed, ..Self::default() };
        ranges.cluster.extend(own);
        ranges
    }
}

/// What an address is to an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressClass {
    /// Blocked by the execution's rules. First: it wins over all else.
    Blocked(Cidr),
    /// The cluster's own.
    Cluster,
    /// Of no one in particular: anybody's name may lead there.
    Public,
    /// Not public, but the platform or a rule names it.
    Granted,
    /// Not public, and nobody named it, or nobody can.
    Refused(Scope),
}

/// An address that may be dialled. Made by [`vet`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vetted(SocketAddr);

impl Vetted {
    /// The address.
    #[must_use]
    pub const fn address(self) -> SocketAddr {
        self.0
    }

    /// Any address, for tests that take the vetting out.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub const fn unvetted(address: SocketAddr) -> Self {
        Self(address)
    }
}

/// What the address is, at this port, to an execution with these grants.
#[must_use]
pub fn classify(address: SocketAddr, grants: &Grants, ranges: &Ranges) -> AddressClass {
    let ip = address.ip().to_canonical();
    let scope = scope(ip);
    #[cfg(feature = "sabotage")]
    let scope = if ranges.loopback_opens && scope == Scope::Loopback { Scope::Private } else { scope };
    // A translator or a tunnel leads to the address inside, so that one has to pass as well.
    let inside = if let Scope::Embedded(inner) = scope { Some(IpAddr::V4(inner)) } else { None };
    let both = || [Some(ip), inside].into_iter().flatten();
    if let Some(by) = both().find_map(|ip| grants.blocking(ip)) {
        return AddressClass::Blocked(*by);
    }
    if both().any(|ip| contains(&ranges.cluster, ip)) {
        return AddressClass::Cluster;
    }
    let allowed = contains(&ranges.allowed, ip);
    let granted = ranges.cluster_known && grants.has_address(ip, address.port());
    match scope {
        Scope::Public => AddressClass::Public,
        Scope::Private | Scope::Shared | Scope::UniqueLocal | Scope::Reserved if allowed || granted => {
            AddressClass::Granted
        }
        // Only the platform knows that there is such a translator.
        Scope::Embedded(inner) if allowed => {
            match classify(SocketAddr::new(IpAddr::V4(inner), address.port()), grants, ranges) {
                AddressClass::Public => AddressClass::Granted,
                other => other,
            }
        }
        Scope::Private
        | Scope::Shared
        | Scope::UniqueLocal
        | Scope::Reserved
        | Scope::Embedded(_)
        | Scope::Unspecified
        | Scope::Loopback
        | Scope::LinkLocal
        | Scope::Metadata
        | Scope::Multicast
        | Scope::Broadcast => AddressClass::Refused(scope),
    }
}

/// The address, if it may be dialled: as it was vetted, an IPv4-mapped one as the IPv4 address.
/// # Errors
/// Why not.
pub fn vet(address: SocketAddr, grants: &Grants, ranges: &Ranges) -> Result<Vetted, AddressClass> {
    match classify(address, grants, ranges) {
        AddressClass::Public | AddressClass::Granted => {
            Ok(Vetted(SocketAddr::new(address.ip().to_canonical(), address.port())))
        }
        refused @ (AddressClass::Blocked(_) | AddressClass::Cluster | AddressClass::Refused(_)) => Err(refused),
    }
}

impl AddressClass {
    /// How a refusal because of it is called.
    #[must_use]
    pub const fn refusal(&self) -> Refusal {
        match self {
            Self::Blocked(_) => Refusal::Blocked,
            Self::Cluster | Self::Refused(_) | Self::Public | Self::Granted => Refusal::AddressRefused,
        }
    }

    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Blocked(by) => format!("blocked by {by}"),
            Self::Cluster => "the cluster's own, which egress never reaches".to_owned(),
            Self::Public => "public".to_owned(),
            Self::Granted => "granted".to_owned(),
            Self::Refused(scope) => scope.words().to_owned(),
        }
    }
}

fn contains(blocks: &[Cidr], address: IpAddr) -> bool {
    blocks.iter().any(|block| block.contains(address))
}

#[cfg(test)]
mod tests;
