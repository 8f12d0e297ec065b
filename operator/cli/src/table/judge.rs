//! What is found of what was expected.

use std::collections::BTreeSet;

use ccos_plan::review::Verdict;
use ccos_policy::Decision;
use jiff::Timestamp;
use serde::Serialize;

use super::given::{Answer, Asked, Asker, Case, DecisionTest, Expected};
use crate::check::verdict::decide;
use crate::check::{Cluster, check, requester as requester_of};
use crate::input::{Fault, Place, World, sources};

/// What came of a table.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Its rows.
    pub cases: Vec<Judged>,
}

/// What came of a row.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// Where it is.
    #[serde(skip)]
    pub place: Place,
    /// What was expected.
    pub expected: Expected,
    /// What was found.
    pub found: Found,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The answer.
    pub answer: Answer,
    /// Each cause.
    pub causes: Vec<Cause>,
}

/// Why it is so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Which field.
    pub field: String,
    /// The reason; absent of what is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// For people.
    pub message: String,
}

impl Judged {
    /// Whether what was found is what was expected.
    #[must_use]
    pub fn passes(&self) -> bool {
        let Expected { answer, reasons, fields } = &self.expected;
        let are = |expected: &Option<Vec<String>>, found: BTreeSet<&str>| {
            expected
                .as_ref()
                .is_none_or(|expected| expected.iter().map(String::as_str).collect::<BTreeSet<_>>() == found)
        };
        let Found { answer: found, causes } = &self.found;
        answer == found
            && are(reasons, causes.iter().filter_map(|cause| cause.reason).collect())
            && are(fields, causes.iter().map(|cause| cause.field.as_str()).collect())
    }
}

/// Decides each row. `None`: the resources can't be understood, which `faults` says.
pub(super) fn judge(test: &DecisionTest, now: Timestamp, faults: &mut Vec<Fault>) -> Option<Table> {
    let DecisionTest { place, name, resources, beside, namespace, profile, now: given, cases } = test;
    let now = given.unwrap_or(now);
    let (mut texts, mut wrong) = sources::read(resources, || Err(std::io::Error::other("a resource is a file")));
    // A resource that is this very file would be given twice.
    if !texts.iter().any(|text| text.file == beside.file) {
        texts.push(beside.clone());
    }
    let Cluster { isolations, ceiling: _ } = Cluster::of(profile.as_deref(), &mut wrong);
    let mut world = World::read(&texts, namespace, &mut wrong);
    // Executions may be expected to be invalid; what grants and offers may not.
    let checked = check(&world, &isolations, now);
    let of_execution = |fault: &Fault| fault.place.object.starts_with("CapabilityExecution ");
    wrong.extend(checked.faults.into_iter().filter(|fault| !of_execution(fault)));

    let mut judged = Vec::with_capacity(cases.len());
    for Case { name, place, requester, execution, expected } in cases {
        let Asker { user, groups } = requester.clone().unwrap_or_default();
        world.requester = requester_of((!user.is_empty()).then_some(user.as_str()), &groups);
        let verdict = match execution {
            Asked::Own(object) => match object.as_ref() {
                Ok(object) => {
                    let mut object = object.clone();
                    world.fill(&mut object);
                    decide(&world, &object, &isolations, now)
                }
                Err(errors) => Verdict::Invalid(errors.clone()),
            },
            Asked::Named(named) => {
                let Some(item) = world.executions.get(&(named.clone(), 0)) else {
                    wrong.push(Fault::at(place.clone(), format!("case {name:?}: there is no execution {named}")));
                    continue;
                };
                decide(&world, &item.object, &isolations, now)
            }
        };
        let (name, place) = (name.clone(), place.clone());
        judged.push(Judged { name, place, expected: expected.clone(), found: found(verdict) });
    }
    if !wrong.is_empty() {
        faults.append(&mut wrong);
        return None;
    }
    Some(Table { name: name.clone(), file: place.file.clone(), cases: judged })
}

fn found(verdict: Verdict) -> Found {
    match verdict {
        Verdict::Invalid(errors) => {
            let cause =
                |error: ccos_plan::wire::FieldError| Cause { field: error.field, reason: None, message: error.message };
            Found { answer: Answer::Invalid, causes: errors.0.into_iter().map(cause).collect() }
        }
        Verdict::Decided(Decision::Admitted(_)) => Found { answer: Answer::Allowed, causes: Vec::new() },
        Verdict::Decided(Decision::Denied(denials)) => {
            let causes = denials.iter().map(|denial| Cause {
                field: denial.field.to_string(),
                reason: Some(denial.reason().as_str()),
                message: denial.message(),
            });
            Found { answer: Answer::Denied, causes: causes.collect() }
        }
    }
}
