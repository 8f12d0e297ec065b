//! The last step of the decision: what `ExecutionPolicies` say. Which language they speak is not known here; whoever asks
//! for a decision brings them, together with what they look at besides what is required.

use std::fmt;

use jiff::Timestamp;

use crate::decision::text::{escaped, shown};
use crate::isolation::Isolation;
use crate::limits::LimitsInForce;
use crate::permissions::Permissions;
use crate::request::Level;

/// Policies that may object to what is otherwise granted. They restrict; they never grant.
pub trait Policies: fmt::Debug + Send + Sync {
    /// All that they hold against it. What they can't decide they object to.
    fn judge(&self, judged: &Judged<'_>) -> Opinions;
}

/// What would run, once inheritance is resolved.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// The only clock.
    pub now: Timestamp,
    /// What would separate it from its node.
    pub isolation: Isolation,
    /// The context's level.
    pub level: Level,
    /// What it would be able to do.
    pub permissions: &'a Permissions,
    /// What it would be able to use.
    pub limits: &'a LimitsInForce,
}

/// What policies say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opinions {
    /// Each of these denies.
    pub denials: Vec<Objection>,
    /// None of these does.
    pub remarks: Vec<Remark>,
}

/// An objection that denies nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// To be told to the requester.
    Warn(Objection),
    /// To be written down.
    Audit(Objection),
}

impl Remark {
    /// What is objected.
    #[must_use]
    pub const fn objection(&self) -> &Objection {
        match self {
            Self::Warn(objection) | Self::Audit(objection) => objection,
        }
    }
}

/// What one policy has against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The name of the `ExecutionPolicy`.
    pub by: String,
    /// Which of its policies, such as `policy "only-signed"`; `None`: all of it.
    pub policy: Option<String>,
    /// Why.
    pub ground: Ground,
}

/// Why a policy objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// It forbids it.
    Forbids {
        /// What its author says to do.
        advice: Option<String>,
    },
    /// It could not be evaluated. The text says why.
    Failed(String),
    /// It can't be understood. The text says why.
    Unreadable(String),
}

/// There are none.
#[derive(Clone, Copy, Debug)]
pub struct NoPolicies;

impl Policies for NoPolicies {
    fn judge(&self, _: &Judged<'_>) -> Opinions {
        Opinions::default()
    }
}

/// `ExecutionPolicy "prod" forbids it by policy "only-signed": sign the image`.
impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, policy, ground } = self;
        let name = escaped(by);
        let policy = policy.as_deref().map(shown);
        match ground {
            Ground::Forbids { advice } => {
                write!(f, "ExecutionPolicy \"{name}\" forbids it")?;
                if let Some(policy) = policy {
                    write!(f, " by {policy}")?;
                }
                if let Some(advice) = advice {
                    write!(f, ": {}", shown(advice))?;
                }
                Ok(())
            }
            Ground::Failed(why) => {
                let policy = policy.unwrap_or_else(|| "it".to_owned());
                write!(f, "ExecutionPolicy \"{name}\" can't be decided: {policy} fails: {}", shown(why))
            }
            Ground::Unreadable(why) => {
                write!(f, "ExecutionPolicy \"{name}\" can't be held: {}; correct or delete it", shown(why))
            }
        }
    }
}
