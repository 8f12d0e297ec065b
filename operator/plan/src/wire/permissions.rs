//! Permissions and limits, as both sides write them.

use ccos_crds::permissions as wire;
use ccos_policy::permissions::InboundPeer;
use ccos_policy::{
    Bytes, Environment, Filesystem, Inbound, Ipc, Limits, Network, Outbound, Peer, Permissions, PortRange,
    ProcessCreation, RequiredPermissions, Requires, System,
};

use super::faults::{Faults, quoted};
use super::selectors;
use super::unheld::{Feature, Unhelds};

/// What an execution or a capability requires; absent is nothing to inherit from.
pub(super) fn requires(
    faults: &mut Faults,
    unheld: &mut Unhelds,
    path: &str,
    given: Option<&wire::Requires>,
) -> Requires {
    let Some(wire::Requires { permissions, limits: bounds }) = given else { return Requires::default() };
    let network = permissions.as_ref().and_then(|permissions| permissions.network.as_ref());
    if network.and_then(|network| network.credentials.as_ref()).is_some_and(|list| !list.is_empty()) {
        let field = format!("{path}.permissions.network.credentials");
        faults.add(field, "credentials are a SecurityContext's to give; remove them here");
    }
    Requires {
        permissions: permissions.as_ref().map_or_else(RequiredPermissions::default, |permissions| {
            required(faults, unheld, &format!("{path}.permissions"), permissions)
        }),
        limits: limits(faults, &format!("{path}.limits"), bounds.as_ref()),
    }
}

/// What a context grants: absent lists are empty.
pub(super) fn granted(
    faults: &mut Faults,
    unheld: &mut Unhelds,
    path: &str,
    given: Option<&wire::Permissions>,
) -> Permissions {
    let Some(given) = given else { return Permissions::default() };
    let network = given.network.as_ref();
    super::credentials::check(
        faults,
        path,
        network.and_then(|network| network.credentials.as_deref()).unwrap_or_default(),
    );
    let RequiredPermissions {
        read,
        write,
        execute,
        blocked,
        outbound,
        inbound,
        network_blocked,
        max_connections,
        commands,
        process_creation,
        environment_read,
        environment_write,
        ipc_connect,
    } = required(faults, unheld, path, given);
    Permissions {
        filesystem: Filesystem {
            read: read.unwrap_or_default(),
            write: write.unwrap_or_default(),
            execute: execute.unwrap_or_default(),
            blocked: blocked.unwrap_or_default(),
        },
        network: Network {
            outbound: outbound.unwrap_or_default(),
            inbound: inbound.unwrap_or_default(),
            blocked: network_blocked.unwrap_or_default(),
            max_connections,
        },
        system: System {
            commands: commands.unwrap_or_default(),
            process_creation: process_creation.unwrap_or_default(),
        },
        environment: Environment {
            read: environment_read.unwrap_or_default(),
            write: environment_write.unwrap_or_default(),
        },
        ipc: Ipc { connect: ipc_connect.unwrap_or_default() },
    }
}

/// Lists as somebody wrote them: an absent one stays absent.
pub(super) fn required(
    faults: &mut Faults,
    unheld: &mut Unhelds,
    path: &str,
    given: &wire::Permissions,
) -> RequiredPermissions {
    let wire::Permissions { filesystem, network, system, environment, ipc } = given;
    let mut result = RequiredPermissions::default();
    if let Some(wire::Filesystem { read, write, execute, blocked }) = filesystem {
        result.read = faults.list(&format!("{path}.filesystem.read"), read.as_deref());
        result.write = faults.list(&format!("{path}.filesystem.write"), write.as_deref());
        result.execute = faults.list(&format!("{path}.filesystem.execute"), execute.as_deref());
        result.blocked = faults.list(&format!("{path}.filesystem.blocked"), blocked.as_deref());
    }
    if let Some(wire::Network { outbound, inbound, blocked, max_connections, credentials: _ }) = network {
        result.outbound = outbound.as_ref().map(|items| {
            each(items, &format!("{path}.network.outbound"), |at, item| outbound_item(faults, unheld, at, item))
        });
        result.inbound = inbound.as_ref().map(|items| {
            each(items, &format!("{path}.network.inbound"), |at, item| inbound_item(faults, unheld, at, item))
        });
        result.network_blocked = blocked.as_ref().map(|items| {
            each(items, &format!("{path}.network.blocked"), |at, item| {
                peer(faults, at, item.host.as_deref(), item.cidr.as_deref())
            })
        });
        result.max_connections = max_connections
            .and_then(|count| natural(faults, &format!("{path}.network.maxConnections"), i64::from(count)))
            .and_then(|count| u32::try_from(count).ok());
    }
    if let Some(wire::System { commands, process_creation }) = system {
        result.commands = faults.list(&format!("{path}.system.commands"), commands.as_deref());
        result.process_creation = process_creation.map(|value| match value {
            wire::ProcessCreation::Allowed => ProcessCreation::Allowed,
            wire::ProcessCreation::Denied => ProcessCreation::Denied,
        });
    }
    if let Some(wire::Environment { read, write }) = environment {
        result.environment_read = faults.list(&format!("{path}.environment.read"), read.as_deref());
        result.environment_write = faults.list(&format!("{path}.environment.write"), write.as_deref());
    }
    if let Some(wire::Ipc { connect }) = ipc {
        result.ipc_connect = faults.list(&format!("{path}.ipc.connect"), connect.as_deref());
    }
    result
}

fn each<A, B, C: FromIterator<B>>(items: &[A], path: &str, mut read: impl FnMut(&str, &A) -> Option<B>) -> C {
    items.iter().enumerate().filter_map(|(at, item)| read(&format!("{path}[{at}]"), item)).collect()
}

fn outbound_item(faults: &mut Faults, unheld: &mut Unhelds, at: &str, item: &wire::Outbound) -> Option<Outbound> {
    let wire::Outbound { host, cidr, ports: given } = item;
    let peer = peer(faults, at, host.as_deref(), cidr.as_deref());
    let ports = ports(faults, unheld, at, given);
    Some(Outbound { peer: peer?, ports: ports? })
}

fn inbound_item(faults: &mut Faults, unheld: &mut Unhelds, at: &str, item: &wire::Inbound) -> Option<Inbound> {
    let wire::Inbound { cidr, namespace_selector, pod_selector, ports: given } = item;
    let from = match (cidr, namespace_selector, pod_selector) {
        (Some(cidr), None, None) => faults.parse(&format!("{at}.cidr"), cidr).map(InboundPeer::Cidr),
        (None, None, None) | (Some(_), _, _) => {
            faults.add(at, "give either cidr, or podSelector and namespaceSelector, not both and not neither");
            None
        }
        (None, namespaces, pods) => {
            let selectors = selectors::read(namespaces.as_ref(), pods.as_ref());
            selectors.map_err(|error| faults.add(at, error.to_string())).ok().map(InboundPeer::Selectors)
        }
    };
    let ports = ports(faults, unheld, at, given);
    Some(Inbound { from: from?, ports: ports? })
}

fn peer(faults: &mut Faults, at: &str, host: Option<&str>, cidr: Option<&str>) -> Option<Peer> {
    match (host, cidr) {
        (Some(host), None) => faults.parse(&format!("{at}.host"), host).map(Peer::Host),
        (None, Some(cidr)) => faults.parse(&format!("{at}.cidr"), cidr).map(Peer::Cidr),
        (None, None) | (Some(_), Some(_)) => {
            faults.add(at, "give exactly one of host and cidr");
            None
        }
    }
}

fn ports(faults: &mut Faults, unheld: &mut Unhelds, at: &str, given: &[wire::Port]) -> Option<Vec<PortRange>> {
    if given.is_empty() {
        faults.add(format!("{at}.ports"), "name at least one port: an empty list would be none, not all");
        return None;
    }
    let ranges: Vec<_> = each(given, &format!("{at}.ports"), |at, wire::Port { port, end_port, protocol }| {
        if *protocol == Some(wire::Protocol::Udp) {
            unheld.add(format!("{at}.protocol"), Feature::Udp);
        }
        let last = end_port.unwrap_or(*port);
        let range = u16::try_from(*port).ok().zip(u16::try_from(last).ok());
        let range = range.and_then(|(first, last)| PortRange::new(first, last).ok());
        if range.is_none() {
            faults.add(at, format!("{port} to {last}: expected ports from 1 to 65535, the first not above the last"));
        }
        range
    });
    (ranges.len() == given.len()).then_some(ranges)
}

fn natural(faults: &mut Faults, field: &str, value: i64) -> Option<u64> {
    match u64::try_from(value) {
        Ok(value) if value > 0 => Some(value),
        Ok(_) | Err(_) => {
            faults.add(field, format!("{value}: expected a number above 0; leave it out to inherit"));
            None
        }
    }
}

/// Limits as somebody wrote them.
pub(super) fn limits(faults: &mut Faults, path: &str, given: Option<&wire::Limits>) -> Limits {
    let Some(given) = given else { return Limits::default() };
    let wire::Limits { memory, cpu, cpu_time, wall_time, disk, file_descriptors, threads, network_bytes_per_second } =
        given;
    let mut bytes = |name: &str, value: &Option<ccos_crds::Quantity>| -> Option<Bytes> {
        value.as_ref().and_then(|text| faults.parse(&format!("{path}.{name}"), &text.0))
    };
    let (memory, disk) = (bytes("memory", memory), bytes("disk", disk));
    let network_bytes_per_second = bytes("networkBytesPerSecond", network_bytes_per_second);
    Limits {
        memory,
        cpu: cpu.as_ref().and_then(|text| faults.parse(&format!("{path}.cpu"), &text.0)),
        cpu_time: cpu_time.as_ref().and_then(|text| faults.parse(&format!("{path}.cpuTime"), &text.0)),
        wall_time: wall_time.as_ref().and_then(|text| faults.parse(&format!("{path}.wallTime"), &text.0)),
        disk,
        file_descriptors: file_descriptors.and_then(|count| natural(faults, &format!("{path}.fileDescriptors"), count)),
        threads: threads.and_then(|count| natural(faults, &format!("{path}.threads"), count)),
        network_bytes_per_second,
    }
}

/// A literal path: without wildcards.
pub(super) fn literal(faults: &mut Faults, field: &str, text: &str) -> Option<ccos_policy::PathPattern> {
    let pattern: ccos_policy::PathPattern = faults.parse(field, text)?;
    if pattern.literal() == Some(text) {
        return Some(pattern);
    }
    faults.add(field, format!("{}: expected an absolute path without wildcards", quoted(text)));
    None
}
