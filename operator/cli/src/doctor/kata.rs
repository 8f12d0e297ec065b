//! A node's Kata, by its configuration.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ccos_kata::{
    Basis, DROP_INS_LIMIT, FILE_LIMIT, Finding, Kata, Source, Verdict, findings, overhead, user_namespaces,
};
use ccos_policy::{Isolation, IsolationProfile, Isolations};
use serde::Serialize;
use serde_json::json;

use super::DoctorArgs;
use super::line::{Line, Report, State};
use crate::check::Cluster;

/// Where Kata's drop-ins are, beside its configuration.
const DROP_INS: &str = "config.d";

/// Why a configuration can't be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum KataError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: is no text in UTF-8; give Kata's configuration.toml", path.display())]
    NoText { path: PathBuf },
    #[error("{}: {why}", path.display())]
    Profile { path: PathBuf, why: String },
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<ccos_kata::ReadError>),
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Read {
    /// The configuration.
    pub kata: Kata,
    /// What the cluster says of its isolations, where it was given.
    pub profile: Option<Isolations>,
    /// The RuntimeClass that was named.
    pub runtime_class: Option<String>,
}

/// What is to be written where.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KataReport {
    /// Who reads the configuration.
    pub runtime: String,
    /// The hypervisor.
    pub hypervisor: String,
    /// `overhead.podFixed` of the RuntimeClass.
    pub overhead: Overhead,
    /// Values of the chart ccos.
    pub values: serde_json::Value,
}

/// `overhead.podFixed` of a RuntimeClass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overhead {
    /// What to write.
    pub memory: String,
    /// With less, pods that use their memory don't live.
    pub least_memory: String,
    /// What to write.
    pub cpu: String,
}

impl Read {
    /// Reads the files that the arguments name.
    ///
    /// # Errors
    /// If one can't be read or understood.
    pub fn of(args: &DoctorArgs, file: &Path) -> Result<Self, KataError> {
        let main = Source { name: file.display().to_string(), text: text(file)? };
        let beside = file.parent().unwrap_or(Path::new("")).join(DROP_INS);
        let folder = args.kata_config_dir.clone().or_else(|| beside.is_dir().then_some(beside));
        let drop_ins = folder.map_or_else(|| Ok(Vec::new()), |folder| drop_ins(&folder))?;
        let kata = ccos_kata::read(main, drop_ins).map_err(KataError::Invalid)?;
        let profile = args.profile.as_ref().map(|path| {
            let parsed = text(path).map(|text| Cluster::parse(&text));
            parsed?.map(|cluster| cluster.isolations).map_err(|why| KataError::Profile { path: path.clone(), why })
        });
        Ok(Self { kata, profile: profile.transpose()?, runtime_class: args.runtime_class.clone() })
    }
}

/// All files of the folder, as both of Kata's runtimes read it: whatever they are called.
fn drop_ins(folder: &Path) -> Result<Vec<Source>, KataError> {
    let fault = |source| KataError::Read { path: folder.to_owned(), source };
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        if sources.len() > DROP_INS_LIMIT {
            // Enough to be told so.
            break;
        }
        let path = entry.map_err(fault)?.path();
        sources.push(Source { name: path.display().to_string(), text: text(&path)? });
    }
    Ok(sources)
}

fn text(path: &Path) -> Result<String, KataError> {
    let fault = |source| KataError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    // One more than is allowed, to be told so.
    let limit = u64::try_from(FILE_LIMIT).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).map_err(fault)?.take(limit).read_to_end(&mut bytes).map_err(fault)?;
    String::from_utf8(bytes).map_err(|_| KataError::NoText { path: path.to_owned() })
}

/// What an execution may rely on there.
#[must_use]
pub fn diagnose(read: &Read) -> Report {
    let Read { kata, profile, runtime_class } = read;
    let found = findings(kata);
    // All but the one that the profile can carry: with userNamespaces false, admission refuses what needs them.
    let usable = !found.iter().any(|finding| finding.verdict == Verdict::Refused && !of_user_namespaces(finding));
    let profiled = profile.as_ref().map(|isolations| isolations.0.get(&Isolation::Kata));
    let known = profiled.flatten().and_then(|profile| profile.runtime_class.clone());
    let class = runtime_class.clone().or(known).unwrap_or_else(|| "kata".to_owned());
    let able = user_namespaces(kata);
    let values = if usable { json!({"runtimeClass": class, "userNamespaces": able}) } else { json!(null) };
    let overhead = overhead(kata);
    // Admission refuses what needs them, so that nothing relies on them.
    let carried = profiled.flatten().is_some_and(|profile| !profile.user_namespaces);
    let mut checks: Vec<Line> = found
        .iter()
        .map(|finding| match line(finding) {
            line if carried && of_user_namespaces(finding) => Line { state: line.state.min(State::Warn), ..line },
            line => line,
        })
        .collect();
    checks.extend(profiled.map(|profile| compared(profile, usable, able)));
    Report {
        checks,
        kata: Some(KataReport {
            runtime: kata.shim.to_string(),
            hypervisor: kata.hypervisor_name.clone(),
            overhead: Overhead {
                memory: format!("{}Mi", overhead.memory_mib),
                least_memory: format!("{}Mi", overhead.least_memory_mib),
                cpu: format!("{}m", overhead.cpu_millis),
            },
            values: json!({"isolations": {"Kata": values}}),
        }),
    }
}

fn of_user_namespaces(finding: &Finding) -> bool {
    finding.key == "runtime.disable_guest_seccomp"
}

fn line(finding: &Finding) -> Line {
    let Finding { key, value, file, verdict, consequence, advice, basis } = finding;
    let value = value.as_ref().map_or_else(String::new, |value| format!(" = {value}"));
    let file = file.as_ref().map_or_else(String::new, |file| format!(" ({file})"));
    Line {
        check: format!("{key}{value}{file}"),
        state: match verdict {
            Verdict::Holds => State::Ok,
            Verdict::Weak => State::Warn,
            Verdict::Refused => State::Fail,
        },
        found: consequence.clone(),
        advice: advice.clone(),
        known: Some(match basis {
            Basis::Measured => "measured",
            Basis::Documented => "documented",
        }),
    }
}

/// The profile, by which admission decides, and the node.
fn compared(profile: Option<&IsolationProfile>, usable: bool, able: bool) -> Line {
    const CHECK: &str = "isolations.Kata of the profile";
    match profile {
        None if usable => {
            Line::ok(CHECK, "has none: executions that need it are refused, though this node could run them")
        }
        None => Line::ok(CHECK, "has none: executions that need it are refused"),
        Some(_) if !usable => Line::new(
            CHECK,
            State::Fail,
            "says that the cluster has it, but what executions rely on does not hold on this node",
            "correct the node, or take it out: --set isolations.Kata=null",
        ),
        Some(profile) if profile.user_namespaces && !able => Line::new(
            CHECK,
            State::Fail,
            "has userNamespaces: true, but this node's guests can't make them: executions would end as ConfinementFailed",
            "correct the node, or set isolations.Kata.userNamespaces to false: admission then refuses them",
        ),
        Some(profile) if !profile.user_namespaces && able => Line::new(
            CHECK,
            State::Warn,
            "has userNamespaces: false, so that executions are refused that this node could hold",
            "set isolations.Kata.userNamespaces to true",
        ),
        Some(_) => Line::ok(CHECK, "is what this node holds"),
    }
}

impl KataReport {
    pub(super) fn text(&self) -> String {
        let Self { runtime, hypervisor, overhead, values } = self;
        let Overhead { memory, least_memory, cpu } = overhead;
        let kata = values.pointer("/isolations/Kata").filter(|kata| !kata.is_null());
        let kata = match kata {
            Some(kata) => {
                let text =
                    |field: &str| kata.get(field).map(|value| value.to_string().replace('"', "")).unwrap_or_default();
                format!("{{runtimeClass: {}, userNamespaces: {}}}", text("runtimeClass"), text("userNamespaces"))
            }
            None => "null # what executions rely on does not hold there, see above".to_owned(),
        };
        [
            String::new(),
            format!("{hypervisor}, read by {runtime}. Its RuntimeClass, with at least {least_memory} of memory:"),
            format!("  overhead: {{podFixed: {{memory: {memory}, cpu: {cpu}}}}}"),
            "Values of the chart ccos:".to_owned(),
            "  isolations:".to_owned(),
            format!("    Kata: {kata}"),
            String::new(),
        ]
        .join("\n")
    }
}
