//! `ccos`, the command line.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use ccos_cli::cli::{Cli, run};
use ccos_cli::printable::printable;
use ccos_cli::{Outcome, Streams};

fn main() -> ExitCode {
    let cli = Cli::of_process();
    let (mut out, mut notes) = (std::io::stdout().lock(), std::io::stderr());
    let mut streams = Streams { out: &mut out, notes: &mut notes };
    let stdin = || {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    };
    let result = run(cli, stdin, jiff::Timestamp::now(), &mut streams);
    let flushed = out.flush();
    match (result, flushed) {
        (Ok(outcome), Ok(())) => outcome.into(),
        // Whoever reads us has seen enough, such as `head`.
        (_, Err(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Outcome::Done.into(),
        (Err(error), _) => {
            eprintln!("{}", printable(&error.to_string()));
            Outcome::Invalid.into()
        }
        (Ok(_), Err(error)) => {
            eprintln!("cannot write: {error}");
            Outcome::Invalid.into()
        }
    }
}
