//! kubectl, as a subprocess.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster;

/// How often [`until`] looks.
const LOOK: Duration = Duration::from_millis(100);

/// A command line in the making.
#[derive(Debug)]
#[must_use]
pub struct Kubectl {
    command: Command,
    arguments: Vec<String>,
    input: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Whether it exited with 0.
    pub ok: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Starts a command line.
pub fn kubectl<S: AsRef<str>>(arguments: impl IntoIterator<Item = S>) -> Kubectl {
    Kubectl::of("kubectl", arguments)
}

/// The same for helm.
pub fn helm<S: AsRef<str>>(arguments: impl IntoIterator<Item = S>) -> Kubectl {
    Kubectl::of("helm", arguments)
}

impl Kubectl {
    fn of<S: AsRef<str>>(tool: &str, arguments: impl IntoIterator<Item = S>) -> Self {
        let arguments = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
        Self { command: cluster::tool(tool), arguments, input: None }
    }

    /// In a namespace.
    pub fn inside(mut self, namespace: &str) -> Self {
        // In front: behind a `--` it would be an argument of something else.
        self.command.args(["--namespace", namespace]);
        self
    }

    /// With this on standard input.
    pub fn input(mut self, text: impl Into<String>) -> Self {
        self.input = Some(text.into());
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> Answer {
        let Self { mut command, arguments, input } = self;
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        let mut stdin = child.stdin.take().unwrap();
        let input = input.unwrap_or_default();
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Answer {
            ok: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it and wants it to succeed.
    #[track_caller]
    pub fn succeeds(self) -> String {
        let line = self.arguments.join(" ");
        let answer = self.run();
        assert!(answer.ok, "{line}: {}{}", answer.err, answer.out);
        answer.out
    }

    /// Runs it with `-o json`.
    #[track_caller]
    pub fn json(mut self) -> Value {
        self.arguments.extend(["-o", "json"].map(str::to_owned));
        let text = self.succeeds();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

/// Looks again and again until there is something, for what `kubectl wait` can't wait for.
#[track_caller]
pub fn until<T>(what: &str, seconds: u64, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not so after {seconds} s");
        std::thread::sleep(LOOK);
    }
}
