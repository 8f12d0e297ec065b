//! `ccos check`: the decision that the cluster would make, without a cluster.

mod cluster;
mod path;
mod print;
pub mod verdict;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use ccos_plan::receipt::Requester;
use ccos_plan::trust;
use clap::Args;
use jiff::Timestamp;

use crate::can_i::Who;
use crate::input::{Fault, Place, World, sources};
use crate::printable::{line, printable};
use crate::{Outcome, PrintError, Streams};
pub use cluster::Cluster;
pub use verdict::{Cause, Checked, Verdict, check};

/// Decides executions offline, as the cluster would.
///
/// Reads contexts, providers, policies and executions, and Namespaces for their labels, from files, folders
/// (all *.yaml, *.yml and *.json in them) or `-`, such as the output of `helm template`, and says of each execution whether
/// it would be admitted, and if not, every reason. Whether you may use a context, or escalate one above the cluster's
/// ceiling, is not asked: only the cluster knows, see `ccos can-i`; nor what a tag names, whether an image is signed, and
/// who is listed as malicious. Ends with 0 if all are allowed, 1 if some are denied, 2 if the input is unreadable or invalid.
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
    /// For whom ExecutionPolicies are asked, such as ann or system:serviceaccount:NAMESPACE:NAME. Absent: for somebody of
    /// whom nothing is known.
    #[arg(long = "as", value_name = "USER")]
    pub user: Option<String>,
    /// A group of that user; repeat it for more. Those that follow from the name need not be given.
    #[arg(long = "as-group", value_name = "GROUP", requires = "user")]
    pub groups: Vec<String>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: CheckFormat,
    /// Tell the path of each decision: what covers each requirement, which maximum each limit has, and what would hold
    /// each field.
    #[arg(long, conflicts_with = "output")]
    pub explain: bool,
}

/// How to print what was decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CheckFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// JUnit XML, for what shows tests: a test case for each execution.
    Junit,
    /// SARIF 2.1.0, for what shows findings beside the code.
    Sarif,
    /// Reports of openreports.io/v1alpha1, for what shows policy reports.
    Openreports,
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
) -> Result<Outcome, PrintError> {
    let CheckArgs { paths, profile, without_escalate, namespace, user, groups, output, explain } = args;
    let (texts, mut faults) = sources::read(paths, stdin);
    let cluster = Cluster::of(profile.as_deref(), &mut faults);
    let mut world = World::read(&texts, namespace, &mut faults);
    world.requester = requester(user.as_deref(), groups);
    let mut checked = check(&world, &cluster.isolations, now);
    faults.append(&mut checked.faults);
    let above = verdict::above(&world, &cluster.ceiling, now);
    if *without_escalate {
        checked.verdicts.extend(above);
    } else {
        let told = |Verdict { place, rejection, .. }| rejection.map(|text| Fault::at(place, text));
        checked.warnings.extend(above.into_iter().filter_map(told));
    }
    if faults.is_empty() && world.is_empty() {
        faults.push(Fault::at(Place::default(), "there is nothing to check: no object of security.ccos.dev"));
    }
    checked.faults = faults;

    notes(&world, user.is_some(), &checked, streams)?;
    if *explain {
        if checked.faults.is_empty() {
            path::print(&world, &cluster.isolations, now, streams.out)?;
        }
    } else {
        print::print(&checked, *output, now, streams.out)?;
    }
    Ok(match (checked.faults.is_empty(), checked.verdicts.iter().all(Verdict::is_allowed)) {
        (false, _) => Outcome::Invalid,
        (true, true) => Outcome::Done,
        (true, false) => Outcome::Denied,
    })
}

/// What is said beside the report.
fn notes(world: &World, known: bool, checked: &Checked, streams: &mut Streams<'_>) -> io::Result<()> {
    let Checked { faults, warnings, verdicts } = checked;
    if !world.left_out.is_empty() {
        let kinds: Vec<String> = world.left_out.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let count: usize = world.left_out.values().sum();
        let objects = if count == 1 { "object" } else { "objects" };
        let kinds = kinds.join(", ");
        writeln!(streams.notes, "left out: {count} {objects} of other kinds ({})", line(&kinds))?;
    }
    if !world.policies.is_empty() && !verdicts.is_empty() {
        unknown(world, known, streams)?;
    }
    for item in world.providers.values() {
        for what in trust::unseen(&item.object) {
            writeln!(streams.notes, "{}", line(&format!("{}: not checked here: {what}", item.place)))?;
        }
    }
    for warning in warnings {
        writeln!(streams.notes, "warning: {}", printable(&warning.to_string()))?;
    }
    for fault in faults {
        writeln!(streams.notes, "{}", printable(&fault.to_string()))?;
    }
    if faults.is_empty() && verdicts.is_empty() {
        writeln!(streams.notes, "there is no execution to decide; what there is, is valid")?;
    }
    Ok(())
}

/// What policies were asked without.
fn unknown(world: &World, known: bool, streams: &mut Streams<'_>) -> io::Result<()> {
    if !known {
        let of = "ExecutionPolicies were asked for an unknown user of no group but system:authenticated";
        writeln!(streams.notes, "{of}: say for whom with --as USER --as-group GROUP")?;
    }
    let named = world.executions.values().filter_map(|item| item.object.metadata.namespace.as_deref());
    let missing: BTreeSet<&str> = named.filter(|name| !world.namespaces.contains_key(*name)).collect();
    for name in missing {
        let name = line(name);
        writeln!(streams.notes, "ExecutionPolicies saw namespace {name} without labels: give its Namespace, too")?;
    }
    Ok(())
}

/// Somebody as the API server knows them.
pub(crate) fn requester(user: Option<&str>, groups: &[String]) -> Requester {
    match Who::of(Some(user.unwrap_or_default()), groups) {
        Who::User { name: user, groups } => Requester { user, groups, ..Requester::default() },
        Who::Me => Requester::default(),
    }
}
