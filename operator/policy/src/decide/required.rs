//! What is required once inheritance is resolved, and who requires it.

use crate::decision::{Cause, FieldPath, Outside};
use crate::pattern::list::Indexed;
use crate::pattern::{List, NamePattern, PathPattern, Reach};
use crate::permissions::{
    Environment, Filesystem, Inbound, Ipc, Network, Outbound, Permissions, RequiredPermissions, System,
};
use crate::request::{Capability, Context};

/// The execution's lists, and where one is absent, the capability's.
pub(super) struct Required<'a> {
    /// The result, in which `max_connections` may still inherit from the context.
    pub(super) permissions: Permissions,
    /// What the execution itself says.
    pub(super) own: &'a RequiredPermissions,
    pub(super) capability: Option<&'a Capability>,
}

/// A permission that is a list: where it is, and what it means when it is outside of its bound.
pub(super) struct Kind<P: Indexed + 'static> {
    name: &'static str,
    /// Of its patterns, where they are paths.
    pub(super) reach: Reach,
    pub(super) of: fn(&Permissions) -> &List<P>,
    required: fn(&RequiredPermissions) -> Option<&List<P>>,
    pub(super) cause: fn(Outside<P>) -> Cause,
}

pub(super) const READ: Kind<PathPattern> = Kind {
    name: "filesystem.read",
    reach: Reach::Below,
    of: |p| &p.filesystem.read,
    required: |r| r.read.as_ref(),
    cause: Cause::FileRead,
};
pub(super) const WRITE: Kind<PathPattern> = Kind {
    name: "filesystem.write",
    reach: Reach::Below,
    of: |p| &p.filesystem.write,
    required: |r| r.write.as_ref(),
    cause: Cause::FileWrite,
};
pub(super) const EXECUTE: Kind<PathPattern> = Kind {
    name: "filesystem.execute",
    reach: Reach::Below,
    of: |p| &p.filesystem.execute,
    required: |r| r.execute.as_ref(),
    cause: Cause::FileExecute,
};
/// Not a permission: what it lists is taken away. Its cause is never used for a denial of its own.
pub(super) const BLOCKED: Kind<PathPattern> = Kind {
    name: "filesystem.blocked",
    reach: Reach::Below,
    of: |p| &p.filesystem.blocked,
    required: |r| r.blocked.as_ref(),
    cause: Cause::FileRead,
};
pub(super) const COMMANDS: Kind<PathPattern> = Kind {
    name: "system.commands",
    reach: Reach::Itself,
    of: |p| &p.system.commands,
    required: |r| r.commands.as_ref(),
    cause: Cause::Command,
};
pub(super) const IPC: Kind<PathPattern> = Kind {
    name: "ipc.connect",
    reach: Reach::Below,
    of: |p| &p.ipc.connect,
    required: |r| r.ipc_connect.as_ref(),
    cause: Cause::Ipc,
};
pub(super) const ENVIRONMENT_READ: Kind<NamePattern> = Kind {
    name: "environment.read",
    reach: Reach::Itself,
    of: |p| &p.environment.read,
    required: |r| r.environment_read.as_ref(),
    cause: Cause::EnvironmentRead,
};
pub(super) const ENVIRONMENT_WRITE: Kind<NamePattern> = Kind {
    name: "environment.write",
    reach: Reach::Itself,
    of: |p| &p.environment.write,
    required: |r| r.environment_write.as_ref(),
    cause: Cause::EnvironmentWrite,
};
pub(super) const OUTBOUND: Kind<Outbound> = Kind {
    name: "network.outbound",
    reach: Reach::Itself,
    of: |p| &p.network.outbound,
    required: |r| r.outbound.as_ref(),
    cause: Cause::Network,
};
pub(super) const INBOUND: Kind<Inbound> = Kind {
    name: "network.inbound",
    reach: Reach::Itself,
    of: |p| &p.network.inbound,
    required: |r| r.inbound.as_ref(),
    cause: Cause::Inbound,
};

impl<P: Indexed> Kind<P> {
    pub(super) fn field(&self) -> FieldPath {
        FieldPath::new(format!("requires.permissions.{}", self.name))
    }

    /// The list of this kind, where there is one.
    pub(super) fn listed<'a>(&self, permissions: &'a RequiredPermissions) -> Option<&'a List<P>> {
        (self.required)(permissions)
    }
}

impl<'a> Required<'a> {
    pub(super) fn resolve(own: &'a RequiredPermissions, capability: Option<&'a Capability>) -> Self {
        let none = RequiredPermissions::default();
        let base = capability.map_or(&none, |capability| &capability.requires.permissions);
        Self { permissions: resolve(own, base), own, capability }
    }

    /// Whether the execution itself has the list.
    pub(super) fn is_own<P: Indexed>(&self, kind: &Kind<P>) -> bool {
        (kind.required)(self.own).is_some()
    }

    /// The capability, for messages, if the list is its own: the reader has not written it.
    pub(super) fn required_by<P: Indexed>(&self, kind: &Kind<P>) -> Option<String> {
        if self.is_own(kind) { None } else { self.inherited_from() }
    }

    pub(super) fn inherited_from(&self) -> Option<String> {
        self.capability.map(|capability| capability.display.clone())
    }

    /// Whether all is known of the list: it can't be when the capability is missing that it would come from.
    pub(super) fn is_known<P: Indexed>(&self, kind: &Kind<P>) -> bool {
        self.is_own(kind) || self.capability.is_some()
    }

    pub(super) fn into_permissions(self, context: &Context) -> Permissions {
        let mut permissions = self.permissions;
        permissions.network.max_connections =
            permissions.network.max_connections.or(context.permissions.network.max_connections);
        permissions
    }
}

/// What a capability requires: its lists, none where it has none.
pub(super) fn of_capability(capability: &Capability) -> Permissions {
    resolve(&capability.requires.permissions, &RequiredPermissions::default())
}

fn resolve(own: &RequiredPermissions, base: &RequiredPermissions) -> Permissions {
    // Destructured: a permission that is added must not be forgotten here.
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
    } = own;
    Permissions {
        filesystem: Filesystem {
            read: list(read.as_ref(), base.read.as_ref()),
            write: list(write.as_ref(), base.write.as_ref()),
            execute: list(execute.as_ref(), base.execute.as_ref()),
            blocked: list(blocked.as_ref(), base.blocked.as_ref()),
        },
        network: Network {
            outbound: list(outbound.as_ref(), base.outbound.as_ref()),
            inbound: list(inbound.as_ref(), base.inbound.as_ref()),
            blocked: list(network_blocked.as_ref(), base.network_blocked.as_ref()),
            max_connections: max_connections.or(base.max_connections),
        },
        system: System {
            commands: list(commands.as_ref(), base.commands.as_ref()),
            process_creation: process_creation.or(base.process_creation).unwrap_or_default(),
        },
        environment: Environment {
            read: list(environment_read.as_ref(), base.environment_read.as_ref()),
            write: list(environment_write.as_ref(), base.environment_write.as_ref()),
        },
        ipc: Ipc { connect: list(ipc_connect.as_ref(), base.ipc_connect.as_ref()) },
    }
}

/// Absent in both is none: nothing is required that nobody wrote.
fn list<P: Indexed>(own: Option<&List<P>>, base: Option<&List<P>>) -> List<P> {
    own.or(base).cloned().unwrap_or_default()
}
