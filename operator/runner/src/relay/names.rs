//! The names that a workload may connect to, and the addresses of its own loopback that stand for them.
//!
//! A name has an address only here: it is resolved by the proxy, which decides again. So nothing that a workload asks
//! leaves its pod, and what it connects to says by its address which name is meant.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ccos_policy::{Cidr, HostName, HostPattern, PatternError, PortRange};
use ccos_profile::MAX_PORTS;
use ccos_profile::egress::{CidrRule, HostRule, Outbound, Peer, Ports, Rules};
use thiserror::Error;

use super::blocks::{self, Block};

/// Names that are given addresses, for each attempt. A wildcard has more, but hardly any program.
pub const MOST_NAMES: usize = 4096;

/// The address of the first name; the others follow. Of `127.0.0.0/8`, which is the workload's own loopback, and far from
/// what programs listen on.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 192, 0, 1);

/// Rules that can't be relayed.
#[derive(Debug, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum NamesError {
    #[error("host {host:?}: {source}")]
    Host { host: String, source: PatternError },
    #[error("cidr {cidr:?}: {source}")]
    Cidr { cidr: String, source: PatternError },
    #[error("cidr {cidr:?}: expected a block of IPv4: the workload's loopback has no others")]
    Version6 { cidr: String },
    #[error("{peer:?}: expected ports, but found {found}")]
    Ports { peer: String, found: String },
    #[error("expected at most {MAX_PORTS} different ports, but found more")]
    TooManyPorts,
    #[error("expected hosts or blocks of addresses, but found none")]
    Nothing,
}

/// What a name is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It may be connected to, at this address.
    At(Ipv4Addr),
    /// Nobody required it, or it is blocked.
    NotRequired,
    /// It would be one too many.
    Full,
}

#[derive(Clone, Debug)]
struct Rule {
    host: HostPattern,
    ports: Vec<PortRange>,
}

/// Where a connection is meant to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a name, by the address that stands for it.
    Name(HostName),
    /// To an address, by itself.
    Address(Ipv4Addr),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Names and their addresses, and blocks of addresses that are meant themselves.
#[derive(Clone, Debug)]
pub struct Names {
    rules: Vec<Rule>,
    blocks: Vec<Block>,
    blocked: Vec<HostPattern>,
    numbers: HashMap<HostName, u16>,
    /// By number.
    assigned: Vec<HostName>,
}

impl Names {
    /// Those of the rules. Names that stand there have their addresses from the start, so that no wildcard can use them up.
    ///
    /// # Errors
    /// [`NamesError`]: a rule that was not understood must not be left out.
    pub fn new(rules: &Rules) -> Result<Self, NamesError> {
        let host = |host: &str| {
            host.parse::<HostPattern>().map_err(|source| NamesError::Host { host: host.to_owned(), source })
        };
        let (mut all, mut blocks) = (Vec::new(), Vec::new());
        for outbound in &rules.outbound {
            match outbound {
                Outbound::Host(HostRule { host: text, ports }) => {
                    all.push(Rule { host: host(text)?, ports: ranges(text, ports)? });
                }
                Outbound::Cidr(rule) => blocks.push(block(rule)?),
            }
        }
        let mut blocked = Vec::new();
        for peer in &rules.blocked {
            match peer {
                Peer::Host(text) => blocked.push(host(text)?),
                // The proxy's, which sees what names resolve to; and says so.
                Peer::Cidr(_) => {}
            }
        }
        let mut names = Self { rules: all, blocks, blocked, numbers: HashMap::new(), assigned: Vec::new() };
        let exact: Vec<HostName> = names.rules.iter().filter_map(|rule| exact(&rule.host)).cloned().collect();
        for name in &exact {
            let _ = names.look_up(name);
        }
        match names.ports() {
            None => Err(NamesError::TooManyPorts),
            Some(ports) if ports.is_empty() => Err(NamesError::Nothing),
            Some(_) => Ok(names),
        }
    }

    /// What a name is told; one that may be connected to and has no address is given one.
    pub fn look_up(&mut self, name: &HostName) -> Lookup {
        if let Some(number) = self.numbers.get(name) {
            return Lookup::At(address(*number));
        }
        let required = self.rules.iter().any(|rule| rule.host.matches(name));
        if !required || self.blocked.iter().any(|blocked| blocked.matches(name)) {
            return Lookup::NotRequired;
        }
        match u16::try_from(self.assigned.len()) {
            Ok(number) if self.assigned.len() < MOST_NAMES => {
                self.numbers.insert(name.clone(), number);
                self.assigned.push(name.clone());
                Lookup::At(address(number))
            }
            Ok(_) | Err(_) => Lookup::Full,
        }
    }

    /// The name that an address stands for.
    #[must_use]
    pub fn at(&self, address: Ipv4Addr) -> Option<&HostName> {
        let number = address.to_bits().checked_sub(FIRST.to_bits())?;
        self.assigned.get(usize::try_from(number).ok()?)
    }

    /// Whether the name may be connected to at this port.
    #[must_use]
    pub fn grants(&self, name: &HostName, port: u16) -> bool {
        let granted = |rule: &Rule| rule.host.matches(name) && rule.ports.iter().any(|range| range.contains(port));
        self.rules.iter().any(granted) && !self.blocked.iter().any(|blocked| blocked.matches(name))
    }

    /// Where a connection to this address of the workload's loopback is meant to go, or what it is called that may not be
    /// connected to at this port.
    ///
    /// # Errors
    /// The latter.
    pub fn target(&self, address: IpAddr, port: u16) -> Result<Target, String> {
        let IpAddr::V4(address) = address else { return Err(format!("[{address}]:{port}")) };
        if let Some(name) = self.at(address) {
            return if self.grants(name, port) {
                Ok(Target::Name(name.clone()))
            } else {
                Err(format!("{name}:{port}"))
            };
        }
        let granted = |block: &&Block| block.ports.iter().any(|range| range.contains(port));
        let at_port: Vec<Block> = self.blocks.iter().filter(granted).cloned().collect();
        if blocks::holds(&at_port, IpAddr::V4(address)) {
            Ok(Target::Address(address))
        } else {
            Err(format!("{address}:{port}"))
        }
    }

    /// The blocks of addresses, whatever their ports.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Each port at which something may be connected to; `None` if there are more than [`MAX_PORTS`].
    #[must_use]
    pub fn ports(&self) -> Option<BTreeSet<u16>> {
        let mut ports = BTreeSet::new();
        let of_blocks = self.blocks.iter().flat_map(|block| &block.ports);
        for range in self.rules.iter().flat_map(|rule| &rule.ports).chain(of_blocks) {
            for port in range.first()..=range.last() {
                ports.insert(port);
                if ports.len() > MAX_PORTS {
                    return None;
                }
            }
        }
        Some(ports)
    }

    /// A name that may be connected to, for the proof; `None` where all are blocked.
    #[must_use]
    pub fn sample(&mut self) -> Option<(HostName, Ipv4Addr)> {
        let candidates: Vec<HostName> = self.rules.iter().map(|rule| rule.host.name().clone()).collect();
        candidates.into_iter().find_map(|name| match self.look_up(&name) {
            Lookup::At(address) => Some((name, address)),
            Lookup::NotRequired | Lookup::Full => None,
        })
    }
}

const fn exact(host: &HostPattern) -> Option<&HostName> {
    match host {
        HostPattern::Exact(name) => Some(name),
        HostPattern::Domain(_) => None,
    }
}

fn block(CidrRule { cidr: text, ports }: &CidrRule) -> Result<Block, NamesError> {
    let cidr: Cidr = text.parse().map_err(|source| NamesError::Cidr { cidr: text.clone(), source })?;
    if cidr.is_ipv4() {
        Ok(Block { cidr, ports: ranges(text, ports)? })
    } else {
        Err(NamesError::Version6 { cidr: text.clone() })
    }
}

fn ranges(peer: &str, ports: &[Ports]) -> Result<Vec<PortRange>, NamesError> {
    let wrong = |found: String| NamesError::Ports { peer: peer.to_owned(), found };
    if ports.is_empty() {
        return Err(wrong("none".to_owned()));
    }
    let range =
        |Ports { port, end_port }: &Ports| PortRange::new(*port, *end_port).map_err(|error| wrong(error.to_string()));
    ports.iter().map(range).collect()
}

fn address(number: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST.to_bits().saturating_add(u32::from(number)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn rules(outbound: &[(&str, &[(u16, u16)])], blocked: &[&str]) -> Rules {
        let ports = |ports: &[(u16, u16)]| {
            ports.iter().map(|(port, end_port)| Ports { port: *port, end_port: *end_port }).collect()
        };
        let rule = |(host, given): &(&str, &[(u16, u16)])| {
            Outbound::Host(HostRule { host: (*host).to_owned(), ports: ports(given) })
        };
        Rules {
            outbound: outbound.iter().map(rule).collect(),
            blocked: blocked.iter().map(|host| Peer::Host((*host).to_owned())).collect(),
            max_connections: None,
            bytes_per_second: None,
            credentials: Vec::new(),
        }
    }

    fn name(text: &str) -> HostName {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_has_one_address_and_an_address_one_name() {
        let mut names = Names::new(&rules(&[("a.test", &[(443, 443)]), ("*.b.test", &[(80, 81)])], &[])).unwrap();
        let Lookup::At(a) = names.look_up(&name("a.test")) else { panic!() };
        let Lookup::At(b) = names.look_up(&name("x.b.test")) else { panic!() };
        assert_eq!((a, b), (Ipv4Addr::new(127, 192, 0, 1), Ipv4Addr::new(127, 192, 0, 2)));
        assert_eq!(names.look_up(&name("X.B.test.")), Lookup::At(b));
        assert_eq!((names.at(a), names.at(b)), (Some(&name("a.test")), Some(&name("x.b.test"))));
        for nobody in [[127, 192, 0, 0], [127, 192, 0, 3], [127, 0, 0, 1], [0, 0, 0, 0], [255, 255, 255, 255]] {
            assert_eq!(names.at(nobody.into()), None, "{nobody:?}");
        }
    }

    #[test]
    fn only_what_is_required_and_not_blocked_has_an_address() {
        let rules = rules(&[("a.test", &[(443, 443)]), ("*.b.test", &[(443, 443)])], &["*.private.b.test", "x.a.test"]);
        let mut names = Names::new(&rules).unwrap();
        for yes in ["a.test", "b.test", "x.b.test", "x.y.b.test"] {
            assert!(matches!(names.look_up(&name(yes)), Lookup::At(_)), "{yes}");
        }
        for no in ["x.a.test", "private.b.test", "x.private.b.test", "ab.test", "c.test", "a.test.c.test"] {
            assert_eq!(names.look_up(&name(no)), Lookup::NotRequired, "{no}");
            assert!(!names.grants(&name(no), 443), "{no}");
        }
    }

    #[test]
    fn a_port_is_granted_for_its_name_alone() {
        let names = Names::new(&rules(&[("a.test", &[(443, 443)]), ("b.test", &[(80, 82)])], &[])).unwrap();
        assert_eq!(names.ports(), Some(BTreeSet::from([80, 81, 82, 443])));
        for (host, port, expected) in
            [("a.test", 443, true), ("b.test", 81, true), ("a.test", 80, false), ("b.test", 443, false)]
        {
            assert_eq!(names.grants(&name(host), port), expected, "{host}:{port}");
        }
    }

    #[test]
    fn a_wildcard_takes_no_address_of_a_name_that_is_written_down() {
        let mut names = Names::new(&rules(&[("*.b.test", &[(443, 443)]), ("a.test", &[(443, 443)])], &[])).unwrap();
        for number in 1..MOST_NAMES {
            assert!(matches!(names.look_up(&name(&format!("n{number}.b.test"))), Lookup::At(_)), "{number}");
        }
        assert_eq!(names.look_up(&name("one-more.b.test")), Lookup::Full);
        assert_eq!(names.look_up(&name("a.test")), Lookup::At(FIRST));
        assert_eq!(names.look_up(&name("n4095.b.test")), Lookup::At(Ipv4Addr::new(127, 192, 16, 0)));
    }

    #[test]
    fn what_can_not_be_relayed_is_refused() {
        let error = |rules: Rules| Names::new(&rules).unwrap_err().to_string();
        assert_eq!(error(rules(&[], &[])), "expected hosts or blocks of addresses, but found none");
        assert_eq!(error(rules(&[("a.test", &[])], &[])), r#""a.test": expected ports, but found none"#);
        assert!(error(rules(&[("a.test", &[(0, 1)])], &[])).contains("expected ports"));
        assert!(error(rules(&[("a.test", &[(2, 1)])], &[])).contains("expected ports"));
        assert!(error(rules(&[("a/b", &[(1, 1)])], &[])).starts_with(r#"host "a/b": "#));
        assert!(error(rules(&[("a.test", &[(1, 1)])], &["*"])).starts_with(r#"host "*": "#));
        assert_eq!(
            error(rules(&[("a.test", &[(1, 65535)])], &[])),
            "expected at most 64 different ports, but found more"
        );
        assert!(Names::new(&rules(&[("a.test", &[(1, 60)]), ("b.test", &[(5, 64)])], &[])).is_ok());
        let cidr = |cidr: &str, ports| error(Rules { outbound: vec![block(cidr, ports)], ..Rules::default() });
        assert_eq!(cidr("10.0.0.0/8", &[]), r#""10.0.0.0/8": expected ports, but found none"#);
        assert!(cidr("10.0.0.1/8", &[(1, 1)]).starts_with(r#"cidr "10.0.0.1/8": "#));
        assert!(
            cidr("2001:db8::/32", &[(1, 1)])
                .ends_with("expected a block of IPv4: the workload's loopback has no others")
        );
        assert_eq!(cidr("10.0.0.0/8", &[(1, 65)]), "expected at most 64 different ports, but found more");
    }

    fn block(cidr: &str, ports: &[(u16, u16)]) -> Outbound {
        let ports = ports.iter().map(|(port, end_port)| Ports { port: *port, end_port: *end_port }).collect();
        Outbound::Cidr(CidrRule { cidr: cidr.to_owned(), ports })
    }

    #[test]
    fn an_address_of_a_block_is_meant_itself_at_its_ports_alone_and_never_for_a_name() {
        let mut rules = rules(&[("a.test", &[(443, 443)])], &[]);
        rules.outbound.extend([block("10.0.0.0/8", &[(5432, 5432)]), block("0.0.0.0/0", &[(80, 80)])]);
        let names = Names::new(&rules).unwrap();
        assert_eq!(names.ports(), Some(BTreeSet::from([80, 443, 5432])));
        let target =
            |address: &str, port| names.target(address.parse().unwrap(), port).map(|target| target.to_string());
        let ok = |text: &str| Ok(text.to_owned());
        let no = |text: &str| Err(text.to_owned());
        assert_eq!(target("10.1.2.3", 5432), ok("10.1.2.3"));
        assert_eq!(target("10.1.2.3", 80), ok("10.1.2.3"));
        assert_eq!(target("10.1.2.3", 443), no("10.1.2.3:443"));
        assert_eq!(target("11.1.2.3", 5432), no("11.1.2.3:5432"));
        assert_eq!(target("127.192.0.1", 443), ok("a.test"));
        // What stands for a name is that name, whatever block it is in.
        assert_eq!(target("127.192.0.1", 80), no("a.test:80"));
        assert_eq!(target("127.0.0.1", 80), no("127.0.0.1:80"));
        assert_eq!(target("::1", 80), no("[::1]:80"));
    }
}
