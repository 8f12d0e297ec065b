//! `ccos`, the command line.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use ccos_cli::{Outcome, Streams, audit, check, explain};
use clap::{Parser, Subcommand};

/// What an execution may do, before and after it ran.
#[derive(Debug, Parser)]
#[command(name = "ccos", version)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(check::CheckArgs),
    Explain(explain::ExplainArgs),
    Audit(audit::AuditArgs),
}

fn main() -> ExitCode {
    let Args { verb } = Args::parse();
    let (mut out, mut notes) = (std::io::stdout().lock(), std::io::stderr());
    let mut streams = Streams { out: &mut out, notes: &mut notes };
    let now = jiff::Timestamp::now();
    let result = match verb {
        Verb::Check(args) => {
            let stdin = || {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).map(|_| text)
            };
            check::run(&args, stdin, now, &mut streams).map_err(|error| error.to_string())
        }
        Verb::Audit(args) => {
            audit::run(&args, || Box::new(std::io::stdin()), &mut streams).map_err(|error| error.to_string())
        }
        Verb::Explain(args) => explain::run(&args, &mut streams).map_err(|error| error.to_string()),
    };
    let flushed = out.flush();
    match (result, flushed) {
        (Ok(outcome), Ok(())) => outcome.into(),
        // Whoever reads us has seen enough, such as `head`.
        (_, Err(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Outcome::Done.into(),
        (Err(error), _) => {
            eprintln!("{error}");
            Outcome::Invalid.into()
        }
        (Ok(_), Err(error)) => {
            eprintln!("cannot write: {error}");
            Outcome::Invalid.into()
        }
    }
}
