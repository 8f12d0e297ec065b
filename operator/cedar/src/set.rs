//! All ExecutionPolicies of a cluster, ready to be asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use ccos_policy::policies::{Ground, Objection};
use cedar_policy::{Policy, PolicyId};

use crate::text::Text;

/// What all texts of a cluster may weigh together, in bytes: each is held in memory as a tree, and each is evaluated for
/// each execution.
pub const TOTAL_LIMIT: usize = 256 * 1024;

/// What an ExecutionPolicy does with what it forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Denies it.
    Enforce,
    /// Lets it pass, and tells the requester.
    Warn,
    /// Lets it pass, and writes it down.
    Audit,
}

/// An ExecutionPolicy, as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its name.
    pub name: String,
    /// What it does.
    pub mode: Mode,
    /// Its text, or why it can't be held: stored by another version, or past the webhook.
    pub text: Result<Arc<Text>, String>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct PolicySet {
    pub(crate) cedar: cedar_policy::PolicySet,
    /// Whose policy each is.
    pub(crate) sources: BTreeMap<PolicyId, Source>,
    /// Those that can't be asked: they object to everything.
    pub(crate) unreadable: Vec<(Mode, Objection)>,
}

/// Where a policy of the set is from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) label: String,
    pub(crate) advice: Option<String>,
}

/// What stands for the grant: without a permit, Cedar denies.
const GRANTED: &str = "permit(principal, action, resource);";

impl PolicySet {
    /// From all that are stored.
    #[must_use]
    pub fn new(stored: &[Stored]) -> Self {
        let mut set = Self::default();
        let weight: usize = stored.iter().filter_map(|one| one.text.as_ref().ok()).map(|text| text.weight).sum();
        if let (true, Some(last)) = (weight > TOTAL_LIMIT, stored.last()) {
            // Some of them would be as bad as none.
            let why = format!(
                "all ExecutionPolicies together weigh {weight} bytes, and at most {TOTAL_LIMIT} are read: delete some"
            );
            set.refuse(&last.name, Mode::Enforce, why);
            return set;
        }
        for Stored { name, mode, text } in stored {
            match text {
                Ok(text) => set.take(name, *mode, text),
                Err(why) => set.refuse(name, *mode, why.clone()),
            }
        }
        if !set.sources.is_empty() {
            let granted = Policy::parse(Some(PolicyId::new("granted")), GRANTED).map_err(|error| error.to_string());
            if let Err(why) = granted.and_then(|policy| set.cedar.add(policy).map_err(|error| error.to_string())) {
                set.refuse("(all)", Mode::Enforce, why);
            }
        }
        set
    }

    /// Whether there is nothing to ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.unreadable.is_empty()
    }

    fn take(&mut self, name: &str, mode: Mode, text: &Text) {
        for clause in &text.clauses {
            // In the order of the texts, which is the order of the map too.
            let id = PolicyId::new(format!("{:06}/{name}", self.sources.len()));
            if let Err(error) = self.cedar.add(clause.policy.new_id(id.clone())) {
                self.refuse(name, mode, error.to_string());
            }
            let (label, advice) = (clause.label.clone(), clause.advice.clone());
            self.sources.insert(id, Source { name: name.to_owned(), mode, label, advice });
        }
    }

    fn refuse(&mut self, name: &str, mode: Mode, why: String) {
        self.unreadable.push((mode, Objection { by: name.to_owned(), policy: None, ground: Ground::Unreadable(why) }));
    }
}
