//! One question to all policies.

use std::collections::HashSet;
use std::sync::Arc;

use ccos_policy::policies::{Ground, Judged, Objection, Opinions, Policies, Remark};
use cedar_policy::{AuthorizationError, Authorizer, Decision, PolicyId};

use crate::depth::{ROOM, STACK};
use crate::facts::{self, Facts};
use crate::set::{Mode, PolicySet, Source};

/// Objections that are told: a few thousand policies fit into all texts, and a message has to fit into a status.
const TOLD: usize = 64;

/// The policies, and what they are asked about: what is required comes from the decision.
#[derive(Clone, Debug)]
pub struct Question {
    /// The policies.
    pub set: Arc<PolicySet>,
    /// What is known.
    pub facts: Facts,
}

impl Policies for Question {
    fn judge(&self, judged: &Judged<'_>) -> Opinions {
        let mut opinions = Opinions::default();
        for (mode, objection) in &self.set.unreadable {
            note(&mut opinions, *mode, objection.clone());
        }
        if self.set.sources.is_empty() {
            return opinions;
        }
        let (request, entities) = match facts::request(&self.facts, judged) {
            Ok(question) => question,
            Err(error) => {
                for source in self.set.sources.values() {
                    note(&mut opinions, source.mode, source.objects(Ground::Failed(error.clone())));
                }
                return opinions;
            }
        };
        let response =
            stacker::maybe_grow(ROOM, STACK, || Authorizer::new().is_authorized(&request, &self.set.cedar, &entities));
        if response.decision() == Decision::Deny {
            // With the grant's own permit in the set, all forbids that hold are named here. Should it be missing, nothing
            // is, and what nobody can explain is denied all the same.
            let holds: HashSet<&PolicyId> = response.diagnostics().reason().collect();
            let forbids = self.set.sources.iter().filter(|(id, _)| holds.contains(id));
            if holds.is_empty() {
                let ground = Ground::Unreadable("Cedar denies and does not say why".to_owned());
                opinions.denials.push(Objection { by: "(all)".to_owned(), policy: None, ground });
            }
            for (_, source) in forbids {
                let ground = Ground::Forbids { advice: source.advice.clone() };
                note(&mut opinions, source.mode, source.objects(ground));
            }
        }
        for AuthorizationError::PolicyEvaluationError(error) in response.diagnostics().errors() {
            if let Some(source) = self.set.sources.get(error.policy_id()) {
                note(&mut opinions, source.mode, source.objects(Ground::Failed(error.inner().to_string())));
            }
        }
        opinions.denials.truncate(TOLD);
        opinions.remarks.truncate(TOLD);
        opinions
    }
}

impl Source {
    fn objects(&self, ground: Ground) -> Objection {
        Objection { by: self.name.clone(), policy: Some(self.label.clone()), ground }
    }
}

fn note(opinions: &mut Opinions, mode: Mode, objection: Objection) {
    match mode {
        Mode::Enforce => opinions.denials.push(objection),
        Mode::Warn => opinions.remarks.push(Remark::Warn(objection)),
        Mode::Audit => opinions.remarks.push(Remark::Audit(objection)),
    }
}
