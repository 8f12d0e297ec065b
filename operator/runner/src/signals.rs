//! Signals as a descriptor, so that one poll(2) waits for everything and no handler interrupts anything.

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::Errno;

/// Blocks the signals and returns a descriptor that becomes readable when one arrives. exec(2) keeps the block:
/// [`crate::kernel::Call::DefaultSignals`] undoes it for the workload.
///
/// # Errors
/// What sigprocmask(2) or signalfd(2) say.
pub fn descriptor(signals: &[i32]) -> Result<OwnedFd, Errno> {
    // SAFETY: sigemptyset writes a valid set; the calls read it; the descriptor is new and owned by nobody else.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
            return Err(last());
        }
        match libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(last()),
            descriptor => Ok(OwnedFd::from_raw_fd(descriptor)),
        }
    }
}

/// The signals that arrived since the last call.
#[must_use]
pub fn arrived(descriptor: &OwnedFd) -> Vec<i32> {
    const SIZE: usize = size_of::<libc::signalfd_siginfo>();
    let mut signals = Vec::new();
    let mut buffer = [0; SIZE];
    while rustix::io::read(descriptor, &mut buffer) == Ok(SIZE) {
        // The number is the first member (signalfd(2)).
        if let Some(number) = buffer.first_chunk() {
            signals.extend(i32::try_from(u32::from_ne_bytes(*number)));
        }
    }
    signals
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
