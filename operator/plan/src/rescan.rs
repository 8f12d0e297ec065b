//! What exists, held against what is granted today: not to stop it, but to tell.
//!
//! What a change takes from an execution stops it at once. A report is for what a change leaves alone: what runs while a new
//! policy would not let it start, what ran and would be refused if it were asked for again, providers and contexts that
//! were good when they were written.

use std::collections::{BTreeSet, HashMap};

use ccos_crds::CapabilityExecution;
use ccos_policy::policies::Objection;
use ccos_policy::{Ceiling, Decision, Denial, Denials, Isolations, Reason, Remark, exceeds};
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::build::names::MANAGED_BY;
use crate::object::{AnyContext, AnyProvider, context_display, context_kind, provider_kind};
use crate::parsed::ParsedContexts;
use crate::report::{Finding, Moment, Outcome, Report, Resource};
use crate::review::{self, References, Verdict, rejection, review_parsed};
use crate::status;
use crate::text::cut;
use crate::trust::{self, Trust};

/// The name of the report on a namespace, and of the one on what belongs to none.
pub const NAME: &str = "ccos";

/// The most findings that a report lists, the worst first. With [`MESSAGE`] it stays below the 1.5 MiB that etcd takes, also
/// if each byte of a message has to be escaped.
const RESULTS: usize = 500;

/// The longest message of a finding, in bytes.
const MESSAGE: usize = 768;

/// The longest list of names in a property, in bytes.
const NAMES: usize = 256;

/// The policy of findings that no context or ExecutionPolicy has made.
const OWN: &str = "security.ccos.dev";

/// Where an execution stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has no pod yet.
    Waiting,
    /// It has one.
    Running,
    /// It is over.
    Finished,
}

impl Stage {
    /// Of an execution.
    #[must_use]
    pub fn of(object: &CapabilityExecution) -> Self {
        match (status::finished(object), status::attempted(object)) {
            (true, _) => Self::Finished,
            (false, Some(_)) => Self::Running,
            (false, None) => Self::Waiting,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Finished => "finished",
        }
    }
}

/// Holds an execution against what it names, as that is now. The object may lack its inputs, which caches don't keep:
/// nothing is said of them. That the context of one that is over has ended too, or its provider is gone, is how it goes:
/// there is nothing left to hold it against.
#[must_use]
pub fn execution(
    object: &CapabilityExecution,
    found: &References,
    contexts: &ParsedContexts,
    isolations: &Isolations,
    now: Timestamp,
) -> Finding {
    let stage = Stage::of(object);
    let finding = match review_parsed(object, found, contexts, isolations, now) {
        Verdict::Invalid(errors) => {
            said(held_against(object), Outcome::Error, Some("Invalid"), &format!("it can't be understood: {errors}"))
        }
        Verdict::Decided(Decision::Admitted(admitted)) => remarked(object, admitted.remarks()),
        Verdict::Decided(Decision::Denied(denials)) => denied(object, found, stage, denials),
    };
    let resource =
        Resource { uid: object.uid(), ..Resource::new("CapabilityExecution", object.namespace(), &object.name_any()) };
    about(finding.of("stage", stage.as_str()), resource)
}

fn held_against(object: &CapabilityExecution) -> String {
    let reference = &object.spec.context_ref;
    context_display(reference.kind, &reference.name)
}

/// What a denial says of an execution at a stage.
enum Says {
    /// Something against it.
    Against,
    /// Nothing: the cache has it without its inputs.
    Nothing,
    /// That there is nothing to hold it against any more.
    Gone,
}

const fn says(reason: Reason, stage: Stage) -> Says {
    match (reason, stage) {
        (Reason::InvalidInputs, _) => Says::Nothing,
        (Reason::ContextNotFound | Reason::ContextExpired | Reason::CapabilityNotFound, Stage::Finished) => Says::Gone,
        (
            Reason::ContextNotFound
            | Reason::ContextExpired
            | Reason::CapabilityNotFound
            | Reason::UseForbidden
            | Reason::ProviderInvalid
            | Reason::FileReadDenied
            | Reason::FileWriteDenied
            | Reason::FileExecuteDenied
            | Reason::NetworkDenied
            | Reason::InboundDenied
            | Reason::CommandDenied
            | Reason::ProcessCreationDenied
            | Reason::EnvironmentReadDenied
            | Reason::EnvironmentWriteDenied
            | Reason::IpcDenied
            | Reason::LimitExceeded
            | Reason::LimitUnreasonable
            | Reason::IsolationNotAllowed
            | Reason::Unenforceable
            | Reason::PolicyDenied
            | Reason::CeilingExceeded,
            Stage::Waiting | Stage::Running | Stage::Finished,
        ) => Says::Against,
    }
}

fn denied(object: &CapabilityExecution, found: &References, stage: Stage, denials: Denials) -> Finding {
    let gone = denials.iter().find(|denial| matches!(says(denial.reason(), stage), Says::Gone));
    let gone = gone.map(|denial| (denial.reason(), denial.to_string()));
    let against = |denial: &Denial| matches!(says(denial.reason(), stage), Says::Against);
    let denials = match (Denials::from_vec(denials.into_iter().filter(against).collect()), gone) {
        (Some(denials), _) => denials,
        (None, Some((reason, message))) => {
            return said(held_against(object), Outcome::Skip, Some(reason.as_str()), &message);
        }
        (None, None) => return said(held_against(object), Outcome::Pass, None, ""),
    };
    let all: BTreeSet<&str> = denials.iter().map(|denial| denial.reason().as_str()).collect();
    let only = |reason: Reason| denials.iter().all(|denial| denial.reason() == reason);
    let outcome = if only(Reason::ProviderInvalid) && !is_known(found) {
        Outcome::Error
    } else if stage == Stage::Finished || (stage == Stage::Running && only(Reason::ContextExpired)) {
        // Nothing runs with what it no longer has; or its context lets it run to its end, by `onExpiry: Drain`.
        Outcome::Warn
    } else {
        Outcome::Fail
    };
    let first = denials.first().map(Denial::reason);
    let finding = said(held_against(object), outcome, first.map(Reason::as_str), &rejection(object, &denials));
    finding.of("reasons", Vec::from_iter(all).join(","))
}

/// Whether what there is to know of its provider is known: a registry or a list may be away for a while.
fn is_known(found: &References) -> bool {
    let readable = match &found.trust {
        Trust::Offline => true,
        Trust::Cluster(lists) => trust::unreadable(lists).is_none(),
    };
    readable && found.provider.as_ref().is_none_or(trust::is_settled)
}

/// Policies that only warn or are tried out: whom they would stop is what their author wants to see.
fn remarked(object: &CapabilityExecution, remarks: &[Remark]) -> Finding {
    let objections: Vec<&Objection> = remarks.iter().map(Remark::objection).collect();
    if objections.is_empty() {
        return said(held_against(object), Outcome::Pass, None, "");
    }
    let policies: BTreeSet<&str> = objections.iter().map(|objection| objection.by.as_str()).collect();
    let message: Vec<String> = objections.iter().map(ToString::to_string).collect();
    let message = format!("admitted, though {}", message.join("; "));
    said(held_against(object), Outcome::Warn, Some(Reason::PolicyDenied.as_str()), &message)
        .of("policies", cut(&Vec::from_iter(policies).join(","), NAMES))
}

/// Holds a provider against what providers must be, and against the lists.
#[must_use]
pub fn provider(object: &AnyProvider, trust: &Trust) -> Finding {
    let invalid = Some(Reason::ProviderInvalid.as_str());
    let (doubts, settled) = (trust::doubts(object, trust), trust::is_settled(object));
    let unread = matches!(trust, Trust::Cluster(lists) if trust::unreadable(lists).is_some());
    let listed = matches!(trust, Trust::Cluster(lists) if !trust::listed(object, lists).is_empty());
    let finding = match review::provider(object) {
        Err(errors) => said(OWN, Outcome::Error, Some("Invalid"), &format!("it can't be understood: {errors}")),
        Ok(_) if listed || (!doubts.is_empty() && settled && !unread) => {
            said(OWN, Outcome::Fail, invalid, &doubts.join("; "))
        }
        Ok(_) if !doubts.is_empty() => said(OWN, Outcome::Error, invalid, &doubts.join("; ")),
        Ok(warnings) if !warnings.is_empty() => said(OWN, Outcome::Warn, None, &warnings.join("; ")),
        Ok(_) => said(OWN, Outcome::Pass, None, ""),
    };
    let namespace = match object {
        AnyProvider::Namespaced(object) => object.namespace(),
        AnyProvider::Cluster(_) => None,
    };
    let metadata = object.metadata();
    let name = metadata.name.as_deref().unwrap_or_default();
    about(
        finding,
        Resource { uid: metadata.uid.clone(), ..Resource::new(provider_kind(object.kind()), namespace, name) },
    )
}

/// Holds a context against the cluster's ceiling. One above it may have been written by somebody with the right to: so it
/// is a warning.
#[must_use]
pub fn context(object: &AnyContext, contexts: &ParsedContexts, ceiling: &Ceiling, now: Timestamp) -> Finding {
    let finding = match contexts.read(object, now) {
        Err(errors) => said(OWN, Outcome::Error, Some("Invalid"), &format!("it can't be understood: {errors}")),
        Ok(parsed) => match exceeds(&parsed, ceiling) {
            None => said(OWN, Outcome::Pass, None, ""),
            Some(above) => {
                let message = format!("grants more than the cluster's ceiling:\n{above}");
                said(OWN, Outcome::Warn, Some(Reason::CeilingExceeded.as_str()), &message)
            }
        },
    };
    let metadata = object.metadata();
    let name = metadata.name.as_deref().unwrap_or_default();
    let resource = Resource::new(context_kind(object.kind()), metadata.namespace.clone(), name);
    about(finding, Resource { uid: metadata.uid.clone(), ..resource })
}

fn said(policy: impl AsRef<str>, outcome: Outcome, rule: Option<&str>, message: &str) -> Finding {
    Finding {
        rule: rule.map(str::to_owned),
        message: (!message.is_empty()).then(|| cut(message, MESSAGE).to_owned()),
        ..Finding::new(policy.as_ref(), outcome)
    }
}

fn about(mut finding: Finding, resource: Resource) -> Finding {
    finding.resources.push(resource);
    finding
}

/// The report of all that was found in a namespace, or of what belongs to none. `before` is the report that there is: what
/// it said already keeps its moment, so that a report says since when something is so, and is the same if nothing is new.
#[must_use]
pub fn report(namespace: Option<&str>, findings: Vec<Finding>, before: Option<&Report>, now: Timestamp) -> Report {
    let mut report = Report::new(NAME, namespace.map(str::to_owned), findings);
    report.metadata.labels = Some([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into());
    report.results.sort_by(|one, other| key(one).cmp(&key(other)));
    report.bound(RESULTS);
    let earlier: HashMap<_, &Finding> =
        before.into_iter().flat_map(|before| &before.results).map(|finding| (key(finding), finding)).collect();
    for finding in &mut report.results {
        let since = earlier.get(&key(finding)).filter(|earlier| is_same(finding, earlier));
        finding.timestamp = since.map_or_else(|| Some(Moment::from(now)), |earlier| earlier.timestamp);
    }
    report
}

/// An outcome, and the kind, the name and the UID of what it is about.
type Key<'a> = (Outcome, Option<(&'a str, &'a str, Option<&'a str>)>);

/// The order of findings, the worst first.
fn key(finding: &Finding) -> Key<'_> {
    let resource = finding.resources.first();
    let named = resource.map(|one| (one.kind.as_str(), one.name.as_str(), one.uid.as_deref()));
    (finding.result, named)
}

/// Whether it was found before, whenever.
fn is_same(finding: &Finding, earlier: &Finding) -> bool {
    Finding { timestamp: earlier.timestamp, ..finding.clone() } == *earlier
}

/// Whether what decides the finding of an execution may have changed: not how far it is, nor its place in a line.
#[must_use]
pub fn execution_changed(before: &CapabilityExecution, after: &CapabilityExecution) -> bool {
    let of = |one: &CapabilityExecution| {
        let metadata = &one.metadata;
        (metadata.uid.clone(), metadata.generation, metadata.deletion_timestamp.is_some(), Stage::of(one))
    };
    of(before) != of(after)
}
