//! What one context grants beyond another: the proof of executions, with what the one grants in the place of what an
//! execution requires.

use super::required::Required;
use super::{enforce, grants, network};
use crate::decision::{Cause, Denial, FieldPath, Outside, Why};
use crate::isolation::Isolation;
use crate::limits::{Amount, LimitKind, Limits};
use crate::pattern::budget::Budget;
use crate::pattern::list::Indexed;
use crate::pattern::{Cidr, HostPattern, List, NamePattern, PathPattern, PortRange, Selectors};
use crate::permissions::{
    Environment, Filesystem, Inbound, InboundPeer, Ipc, Network, Outbound, Peer, Permissions, ProcessCreation,
    RequiredPermissions, System,
};
use crate::request::{Context, Level};

/// A grant that reaches beyond another context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beyond {
    /// The field, relative to the context's `spec`.
    pub field: FieldPath,
    /// What it grants.
    pub granted: String,
    /// How far it reaches.
    pub over: Over,
}

/// How far a grant reaches beyond another context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// The other does not grant this, a shortest one.
    Example(String),
    /// The other blocks this, a shortest one.
    Blocked {
        /// What is blocked.
        example: String,
        /// By which of its patterns.
        by: String,
    },
    /// The other allows no more than this.
    Most(String),
    /// The other does not allow it at all.
    NotAllowed,
    /// The patterns are too complex to tell.
    TooComplex,
}

/// All that a context grants: what it lets run that nothing let run before.
#[must_use]
pub fn all(context: &Context) -> Vec<Beyond> {
    let nothing = Context {
        display: String::new(),
        level: Level::Pure,
        permissions: Permissions::default(),
        limits: Limits::default(),
        isolations_allowed: Vec::new(),
        isolation_default: None,
        volumes: Vec::new(),
        expiry: context.expiry,
        unheld: Vec::new(),
    };
    let mut all = permissions(context, &nothing);
    // Its bounds are not held against those of level Pure: without a context there is nothing that they are above.
    all.extend(LimitKind::ALL.into_iter().filter_map(|kind| {
        let granted = most(context, kind)?.to_string();
        Some(Beyond { field: FieldPath::new("limits").child(kind.as_str()), granted, over: Over::NotAllowed })
    }));
    all.extend(isolations(context, &[]));
    all
}

/// All grants of a context that reach beyond the other.
#[must_use]
pub fn beyond(context: &Context, other: &Context) -> Vec<Beyond> {
    let mut all = permissions(context, other);
    all.extend(connections(context, other));
    all.extend(limits(context, other));
    all.extend(isolations(context, &enforce::allowed(other)));
    all
}

fn permissions(context: &Context, other: &Context) -> Vec<Beyond> {
    let own = RequiredPermissions::default();
    let required = Required { permissions: granted(context, other), own: &own, capability: None };
    let (mut budget, mut denials) = (Budget::default(), Vec::new());
    grants::granted(&required, other, &mut budget, &mut denials);
    network::granted(&required, other, &mut budget, &mut denials);
    denials.sort_by(|a, b| a.field.cmp(&b.field));
    let mut all: Vec<Beyond> = denials.into_iter().filter_map(|denial| of_denial(denial, context.level)).collect();
    // Where a level stands for all that there is, one example of a list is enough.
    all.dedup_by(|next, first| context.level == Level::Full && next.field == first.field);
    all
}

/// What a context grants, by its lists and its level.
fn granted(context: &Context, other: &Context) -> Permissions {
    match context.level {
        Level::Pure => Permissions::default(),
        Level::Controlled | Level::Sandboxed => context.permissions.clone(),
        Level::Full => {
            let everything: List<PathPattern> = vec![PathPattern::everything()].into();
            let Permissions { filesystem, network, system: _, environment: _, ipc: _ } = &context.permissions;
            let names: List<NamePattern> = vec![NamePattern::everything()].into();
            Permissions {
                filesystem: Filesystem {
                    read: everything.clone(),
                    write: everything.clone(),
                    execute: everything.clone(),
                    blocked: filesystem.blocked.clone(),
                },
                network: Network {
                    outbound: all_outbound(context, other),
                    inbound: all_inbound(),
                    blocked: network.blocked.clone(),
                    max_connections: network.max_connections,
                },
                system: System { commands: everything.clone(), process_creation: ProcessCreation::Allowed },
                environment: Environment { read: names.clone(), write: names },
                ipc: Ipc { connect: everything },
            }
        }
    }
}

/// No pattern is of all hosts: one under a domain that nobody mentions stands for those, and each that is mentioned for
/// itself and what is below it.
fn all_outbound(context: &Context, other: &Context) -> List<Outbound> {
    let networks = [&context.permissions.network, &other.permissions.network];
    let peers =
        networks.into_iter().flat_map(|network| network.outbound.iter().map(|rule| &rule.peer).chain(&network.blocked));
    let mentioned: Vec<&HostPattern> = peers
        .filter_map(|peer| match peer {
            Peer::Host(host) => Some(host),
            Peer::Cidr(_) => None,
        })
        .collect();
    let is_free = |domain: &str| {
        mentioned.iter().all(|host| host.name().as_str().rsplit('.').next() != domain.rsplit('.').next())
    };
    let fresh = std::iter::once("*.example".to_owned()).chain((0..=mentioned.len()).map(|n| format!("*.example{n}")));
    let fresh = fresh.into_iter().find(|domain| is_free(domain)).and_then(|domain| domain.parse().ok());
    let below = mentioned.iter().filter_map(|host| format!("*.{}", host.name()).parse().ok());
    let hosts = fresh.into_iter().chain(below).map(Peer::Host);
    let peers = hosts.chain([Peer::Cidr(Cidr::IPV4), Peer::Cidr(Cidr::IPV6)]);
    peers.map(|peer| Outbound { peer, ports: vec![PortRange::ALL] }).collect()
}

fn all_inbound() -> List<Inbound> {
    let pods = InboundPeer::Selectors(Selectors::all());
    let peers = [pods, InboundPeer::Cidr(Cidr::IPV4), InboundPeer::Cidr(Cidr::IPV6)];
    peers.into_iter().map(|from| Inbound { from, ports: vec![PortRange::ALL] }).collect()
}

fn of_denial(Denial { field, cause }: Denial, level: Level) -> Option<Beyond> {
    let (granted, over) = match cause {
        Cause::FileRead(o) | Cause::FileWrite(o) | Cause::FileExecute(o) | Cause::Command(o) | Cause::Ipc(o) => of(o),
        Cause::EnvironmentRead(o) | Cause::EnvironmentWrite(o) => of(o),
        Cause::Network(o) => of(o),
        Cause::Inbound(o) => of(o),
        Cause::ProcessCreation { .. } => ("Allowed".to_owned(), Over::NotAllowed),
        Cause::Connections { required, granted, .. } => (required.to_string(), Over::Most(granted.to_string())),
        // Not causes of the two that were asked.
        Cause::ContextNotFound(_)
        | Cause::ContextExpired { .. }
        | Cause::UseForbidden { .. }
        | Cause::ReferenceForbidden { .. }
        | Cause::CapabilityNotFound(_)
        | Cause::ProviderInvalid(_)
        | Cause::InvalidInputs(_)
        | Cause::EnvironmentNotRequired { .. }
        | Cause::Limit { .. }
        | Cause::LimitUnreasonable { .. }
        | Cause::IsolationNotAllowed { .. }
        | Cause::Unenforceable { .. }
        | Cause::PolicyDenied(_)
        | Cause::CeilingExceeded(_) => return None,
    };
    let field = field.as_str().strip_prefix("requires.").unwrap_or(field.as_str());
    Some(if level == Level::Full {
        // Nobody wrote the entry.
        let list = field.split('[').next().unwrap_or(field);
        Beyond { field: FieldPath::new(list), granted: "everything, at level Full".to_owned(), over }
    } else {
        Beyond { field: FieldPath::new(field), granted, over }
    })
}

fn of<P: ToString + Indexed>(outside: Outside<P>) -> (String, Over) {
    let over = match outside.why {
        Why::NotGranted { counterexample } => Over::Example(counterexample),
        Why::Blocked { counterexample, by } => Over::Blocked { example: counterexample, by },
        Why::TooComplex => Over::TooComplex,
    };
    (outside.required.to_string(), over)
}

/// A bound that is gone; one that is only higher is a denial.
fn connections(context: &Context, other: &Context) -> Option<Beyond> {
    let most = other.permissions.network.max_connections?;
    (context.level != Level::Pure && context.permissions.network.max_connections.is_none()).then(|| Beyond {
        field: FieldPath::new("permissions.network.maxConnections"),
        granted: "unbounded".to_owned(),
        over: Over::Most(most.to_string()),
    })
}

/// The most that a context allows of a limit; `None`: nothing bounds it.
fn most(context: &Context, kind: LimitKind) -> Option<Amount> {
    context.limits.get(kind).or_else(|| context.level.default_limits().get(kind))
}

fn limits(context: &Context, other: &Context) -> Vec<Beyond> {
    let compare = |kind: LimitKind| {
        let granted = match (most(context, kind), most(other, kind)) {
            (Some(own), Some(others)) if own > others => own.to_string(),
            (None, Some(_)) => "unbounded".to_owned(),
            (Some(_) | None, _) => return None,
        };
        let over = Over::Most(most(other, kind)?.to_string());
        Some(Beyond { field: FieldPath::new("limits").child(kind.as_str()), granted, over })
    };
    LimitKind::ALL.into_iter().filter_map(compare).collect()
}

fn isolations(context: &Context, others: &[Isolation]) -> Vec<Beyond> {
    let more = enforce::allowed(context).into_iter().filter(|isolation| !others.contains(isolation));
    more.map(|isolation| Beyond {
        field: FieldPath::new("isolation.allowed"),
        granted: isolation.to_string(),
        over: Over::NotAllowed,
    })
    .collect()
}
