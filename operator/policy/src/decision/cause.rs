//! Why an execution is denied: typed, so that each cause has a reason and a message that says what to do.

use std::fmt;

use jiff::Timestamp;

use super::text::{escaped, listed, shown};
use crate::isolation::Isolation;
use crate::limits::{Amount, LimitKind};
use crate::pattern::list::Indexed;
use crate::pattern::{List, NamePattern, PathPattern};
use crate::permissions::{Inbound, Outbound};
use crate::policies::Objection;
use crate::reason::Reason;
use crate::request::Level;

/// Why an execution is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is no such context, or it can't be understood. The text says which, and why.
    ContextNotFound(String),
    /// The context has expired.
    ContextExpired {
        /// The context.
        context: String,
        /// When it did.
        at: Timestamp,
    },
    /// The requester may not use the context.
    UseForbidden {
        /// Who asked.
        requester: String,
        /// For which context.
        context: String,
    },
    /// The requester may not read an object that the execution names.
    ReferenceForbidden {
        /// Who asked.
        requester: String,
        /// For what, such as `Secret "db"`.
        object: String,
    },
    /// There is no such capability. The text says which.
    CapabilityNotFound(String),
    /// The provider can't be understood or trusted. The text says why.
    ProviderInvalid(String),
    /// The inputs don't fit, or can't be understood. The text says where and why.
    InvalidInputs(String),
    /// Reading files.
    FileRead(Outside<PathPattern>),
    /// Writing files.
    FileWrite(Outside<PathPattern>),
    /// Executing files.
    FileExecute(Outside<PathPattern>),
    /// Connecting out.
    Network(Outside<Outbound>),
    /// Connections in.
    Inbound(Outside<Inbound>),
    /// Executing programs.
    Command(Outside<PathPattern>),
    /// Creating processes.
    ProcessCreation {
        /// Whose bound it is.
        bound: Bound,
        /// The capability, if it is the one that requires it.
        required_by: Option<String>,
    },
    /// Being given variables.
    EnvironmentRead(Outside<NamePattern>),
    /// Having variables set.
    EnvironmentWrite(Outside<NamePattern>),
    /// The execution sets a variable that it does not require.
    EnvironmentNotRequired {
        /// The variable.
        name: String,
        /// What is required.
        required: Vec<NamePattern>,
    },
    /// Connecting to sockets.
    Ipc(Outside<PathPattern>),
    /// A limit is above a bound.
    Limit {
        /// Which.
        limit: LimitKind,
        /// What is required.
        required: Amount,
        /// What is granted.
        granted: Amount,
        /// By whom.
        bound: LimitBound,
        /// The capability, if it is the one that requires it.
        required_by: Option<String>,
    },
    /// More concurrent connections than a bound.
    Connections {
        /// What is required.
        required: u32,
        /// What is granted.
        granted: u32,
        /// Whose bound it is.
        bound: Bound,
        /// The capability, if it is the one that requires it.
        required_by: Option<String>,
    },
    /// A limit is above what is reasonable, and the context names none.
    LimitUnreasonable {
        /// Which.
        limit: LimitKind,
        /// What is required.
        required: Amount,
        /// The most that needs no context that says so.
        reasonable: Amount,
        /// The capability, if it is the one that requires it.
        required_by: Option<String>,
    },
    /// The context does not allow the isolation.
    IsolationNotAllowed {
        /// Which.
        isolation: Isolation,
        /// Those that it allows.
        allowed: Vec<Isolation>,
        /// The level, if it is the one that does not allow it.
        level: Option<Level>,
        /// Whether nobody named it: neither the execution nor the context has one.
        by_default: bool,
    },
    /// The isolation, or this release, can't hold a restriction exactly.
    Unenforceable {
        /// The value that can't be held; absent: the whole field.
        value: Option<String>,
        /// Why, and what to do instead.
        advice: String,
        /// The isolation that could.
        instead: Option<Isolation>,
        /// The capability, if it is the one that requires it.
        required_by: Option<String>,
    },
    /// An `ExecutionPolicy` forbids it.
    PolicyDenied(Objection),
    /// A context grants more than the cluster's ceiling.
    CeilingExceeded(Excess),
}

/// What a context grants beyond the cluster's ceiling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excess {
    /// A level.
    Level {
        /// Which.
        level: Level,
        /// Those that the ceiling allows.
        allowed: Vec<Level>,
    },
    /// An isolation.
    Isolation {
        /// Which.
        isolation: Isolation,
        /// Those that the ceiling allows.
        allowed: Vec<Isolation>,
        /// Whether the context lists none, and so allows all of its level.
        implied: bool,
    },
    /// More than a bound of the ceiling, for which the context has none.
    Unbounded(String),
    /// A grant: for the same cause for which an execution would be denied.
    Grant(Box<Cause>),
}

/// A requirement that is not inside its bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside<P: Indexed> {
    /// What is required.
    pub required: P,
    /// Why it is outside.
    pub why: Why,
    /// What the bound grants.
    pub granted: List<P>,
    /// Whose bound it is.
    pub bound: Bound,
    /// The capability, if it is the one that requires it.
    pub required_by: Option<String>,
}

/// Why a requirement is outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// No grant covers this: a shortest example.
    NotGranted {
        /// The example.
        counterexample: String,
    },
    /// A blocked pattern covers this: a shortest example.
    Blocked {
        /// The example.
        counterexample: String,
        /// The pattern.
        by: String,
    },
    /// Deciding would cost too much: nothing is known, so nothing is granted.
    TooComplex,
}

/// Whose bound a requirement is outside of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// What the context grants, at its level.
    Context(Level),
    /// What the capability requires: an execution narrows it, never widens it.
    Capability,
    /// What contexts may grant in this cluster.
    Ceiling,
}

/// Whose limit a required one is above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitBound {
    /// The context says so.
    Context,
    /// The context says nothing: its level's.
    LevelDefault(Level),
    /// The capability's own.
    Capability,
    /// The cluster's ceiling; of a context that says nothing, it is its level's default that is above.
    Ceiling(Option<Level>),
}

impl Cause {
    /// The reason, for machines.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::ContextNotFound(_) => Reason::ContextNotFound,
            Self::ContextExpired { .. } => Reason::ContextExpired,
            Self::UseForbidden { .. } | Self::ReferenceForbidden { .. } => Reason::UseForbidden,
            Self::CapabilityNotFound(_) => Reason::CapabilityNotFound,
            Self::ProviderInvalid(_) => Reason::ProviderInvalid,
            Self::InvalidInputs(_) => Reason::InvalidInputs,
            Self::FileRead(_) => Reason::FileReadDenied,
            Self::FileWrite(_) => Reason::FileWriteDenied,
            Self::FileExecute(_) => Reason::FileExecuteDenied,
            Self::Network(_) => Reason::NetworkDenied,
            Self::Inbound(_) => Reason::InboundDenied,
            Self::Command(_) => Reason::CommandDenied,
            Self::ProcessCreation { .. } => Reason::ProcessCreationDenied,
            Self::EnvironmentRead(_) => Reason::EnvironmentReadDenied,
            Self::EnvironmentWrite(_) | Self::EnvironmentNotRequired { .. } => Reason::EnvironmentWriteDenied,
            Self::Ipc(_) => Reason::IpcDenied,
            Self::Limit { .. } | Self::Connections { .. } => Reason::LimitExceeded,
            Self::LimitUnreasonable { .. } => Reason::LimitUnreasonable,
            Self::IsolationNotAllowed { .. } => Reason::IsolationNotAllowed,
            Self::Unenforceable { .. } => Reason::Unenforceable,
            Self::PolicyDenied(_) => Reason::PolicyDenied,
            Self::CeilingExceeded(_) => Reason::CeilingExceeded,
        }
    }

    /// The value that the message is about, if the field alone does not say it.
    pub(super) fn value(&self) -> Option<String> {
        match self {
            Self::FileRead(o) | Self::FileWrite(o) | Self::FileExecute(o) | Self::Command(o) | Self::Ipc(o) => {
                Some(quoted(&o.required))
            }
            Self::EnvironmentRead(o) | Self::EnvironmentWrite(o) => Some(quoted(&o.required)),
            Self::EnvironmentNotRequired { name, .. } => Some(quoted(name)),
            Self::Network(o) => Some(quoted(&o.required)),
            Self::Inbound(o) => Some(quoted(&o.required)),
            Self::ProcessCreation { .. } => Some("Allowed".to_owned()),
            Self::Limit { required, .. } | Self::LimitUnreasonable { required, .. } => Some(required.to_string()),
            Self::Connections { required, .. } => Some(required.to_string()),
            Self::IsolationNotAllowed { isolation, .. } => Some(quoted(isolation)),
            Self::Unenforceable { value, .. } => value.as_ref().map(quoted),
            Self::ContextNotFound(_)
            | Self::ContextExpired { .. }
            | Self::UseForbidden { .. }
            | Self::ReferenceForbidden { .. }
            | Self::CapabilityNotFound(_)
            | Self::ProviderInvalid(_)
            | Self::InvalidInputs(_)
            | Self::PolicyDenied(_)
            | Self::CeilingExceeded(Excess::Unbounded(_)) => None,
            Self::CeilingExceeded(Excess::Level { level, .. }) => Some(level.to_string()),
            Self::CeilingExceeded(Excess::Isolation { isolation, .. }) => Some(isolation.to_string()),
            Self::CeilingExceeded(Excess::Grant(cause)) => cause.value(),
        }
    }

    /// What is wrong with it, and what there is instead.
    pub(super) fn text(&self) -> String {
        match self {
            Self::ContextNotFound(text)
            | Self::CapabilityNotFound(text)
            | Self::ProviderInvalid(text)
            | Self::InvalidInputs(text) => escaped(text),
            Self::PolicyDenied(objection) => objection.to_string(),
            Self::CeilingExceeded(Excess::Grant(cause)) => cause.text(),
            Self::CeilingExceeded(Excess::Level { level: _, allowed }) => {
                format!("above the cluster's ceiling; it allows: {}", listed(allowed))
            }
            Self::CeilingExceeded(Excess::Isolation { isolation: _, allowed, implied }) => {
                let implied = if *implied { "granted where none is listed; " } else { "" };
                format!("{implied}above the cluster's ceiling; it allows: {}", listed(allowed))
            }
            Self::CeilingExceeded(Excess::Unbounded(most)) => {
                format!("absent, so that nothing bounds it; the cluster's ceiling allows {}", shown(most))
            }
            Self::ContextExpired { context, at } => format!("{} expired at {at}", escaped(context)),
            Self::UseForbidden { requester, context } => {
                format!("{} may not use {}: needs the verb `use` on it", escaped(requester), escaped(context))
            }
            Self::ReferenceForbidden { requester, object } => {
                format!("{} may not get {}: needs the verb `get` on it", escaped(requester), escaped(object))
            }
            Self::FileRead(o) | Self::FileWrite(o) | Self::FileExecute(o) | Self::Command(o) | Self::Ipc(o) => o.text(),
            Self::EnvironmentRead(o) | Self::EnvironmentWrite(o) => o.text(),
            Self::Network(o) => o.text(),
            Self::Inbound(o) => o.text(),
            Self::EnvironmentNotRequired { name: _, required } => {
                format!(
                    "not required; requires.permissions.environment has {}; add it to environment.read or environment.write of the capability's requires",
                    listed(required)
                )
            }
            Self::ProcessCreation { bound, required_by } => match bound {
                Bound::Context(Level::Pure) => format!("not granted at level Pure{}", by(required_by.as_deref())),
                Bound::Context(Level::Controlled | Level::Sandboxed | Level::Full) => {
                    format!("not granted; granted: Denied{}", by(required_by.as_deref()))
                }
                Bound::Capability => "wider than the capability's, which requires Denied".to_owned(),
                Bound::Ceiling => "above the cluster's ceiling; it allows: Denied".to_owned(),
            },
            Self::Limit { limit: _, required: _, granted, bound, required_by } => {
                let by = by(required_by.as_deref());
                match bound {
                    LimitBound::Context => format!("exceeds {granted}{by}"),
                    LimitBound::LevelDefault(level) => format!("exceeds {granted}, the default of level {level}{by}"),
                    LimitBound::Capability => format!("exceeds {granted}, the capability's own"),
                    LimitBound::Ceiling(None) => format!("exceeds {granted}, the cluster's ceiling"),
                    LimitBound::Ceiling(Some(level)) => {
                        format!("the default of level {level}: exceeds {granted}, the cluster's ceiling")
                    }
                }
            }
            Self::Connections { required: _, granted, bound, required_by } => match bound {
                Bound::Context(_) => format!("exceeds {granted}{}", by(required_by.as_deref())),
                Bound::Capability => format!("exceeds {granted}, the capability's own"),
                Bound::Ceiling => format!("exceeds {granted}, the cluster's ceiling"),
            },
            Self::LimitUnreasonable { limit, required: _, reasonable, required_by } => format!(
                "exceeds {reasonable}, the most without a context that says more in limits.{limit}{}",
                by(required_by.as_deref())
            ),
            Self::IsolationNotAllowed { isolation: _, allowed, level: _, by_default: true } => format!(
                "not allowed, and the default where the context has none; allowed: {}; name one, or ask the context's author to set spec.isolation.default",
                listed(allowed)
            ),
            Self::IsolationNotAllowed { isolation: _, allowed, level: None, by_default: false } => {
                format!("not allowed; allowed: {}", listed(allowed))
            }
            Self::IsolationNotAllowed { isolation: _, allowed, level: Some(level), by_default: false } => {
                format!("not allowed at level {level}; allowed: {}", listed(allowed))
            }
            Self::Unenforceable { value: _, advice, instead, required_by } => {
                let instead = instead.map_or_else(String::new, |isolation| format!("; use {isolation}"));
                format!("{}{instead}{}", escaped(advice), by(required_by.as_deref()))
            }
        }
    }
}

fn quoted(value: impl fmt::Display) -> String {
    format!("\"{}\"", shown(value))
}

/// Who requires it, if the reader did not write it.
fn by(capability: Option<&str>) -> String {
    capability.map_or_else(String::new, |capability| format!("; required by {}", escaped(capability)))
}

impl<P: Indexed + fmt::Display> Outside<P> {
    fn text(&self) -> String {
        let required = self.required.to_string();
        // The example of a literal says nothing new, be it required or blocked.
        let example_beside = |beside: &str, text: &str| {
            let is_new = text != beside && Some(text) != beside.strip_suffix("/**");
            if is_new && text != required { format!(", e.g. {}", shown(text)) } else { String::new() }
        };
        let example = |text: &str| example_beside("", text);
        let granted = || match self.bound {
            Bound::Context(Level::Pure) => "granted: nothing, at level Pure".to_owned(),
            Bound::Context(Level::Controlled | Level::Sandboxed | Level::Full) => {
                format!("granted: {}", listed(&self.granted))
            }
            Bound::Capability => format!("it requires: {}", listed(&self.granted)),
            Bound::Ceiling => format!("it allows: {}", listed(&self.granted)),
        };
        let what = match (&self.why, &self.bound) {
            (Why::NotGranted { counterexample }, Bound::Context(_)) => {
                format!("not granted{}; {}", example(counterexample), granted())
            }
            (Why::NotGranted { counterexample }, Bound::Capability) => {
                format!("wider than the capability's{}; {}", example(counterexample), granted())
            }
            (Why::NotGranted { counterexample }, Bound::Ceiling) => {
                format!("above the cluster's ceiling{}; {}", example(counterexample), granted())
            }
            (Why::Blocked { counterexample, by }, Bound::Ceiling) => {
                let example = example_beside(by, counterexample);
                format!("above the cluster's ceiling, which blocks {}{example}", shown(by))
            }
            (Why::Blocked { counterexample, by }, Bound::Context(_)) => {
                format!("blocked by {}{}", shown(by), example_beside(by, counterexample))
            }
            (Why::Blocked { counterexample, by }, Bound::Capability) => {
                format!("wider than the capability's, which blocks {}{}", shown(by), example_beside(by, counterexample))
            }
            (Why::TooComplex, Bound::Context(_) | Bound::Capability | Bound::Ceiling) => {
                "too complex to decide together with what is granted; use fewer wildcards".to_owned()
            }
        };
        format!("{what}{}", by(self.required_by.as_deref()))
    }
}
