//! `ccos doctor`: does what executions rely on hold, on a node with Kata and in a cluster? It reads, and changes nothing, unless
//! it is asked to probe.

mod cluster;
mod kata;
mod line;
mod probe;

use std::path::PathBuf;

use clap::Args;

use crate::cluster::{ConnectError, with_client};
use crate::{Format, Outcome, PrintError, Streams};
pub use cluster::{examine, examine_and_probe};
pub use kata::{KataError, KataReport, Overhead, Read, diagnose};
pub use line::{Line, Report, State, print};
pub use probe::Interrupted;

/// Looks at what executions rely on, and says what does not hold and what to do. Changes nothing, unless it is asked to probe.
///
/// Without --kata-config at the cluster of the kubeconfig: the RuntimeClasses of the profile, the kinds, webhooks, policies and
/// keys of ccos, and who may reach into pods of executions or use contexts through `*`. With it, at the configuration.toml of
/// a node with Kata, offline: what an execution may rely on there, setting by setting, and what to write into the chart's
/// values. With --probe it also runs short pods that see whether the profile is true: whose kernel they have, what it can do, and
/// whether NetworkPolicies hold. Ends with 0 if nothing fails (warnings don't count), 1 if something does, 2 if nobody could tell.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// A node's configuration of Kata, such as /opt/kata/share/defaults/kata-containers/configuration.toml.
    #[arg(long, value_name = "FILE")]
    pub kata_config: Option<PathBuf>,
    /// The folder of its drop-ins. Absent: config.d beside the file, as Kata has it, where there is one.
    #[arg(long, value_name = "DIR", requires = "kata_config")]
    pub kata_config_dir: Option<PathBuf>,
    /// What the cluster says of itself, `profile.yaml` of its ConfigMap ccos-profile, to compare with.
    #[arg(long, value_name = "FILE", requires = "kata_config")]
    pub profile: Option<PathBuf>,
    /// The RuntimeClass of that configuration, for the values that are printed. Absent: the profile's, or kata.
    #[arg(long, value_name = "NAME", requires = "kata_config")]
    pub runtime_class: Option<String>,
    /// Where ccos runs.
    #[arg(long, default_value = "ccos-system", value_name = "NAMESPACE", conflicts_with = "kata_config")]
    pub system_namespace: String,
    /// Run short pods of the runner's image, restricted as executions are, and take them away again, however this ends.
    #[arg(long, conflicts_with = "kata_config")]
    pub probe: bool,
    /// Where. Absent: in a namespace that is made, and deleted in the end.
    #[arg(long, value_name = "NAMESPACE", requires = "probe")]
    pub probe_namespace: Option<String>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Why nobody can tell.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum DoctorError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    #[error(transparent)]
    Kata(#[from] KataError),
    #[error(transparent)]
    Print(#[from] PrintError),
}

/// Looks, and prints what was found.
///
/// # Errors
/// If nothing can be read, or written.
pub fn run(args: &DoctorArgs, streams: &mut Streams<'_>) -> Result<Outcome, DoctorError> {
    let report = match &args.kata_config {
        Some(file) => diagnose(&Read::of(args, file)?),
        None if args.probe => with_client(async |client| {
            let namespace = args.probe_namespace.as_deref();
            Ok::<_, DoctorError>(examine_and_probe(&client, &args.system_namespace, namespace).await?)
        })?,
        None => with_client(async |client| Ok::<_, DoctorError>(examine(&client, &args.system_namespace).await))?,
    };
    print(&report, args.output, streams)?;
    Ok(report.outcome())
}
