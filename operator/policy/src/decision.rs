//! What the decision says: an [`Admitted`] that only it can make, or denials, each with its field, reason and message.

pub mod cause;
pub mod field;
pub(crate) mod text;

use std::fmt;

use serde::Serialize;

pub use cause::{Bound, Cause, Excess, LimitBound, Outside, Why};
pub use field::FieldPath;

use crate::isolation::Isolation;
use crate::limits::LimitsInForce;
use crate::permissions::Permissions;
use crate::reason::Reason;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[allow(clippy::large_enum_variant, reason = "one a request; a box would only be in the way of matching")]
pub enum Decision {
    /// It may run, confined to this.
    Admitted(Admitted),
    /// It may not.
    Denied(Denials),
}

/// What an admitted execution is confined to. Only the decision makes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Admitted {
    pub(crate) isolation: Isolation,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime_class: Option<String>,
    pub(crate) permissions: Permissions,
    pub(crate) limits: LimitsInForce,
}

impl Admitted {
    /// What separates it from its node.
    #[must_use]
    pub const fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// The `RuntimeClass`; `None`: the node's default runtime.
    #[must_use]
    pub fn runtime_class(&self) -> Option<&str> {
        self.runtime_class.as_deref()
    }

    /// What it may do: what it requires, never all that the context grants.
    #[must_use]
    pub const fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// What it may use.
    #[must_use]
    pub const fn limits(&self) -> &LimitsInForce {
        &self.limits
    }
}

/// One reason why not, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The field that is to blame, relative to the execution's `spec` unless it names another object.
    pub field: FieldPath,
    /// Why.
    pub cause: Cause,
}

impl Denial {
    /// A denial.
    #[must_use]
    pub fn new(field: impl Into<FieldPath>, cause: Cause) -> Self {
        Self { field: field.into(), cause }
    }

    /// The reason, for machines.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.cause.reason()
    }

    /// What was required that is denied, where there is such a thing.
    #[must_use]
    pub fn required(&self) -> Option<String> {
        self.cause.value()
    }

    /// The message, for people, without the field: `status.details.causes` has a place of its own for that.
    #[must_use]
    pub fn message(&self) -> String {
        match self.cause.value() {
            Some(value) => format!("{value}: {}", self.cause.text()),
            None => self.cause.text(),
        }
    }
}

/// The whole line, with the field.
impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = text::escaped(self.field.as_str());
        match self.cause.value() {
            Some(value) => write!(f, "{field} {value}: {}", self.cause.text()),
            None => write!(f, "{field}: {}", self.cause.text()),
        }
    }
}

/// All reasons why not: never empty, sorted by reason (in the order in which the decision looks) and field, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denials(Vec<Denial>);

impl Denials {
    /// From what was collected; `None` if that is nothing.
    #[must_use]
    pub fn from_vec(mut denials: Vec<Denial>) -> Option<Self> {
        denials.sort_by_cached_key(|denial| (denial.reason(), denial.field.clone(), denial.message()));
        denials.dedup();
        (!denials.is_empty()).then_some(Self(denials))
    }

    /// A single one.
    #[must_use]
    pub fn one(denial: Denial) -> Self {
        Self(vec![denial])
    }

    /// Both together.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        let mut all = self.0;
        all.extend(others.0);
        // Neither is empty.
        Self::from_vec(all.clone()).unwrap_or(Self(all))
    }

    /// The first: of several reasons, the one that the decision meets first.
    #[must_use]
    pub fn first(&self) -> Option<&Denial> {
        self.0.first()
    }

    /// How many there are.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Denial> {
        self.0.iter()
    }
}

impl IntoIterator for Denials {
    type Item = Denial;
    type IntoIter = std::vec::IntoIter<Denial>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Denials {
    type Item = &'a Denial;
    type IntoIter = std::slice::Iter<'a, Denial>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// A denial a line, indented by two spaces; the line above is the reader's own (`CapabilityExecution "x" requires …:`).
impl fmt::Display for Denials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, denial) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "  {denial}")?;
        }
        Ok(())
    }
}
