//! Selectors of pods by labels, and whether all that one selects is selected by others.
//!
//! Exact: what a selector asks of one label is a set of values, and it asks of each label on its own. So what two select is
//! what they select label by label, and what is left of one without another is a few such selectors again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};
use thiserror::Error;

use super::budget::{Budget, Exhausted};

/// Things that one selector may ask for. One that names more is refused, so that policies stay readable.
pub const MAX_ASKS: usize = 16;

/// Values that one of them may list.
pub const MAX_VALUES: usize = 32;

/// Characters of a label's value, and of the name in its key (Kubernetes' own rule).
const MAX_LABEL: usize = 63;

/// Characters of the domain before a key's name.
const MAX_PREFIX: usize = 253;

/// Pods of the cluster, by their labels and those of their namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selectors(BTreeMap<Label, Values>);

/// One thing that is asked of labels, as Kubernetes' `matchExpressions` have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The label's key.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// For `In` and `NotIn`.
    pub values: Vec<String>,
}

/// Why it is no selector.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectorError {
    /// More than anybody needs.
    #[error("expected at most {MAX_ASKS} labels, each with at most {MAX_VALUES} values, but found {found}")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// No key of a label.
    #[error("label {0:?}: expected a key such as app or example.com/app")]
    Key(String),
    /// No value of a label.
    #[error("label {key:?}: expected a value of letters, digits, '-', '_' and '.', at most 63, but found {found:?}")]
    Value {
        /// Whose.
        key: String,
        /// What is given.
        found: String,
    },
    /// Nobody knows what it means.
    #[error("label {key:?}: expected In, NotIn, Exists or DoesNotExist, but found {found:?}")]
    Operator {
        /// Whose.
        key: String,
        /// What is given.
        found: String,
    },
    /// `In` and `NotIn` list values, the others don't.
    #[error("label {0:?}: expected values with In and NotIn, and none with Exists and DoesNotExist")]
    Values(String),
    /// No labels are like that.
    #[error("label {0:?}: what is asked of it contradicts itself, so that nothing is selected")]
    Nothing(String),
}

/// Whose label it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    /// None at all: whether the namespace is the execution's own.
    Own,
    Namespace,
    Pod,
}

type Label = (Side, String);

/// The values that a label may have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Values {
    /// Whether there may be no such label.
    absent: bool,
    texts: Texts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Texts {
    Only(BTreeSet<String>),
    AllBut(BTreeSet<String>),
}

impl Texts {
    fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(one), Self::Only(two)) => Self::Only(one & two),
            (Self::Only(one), Self::AllBut(two)) | (Self::AllBut(two), Self::Only(one)) => Self::Only(one - two),
            (Self::AllBut(one), Self::AllBut(two)) => Self::AllBut(one | two),
        }
    }

    fn not(&self) -> Self {
        match self {
            Self::Only(texts) => Self::AllBut(texts.clone()),
            Self::AllBut(texts) => Self::Only(texts.clone()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Only(texts) | Self::AllBut(texts) => texts.len(),
        }
    }
}

impl Values {
    const fn all() -> Self {
        Self { absent: true, texts: Texts::AllBut(BTreeSet::new()) }
    }

    fn and(&self, other: &Self) -> Self {
        Self { absent: self.absent && other.absent, texts: self.texts.and(&other.texts) }
    }

    fn without(&self, other: &Self) -> Self {
        Self { absent: self.absent && !other.absent, texts: self.texts.and(&other.texts.not()) }
    }

    /// There is always one more value: they are too many to be left out one by one.
    fn is_none(&self) -> bool {
        !self.absent && self.texts == Texts::Only(BTreeSet::new())
    }
}

impl Selectors {
    /// Pods of namespaces with such labels, or of the execution's own namespace where nothing is said of them.
    ///
    /// # Errors
    /// What of it can't be meant.
    pub fn new(namespaces: Option<&[Ask]>, pods: &[Ask]) -> Result<Self, SelectorError> {
        let mut all = Self::default();
        if namespaces.is_none() {
            let own = Values { absent: false, texts: Texts::Only(BTreeSet::from([String::new()])) };
            all.0.insert((Side::Own, String::new()), own);
        }
        for (side, asks) in [(Side::Namespace, namespaces.unwrap_or_default()), (Side::Pod, pods)] {
            if asks.len() > MAX_ASKS {
                return Err(SelectorError::TooMany { found: asks.len() });
            }
            for ask in asks {
                all.add(side, ask)?;
            }
        }
        Ok(all)
    }

    /// Every pod of every namespace.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    fn add(&mut self, side: Side, Ask { key, operator, values }: &Ask) -> Result<(), SelectorError> {
        if !is_key(key) {
            return Err(SelectorError::Key(key.clone()));
        }
        if values.len() > MAX_VALUES {
            return Err(SelectorError::TooMany { found: values.len() });
        }
        if let Some(found) = values.iter().find(|value| !value.is_empty() && !is_name(value)) {
            return Err(SelectorError::Value { key: key.clone(), found: found.clone() });
        }
        let texts: BTreeSet<String> = values.iter().cloned().collect();
        let asked = match (operator.as_str(), texts.is_empty()) {
            ("In", false) => Values { absent: false, texts: Texts::Only(texts) },
            ("NotIn", false) => Values { absent: true, texts: Texts::AllBut(texts) },
            ("Exists", true) => Values { absent: false, texts: Texts::AllBut(texts) },
            ("DoesNotExist", true) => Values { absent: true, texts: Texts::Only(texts) },
            ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => return Err(SelectorError::Values(key.clone())),
            _ => return Err(SelectorError::Operator { key: key.clone(), found: operator.clone() }),
        };
        let values = self.0.entry((side, key.clone())).or_insert_with(Values::all);
        *values = values.and(&asked);
        if values.is_none() { Err(SelectorError::Nothing(key.clone())) } else { Ok(()) }
    }

    /// Whether the namespace is the execution's own, without anything said of its labels.
    #[must_use]
    pub fn is_own_namespace(&self) -> bool {
        self.0.contains_key(&(Side::Own, String::new()))
    }

    /// What is asked of the labels of namespaces.
    #[must_use]
    pub fn of_namespaces(&self) -> Vec<Ask> {
        self.asks(Side::Namespace)
    }

    /// What is asked of the labels of pods.
    #[must_use]
    pub fn of_pods(&self) -> Vec<Ask> {
        self.asks(Side::Pod)
    }

    fn asks(&self, of: Side) -> Vec<Ask> {
        let of_label = |(key, Values { absent, texts }): (&String, &Values)| {
            let ask = |operator: &str, values: &BTreeSet<String>| Ask {
                key: key.clone(),
                operator: operator.to_owned(),
                values: values.iter().cloned().collect(),
            };
            let none = BTreeSet::new();
            match (absent, texts) {
                (false, Texts::Only(texts)) => vec![ask("In", texts)],
                // What is asked for at once is never both absent and one of a few; what is left of it may be.
                (true, Texts::Only(_)) => vec![ask("DoesNotExist", &none)],
                (true, Texts::AllBut(texts)) if texts.is_empty() => Vec::new(),
                (true, Texts::AllBut(texts)) => vec![ask("NotIn", texts)],
                (false, Texts::AllBut(texts)) if texts.is_empty() => vec![ask("Exists", &none)],
                (false, Texts::AllBut(texts)) => vec![ask("Exists", &none), ask("NotIn", texts)],
            }
        };
        self.0
            .iter()
            .filter(|((side, _), _)| *side == of)
            .flat_map(|((_, key), values)| of_label((key, values)))
            .collect()
    }

    fn values(&self, label: &Label) -> Values {
        self.0.get(label).cloned().unwrap_or_else(Values::all)
    }

    /// Some of what is selected, and by none of the others.
    ///
    /// # Errors
    /// If that takes too long to find out.
    pub(crate) fn outside(&self, others: &[&Self], budget: &mut Budget) -> Result<Option<Self>, Exhausted> {
        let Some((first, rest)) = others.split_first() else { return Ok(Some(self.clone())) };
        let sizes = self.0.values().chain(first.0.values()).map(|values| 1 + values.texts.len());
        budget.pay(1 + sizes.sum::<usize>())?;
        let both: Vec<_> = first.0.iter().map(|(label, values)| (label, self.values(label).and(values))).collect();
        if both.iter().any(|(_, values)| values.is_none()) {
            return self.outside(rest, budget);
        }
        // Label by label, what the first has not; what it has goes on to the next.
        let mut left = self.clone();
        for (label, common) in both {
            let apart = left.values(label).without(&first.values(label));
            if !apart.is_none() {
                let mut piece = left.clone();
                piece.0.insert(label.clone(), apart);
                if let Some(outside) = piece.outside(rest, budget)? {
                    return Ok(Some(outside));
                }
            }
            left.0.insert(label.clone(), common);
        }
        Ok(None)
    }
}

/// A label's value, or the name in its key.
fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = [text.bytes().next(), text.bytes().next_back()];
    text.len() <= MAX_LABEL
        && text.bytes().all(inner)
        && ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
}

fn is_key(text: &str) -> bool {
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        part.bytes().all(|byte| lower(byte) || byte == b'-')
            && part.bytes().next().is_some_and(lower)
            && part.bytes().next_back().is_some_and(lower)
    };
    match text.split_once('/') {
        Some((prefix, name)) => prefix.len() <= MAX_PREFIX && prefix.split('.').all(is_part) && is_name(name),
        None => is_name(text),
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |texts: &BTreeSet<String>| texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ");
        match (&self.texts, self.absent) {
            (Texts::Only(texts), true) if texts.is_empty() => f.write_str(" absent"),
            (Texts::Only(texts), true) => write!(f, " absent or in ({})", list(texts)),
            (Texts::Only(texts), false) => match texts.first().filter(|_| texts.len() == 1) {
                Some(text) => write!(f, "={text}"),
                None => write!(f, " in ({})", list(texts)),
            },
            (Texts::AllBut(texts), true) if texts.is_empty() => f.write_str(" any or absent"),
            (Texts::AllBut(texts), true) => write!(f, " not in ({})", list(texts)),
            (Texts::AllBut(texts), false) if texts.is_empty() => f.write_str(" present"),
            (Texts::AllBut(texts), false) => write!(f, " present, not in ({})", list(texts)),
        }
    }
}

impl fmt::Display for Selectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |wanted: Side| {
            let labels = self.0.iter().filter(|((side, _), _)| *side == wanted);
            let labels: Vec<String> = labels.map(|((_, key), values)| format!("{key}{values}")).collect();
            if labels.is_empty() { "all".to_owned() } else { labels.join("; ") }
        };
        write!(f, "pods ({}) of ", of(Side::Pod))?;
        let own = self.0.get(&(Side::Own, String::new()));
        match own.map(|own| &own.texts) {
            Some(Texts::Only(_)) => f.write_str("its namespace")?,
            Some(Texts::AllBut(_)) => f.write_str("other namespaces")?,
            None => return write!(f, "namespaces ({})", of(Side::Namespace)),
        }
        if self.0.keys().any(|(side, _)| *side == Side::Namespace) {
            write!(f, " ({})", of(Side::Namespace))
        } else {
            Ok(())
        }
    }
}

impl Serialize for Selectors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
