//! What may connect in, parsed.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ccos_policy::{Cidr, PatternError, PortRange};
use ccos_profile::MAX_PORTS;
use ccos_profile::egress::Ports;
use ccos_profile::inbound as wire;
use thiserror::Error;

/// Why it can't be held.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum OrderError {
    #[error("cidr {cidr:?}: {source}")]
    Cidr { cidr: String, source: PatternError },
    #[error("ports {port} to {end_port}: expected ports from 1 to 65535, the first not above the last")]
    Ports { port: u16, end_port: u16 },
    #[error("expected between 1 and {MAX_PORTS} different ports, but found another number")]
    Count,
}

/// Who may connect, and to which ports.
#[derive(Clone, Debug)]
pub struct Order {
    sources: Vec<Source>,
    blocked: Vec<Cidr>,
    ports: Vec<u16>,
}

#[derive(Clone, Debug)]
struct Source {
    /// `None`: pods, which the network policy knows by their labels.
    cidr: Option<Cidr>,
    ports: Vec<PortRange>,
}

impl Order {
    /// Parses it.
    ///
    /// # Errors
    /// [`OrderError`]: nothing may start.
    pub fn new(wire: &wire::Inbound) -> Result<Self, OrderError> {
        let cidr =
            |text: &String| text.parse::<Cidr>().map_err(|source| OrderError::Cidr { cidr: text.clone(), source });
        let range = |Ports { port, end_port }: &Ports| {
            let error = OrderError::Ports { port: *port, end_port: *end_port };
            PortRange::new(*port, *end_port).map_err(|_| error)
        };
        let source = |wire::Source { cidr: text, ports }: &wire::Source| {
            Ok::<_, OrderError>(Source {
                cidr: text.as_ref().map(cidr).transpose()?,
                ports: ports.iter().map(range).collect::<Result<_, _>>()?,
            })
        };
        let sources: Vec<Source> = wire.sources.iter().map(source).collect::<Result<_, _>>()?;
        let mut ports = BTreeSet::new();
        let each = sources.iter().flat_map(|source| &source.ports).flat_map(|range| range.first()..=range.last());
        for port in each {
            ports.insert(port);
            // At the first too many: a range may be all there are.
            if ports.len() > MAX_PORTS {
                return Err(OrderError::Count);
            }
        }
        if ports.is_empty() {
            return Err(OrderError::Count);
        }
        let blocked = wire.blocked.iter().map(cidr).collect::<Result<_, _>>()?;
        Ok(Self { sources, blocked, ports: ports.into_iter().collect() })
    }

    /// All of them.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Whether an address may connect to a port, as far as addresses tell.
    #[must_use]
    pub fn allows(&self, from: IpAddr, port: u16) -> bool {
        let has = |source: &&Source| source.ports.iter().any(|range| range.first() <= port && port <= range.last());
        let mut sources = self.sources.iter().filter(has);
        !self.blocked.iter().any(|block| block.contains(from))
            && sources.any(|source| source.cidr.is_none_or(|cidr| cidr.contains(from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(text: &str) -> Result<Order, OrderError> {
        Order::new(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn an_address_is_allowed_by_a_source_at_its_port_unless_it_is_blocked() {
        let order = order(
            r#"{"sources": [{"cidr": "10.0.0.0/8", "ports": [{"port": 80, "endPort": 81}]}, {"ports": [{"port": 90, "endPort": 90}]}],
                "blocked": ["10.9.0.0/16"]}"#,
        )
        .unwrap();
        assert_eq!(order.ports(), [80, 81, 90]);
        for (from, port, allowed) in [
            ("10.1.2.3", 80, true),
            ("10.1.2.3", 81, true),
            ("::ffff:10.1.2.3", 81, true),
            ("10.1.2.3", 82, false),
            ("11.1.2.3", 80, false),
            ("11.1.2.3", 90, true),
            ("10.9.1.1", 80, false),
            ("10.9.1.1", 90, false),
        ] {
            assert_eq!(order.allows(from.parse().unwrap(), port), allowed, "{from} {port}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, message) in [
            (r#"{"sources": [], "blocked": []}"#, "between 1 and 64"),
            (r#"{"sources": [{"ports": []}], "blocked": []}"#, "between 1 and 64"),
            (r#"{"sources": [{"ports": [{"port": 1, "endPort": 65}]}], "blocked": []}"#, "between 1 and 64"),
            (r#"{"sources": [{"ports": [{"port": 2, "endPort": 1}]}], "blocked": []}"#, "ports 2 to 1"),
            (r#"{"sources": [{"cidr": "10.0.0.1/8", "ports": []}], "blocked": []}"#, "10.0.0.1/8"),
            (r#"{"sources": [{"ports": [{"port": 1, "endPort": 1}]}], "blocked": ["x"]}"#, "cidr \"x\""),
        ] {
            let error = order(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
