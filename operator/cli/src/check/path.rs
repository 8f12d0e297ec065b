//! `ccos check --explain`: the path of each decision, in the order in which it looks.

use std::io::{self, Write};

use ccos_crds::CapabilityExecution;
use ccos_plan::review::{Question, question};
use ccos_policy::decide::trace::{Bounded, Requirement, Source};
use ccos_policy::{
    Admitted, Context, Decision, Denial, Found, Isolation, Isolations, OnExpiry, ProcessCreation, Reason, Snapshot,
    Trace, trace,
};
use ccos_profile::mechanism::{self, Mechanism};
use jiff::Timestamp;

use super::verdict::references;
use crate::input::World;
use crate::printable::line;

const NOT_ASKED: &str = "    -      not asked: only the cluster knows, see `ccos can-i`";
const NOT_REACHED: &str = "    -      not looked at: what it depends on is missing";

/// A part of the path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Context,
    Use,
    Capability,
    Requirements,
    Limits,
    Isolation,
    Policies,
}

impl Step {
    const fn of(reason: Reason) -> Self {
        match reason {
            Reason::ContextNotFound | Reason::ContextExpired | Reason::CeilingExceeded => Self::Context,
            Reason::UseForbidden => Self::Use,
            Reason::CapabilityNotFound | Reason::ProviderInvalid | Reason::InvalidInputs => Self::Capability,
            Reason::FileReadDenied
            | Reason::FileWriteDenied
            | Reason::FileExecuteDenied
            | Reason::NetworkDenied
            | Reason::InboundDenied
            | Reason::CommandDenied
            | Reason::ProcessCreationDenied
            | Reason::EnvironmentReadDenied
            | Reason::EnvironmentWriteDenied
            | Reason::IpcDenied => Self::Requirements,
            Reason::LimitExceeded | Reason::LimitUnreasonable => Self::Limits,
            Reason::IsolationNotAllowed | Reason::Unenforceable => Self::Isolation,
            Reason::PolicyDenied => Self::Policies,
        }
    }
}

/// Prints the path of all executions, of which each can be understood.
pub(super) fn print(world: &World, isolations: &Isolations, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    for (at, ((name, _), item)) in world.executions.iter().enumerate() {
        let Ok(question) = question(&item.object, &references(world, &item.object), isolations, now) else {
            continue;
        };
        let Question { request, snapshot, misfits: _ } = &question;
        let path = Path { snapshot, trace: trace(request, snapshot), decision: question.decide() };
        let gap = if at == 0 { "" } else { "\n" };
        write!(out, "{gap}{}", path.text(name, &item.object))?;
    }
    Ok(())
}

struct Path<'a> {
    snapshot: &'a Snapshot,
    trace: Option<Trace>,
    decision: Decision,
}

impl Path<'_> {
    fn text(&self, name: &str, object: &CapabilityExecution) -> String {
        let answer = match self.decision {
            Decision::Admitted(_) => "allowed",
            Decision::Denied(_) => "denied",
        };
        let mut lines = vec![format!("{name}: {answer}")];
        let mut step = |head: &str, step: Step, content: Vec<String>| {
            lines.push(format!("  {head}"));
            let denials = self.denials(step).map(|denial| format!("DENIED {}: {denial}", denial.reason()));
            let before = lines.len();
            lines.extend(
                content
                    .into_iter()
                    .map(|line| format!("ok     {line}"))
                    .chain(denials)
                    .map(|line| format!("    {line}")),
            );
            if lines.len() == before {
                lines.push(if step == Step::Use { NOT_ASKED } else { NOT_REACHED }.to_owned());
            }
        };
        step("context", Step::Context, self.context());
        step("use", Step::Use, Vec::new());
        step("capability", Step::Capability, self.capability());
        step("requirements", Step::Requirements, self.requirements());
        step("limits", Step::Limits, self.limits());
        step("isolation", Step::Isolation, self.isolation());
        if self.denials(Step::Policies).next().is_some() {
            step("policies", Step::Policies, Vec::new());
        }
        if let Decision::Admitted(admitted) = &self.decision {
            lines.push("  confined to".to_owned());
            lines.extend(confinement(admitted, object).into_iter().map(|line| format!("    {line}")));
        }
        lines.push(String::new());
        lines.iter().map(|text| line(text)).collect::<Vec<_>>().join("\n")
    }

    fn denials(&self, step: Step) -> impl Iterator<Item = &Denial> {
        let denials = match &self.decision {
            Decision::Admitted(_) => None,
            Decision::Denied(denials) => Some(denials),
        };
        denials.into_iter().flatten().filter(move |denial| Step::of(denial.reason()) == step)
    }

    fn context(&self) -> Vec<String> {
        let Found::Valid(Context { display, level, expiry, .. }) = &self.snapshot.context else { return Vec::new() };
        // To the second: what is not stored yet counts from now.
        let at = expiry.at.and_then(|at| Timestamp::from_second(at.as_second()).ok());
        let expires = match (at, expiry.on_expiry) {
            (None, _) => "never expires".to_owned(),
            (Some(at), OnExpiry::Stop) => format!("expires at {at}, and stops what runs"),
            (Some(at), OnExpiry::Drain) => format!("expires at {at}, and lets finish what runs"),
        };
        vec![format!("{display}: level {level}, {expires}")]
    }

    fn capability(&self) -> Vec<String> {
        match &self.snapshot.capability {
            Found::Valid(capability) => vec![capability.display.clone()],
            Found::Missing(_) | Found::Invalid(_) => Vec::new(),
        }
    }

    fn requirements(&self) -> Vec<String> {
        let Some(trace) = &self.trace else { return Vec::new() };
        let granted = trace.requirements.iter().filter(|one| !one.granted_by.is_empty());
        let lines = granted.map(|Requirement { field, required, by, granted_by }| {
            let together = if granted_by.len() > 1 { ", together" } else { "" };
            format!("{field} {required:?}{}: granted by {}{together}", inherited(*by), granted_by.join(", "))
        });
        let lines: Vec<String> = lines.collect();
        if trace.requirements.is_empty() { vec!["nothing is required".to_owned()] } else { lines }
    }

    fn limits(&self) -> Vec<String> {
        let Some(trace) = &self.trace else { return Vec::new() };
        let is_denied = |name: &str| {
            self.denials(Step::Limits)
                .any(|denial| denial.field.as_str().strip_prefix("requires.limits.") == Some(name))
        };
        let within = trace.limits.iter().filter(|one| !is_denied(one.limit.as_str()));
        let line = |Bounded { limit, amount, by, most, most_by }: &Bounded| {
            let most = most
                .as_ref()
                .map_or_else(|| "unbounded".to_owned(), |most| format!("at most {most}, {}", whose(*most_by)));
            format!("{limit} {amount}, {}: {most}", whose(*by))
        };
        within.map(line).collect()
    }

    fn isolation(&self) -> Vec<String> {
        let Some(Trace { isolation, isolation_by, isolations_allowed, .. }) = &self.trace else { return Vec::new() };
        if self.denials(Step::Isolation).any(|denial| denial.field.as_str() == "isolation") {
            return Vec::new();
        }
        let class = self.snapshot.isolations.0.get(isolation).and_then(|profile| profile.runtime_class.as_ref());
        let class = class.map_or_else(String::new, |class| format!(", RuntimeClass {class:?}"));
        // Of those that it may name, those that the cluster has.
        let there = isolations_allowed.iter().filter(|isolation| self.snapshot.isolations.0.contains_key(isolation));
        let allowed: Vec<String> = there.map(ToString::to_string).collect();
        vec![format!("{isolation}, {}{class}; allowed: {}", whose(*isolation_by), allowed.join(", "))]
    }
}

const fn whose(by: Source) -> &'static str {
    match by {
        Source::Execution => "the execution's own",
        Source::Capability => "the capability's",
        Source::Context => "the context's",
        Source::Default => "by default",
    }
}

const fn inherited(by: Source) -> &'static str {
    match by {
        Source::Capability => " of the capability",
        Source::Execution | Source::Context | Source::Default => "",
    }
}

/// What its pod would be held to, and by what: the runner proves each before the code starts.
fn confinement(admitted: &Admitted, object: &CapabilityExecution) -> Vec<String> {
    let permissions = admitted.permissions();
    let limits = admitted.limits();
    let what = |mechanism: &Mechanism| match *mechanism {
        mechanism::FILES => format!(
            "read {}; write {}; execute {}; blocked {}",
            list(&permissions.filesystem.read),
            list(&permissions.filesystem.write),
            list(&permissions.filesystem.execute),
            list(&permissions.filesystem.blocked)
        ),
        mechanism::NETWORK => "none of the pod's".to_owned(),
        mechanism::INBOUND => list(&permissions.network.inbound),
        mechanism::OUTBOUND => list(&permissions.network.outbound),
        mechanism::COMMANDS if permissions.system.commands.is_empty() => {
            "the capability's own, and nothing else".to_owned()
        }
        mechanism::COMMANDS => format!("the capability's own, and {}", list(&permissions.system.commands)),
        mechanism::PROCESSES => match permissions.system.process_creation {
            ProcessCreation::Denied => "no new processes".to_owned(),
            ProcessCreation::Allowed => "not restricted".to_owned(),
        },
        mechanism::ENVIRONMENT => {
            let names: Vec<&str> = object.spec.env.iter().map(|variable| variable.name.as_str()).collect();
            if names.is_empty() { "nothing of its own".to_owned() } else { names.join(", ") }
        }
        mechanism::IPC => format!("sockets {}", list(&permissions.ipc.connect)),
        mechanism::DISK => limits.disk.to_string(),
        mechanism::DESCRIPTORS => limits.file_descriptors.to_string(),
        mechanism::THREADS => limits.threads.to_string(),
        mechanism::CPU_TIME => limits.cpu_time.to_string(),
        mechanism::WALL_TIME => limits.wall_time.to_string(),
        _ => String::new(),
    };
    let row = |field: &str, what: &str, by: &str| format!("{field:<36} {what} ({by})");
    let by = |mechanism: &Mechanism| match admitted.isolation() {
        Isolation::Container => mechanism.by_landlock,
        Isolation::GVisor | Isolation::Kata | Isolation::Wasm => mechanism.name,
    };
    let all = mechanism::ALL.iter().filter(|mechanism| match **mechanism {
        mechanism::OUTBOUND => !permissions.network.outbound.is_empty(),
        mechanism::INBOUND => !permissions.network.inbound.is_empty(),
        _ => true,
    });
    let mut lines: Vec<String> = all.map(|one| row(one.field, &what(one), by(one))).collect();
    lines.push(row("limits.memory", &limits.memory.to_string(), "the pod's limits"));
    lines.push(row("limits.cpu", &limits.cpu.to_string(), "the pod's limits"));
    lines
}

fn list<'a, T: ToString + 'a>(items: impl IntoIterator<Item = &'a T>) -> String {
    let items: Vec<String> = items.into_iter().map(ToString::to_string).collect();
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}
