//! The process that becomes the workload.

use std::ffi::CString;
use std::os::fd::BorrowedFd;

use ccos_profile::End;
use rustix::io::Errno;
use thiserror::Error;

use crate::kernel::Kernel;
use crate::lockdown::{Confinement, lock_down};
use crate::messages::{Setup, send};
use crate::pipes::Pipe;
use crate::prove::{Probes, Proven, prove};

/// What is executed.
#[derive(Debug)]
pub struct Command {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

/// The kernel did not start the command.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ExecError {
    /// Something on the way is not in the view.
    #[error(
        "command {program}: expected it with its interpreter or loader in the view, but found one missing; list it in `commands`"
    )]
    Missing {
        /// The command.
        program: String,
    },
    /// It, or its interpreter, is not executable.
    #[error(
        "command {program}: expected it and its interpreter to be executable, but found one that is not; list the interpreter in `commands`"
    )]
    NotExecutable {
        /// The command.
        program: String,
    },
    /// Anything else.
    #[error("command {program}: {errno}")]
    Other {
        /// The command.
        program: String,
        /// What the kernel said.
        errno: Errno,
    },
}

impl Command {
    /// A command of texts that have no NUL, which the request made sure of.
    #[must_use]
    pub fn new(program: &str, arguments: &[String], environment: &[(String, String)]) -> Option<Self> {
        let texts = |texts: Vec<String>| texts.into_iter().map(|text| CString::new(text).ok()).collect::<Option<_>>();
        let environment = environment.iter().map(|(name, text)| format!("{name}={text}")).collect();
        Some(Self {
            program: CString::new(program).ok()?,
            arguments: texts(arguments.to_vec())?,
            environment: texts(environment)?,
        })
    }

    /// The names in its environment.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.environment.iter().filter_map(|text| Some(text.to_str().ok()?.split_once('=')?.0.to_owned()))
    }
}

/// Becomes the command. Returns only if that failed.
#[must_use]
pub fn execute(_proven: Proven, command: &Command) -> ExecError {
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(&command.arguments), pointers(&command.environment));
    // SAFETY: both lists end with a null pointer, and `command` outlives the call.
    unsafe { libc::execve(command.program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    let program = command.program.to_string_lossy().into_owned();
    match Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO) {
        Errno::NOENT | Errno::NOTDIR => ExecError::Missing { program },
        Errno::ACCESS => ExecError::NotExecutable { program },
        errno => ExecError::Other { program, errno },
    }
}

/// All that this process does: lock down, prove, execute. Returns if one of them failed, after saying so.
///
/// # Errors
/// What the pipe says, where it could not even be said.
pub fn run(
    kernel: &mut dyn Kernel,
    confinement: Confinement,
    probes: &Probes,
    command: &Command,
    setup: BorrowedFd<'_>,
) -> std::io::Result<()> {
    let failed = |end, message| send(Pipe(setup), &Setup::Failed { end, message });
    let confined = match lock_down(kernel, confinement) {
        Ok(confined) => confined,
        Err(error) => return failed(error.end(), error.to_string()),
    };
    let proven = match prove(kernel, confined, probes) {
        Ok(proven) => proven,
        Err(error) => return failed(End::ConfinementFailed, error.to_string()),
    };
    // Before the exec: what can't be reported must not run.
    send(Pipe(setup), &Setup::Proven(proven.proofs().to_vec()))?;
    let error = execute(proven, command);
    failed(End::NonZeroExit, error.to_string())
}
