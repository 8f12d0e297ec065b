//! `ccos check`: the decision that the cluster would make, without a cluster.

mod input;
mod sources;

use std::io;
use std::path::PathBuf;

use ccos_plan::review::{References, Verdict, rejection, review};
use ccos_plan::wire;
use ccos_plan::{AnyContext, AnyProvider, ClusterProfile, Trust, trust};
use ccos_policy::{
    Ceiling, Decision, Denial, Denials, Isolation, IsolationProfile, Isolations, Peer, RequiredPermissions, Use,
};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::printable::printable;
use crate::{Format, Outcome, Streams};
use input::{Fault, Input, Place};

/// Decides executions offline, as the cluster would.
///
/// Reads contexts, providers and executions, and Namespaces for the labels that name default contexts, from files, folders
/// (all *.yaml, *.yml and *.json in them) or `-`, and says of each execution whether it would be admitted, and if not, every
/// reason. Whether you may use a context, or escalate one above the cluster's ceiling, is not asked: only the cluster knows;
/// nor what a tag names, whether an image is signed, and who is listed as malicious. Ends with 0 if all are allowed, 1 if
/// some are denied, 2 if the input is unreadable or invalid.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Files, folders, or `-` for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// What the cluster can do, and its ceiling: `profile.yaml` of its ConfigMap ccos-profile. Absent: the chart's
    /// defaults, that is GVisor and Kata, both able to hold file rules, and Container, which is not.
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// The contexts' author may not escalate: one that grants more than the cluster's ceiling is denied. Absent: it is only
    /// told.
    #[arg(long)]
    pub without_escalate: bool,
    /// The namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Why it could not be printed.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The output is closed, or its disk is full.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
    /// The report is no JSON.
    #[error("cannot write the report: {0}")]
    Json(#[from] serde_json::Error),
}

/// What is said of an execution.
#[derive(Debug, Serialize)]
struct Report {
    execution: String,
    allowed: bool,
    causes: Vec<Cause>,
    #[serde(skip)]
    rejection: Option<String>,
}

#[derive(Debug, Serialize)]
struct Cause {
    field: String,
    reason: &'static str,
    message: String,
}

/// Decides all that is given. `stdin` is asked for the text of `-`.
///
/// # Errors
/// If nothing can be written.
pub fn run(
    args: &CheckArgs,
    stdin: impl FnMut() -> io::Result<String>,
    now: Timestamp,
    streams: &mut Streams<'_>,
) -> Result<Outcome, CheckError> {
    let CheckArgs { paths, profile, without_escalate, namespace, output } = args;
    let (texts, mut faults) = sources::read(paths, stdin);
    let (isolations, ceiling) = match profile.as_ref().map(cluster) {
        None => (default_isolations(), default_ceiling()),
        Some(Ok(cluster)) => cluster,
        Some(Err(fault)) => {
            faults.push(fault);
            (Isolations::default(), Ceiling::default())
        }
    };
    let mut input = Input::new(namespace);
    for text in &texts {
        input.add(text, &mut faults);
    }
    grants(&input, now, &mut faults);
    let mut reports = decide(&input, &isolations, now, &mut faults);
    let above = above(&input, &ceiling, now);
    if *without_escalate {
        reports.extend(above);
    } else {
        input.notes.extend(above.into_iter().filter_map(|report| report.rejection));
    }

    for note in &input.notes {
        writeln!(streams.notes, "{}", printable(note))?;
    }
    for (place, provider) in input.providers.values() {
        for what in trust::unseen(provider) {
            writeln!(streams.notes, "{}", printable(&format!("{place}: not checked here: {what}")))?;
        }
    }
    if faults.is_empty() && input.is_empty() {
        faults.push(Fault::at(Place::default(), "there is nothing to check: no object of security.ccos.dev"));
    }
    if !faults.is_empty() {
        // Nothing is decided of a part: with the rest, it might be decided otherwise.
        for fault in faults {
            writeln!(streams.notes, "{}", printable(&fault.to_string()))?;
        }
        return Ok(Outcome::Invalid);
    }
    if reports.is_empty() {
        writeln!(streams.notes, "there is no execution to decide; what there is, is valid")?;
    }
    print(&reports, *output, streams)?;
    Ok(if reports.iter().all(|report| report.allowed) { Outcome::Done } else { Outcome::Denied })
}

fn cluster(path: &PathBuf) -> Result<(Isolations, Ceiling), Fault> {
    let place = Place::file(&path.display().to_string());
    let text = std::fs::read_to_string(path).map_err(|error| Fault::at(place.clone(), &error.to_string()))?;
    let profile = ClusterProfile::parse(&text);
    let both = profile.and_then(|profile| profile.ceiling().map(|ceiling| (profile.isolations, ceiling)));
    both.map_err(|error| Fault::at(place, &error.to_string()))
}

/// The chart's default.
#[must_use]
pub fn default_ceiling() -> Ceiling {
    let peers = DEFAULT_BLOCKED.iter().filter_map(|text| text.parse().ok().map(Peer::Cidr)).collect();
    let permissions = RequiredPermissions { network_blocked: Some(peers), ..RequiredPermissions::default() };
    Ceiling { permissions, ..Ceiling::default() }
}

/// `ceiling.permissions.network.blocked` of the chart.
const DEFAULT_BLOCKED: [&str; 5] = ["127.0.0.0/8", "169.254.0.0/16", "::1/128", "fd00:ec2::/32", "fe80::/10"];

/// The chart's defaults.
#[must_use]
pub fn default_isolations() -> Isolations {
    let able = |class: Option<&str>, user_namespaces| IsolationProfile {
        runtime_class: class.map(str::to_owned),
        user_namespaces,
    };
    Isolations(
        [
            (Isolation::GVisor, able(Some("gvisor"), true)),
            (Isolation::Kata, able(Some("kata"), true)),
            (Isolation::Container, able(None, false)),
        ]
        .into(),
    )
}

/// Contexts and providers have to be valid even if no execution names them: the cluster would refuse them.
fn grants(input: &Input, now: Timestamp, faults: &mut Vec<Fault>) {
    let contexts =
        input.contexts.values().filter_map(|(place, object)| Some((place, wire::context(object, now).err()?)));
    let providers = input.providers.values().filter_map(|(place, object)| Some((place, wire::provider(object).err()?)));
    for (place, errors) in contexts.chain(providers) {
        faults.extend(errors.0.into_iter().map(|error| Fault::field(place, error)));
    }
}

/// Contexts that only an author with the right to escalate may write. Offline there is nobody to ask.
fn above(input: &Input, ceiling: &Ceiling, now: Timestamp) -> Vec<Report> {
    let exceeding = |object: &AnyContext| ccos_policy::exceeds(&wire::context(object, now).ok()?, ceiling);
    let all = input.contexts.iter().filter_map(|(name, (_, object))| Some((name, exceeding(object)?)));
    all.map(|(name, denials)| Report {
        execution: name.clone(),
        allowed: false,
        causes: causes(&denials),
        rejection: Some(format!(
            "{name} grants more than the cluster's ceiling: its author needs the RBAC verb `escalate` on it\n{denials}"
        )),
    })
    .collect()
}

fn causes(denials: &Denials) -> Vec<Cause> {
    let cause = |denial: &Denial| Cause {
        field: denial.field.to_string(),
        reason: denial.reason().as_str(),
        message: denial.message(),
    };
    denials.iter().map(cause).collect()
}

fn decide(input: &Input, isolations: &Isolations, now: Timestamp, faults: &mut Vec<Fault>) -> Vec<Report> {
    let mut reports = Vec::new();
    for ((name, _), (place, object)) in &input.executions {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        // As the webhook fills it in.
        let filled = input.defaults.get(namespace).filter(|_| object.spec.context_ref.is_absent()).map(|default| {
            let mut filled = object.clone();
            filled.spec.context_ref = default.clone();
            filled
        });
        let object = filled.as_ref().unwrap_or(object);
        let context: Option<AnyContext> = input.context(namespace, &object.spec.context_ref).cloned();
        let provider: Option<AnyProvider> = input.provider(namespace, &object.spec.capability_ref).cloned();
        let found = References { context, provider, may_use: Use::NotAsked, trust: Trust::Offline };
        let (allowed, denials): (bool, Option<Denials>) = match review(object, &found, isolations, now) {
            Verdict::Invalid(errors) => {
                faults.extend(errors.0.into_iter().map(|error| Fault::field(place, error)));
                continue;
            }
            Verdict::Decided(Decision::Admitted(_)) => (true, None),
            Verdict::Decided(Decision::Denied(denials)) => (false, Some(denials)),
        };
        let causes = denials.as_ref().map(causes).unwrap_or_default();
        let rejection = denials.as_ref().map(|denials| rejection(object, denials));
        reports.push(Report { execution: name.clone(), allowed, causes, rejection });
    }
    reports
}

fn print(reports: &[Report], format: Format, streams: &mut Streams<'_>) -> Result<(), CheckError> {
    match format {
        Format::Json => writeln!(streams.out, "{}", serde_json::to_string_pretty(reports)?)?,
        Format::Text => {
            for Report { execution, allowed: _, causes: _, rejection } in reports {
                match rejection {
                    None => writeln!(streams.out, "allowed  {}", printable(execution))?,
                    Some(text) => writeln!(streams.out, "denied   {}: {}", printable(execution), printable(text))?,
                }
            }
        }
    }
    Ok(())
}
