//! What [`decide`](crate::decide()) is asked, and all that it may look at.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::decision::FieldPath;
use crate::isolation::{Isolation, Isolations};
use crate::limits::Limits;
use crate::pattern::PathPattern;
use crate::permissions::{Permissions, RequiredPermissions};
use crate::policies::Policies;

/// One question: may this execution run now?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The only clock.
    pub now: Timestamp,
    /// The execution's own `requires`, which narrows the capability's.
    pub requires: Requires,
    /// Names of the environment variables that the execution sets (`spec.env[i].name`), in order.
    pub environment: Vec<String>,
    /// `spec.isolation`; `None`: the context's default.
    pub isolation: Option<Isolation>,
    /// Fields of the execution that this release does not hold yet.
    pub unheld: Vec<Unheld>,
}

/// What an execution or a capability requires. `None` in a list means "absent", which inherits; an empty list is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requires {
    /// Permissions.
    pub permissions: RequiredPermissions,
    /// Limits; absent ones are inherited.
    pub limits: Limits,
}

/// Everything besides the request that the decision may depend on.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The context that the execution names, or why there is none to use.
    pub context: Found<Context>,
    /// Whether the requester may `use` it, by RBAC.
    pub may_use: Use,
    /// The capability that the execution names.
    pub capability: Found<Capability>,
    /// What the cluster's isolations can do.
    pub isolations: Isolations,
    /// The cluster's policies, which have the last word.
    pub policies: Arc<dyn Policies>,
}

/// An object that a name led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// It is there and valid.
    Valid(T),
    /// It is not there. The text says what was looked for, and where, such as `SecurityContext "analysts" not found`.
    Missing(String),
    /// It is there, but can't be understood. The text says what and why.
    Invalid(String),
}

/// The answer to "may the requester `use` this context?".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// Yes.
    Allowed,
    /// No. The text names the requester, such as `user "eve"`.
    Forbidden(String),
    /// Not asked: offline, in `ccos check`, there is nobody to ask.
    NotAsked,
}

/// A context, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// For messages, such as `SecurityContext "analysts"`.
    pub display: String,
    /// Its level.
    pub level: Level,
    /// What it grants.
    pub permissions: Permissions,
    /// What it allows each attempt to use; absent ones are the level's.
    pub limits: Limits,
    /// Isolations that may be used; empty: all that the level allows.
    pub isolations_allowed: Vec<Isolation>,
    /// The isolation of an execution that names none; absent: `GVisor`.
    pub isolation_default: Option<Isolation>,
    /// Where its volumes are mounted, and whether they can be written.
    pub volumes: Vec<VolumeMount>,
    /// When it ends.
    pub expiry: Expiry,
    /// Fields of the context that this release does not hold yet.
    pub unheld: Vec<Unheld>,
}

/// A volume of the context as the decision sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeMount {
    /// A literal path.
    pub mount_path: PathPattern,
    /// Those of a `ConfigMap` or a `Secret` are not writable.
    pub writable: bool,
    /// An `emptyDir` of medium `Memory`.
    pub in_memory: bool,
}

/// How much trust the context's author puts into the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Level {
    /// Inputs in, output out: the baseline and nothing else.
    Pure,
    /// Exactly what is listed.
    Controlled,
    /// All that is not blocked.
    Full,
    /// Untrusted code: exactly what is listed, in `GVisor`, Kata or Wasm only, under strict default limits.
    Sandboxed,
}

/// When a context ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The moment at which it admits nothing any more; `None`: never.
    pub at: Option<Timestamp>,
    /// What happens to what still runs then.
    pub on_expiry: OnExpiry,
}

/// What happens to what still runs when its context expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum OnExpiry {
    /// It is stopped.
    Stop,
    /// It may finish.
    Drain,
}

/// A capability of a provider, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// For messages, such as `weather.fetch of CapabilityProvider "weather"`.
    pub display: String,
    /// What it requires.
    pub requires: Requires,
    /// Its program, which it may always execute: part of the baseline.
    pub command: PathPattern,
    /// Fields of the provider that this release does not hold yet.
    pub unheld: Vec<Unheld>,
}

/// A field that is valid, but that this release does not hold: refused as `Unenforceable`, never ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unheld {
    /// The field, as the user wrote it.
    pub field: FieldPath,
    /// What to do instead, such as `remove it: audit levels are not recorded yet`.
    pub advice: String,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pure => "Pure",
            Self::Controlled => "Controlled",
            Self::Full => "Full",
            Self::Sandboxed => "Sandboxed",
        })
    }
}
