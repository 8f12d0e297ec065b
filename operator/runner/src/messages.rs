//! What the processes inside tell the runner outside, over pipes that the workload never has.

use std::io::{self, Read, Write};

use ccos_profile::{End, Proof, Usage};
use serde::{Deserialize, Serialize};

/// A message is a report at most; the workload's output is not one.
const MOST_SETUP_BYTES: u64 = 64 * 1024;

/// Before the command executes. Then the pipe closes: `Proven` and the end of the pipe mean that it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setup {
    /// The next thing is execve(2).
    Proven(Vec<Proof>),
    /// It will not run.
    Failed {
        /// Why, for machines.
        end: End,
        /// Why, for people.
        message: String,
    },
}

/// How the workload's first process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// By itself.
    Exited(i32),
    /// By a signal.
    Signaled(i32),
}

/// What is in the result file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResultFile {
    /// It isn't there, or it is empty.
    Absent,
    /// Its bytes follow the message.
    Present,
    /// More than is read.
    TooLarge,
    /// Not a regular file, or not readable.
    Unreadable(String),
}

/// After the workload ended and all that it started is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Of its first process.
    pub status: Status,
    /// The init stopped it at its CPU time.
    pub cpu_time_exceeded: bool,
    /// No space was left in scratch.
    pub disk_full: bool,
    /// Of the whole tree; without the wall time, which the runner outside measures.
    pub usage: Usage,
    /// Whether bytes follow.
    pub result: ResultFile,
}

/// Writes one message as a line.
///
/// # Errors
/// What the pipe says.
pub fn send(mut pipe: impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    pipe.write_all(&line)
}

/// Parses the messages of a set-up pipe: the last one counts.
#[must_use]
pub fn setup(bytes: &[u8]) -> Option<Setup> {
    let mut text = Vec::new();
    bytes.take(MOST_SETUP_BYTES).read_to_end(&mut text).ok()?;
    let last = text.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty())?;
    serde_json::from_slice(last).ok()
}

/// Parses the message of an end pipe, and the result's bytes that follow it.
#[must_use]
pub fn ended(bytes: &[u8]) -> Option<(Ended, &[u8])> {
    let line = bytes.iter().position(|byte| *byte == b'\n')?;
    let (message, rest) = bytes.split_at_checked(line)?;
    Some((serde_json::from_slice(message).ok()?, rest.get(1..).unwrap_or_default()))
}
