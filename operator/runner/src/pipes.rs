//! The pipes between the processes.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

/// One end each way. All are closed on exec; the workload's outputs are duplicated before.
#[derive(Debug)]
#[expect(missing_docs, reason = "the module says it")]
pub struct Pipes {
    pub setup: (OwnedFd, OwnedFd),
    pub output: (OwnedFd, OwnedFd),
    pub error: (OwnedFd, OwnedFd),
    pub end: (OwnedFd, OwnedFd),
    pub control: (OwnedFd, OwnedFd),
}

impl Pipes {
    /// Five pipes, each with its end to read first.
    ///
    /// # Errors
    /// What pipe2(2) says.
    pub fn new() -> Result<Self, Errno> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC);
        Ok(Self { setup: pipe()?, output: pipe()?, error: pipe()?, end: pipe()?, control: pipe()? })
    }
}

/// Writes to a descriptor without owning it.
#[derive(Debug)]
pub struct Pipe<'a>(pub BorrowedFd<'a>);

impl io::Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
