//! A segment of shared memory that exists outside, for the proof that it doesn't inside.

use rustix::io::Errno;

/// Removed when dropped.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    id: i32,
}

impl SharedMemory {
    /// Any number that is no other program's habit.
    pub(crate) const KEY: i32 = 0x0cc0_5ca9;

    pub(crate) fn new() -> Result<Self, Errno> {
        // SAFETY: shmget takes no pointers.
        match unsafe { libc::shmget(Self::KEY, 4096, libc::IPC_CREAT | 0o600) } {
            -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
            id => Ok(Self { id }),
        }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: IPC_RMID ignores the pointer. Nothing was attached, and the segment ends with the pod anyway.
        unsafe { libc::shmctl(self.id, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}
