//! Pipes that are read: kept up to a bound, or kept and passed on.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};

/// Standard output is kept up to here, for the result.
const MOST_KEPT_BYTES: usize = 1024 * 1024;

/// The end of an output, for messages.
const TAIL_BYTES: usize = 512;

/// Read but not yet passed on. A log that is not taken slows the workload down, but costs no more memory.
const MOST_PENDING_BYTES: usize = 64 * 1024;

/// `PIPE_BUF`: as much as a writable pipe takes without blocking (pipe(7)).
const CHUNK: usize = 4096;

/// A pipe whose bytes are kept.
#[derive(Debug)]
pub(super) struct Collected {
    from: Option<OwnedFd>,
    bytes: Vec<u8>,
    most: usize,
}

impl Collected {
    pub(super) fn new(from: OwnedFd, most: usize) -> Self {
        Self { from: Some(from), bytes: Vec::new(), most }
    }

    pub(super) fn wants(&self) -> Option<PollFd<'_>> {
        self.from.as_ref().map(|from| PollFd::new(from, PollFlags::IN))
    }

    pub(super) fn read(&mut self) {
        let mut part = vec![0; MOST_PENDING_BYTES];
        while let Some(from) = self.from.as_ref().filter(|from| is_ready(from.as_fd(), PollFlags::IN)) {
            match read(from, &mut part) {
                Ok(count) if count > 0 && self.bytes.len() < self.most => self.bytes.extend(part.iter().take(count)),
                Err(Errno::INTR) => {}
                // More than a correct writer writes: not read on.
                Ok(_) | Err(_) => self.from = None,
            }
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.from.is_none()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A pipe whose bytes go to one of the runner's own streams.
#[derive(Debug)]
pub(super) struct Forwarded {
    from: Option<OwnedFd>,
    to: Option<BorrowedFd<'static>>,
    pending: VecDeque<u8>,
    kept: Vec<u8>,
    tail: VecDeque<u8>,
    total: usize,
}

impl Forwarded {
    pub(super) fn new(from: OwnedFd, to: BorrowedFd<'static>) -> Self {
        let (pending, tail) = (VecDeque::new(), VecDeque::new());
        Self { from: Some(from), to: Some(to), pending, kept: Vec::new(), tail, total: 0 }
    }

    pub(super) fn wants(&self) -> Vec<PollFd<'_>> {
        let room = self.pending.len() < MOST_PENDING_BYTES;
        let read = self.from.as_ref().filter(|_| room).map(|from| PollFd::new(from, PollFlags::IN));
        let write = self.to.as_ref().filter(|_| !self.pending.is_empty()).map(|to| PollFd::new(to, PollFlags::OUT));
        read.into_iter().chain(write).collect()
    }

    /// Reads and writes what can be without waiting.
    pub(super) fn move_on(&mut self) {
        self.read();
        self.write();
    }

    fn read(&mut self) {
        let Some(from) = &self.from else { return };
        if self.pending.len() >= MOST_PENDING_BYTES || !is_ready(from.as_fd(), PollFlags::IN) {
            return;
        }
        let mut part = vec![0; MOST_PENDING_BYTES];
        match read(from, &mut part) {
            Ok(count) if count > 0 => {
                let bytes = part.get(..count).unwrap_or_default();
                self.total = self.total.saturating_add(count);
                let room = MOST_KEPT_BYTES.saturating_sub(self.kept.len());
                self.kept.extend(bytes.iter().take(room));
                self.tail.extend(bytes.iter().skip(count.saturating_sub(TAIL_BYTES)));
                self.tail.drain(..self.tail.len().saturating_sub(TAIL_BYTES));
                if self.to.is_some() {
                    self.pending.extend(bytes);
                }
            }
            Err(Errno::INTR) => {}
            Ok(_) | Err(_) => self.from = None,
        }
    }

    fn write(&mut self) {
        while let Some(to) = self.to.filter(|to| !self.pending.is_empty() && is_ready(*to, PollFlags::OUT)) {
            let (first, _) = self.pending.as_slices();
            match write(to, first.get(..CHUNK).unwrap_or(first)) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::INTR | Errno::AGAIN) => return,
                // Nobody takes the log any more. The workload need not know.
                Err(_) => {
                    self.to = None;
                    self.pending.clear();
                }
            }
        }
    }

    /// Reads no more; what was read is still passed on.
    pub(super) fn stop(&mut self) {
        self.from = None;
    }

    pub(super) fn is_done(&self) -> bool {
        self.from.is_none() && self.pending.is_empty()
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// The first of it, and whether there was more.
    pub(super) fn kept(self) -> (Vec<u8>, bool) {
        let cut = self.total > self.kept.len();
        (self.kept, cut)
    }

    pub(super) fn tail(self) -> Vec<u8> {
        self.tail.into()
    }
}

fn is_ready(of: BorrowedFd<'_>, how: PollFlags) -> bool {
    let mut one = [PollFd::new(&of, how)];
    // An error or hang-up counts: the read or write then says so.
    poll(&mut one, Some(&Timespec::default())).is_ok_and(|count| count > 0)
}
