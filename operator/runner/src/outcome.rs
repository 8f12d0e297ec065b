//! What the end means: a pure function of what was seen.

use std::time::Duration;

use ccos_profile::{Delivery, End, INLINE_RESULT_LIMIT, Proof, RESULT_LIMIT, Report, Usage, VERSION, digest};
use serde_json::Value;

use crate::json::Syntax;
use crate::messages::{Ended, ResultFile, Status};
use crate::report::excerpt;

/// Of an output or error that is shown in a message.
const EXCERPT_BYTES: usize = 200;

/// Why the runner stopped the workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its time was up.
    WallTime,
    /// Its outputs are more than is kept, in bytes.
    Output(usize),
    /// The pod is being deleted.
    Cancelled,
    /// The runner can't go on.
    Broken(String),
}

/// All that was seen of a workload that was started.
#[derive(Debug)]
pub struct Seen {
    /// Before it started.
    pub proven: Vec<Proof>,
    /// Why it was stopped, if it was.
    pub stop: Option<Stop>,
    /// What the init said, if it could.
    pub ended: Option<Ended>,
    /// The result file's bytes.
    pub result_file: Vec<u8>,
    /// Standard output, as far as it is kept.
    pub output: Vec<u8>,
    /// Whether there was more.
    pub output_cut: bool,
    /// The last of standard error.
    pub error_tail: Vec<u8>,
    /// From start to end.
    pub wall_time: Duration,
    /// As far as the kernel told the runner about the init, should that have said nothing.
    pub fallback: Usage,
    /// As granted.
    pub limits: Granted,
}

/// The limits that an end is measured by.
#[derive(Clone, Copy, Debug)]
pub struct Granted {
    /// Of the whole tree.
    pub cpu_time: Duration,
    /// From start to end.
    pub wall_time: Duration,
    /// All scratch space, in bytes.
    pub disk_bytes: u64,
}

/// The report, and the result that is too large for it.
#[must_use]
pub fn delivery(seen: Seen) -> Delivery {
    let wall_time_millis = u64::try_from(seen.wall_time.as_millis()).unwrap_or(u64::MAX);
    let usage = Usage { wall_time_millis, ..seen.ended.as_ref().map_or(seen.fallback, |ended| ended.usage) };
    let (exit_code, signal) = match seen.ended.as_ref().map(|ended| ended.status) {
        Some(Status::Exited(code)) => (Some(code), None),
        Some(Status::Signaled(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    let Verdict { end, message, result } = verdict(&seen);
    let (inline, large) = match result {
        None => (None, None),
        Some(Output::Inline(value)) => (Some(value), None),
        Some(Output::Large(text)) => (None, Some(text)),
    };
    let report = Report {
        version: VERSION,
        end,
        message,
        exit_code,
        signal,
        result: inline,
        result_digest: large.as_ref().map(|text| digest(text.as_bytes())),
        usage: Some(usage),
        proven: seen.proven,
        network: None,
    };
    Delivery { report, result: large }
}

struct Verdict {
    end: End,
    message: String,
    result: Option<Output>,
}

/// A result, which is JSON.
enum Output {
    /// It fits into the termination message.
    Inline(Value),
    /// It does not. As the workload wrote it: as values it would need many times the memory.
    Large(String),
}

fn ends(end: End, message: impl Into<String>) -> Verdict {
    Verdict { end, message: message.into(), result: None }
}

fn verdict(seen: &Seen) -> Verdict {
    let Granted { cpu_time, wall_time, disk_bytes } = seen.limits;
    // What the runner did comes first: the status of a process that was killed says nothing about why.
    match &seen.stop {
        Some(Stop::WallTime) => return ends(End::WallTimeExceeded, format!("stopped after {wall_time:?}")),
        Some(Stop::Output(most)) => {
            return ends(
                End::OutputTooLarge,
                format!("expected at most {most} bytes on standard output and error together, but found more"),
            );
        }
        Some(Stop::Cancelled) => return ends(End::Cancelled, "told to stop"),
        Some(Stop::Broken(why)) => return ends(End::InternalError, why.clone()),
        None => {}
    }
    let Some(ended) = &seen.ended else {
        // Its own children can't kill it (seccomp), so this is the sandbox's doing, or a bug of the runner's.
        return ends(End::InternalError, "the init of the workload ended without a word");
    };
    let used_up = u128::from(ended.usage.cpu_time_millis) >= cpu_time.as_millis();
    let out_of_cpu_time = || ends(End::CPUTimeExceeded, format!("stopped after {cpu_time:?} of CPU time"));
    if ended.cpu_time_exceeded {
        return out_of_cpu_time();
    }
    match ended.status {
        Status::Exited(0) => completed(seen, &ended.result),
        Status::Signaled(libc::SIGXCPU) => out_of_cpu_time(),
        Status::Exited(_) | Status::Signaled(_) if used_up => out_of_cpu_time(),
        Status::Signaled(libc::SIGXFSZ) => {
            ends(End::DiskExceeded, format!("expected files of at most {disk_bytes} bytes, but found a larger one"))
        }
        Status::Exited(_) | Status::Signaled(_) if ended.disk_full => {
            ends(End::DiskExceeded, format!("failed with its {disk_bytes} bytes of scratch space full{}", tail(seen)))
        }
        Status::Signaled(signal) => ends(End::Signaled, format!("ended by signal {signal}{}", tail(seen))),
        Status::Exited(code) => ends(End::NonZeroExit, format!("exit status {code}{}", tail(seen))),
    }
}

fn tail(seen: &Seen) -> String {
    let text = seen.error_tail.trim_ascii_end();
    let last = text.get(text.len().saturating_sub(EXCERPT_BYTES)..).unwrap_or(text);
    if last.is_empty() { String::new() } else { format!("; standard error ends with {}", excerpt(last, EXCERPT_BYTES)) }
}

fn completed(seen: &Seen, file: &ResultFile) -> Verdict {
    let (bytes, from) = match file {
        ResultFile::Present => (&seen.result_file, "the result file"),
        ResultFile::Absent if seen.output_cut => return too_large("standard output", None),
        ResultFile::Absent => (&seen.output, "standard output"),
        ResultFile::TooLarge => return too_large("the result file", None),
        ResultFile::Unreadable(why) => {
            return ends(End::InvalidResult, format!("the result file: expected a regular file, but found {why}"));
        }
    };
    let bytes = bytes.trim_ascii();
    if bytes.is_empty() {
        return ends(End::Completed, "");
    }
    if bytes.len() > RESULT_LIMIT {
        return too_large(from, Some(bytes.len()));
    }
    match parsed(bytes) {
        Ok(result) => Verdict { end: End::Completed, message: String::new(), result: Some(result) },
        Err(error) => ends(
            End::InvalidResult,
            format!("{from}: expected JSON, but found {}: {error}", excerpt(bytes, EXCERPT_BYTES)),
        ),
    }
}

fn parsed(bytes: &[u8]) -> Result<Output, serde_json::Error> {
    // With white space a result may be longer than what is reported of it.
    if bytes.len() <= 8 * INLINE_RESULT_LIMIT {
        let value: Value = serde_json::from_slice(bytes)?;
        if value.to_string().len() <= INLINE_RESULT_LIMIT {
            return Ok(Output::Inline(value));
        }
    }
    let text = std::str::from_utf8(bytes).map_err(serde::de::Error::custom)?;
    serde_json::from_str::<Syntax>(text)?;
    Ok(Output::Large(text.to_owned()))
}

fn too_large(from: &str, size: Option<usize>) -> Verdict {
    let found = size.map_or("more than is read".to_owned(), |size| size.to_string());
    ends(End::ResultTooLarge, format!("{from}: expected at most {RESULT_LIMIT} bytes of JSON, but found {found}"))
}

#[cfg(test)]
mod tests;
