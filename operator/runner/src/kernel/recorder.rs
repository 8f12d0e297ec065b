//! A kernel that agrees to everything, refuses what must fail, and keeps one log.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rustix::io::Errno;

use super::{Attempt, Call, Kernel, Limit, Resource, Space};
use crate::path::AbsolutePath;

/// One log of all calls and attempts, in order.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) log: Vec<String>,
    /// The call that fails, by its text.
    pub(crate) fails: Option<String>,
    /// The attempt that gets through, by its text.
    pub(crate) lets_through: Option<String>,
    /// The answer to an attempt that is not a refusal, by its text.
    pub(crate) answers: Option<(String, Errno)>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) scratch_bytes: u64,
    /// Of the name server; `None`: there is no answer.
    pub(crate) reply: Option<Vec<u8>>,
    pub(crate) status: String,
    pub(crate) mounts: String,
    pub(crate) interfaces: Option<String>,
    pub(crate) owner: u32,
    /// What else can be read.
    pub(crate) files: BTreeMap<String, String>,
}

impl Kernel for Recorder {
    fn call(&mut self, call: &Call) -> Result<(), Errno> {
        let text = call.to_string();
        self.log.push(text.clone());
        if self.fails.as_ref() == Some(&text) {
            return Err(Errno::PERM);
        }
        match call {
            Call::Limit(limit) => self.limits.push(*limit),
            Call::MountScratch { bytes } => self.scratch_bytes = bytes.next_multiple_of(4096),
            _ => {}
        }
        Ok(())
    }

    fn attempt(&mut self, attempt: &Attempt) -> Result<(), Errno> {
        let text = attempt.to_string();
        self.log.push(format!("try {text}"));
        if self.lets_through.as_ref() == Some(&text) {
            return Ok(());
        }
        match &self.answers {
            Some((of, errno)) if *of == text => Err(*errno),
            _ => Err(*attempt.refusals().first().unwrap()),
        }
    }

    fn ask(&mut self, server: SocketAddr, _question: &[u8]) -> Result<Vec<u8>, Errno> {
        self.log.push(format!("ask {server}"));
        self.reply.clone().ok_or(Errno::TIMEDOUT)
    }

    fn read(&mut self, path: &str) -> Result<String, Errno> {
        self.log.push(format!("read {path}"));
        match path {
            "/proc/self/status" => Ok(self.status.clone()),
            "/proc/self/mountinfo" => Ok(self.mounts.clone()),
            "/proc/net/dev" => self.interfaces.clone().ok_or(Errno::NOENT),
            path => self.files.get(path).cloned().ok_or(Errno::NOENT),
        }
    }

    fn limit(&mut self, resource: Resource) -> Limit {
        self.log.push(format!("read limit {resource:?}"));
        let unlimited = Limit { resource, soft: u64::MAX, hard: u64::MAX };
        self.limits.iter().find(|limit| limit.resource == resource).copied().unwrap_or(unlimited)
    }

    fn space(&mut self, at: &AbsolutePath) -> Result<Space, Errno> {
        self.log.push(format!("read space {at}"));
        Ok(Space { total: self.scratch_bytes, free: self.scratch_bytes })
    }

    fn owner(&mut self, path: &str) -> Result<u32, Errno> {
        self.log.push(format!("read owner of {path}"));
        Ok(self.owner)
    }

    fn identity(&mut self) -> (i32, i32) {
        self.log.push("read identity".to_owned());
        (2, 1)
    }
}
