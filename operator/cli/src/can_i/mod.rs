//! `ccos can-i`: may somebody use a context, and may they run something under it?

mod ask;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use crate::cluster::with_client;
use crate::printable::line;
use crate::{Format, Outcome, PrintError, Streams};
pub use ask::{CanIError, Who, answer};

/// Asks the cluster whether you, or somebody else, may use a context or execute a capability under it.
///
/// `ccos can-i use analysts --as ann` asks for the RBAC verb `use` on a context. `ccos can-i execute weather/weather.fetch
/// --context analysts` asks that, for the right to create executions, and for the decision on one that requires all that
/// the capability does. The cluster is that of the current context of the kubeconfig, as for kubectl. To ask for somebody
/// else, you need the right to create SubjectAccessReviews. Nothing is created.
/// Ends with 0 if the answer is yes, 1 if it is no, 2 if nobody could tell.
#[derive(Clone, Debug, Args)]
pub struct CanIArgs {
    /// What is asked.
    #[command(subcommand)]
    pub question: Question,
}

/// What is asked.
#[derive(Clone, Debug, Subcommand)]
pub enum Question {
    /// May they run executions under a context?
    Use {
        /// NAME, or ClusterSecurityContext/NAME.
        context: String,
        /// For whom, where, and how to print.
        #[command(flatten)]
        common: Common,
    },
    /// May they run a capability under a context?
    Execute {
        /// PROVIDER/ID, or ClusterCapabilityProvider/PROVIDER/ID.
        capability: String,
        /// NAME, or ClusterSecurityContext/NAME.
        #[arg(long)]
        context: String,
        /// Where ccos runs, with the ConfigMap ccos-profile that says what the cluster can do.
        #[arg(long, default_value = "ccos-system", value_name = "NAMESPACE")]
        system_namespace: String,
        /// For whom, where, and how to print.
        #[command(flatten)]
        common: Common,
    },
}

/// For whom, where, and how to print.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// A user, such as ann or system:serviceaccount:NAMESPACE:NAME. Absent: you.
    #[arg(long = "as", value_name = "USER")]
    pub user: Option<String>,
    /// A group of that user; repeat it for more.
    #[arg(long = "as-group", value_name = "GROUP", requires = "user")]
    pub groups: Vec<String>,
    /// The namespace. Absent: the kubeconfig's.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Yes or no.
    pub allowed: bool,
    /// Why not; and what else is to be known.
    pub reasons: Vec<String>,
}

/// Asks the cluster of the kubeconfig.
///
/// # Errors
/// If it does not answer, or nothing can be written.
pub fn run(args: &CanIArgs, now: Timestamp, streams: &mut Streams<'_>) -> Result<Outcome, CanIError> {
    let answer = with_client(async |client| answer(&client, &args.question, now).await)?;
    let (Question::Use { common, .. } | Question::Execute { common, .. }) = &args.question;
    print(&answer, common.output, streams)?;
    Ok(if answer.allowed { Outcome::Done } else { Outcome::Denied })
}

/// Prints an answer.
///
/// # Errors
/// If it can't be written.
pub fn print(answer: &Answer, format: Format, streams: &mut Streams<'_>) -> Result<(), PrintError> {
    match format {
        Format::Json => {
            writeln!(streams.out, "{}", serde_json::to_string_pretty(answer).map_err(PrintError::format)?)?;
        }
        Format::Text => {
            writeln!(streams.out, "{}", if answer.allowed { "yes" } else { "no" })?;
            for reason in &answer.reasons {
                writeln!(streams.out, "  {}", line(reason))?;
            }
        }
    }
    Ok(())
}
