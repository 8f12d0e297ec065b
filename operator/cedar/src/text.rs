//! The text of one ExecutionPolicy, parsed and validated.

use std::collections::BTreeSet;

use cedar_policy::{Effect, Policy, PolicySet, ValidationMode, ValidationWarning};

use crate::depth::{STACK, bounded};
use crate::fault::Fault;
use crate::schema::VALIDATOR;

/// The longest text that is read, in bytes.
pub const TEXT_LIMIT: usize = 64 * 1024;

/// A text that can be evaluated: each of its policies is a `forbid` of the schema.
#[derive(Clone, Debug)]
pub struct Text {
    pub(crate) clauses: Vec<Clause>,
    /// The text's length, in bytes.
    pub(crate) weight: usize,
    warnings: Vec<String>,
}

/// One policy of a text.
#[derive(Clone, Debug)]
pub(crate) struct Clause {
    /// For messages: `policy "only-signed"` by its `@id`, else `policy 2` by its place in the text.
    pub(crate) label: String,
    /// Its `@advice`.
    pub(crate) advice: Option<String>,
    pub(crate) policy: Policy,
}

impl Text {
    /// Parses and validates.
    ///
    /// # Errors
    /// All that is wrong with it, each with its place; never empty.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        if text.len() > TEXT_LIMIT {
            let message = format!("{} bytes: expected at most {TEXT_LIMIT}; spread it over more objects", text.len());
            return Err(vec![Fault::new(None, message)]);
        }
        bounded(text).map_err(|fault| vec![fault])?;
        stacker::grow(STACK, || Self::parse_bounded(text))
    }

    fn parse_bounded(text: &str) -> Result<Self, Vec<Fault>> {
        let set: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
            errors.iter().map(|error| Fault::of(text, error)).collect::<Vec<_>>()
        })?;
        let faults = unheld(&set);
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut warnings = validate(text, &set)?;
        warnings.extend(set.policies().filter_map(trailing));
        Ok(Self { clauses: set.policies().map(clause).collect(), weight: text.len(), warnings })
    }

    /// How many policies it has.
    #[must_use]
    pub fn policies(&self) -> usize {
        self.clauses.len()
    }

    /// What is odd about it, though it can be held.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// How the API server names service accounts: to policies they are no users.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// A text that is never in a list of files, which have one way to say a folder and all below it.
fn trailing(policy: &Policy) -> Option<String> {
    let json = policy.to_json().ok()?.to_string();
    let says = json.contains("\"filesystem\"") && json.contains("/**\"");
    says.then(|| {
        let label = label(policy);
        format!("{label}: requires.filesystem has no trailing /**, which would mean the same: write \"/etc\" for \"/etc/**\"")
    })
}

fn clause(policy: &Policy) -> Clause {
    Clause {
        label: label(policy),
        advice: policy.annotation("advice").filter(|advice| !advice.is_empty()).map(str::to_owned),
        policy: policy.clone(),
    }
}

fn label(policy: &Policy) -> String {
    if let Some(id) = policy.annotation("id").filter(|id| !id.is_empty()) {
        return format!("policy {id:?}");
    }
    // Cedar numbers the policies of a text from 0.
    let id = policy.id().to_string();
    let number = id.strip_prefix("policy").and_then(|number| number.parse::<usize>().ok());
    number.map_or(id, |number| format!("policy {}", number + 1))
}

/// What Cedar knows and an ExecutionPolicy can't hold: accepted, it would do nothing, and its author would not know.
fn unheld(set: &PolicySet) -> Vec<Fault> {
    let mut faults = Vec::new();
    if set.is_empty() {
        faults.push(Fault::new(
            None,
            "expected at least one policy, such as forbid(principal, action, resource) when { … };",
        ));
    }
    if set.num_of_templates() > 0 {
        let message =
            "?principal and ?resource make a template, which nothing fills in: name the entity, or use `is` and `in`";
        faults.push(Fault::new(None, message));
    }
    let mut ids = BTreeSet::new();
    for policy in set.policies() {
        let label = label(policy);
        if policy.effect() == Effect::Permit {
            faults.push(Fault::new(
                None,
                format!(
                    "{label}: permit would change nothing, since what a context grants is permitted: write forbid(…) unless {{ … }}"
                ),
            ));
        }
        for account in policy.entity_literals() {
            let name = account.id().unescaped().strip_prefix(SERVICE_ACCOUNT);
            if let Some(name) = name.filter(|_| account.type_name().basename() == "User") {
                let id = name.replacen(':', "/", 1);
                faults.push(Fault::new(
                    None,
                    format!(
                        "{label}: no User is a service account, so it would never match: write ServiceAccount::{id:?}"
                    ),
                ));
            }
        }
        if let Some(id) = policy.annotation("id")
            && !ids.insert(id)
        {
            faults.push(Fault::new(
                None,
                format!("{label}: its @id is given twice: a denial would not say which of them"),
            ));
        }
    }
    faults
}

/// Holds the policies to the schema, strictly. Answers with what is odd about them.
fn validate(text: &str, set: &PolicySet) -> Result<Vec<String>, Vec<Fault>> {
    let validator =
        VALIDATOR.as_ref().map_err(|error| vec![Fault::new(None, format!("the schema can't be read: {error}"))])?;
    let result = validator.validate(set, ValidationMode::Strict);
    let mut faults: Vec<Fault> = result.validation_errors().map(|error| Fault::of(text, error)).collect();
    let mut warnings = Vec::new();
    for warning in result.validation_warnings() {
        let fault = Fault::of(text, warning);
        match warning {
            // A restriction that never holds is a mistake, such as a kind of principal that can't be.
            ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_) => {
                faults.push(Fault { message: format!("{}: it would never forbid anything", fault.message), ..fault });
            }
            // Text that does not read as it is.
            ValidationWarning::BidiCharsInString(_) | ValidationWarning::BidiCharsInIdentifier(_) => faults.push(fault),
            // Names of people and groups may well be so.
            _ => warnings.push(fault),
        }
    }
    // Cedar finds them in another order each time.
    let sort =
        |faults: &mut Vec<Fault>| faults.sort_by(|one, other| (one.at, &one.message).cmp(&(other.at, &other.message)));
    sort(&mut faults);
    sort(&mut warnings);
    if faults.is_empty() { Ok(warnings.iter().map(Fault::to_string).collect()) } else { Err(faults) }
}
