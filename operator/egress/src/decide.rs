//! Whether rules grant a host at a port: the patterns are those of the decision itself, so that what admission granted is what
//! can be reached here.

use std::fmt;
use std::net::IpAddr;

use ccos_policy::pattern::PatternError;
use ccos_policy::{Cidr, HostName, HostPattern, Outbound, Peer, PortRange};
use ccos_profile::credential::{self as wire, PathPrefix};
use ccos_profile::egress::{self, Ports, Refusal, Rules};
use thiserror::Error;

use crate::inject::Credential;

/// The rules of one execution, parsed. An empty list grants nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    outbound: Vec<Outbound>,
    blocked: Vec<Peer>,
    /// Connections at one time; `None`: as many as anyone may have.
    pub max_connections: Option<u32>,
    /// Bytes for each second and each way; `None`: unbounded.
    pub bytes_per_second: Option<u64>,
    credentials: Vec<(HostName, Credential)>,
}

/// Rules that can't be read.
#[derive(Debug, Error)]
pub enum RulesError {
    /// Not the JSON of rules.
    #[error("the annotation {} is not the rules that this proxy knows", egress::ANNOTATION)]
    Form(#[source] serde_json::Error),
    /// A text in it is no pattern.
    #[error("{field} {text:?} is no pattern")]
    Pattern {
        /// Which list and entry.
        field: String,
        /// What it has.
        text: String,
        /// Why not.
        source: PatternError,
    },
    /// A credential that could not be injected.
    #[error("credentials[{at}] {text:?}: {why}")]
    Credential {
        /// Which.
        at: usize,
        /// What it has.
        text: String,
        /// What it should have.
        why: &'static str,
    },
}

impl Grants {
    /// The grants of an annotation.
    /// # Errors
    /// If anything in it isn't understood: half of the rules would not be the rules.
    pub fn parse(annotation: &str) -> Result<Self, RulesError> {
        let rules: Rules = serde_json::from_str(annotation).map_err(RulesError::Form)?;
        rules.try_into()
    }

    /// What is added to requests to this host.
    #[must_use]
    pub fn credentials(&self, host: &Host) -> Vec<&Credential> {
        let of = |name: &HostName| matches!(host, Host::Name(host) if host == name);
        self.credentials.iter().filter(|(name, _)| of(name)).map(|(_, credential)| credential).collect()
    }

    /// Whether a block of addresses grants this one at this port.
    pub(crate) fn has_address(&self, address: IpAddr, port: u16) -> bool {
        self.outbound.iter().any(|rule| {
            matches!(&rule.peer, Peer::Cidr(cidr) if cidr.contains(address))
                && rule.ports.iter().any(|range| range.contains(port))
        })
    }

    /// The block of addresses that blocks this one.
    pub(crate) fn blocking(&self, address: IpAddr) -> Option<&Cidr> {
        self.blocked.iter().find_map(|peer| match peer {
            Peer::Cidr(cidr) if cidr.contains(address) => Some(cidr),
            Peer::Cidr(_) | Peer::Host(_) => None,
        })
    }
}

impl TryFrom<Rules> for Grants {
    type Error = RulesError;

    fn try_from(rules: Rules) -> Result<Self, RulesError> {
        let Rules { outbound, blocked, max_connections, bytes_per_second, credentials } = rules;
        let outbound = outbound.into_iter().enumerate().map(|(index, rule)| {
            let field = format!("outbound[{index}]");
            let (peer, ports) = match rule {
                egress::Outbound::Host(rule) => (host(&field, rule.host)?, rule.ports),
                egress::Outbound::Cidr(rule) => (cidr(&field, rule.cidr)?, rule.ports),
            };
            let ports = ports.into_iter().map(|ports| range(&field, ports)).collect::<Result<_, _>>()?;
            Ok(Outbound { peer, ports })
        });
        let outbound = outbound.collect::<Result<_, _>>()?;
        let blocked = blocked.into_iter().enumerate().map(|(index, peer)| {
            let field = format!("blocked[{index}]");
            match peer {
                egress::Peer::Host(text) => host(&field, text),
                egress::Peer::Cidr(text) => cidr(&field, text),
            }
        });
        let credentials = credentials.into_iter().enumerate().map(|(at, one)| credential(at, one));
        Ok(Self {
            outbound,
            blocked: blocked.collect::<Result<_, _>>()?,
            max_connections,
            bytes_per_second,
            credentials: credentials.collect::<Result<_, _>>()?,
        })
    }
}

/// One that names a single host, and what can be injected.
fn credential(at: usize, one: wire::Credential) -> Result<(HostName, Credential), RulesError> {
    let wire::Credential { host, path_prefix, header, secret } = one;
    let wrong = |text: &str, why| RulesError::Credential { at, text: text.to_owned(), why };
    let name = match host.parse() {
        Ok(name) => name,
        Err(source) => {
            return Err(RulesError::Pattern { field: format!("credentials[{at}].host"), text: host, source });
        }
    };
    let header = wire::header(&header).map_err(|why| wrong(&header, why))?;
    let prefix = PathPrefix::parse(&path_prefix).map_err(|why| wrong(&path_prefix, why))?;
    Ok((name, Credential { header, prefix, secret }))
}

fn host(field: &str, text: String) -> Result<Peer, RulesError> {
    match text.parse::<HostPattern>() {
        Ok(pattern) => Ok(Peer::Host(pattern)),
        Err(source) => Err(RulesError::Pattern { field: format!("{field}.host"), text, source }),
    }
}

fn cidr(field: &str, text: String) -> Result<Peer, RulesError> {
    match text.parse::<Cidr>() {
        Ok(cidr) => Ok(Peer::Cidr(cidr)),
        Err(source) => Err(RulesError::Pattern { field: format!("{field}.cidr"), text, source }),
    }
}

fn range(field: &str, Ports { port, end_port }: Ports) -> Result<PortRange, RulesError> {
    PortRange::new(port, end_port).map_err(|source| RulesError::Pattern {
        field: format!("{field}.ports"),
        text: format!("{port}-{end_port}"),
        source,
    })
}

/// What a client asked to be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name.
    Name(HostName),
    /// An address; never an IPv4-mapped one.
    Address(IpAddr),
}

/// A host that is neither a name nor an address in its one form.
#[derive(Debug, Error)]
pub enum HostError {
    /// An address in another form than the usual one, such as `[::ffff:192.0.2.1]`: programs differ in what they read in it.
    #[error("write the address as {canonical}")]
    NotCanonical {
        /// The usual form.
        canonical: String,
    },
    /// Not a name; also every decimal, octal or hexadecimal form of an IPv4 address.
    #[error(transparent)]
    Name(#[from] PatternError),
}

impl Host {
    /// Reads the host of `host:port`, with the brackets of an IPv6 address.
    /// # Errors
    /// If it has no single meaning.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address = match bracketed {
            Some(inner) => inner.parse().ok().map(IpAddr::V6),
            None => text.parse().ok().map(IpAddr::V4),
        };
        let Some(address) = address else {
            return Ok(Self::Name(text.parse()?));
        };
        let host = Self::Address(address.to_canonical());
        let canonical = host.to_string();
        if canonical == text { Ok(host) } else { Err(HostError::NotCanonical { canonical }) }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// What the rules say of a host at a port, before anything is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Granted; of a name, the addresses are still to be vetted.
    Granted,
    /// Not.
    Denied {
        /// [`Refusal::NotGranted`] or [`Refusal::Blocked`].
        refusal: Refusal,
        /// For people.
        message: String,
    },
}

/// Whether the rules grant the host at the port. Blocked first; names by names, and addresses by blocks of addresses only.
pub fn decide(host: &Host, port: u16, grants: &Grants) -> Verdict {
    let has = |peer: &Peer| match (peer, host) {
        (Peer::Host(pattern), Host::Name(name)) => pattern.matches(name),
        (Peer::Cidr(cidr), Host::Address(address)) => cidr.contains(*address),
        (Peer::Host(_), Host::Address(_)) | (Peer::Cidr(_), Host::Name(_)) => false,
    };
    if let Some(by) = grants.blocked.iter().find(|peer| has(peer)) {
        let message = format!("{host} is blocked by {by}");
        return Verdict::Denied { refusal: Refusal::Blocked, message };
    }
    let mut at_other_ports = false;
    for rule in grants.outbound.iter().filter(|rule| has(&rule.peer)) {
        if rule.ports.iter().any(|range| range.contains(port)) {
            return Verdict::Granted;
        }
        at_other_ports = true;
    }
    let message = if at_other_ports {
        format!("{host} is granted, but not at port {port}: require it in permissions.network.outbound[].ports")
    } else {
        format!("{host} is not granted: require it in permissions.network.outbound")
    };
    Verdict::Denied { refusal: Refusal::NotGranted, message }
}

#[cfg(test)]
mod tests;
