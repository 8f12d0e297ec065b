//! `ccos completion`: what shells need to complete a command line.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::{Outcome, PrintError, Streams};

/// Prints a script that completes `ccos` in a shell.
///
/// bash: `source <(ccos completion bash)`; zsh: `ccos completion zsh > "${fpath[1]}/_ccos"`; fish: `ccos completion fish |
/// source`.
#[derive(Clone, Debug, Args)]
pub struct CompletionArgs {
    /// Which shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// If it can't be written.
pub fn run(args: &CompletionArgs, streams: &mut Streams<'_>) -> Result<Outcome, PrintError> {
    // Into memory first: the generator panics when it can't write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ccos", &mut script);
    streams.out.write_all(&script)?;
    Ok(Outcome::Done)
}
